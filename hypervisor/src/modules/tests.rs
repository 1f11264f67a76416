//! Tests of the reading of device trees in the form that QEMU writes, whole and damaged.

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

/// 1 GiB of RAM, as QEMU's board has it.
const RAM: Physical = 0x4000_0000..0x8000_0000;

fn property<T: dtoolkit::ToPropertyValue>(name: &str, value: T) -> DeviceTreeProperty {
    DeviceTreeProperty::new(name, value).unwrap()
}

/// A place as QEMU writes it: the address and the size as 64-bit numbers.
fn reg(address: u64, size: u64) -> DeviceTreeProperty {
    let cells = [address >> 32, address, size >> 32, size].map(|number| number as u32);
    property("reg", cells)
}

fn memory_node(address: u64, size: u64) -> DeviceTreeNode {
    DeviceTreeNode::builder(format!("memory@{address:x}"))
        .unwrap()
        .property(reg(address, size))
        .property(property("device_type", "memory"))
        .build()
}

fn module(kind: &str, address: u64, size: u64, bootargs: Option<&str>) -> DeviceTreeNode {
    let compatible = ["multiboot,module", kind];
    let mut node = DeviceTreeNode::builder(format!("module@{address:#x}"))
        .unwrap()
        .property(property("compatible", &compatible[..]))
        .property(reg(address, size))
        .build();
    if let Some(bootargs) = bootargs {
        node.add_property(property("bootargs", bootargs));
    }
    node
}

fn kernel(address: u64) -> DeviceTreeNode {
    module("multiboot,kernel", address, 0x1e_8480, None)
}

fn ramdisk(address: u64) -> DeviceTreeNode {
    module("multiboot,ramdisk", address, 0x4_93e0, None)
}

/// A board with 1 GiB of RAM and these nodes under `/chosen`.
fn board_with(command_line: &str, modules: Vec<DeviceTreeNode>) -> DeviceTree {
    let mut tree = DeviceTree::new();
    tree.root.add_property(property("#address-cells", 2_u32));
    tree.root.add_property(property("#size-cells", 2_u32));
    tree.root.add_child(memory_node(0x4000_0000, 0x4000_0000));
    let mut chosen = DeviceTreeNode::builder("chosen")
        .unwrap()
        .property(property("bootargs", command_line))
        .property(property("stdout-path", "/pl011@9000000"))
        .build();
    for module in modules {
        chosen.add_child(module);
    }
    tree.root.add_child(chosen);
    tree
}

/// Two VMs, the first with a RAM disk and a command line, in QEMU's order: last comes first.
fn two_vms() -> DeviceTree {
    let first = module(
        "multiboot,kernel",
        0x4800_0000,
        0x1e_8480,
        Some("console=ttyAMA0"),
    );
    board_with(
        "vm0.memory=64M",
        vec![kernel(0x5000_0000), ramdisk(0x4a00_0000), first],
    )
}

fn error_of(tree: &DeviceTree) -> String {
    let dtb = tree.to_dtb();
    let fdt = Fdt::new(&dtb).unwrap();
    Board::from_fdt(fdt).unwrap_err().to_string()
}

#[test]
fn modules_become_vms_in_ascending_address() {
    let dtb = two_vms().to_dtb();
    let board = Board::from_fdt(Fdt::new(&dtb).unwrap()).unwrap();
    assert_eq!(board.command_line, "vm0.memory=64M");
    assert_eq!(board.memory.as_slice(), &[RAM]);
    let expected = [
        Guest {
            kernel: 0x4800_0000..0x481e_8480,
            command_line: "console=ttyAMA0",
            ramdisk: Some(0x4a00_0000..0x4a04_93e0),
        },
        Guest {
            kernel: 0x5000_0000..0x501e_8480,
            command_line: "",
            ramdisk: None,
        },
    ];
    assert_eq!(board.guests[..], expected);
}

/// `qemu-board.dtb` is what QEMU 7.2 wrote for 1 GiB of RAM and the modules of [`two_vms`], by
/// `dumpdtb=`, packed.
#[test]
fn a_tree_that_qemu_wrote_reads_the_same() {
    let dtb = include_bytes!("qemu-board.dtb");
    let from_qemu = Board::from_fdt(Fdt::new(dtb).unwrap()).unwrap();
    let dtb = two_vms().to_dtb();
    assert_eq!(Ok(from_qemu), Board::from_fdt(Fdt::new(&dtb).unwrap()));
}

#[test]
fn the_cells_that_chosen_states_are_used() {
    let short = DeviceTreeNode::builder("module@48000000")
        .unwrap()
        .property(property("compatible", "multiboot,kernel"))
        .property(property("reg", [0x4800_0000_u32, 0x1000]))
        .build();
    let mut tree = board_with("", vec![short]);
    let chosen = tree.root.child_mut("chosen").unwrap();
    chosen.add_property(property("#address-cells", 1_u32));
    chosen.add_property(property("#size-cells", 1_u32));
    let dtb = tree.to_dtb();
    let board = Board::from_fdt(Fdt::new(&dtb).unwrap()).unwrap();
    assert_eq!(board.guests[0].kernel, 0x4800_0000..0x4800_1000);
}

#[test]
fn cell_counts_that_make_no_sense_are_refused() {
    for count in [0, 3, 0x4000_0000, u32::MAX] {
        let mut tree = board_with("", vec![kernel(0x4800_0000)]);
        let chosen = tree.root.child_mut("chosen").unwrap();
        chosen.add_property(property("#address-cells", count));
        chosen.add_property(property("#size-cells", count));
        assert!(error_of(&tree).contains("the reg of module@0x48000000"));
    }
}

#[test]
fn a_module_in_two_places_is_refused() {
    let mut twice = kernel(0x4800_0000);
    let places = [0_u32, 0x4800_0000, 0, 0x1000, 0, 0x4900_0000, 0, 0x1000];
    twice.add_property(property("reg", places));
    let found = error_of(&board_with("", vec![twice]));
    assert!(found.contains("the reg of module@0x48000000"), "{found}");
}

#[test]
fn ram_may_be_in_several_ranges() {
    let mut tree = board_with("", vec![kernel(0x1_0000_1000)]);
    tree.root.add_child(memory_node(0x1_0000_0000, 0x1000_0000));
    let dtb = tree.to_dtb();
    let board = Board::from_fdt(Fdt::new(&dtb).unwrap()).unwrap();
    let expected = [RAM, 0x1_0000_0000..0x1_1000_0000];
    assert_eq!(board.memory[..], expected);
}

#[test]
fn other_nodes_under_chosen_are_left_alone() {
    let other = module("multiboot,device-tree", 0, 0, None);
    let tree = board_with("", vec![other, kernel(0x4800_0000)]);
    let dtb = tree.to_dtb();
    let board = Board::from_fdt(Fdt::new(&dtb).unwrap()).unwrap();
    assert_eq!(board.guests.len(), 1);
}

#[test]
fn trees_that_cannot_be_run_are_refused_with_a_sentence() {
    let many = (0..=MAX_VMS as u64).map(|n| kernel(0x4800_0000 + n * 0x20_0000));
    for (modules, sentence) in [
        (vec![], "there is no guest"),
        (
            vec![ramdisk(0x4800_0000), kernel(0x4a00_0000)],
            "the RAM disk at 0x48000000 has no kernel",
        ),
        (
            vec![
                kernel(0x4800_0000),
                ramdisk(0x4900_0000),
                ramdisk(0x4a00_0000),
            ],
            "the RAM disk at 0x4a000000 is its kernel's second one",
        ),
        (
            vec![kernel(0x4800_0000), ramdisk(0x4810_0000)],
            "the module at 0x48100000 overlaps",
        ),
        (
            vec![
                kernel(0x4800_0000),
                module("multiboot,ramdisk", 0x4a00_0000, 0, None),
            ],
            "module@0x4a000000 is an empty file",
        ),
        (vec![kernel(0x7ff0_0000)], "the reg of module@0x7ff00000"),
        (vec![kernel(0x1000_0000)], "the reg of module@0x10000000"),
        (
            vec![kernel(u64::MAX - 0xfff)],
            "the reg of module@0xfffffffffffff000",
        ),
        (
            many.collect(),
            "there are more modules than 255 VMs can have",
        ),
    ] {
        let found = error_of(&board_with("", modules));
        assert!(found.contains(sentence), "{found}");
    }
}

#[test]
fn a_board_without_ram_is_refused() {
    let mut tree = board_with("", vec![kernel(0x4800_0000)]);
    tree.root.remove_child("memory@40000000");
    assert!(error_of(&tree).contains("no node describes RAM"));
    tree.root.add_child(memory_node(0x4000_0000, 0));
    assert!(error_of(&tree).contains("no node describes RAM"));
}

#[test]
fn overlapping_ram_is_refused() {
    let mut tree = board_with("", vec![kernel(0x4800_0000)]);
    tree.root.add_child(memory_node(0x7000_0000, 0x2000_0000));
    assert!(error_of(&tree).contains("no node describes RAM"));
}

/// What must hold of any board that was accepted.
fn check(board: &Board<'_>) {
    let places = board
        .guests
        .iter()
        .flat_map(|guest| core::iter::once(&guest.kernel).chain(&guest.ramdisk));
    let mut end = 0;
    for place in places {
        assert!(end <= place.start && place.start < place.end);
        end = place.end;
        assert!(
            board
                .memory
                .iter()
                .any(|ram| ram.start <= place.start && place.end <= ram.end)
        );
    }
    assert!(!board.guests.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0xd00d_feed),
        failure_persistence: None,
        cases: 4096,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_damaged_tree_is_refused_or_read_but_never_breaks_it(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut dtb = two_vms().to_dtb();
        for (place, byte) in damage {
            let place = place.index(dtb.len());
            dtb[place] = byte;
        }
        if let Some(length) = length {
            dtb.truncate(length.index(dtb.len()));
            // The header must agree with the length for the rest to be read at all.
            if let (Ok(length), Some(field)) = (u32::try_from(dtb.len()), dtb.get_mut(4..8)) {
                field.copy_from_slice(&length.to_be_bytes());
            }
        }
        if let Ok(fdt) = Fdt::new(&dtb) {
            match Board::from_fdt(fdt) {
                Ok(board) => check(&board),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
}
