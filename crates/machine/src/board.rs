//! What lies where in the board's RAM, and how much of it a set of VMs needs.

use trapcast_hypervisor::guest_image::{DoesNotFit, Image, Layout as GuestLayout};

use trapcast_tool::error::{Error, Result};

/// Where RAM starts on QEMU's `virt` board.
pub const RAM_BASE: u64 = trapcast_hypervisor::virt::RAM;

/// Where modules start: what lies below belongs to the hypervisor.
pub const MODULES_BASE: u64 = 0x4800_0000;

/// Each module, and each VM's memory, starts on such a boundary: the block size of stage 2.
pub const BLOCK: u64 = 2 << 20;

/// Memory that the hypervisor takes for its tables.
const TABLES: u64 = 32 << 20;

/// RAM comes in steps of this size, so that a little more of anything changes nothing else.
const STEP: u64 = 64 << 20;

/// What one VM brings with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Load {
    /// Bytes of memory that the VM has.
    pub memory: u64,
    /// Bytes of the kernel's file.
    pub kernel_file: u64,
    /// What its header says.
    pub kernel: Image,
    /// Bytes of the initrd, if there is one.
    pub initrd: Option<u64>,
}

/// Where one VM's modules lie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// Physical address of the kernel.
    pub kernel: u64,
    /// Physical address of the initrd, if there is one.
    pub initrd: Option<u64>,
}

/// Where everything lies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    /// Bytes of RAM that the board has.
    pub ram: u64,
    /// One per VM.
    pub places: Vec<Place>,
}

impl Layout {
    /// Lays out these VMs, in order, on a machine that has `available` bytes of memory free.
    ///
    /// # Errors
    /// [`Error::Input`] where a VM is too small for its kernel and initrd, or all of them are too
    /// large for the machine.
    pub fn of(vms: &[Load], available: u64) -> Result<Self> {
        let mut next = MODULES_BASE;
        let mut take = |size: u64| {
            let address = next;
            next = (next + size).next_multiple_of(BLOCK);
            address
        };
        let mut places = Vec::new();
        for (index, vm) in vms.iter().enumerate() {
            check_fit(index, vm)?;
            places.push(Place {
                kernel: take(vm.kernel_file),
                initrd: vm.initrd.map(&mut take),
            });
        }
        let memory: u64 = vms
            .iter()
            .map(|vm| vm.memory.next_multiple_of(BLOCK) + BLOCK)
            .sum();
        let ram = (next - RAM_BASE + memory + TABLES).next_multiple_of(STEP);
        if ram > available {
            return Err(Error::input(format!(
                "{} VMs with {} of memory in all need {} of RAM, and this machine has {} free: \
                 give a smaller --memory or fewer --vms",
                vms.len(),
                mebibytes(memory),
                mebibytes(ram),
                mebibytes(available)
            )));
        }
        Ok(Self { ram, places })
    }
}

fn check_fit(index: usize, vm: &Load) -> Result<()> {
    let Err(DoesNotFit { needed, .. }) = GuestLayout::new(index, &vm.kernel, vm.initrd, vm.memory)
    else {
        return Ok(());
    };
    let parts = format!(
        "its kernel ({}) and initrd ({})",
        mebibytes(vm.kernel.memory_size),
        mebibytes(vm.initrd.unwrap_or(0))
    );
    Err(Error::input(match needed {
        Some(needed) => format!(
            "VM {index} has {} of memory, and {parts} need {} before anything runs: give a larger --memory",
            mebibytes(vm.memory),
            mebibytes(needed)
        ),
        None => format!("{parts} of VM {index} fit into no VM: give smaller ones"),
    }))
}

/// A size as people read it, rounded up to mebibytes.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Bytes of memory that this machine can give to programs now, as `/proc/meminfo` estimates it.
///
/// # Errors
/// Where `/proc/meminfo` cannot be read.
pub fn available_memory() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")
        .map_err(|error| Error::input(format!("cannot read /proc/meminfo: {error}")))?;
    text.lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse::<u64>().ok())
        .map(|kibibytes| kibibytes << 10)
        .ok_or_else(|| Error::input("/proc/meminfo does not tell MemAvailable"))
}

#[cfg(test)]
mod tests {
    use trapcast_hypervisor::guest_image::ExecutionState;

    use super::*;

    const MIB: u64 = 1 << 20;
    const LINUX: Load = Load {
        memory: 128 * MIB,
        kernel_file: 27 * MIB,
        kernel: Image {
            execution_state: ExecutionState::AArch64,
            text_offset: 0,
            memory_size: 28 * MIB,
            page_size: None,
        },
        initrd: Some(2 * MIB + 1),
    };

    #[test]
    fn modules_follow_one_another_on_block_boundaries() {
        let layout = Layout::of(&[LINUX, LINUX], u64::MAX).unwrap();
        let first = Place {
            kernel: 0x4800_0000,
            initrd: Some(0x49c0_0000),
        };
        let second = Place {
            kernel: 0x4a00_0000,
            initrd: Some(0x4bc0_0000),
        };
        assert_eq!(layout.places, [first, second]);
        // 128 MiB of the hypervisor, 64 of modules, 2 × 130 of VMs, 32 of tables.
        assert_eq!(layout.ram, 512 * MIB);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_figures() {
        let small = Load {
            memory: 32 * MIB,
            ..LINUX
        };
        let sentence = Layout::of(&[LINUX, small], u64::MAX)
            .unwrap_err()
            .to_string();
        assert!(
            sentence.starts_with("VM 1 has 32 MiB of memory"),
            "{sentence}"
        );
        // 2 below the kernel, 28, 2 and a little more, and 2 for the FDT, which begin at multiples of 2.
        assert!(sentence.contains("need 36 MiB"), "{sentence}");
        let large = Load {
            kernel: Image {
                memory_size: 1 << 40,
                ..LINUX.kernel
            },
            ..LINUX
        };
        let sentence = Layout::of(&[large], u64::MAX).unwrap_err().to_string();
        assert!(sentence.contains("fit into no VM"), "{sentence}");
        let sentence = Layout::of(&[LINUX], 256 * MIB).unwrap_err().to_string();
        assert!(sentence.contains("need 384 MiB of RAM"), "{sentence}");
    }

    #[test]
    fn the_machine_tells_its_memory() {
        assert!(available_memory().unwrap() > MIB);
    }
}
