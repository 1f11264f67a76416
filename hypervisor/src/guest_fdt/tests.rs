//! Tests that read the tree back from its blob.

use std::process::{Command, Stdio};

use dtoolkit::{
    Node, Property, ToCellInt,
    fdt::{Fdt, FdtNode},
    standard::NodeStandard,
};

use super::*;

/// A board with everything that a board can have.
fn full() -> GuestBoard<'static> {
    GuestBoard {
        ram: 0x4000_0000..0x1_5000_0000,
        vcpus: 3,
        command_line: "console=ttyAMA0 rdinit=/init",
        ramdisk: Some(0x41f0_2000..0x4239_b3e1),
        pmu: true,
    }
}

/// A board with nothing that it need not have.
fn plain() -> GuestBoard<'static> {
    GuestBoard {
        ram: 0x4000_0000..0x4400_0000,
        vcpus: 1,
        command_line: "",
        ramdisk: None,
        pmu: false,
    }
}

fn cells(fdt: Fdt<'_>, path: &str, name: &str) -> Vec<u32> {
    let node = fdt.find_node(path).unwrap();
    node.property(name).unwrap().value_as().unwrap()
}

fn text<'a>(fdt: Fdt<'a>, path: &str, name: &str) -> &'a str {
    let node = fdt.find_node(path).unwrap();
    node.property(name).unwrap().value_as().unwrap()
}

/// The ranges of a node's `reg`, with the cells that its parent states.
fn ranges(node: FdtNode<'_>) -> Vec<(u64, u64)> {
    let reg = node.reg().unwrap().unwrap();
    reg.map(|entry| (entry.address().unwrap(), entry.size().unwrap()))
        .collect()
}

#[test]
fn the_root_is_the_board_that_linux_knows() {
    let dtb = plain().to_dtb();
    let fdt = Fdt::new(&dtb).unwrap();
    assert_eq!(cells(fdt, "/", "#address-cells"), [2]);
    assert_eq!(cells(fdt, "/", "#size-cells"), [2]);
    assert!(fdt.root().is_compatible("linux,dummy-virt"));
    assert!(fdt.root().property("dma-coherent").is_some());
}

#[test]
fn chosen_has_the_command_line_the_console_and_the_ram_disk() {
    let dtb = full().to_dtb();
    let fdt = Fdt::new(&dtb).unwrap();
    let expected = "console=ttyAMA0 rdinit=/init";
    assert_eq!(text(fdt, "/chosen", "bootargs"), expected);
    let console = text(fdt, "/chosen", "stdout-path");
    assert!(fdt.find_node(console).unwrap().is_compatible("arm,pl011"));
    let chosen = fdt.find_node("/chosen").unwrap();
    let number = |name| chosen.property(name).unwrap().value_as::<u64>();
    assert_eq!(number("linux,initrd-start"), Ok(0x41f0_2000));
    assert_eq!(number("linux,initrd-end"), Ok(0x4239_b3e1));
}

#[test]
fn memory_is_the_vms_own() {
    for (board, expected) in [
        (full(), (0x4000_0000, 0x1_1000_0000)),
        (plain(), (0x4000_0000, 0x400_0000)),
    ] {
        let dtb = board.to_dtb();
        let memory = Fdt::new(&dtb).unwrap().find_node("/memory").unwrap();
        assert_eq!(memory.name(), "memory@40000000");
        assert_eq!(ranges(memory), [expected]);
        let device_type = memory.property("device_type").unwrap();
        assert_eq!(device_type.value(), b"memory\0");
    }
}

#[test]
fn every_vcpu_has_its_affinity_and_starts_by_psci() {
    for vcpus in 1..=8 {
        let board = GuestBoard { vcpus, ..plain() };
        let dtb = board.to_dtb();
        let cpus = Fdt::new(&dtb).unwrap().cpus().unwrap();
        let ids: Vec<u32> = cpus
            .cpus()
            .map(|cpu| {
                let method = cpu.enable_method().unwrap().next();
                assert_eq!(method, Some("psci"));
                cpu.ids().unwrap().next().unwrap().to_int().unwrap()
            })
            .collect();
        assert_eq!(ids, (0..vcpus as u32).collect::<Vec<_>>());
    }
}

#[test]
fn psci_is_called_by_hvc() {
    let dtb = plain().to_dtb();
    let fdt = Fdt::new(&dtb).unwrap();
    let psci = fdt.find_node("/psci").unwrap();
    assert!(psci.is_compatible("arm,psci-1.0") && psci.is_compatible("arm,psci-0.2"));
    assert_eq!(text(fdt, "/psci", "method"), "hvc");
}

#[test]
fn the_timer_has_the_ppis_of_the_architecture() {
    let dtb = plain().to_dtb();
    let fdt = Fdt::new(&dtb).unwrap();
    let expected = [1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4];
    assert_eq!(cells(fdt, "/timer", "interrupts"), expected);
}

#[test]
fn the_gic_has_one_redistributor_per_vcpu() {
    let dtb = full().to_dtb();
    let fdt = Fdt::new(&dtb).unwrap();
    let gic = fdt.find_node("/intc@8000000").unwrap();
    assert!(gic.is_compatible("arm,gic-v3"));
    assert!(gic.property("interrupt-controller").is_some());
    assert_eq!(cells(fdt, "/intc", "#interrupt-cells"), [3]);
    let expected = [(0x800_0000, 0x1_0000), (0x80a_0000, 0x6_0000)];
    assert_eq!(ranges(gic), expected);
    let phandle = cells(fdt, "/intc", "phandle");
    assert_eq!(cells(fdt, "/", "interrupt-parent"), phandle);
}

#[test]
fn the_uart_has_its_interrupt_and_a_clock_of_24_mhz() {
    let dtb = plain().to_dtb();
    let fdt = Fdt::new(&dtb).unwrap();
    let uart = fdt.find_node("/pl011@9000000").unwrap();
    assert!(uart.is_compatible("arm,pl011") && uart.is_compatible("arm,primecell"));
    assert_eq!(ranges(uart), [(0x900_0000, 0x1000)]);
    assert_eq!(cells(fdt, "/pl011", "interrupts"), [0, 1, 4]);
    let clock = cells(fdt, "/apb-pclk", "phandle")[0];
    assert_eq!(cells(fdt, "/pl011", "clocks"), [clock, clock]);
    assert_eq!(cells(fdt, "/apb-pclk", "clock-frequency"), [24_000_000]);
}

#[test]
fn what_a_vm_does_not_have_is_not_described() {
    let dtb = plain().to_dtb();
    let fdt = Fdt::new(&dtb).unwrap();
    assert!(fdt.find_node("/pmu").is_none());
    let chosen = fdt.find_node("/chosen").unwrap();
    assert!(chosen.property("linux,initrd-start").is_none());
    let dtb = full().to_dtb();
    let pmu = Fdt::new(&dtb).unwrap().find_node("/pmu").unwrap();
    assert!(pmu.is_compatible("arm,armv8-pmuv3"));
}

/// The tree has 2 MiB; all of QEMU's tree, and so any command line in it, has 1 MiB.
#[test]
fn the_tree_of_the_longest_command_line_fits() {
    let command_line = "x".repeat(1 << 20);
    let board = GuestBoard {
        command_line: &command_line,
        vcpus: 8,
        ..full()
    };
    assert!((board.to_dtb().len() as u64) < crate::guest_image::FDT_ROOM);
}

/// The device tree compiler, where there is one, finds nothing to warn of.
#[test]
fn dtc_finds_nothing_to_warn_of() {
    use std::io::Write;
    for board in [full(), plain()] {
        let mut dtc = match Command::new("dtc")
            .args(["-I", "dtb", "-O", "dts", "-o", "/dev/null", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
        {
            Ok(dtc) => dtc,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("dtc is not installed: its check is left out");
                return;
            }
            Err(error) => panic!("dtc: {error}"),
        };
        let mut stdin = dtc.stdin.take().unwrap();
        stdin.write_all(&board.to_dtb()).unwrap();
        drop(stdin);
        let output = dtc.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(output.status.success());
    }
}
