//! QEMU's `virt` board, which EL2 runs on and which its guests see: all addresses of both are here.
//!
//! Source: QEMU, hw/arm/virt.c, `base_memmap` and `a15irqmap`.

use core::ops::Range;

/// The GIC's distributor.
pub const GICD: Range<u64> = 0x0800_0000..0x0801_0000;

/// The redistributors, one behind the other.
pub const GICR: Range<u64> = 0x080a_0000..0x0900_0000;

/// The UART, a PL011.
pub const UART: Range<u64> = 0x0900_0000..0x0900_1000;

/// The UART's interrupt: SPI 1.
pub const UART_INTID: u32 = 33;

/// Where RAM begins.
pub const RAM: u64 = 0x4000_0000;

/// Where QEMU puts the FDT for an image that it loads as an ELF, padded to this size.
pub const FDT: Range<u64> = RAM..RAM + 0x10_0000;

/// A device that the board has and a VM has not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Absent {
    /// Its name in a sentence.
    pub name: &'static str,
    /// Its addresses.
    pub range: Range<u64>,
}

const fn absent(name: &'static str, range: Range<u64>) -> Absent {
    Absent { name, range }
}

/// Devices that guests look for because the board has them, although no FDT lists them. They read as zero, and
/// writes do nothing. Where the board itself has nothing, an access is an external abort.
pub const ABSENT: [Absent; 12] = [
    absent("flash", 0..0x0800_0000),
    absent("GICv2m frame", 0x0802_0000..0x0802_1000),
    absent("ITS", 0x0808_0000..0x080a_0000),
    absent("real-time clock", 0x0901_0000..0x0901_1000),
    absent("fw_cfg", 0x0902_0000..0x0902_0018),
    absent("GPIO", 0x0903_0000..0x0903_1000),
    absent("second UART", 0x0904_0000..0x0904_1000),
    absent("SMMU", 0x0905_0000..0x0907_0000),
    absent("virtio device", 0x0a00_0000..0x0a00_4000),
    absent("PCIe memory", 0x1000_0000..0x3eff_0000),
    absent("PCIe I/O", 0x3eff_0000..0x3f00_0000),
    absent("PCIe configuration", 0x3f00_0000..0x4000_0000),
];

/// Returns the number in [`ABSENT`] of the device at an address of a guest, if there is one.
pub fn absent_at(ipa: u64) -> Option<usize> {
    ABSENT.iter().position(|device| device.range.contains(&ipa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_devices_share_an_address() {
        let there = [GICD, GICR, UART, RAM..u64::MAX];
        let mut all: Vec<_> = ABSENT.map(|device| device.range).into_iter().collect();
        all.extend(there);
        all.sort_by_key(|range| range.start);
        for pair in all.windows(2) {
            assert!(pair[0].end <= pair[1].start, "{pair:x?}");
        }
    }

    #[test]
    fn each_absent_device_is_found_to_its_last_byte() {
        for (number, Absent { range, .. }) in ABSENT.iter().enumerate() {
            assert_eq!(absent_at(range.start), Some(number));
            assert_eq!(absent_at(range.end - 1), Some(number));
        }
        // What kvm-unit-tests' micro-bench and U-Boot look at.
        assert_eq!(absent_at(0x0a00_0008), Some(8));
        assert_eq!(absent_at(0x0400_0000), Some(0));
        for nowhere in [0x0801_0000, 0x0902_0018, 0x0b00_0000, RAM, u64::MAX] {
            assert_eq!(absent_at(nowhere), None, "{nowhere:#x}");
        }
    }
}
