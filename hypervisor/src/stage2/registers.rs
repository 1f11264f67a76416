//! The values of `VTCR_EL2` and `VTTBR_EL2` for these tables (Arm ARM, "AArch64 System registers").

use core::fmt;

use super::IPA_BITS;

/// SL0, bits 7:6: the walk starts at level 1 (4 KiB granule).
const START_LEVEL_1: u64 = 0b01 << 6;
/// IRGN0, bits 9:8: walks are inner write-back, read- and write-allocate.
const WALK_INNER_WRITE_BACK: u64 = 0b01 << 8;
/// ORGN0, bits 11:10: walks are outer write-back, read- and write-allocate.
const WALK_OUTER_WRITE_BACK: u64 = 0b01 << 10;
/// SH0, bits 13:12: walks are inner shareable.
const WALK_INNER_SHAREABLE: u64 = 0b11 << 12;
/// VS, bit 19: VMIDs have 16 bits.
const VMID_16_BITS: u64 = 1 << 19;
/// Bit 31 is RES1.
const RES1: u64 = 1 << 31;
/// Position of PS.
const PS_SHIFT: u32 = 16;

/// The smallest `PARange` whose physical addresses have at least [`IPA_BITS`] bits: 40 of them.
const SMALLEST_PA_RANGE: u64 = 0b0010;
/// The largest `PARange` that the 4 KiB granule can output without FEAT_LPA2: 48 bits.
const LARGEST_PA_RANGE: u64 = 0b0101;

/// The core's physical addresses have fewer bits than the guests' ([`IPA_BITS`]).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PhysicalRangeTooSmall;

impl fmt::Display for PhysicalRangeTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this core has fewer than {IPA_BITS} bits of physical address: choose another core"
        )
    }
}

impl core::error::Error for PhysicalRangeTooSmall {}

/// How many bits of a VMID the core compares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VmidWidth {
    /// 8 bits.
    Eight,
    /// 16 bits (FEAT_VMID16).
    Sixteen,
}

impl VmidWidth {
    /// The width that `ID_AA64MMFR1_EL1.VMIDBits` (bits 7:4) says.
    pub const fn from_mmfr1(id_aa64mmfr1_el1: u64) -> Self {
        match (id_aa64mmfr1_el1 >> 4) & 0xf {
            0b0010 => Self::Sixteen,
            _ => Self::Eight,
        }
    }
}

/// The value of `VTCR_EL2`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vtcr(u64);

impl Vtcr {
    /// The control of walks over these tables, on a core whose `ID_AA64MMFR0_EL1` is given.
    ///
    /// # Errors
    ///
    /// When the core's physical addresses are shorter than the guests' addresses.
    pub const fn new(
        id_aa64mmfr0_el1: u64,
        width: VmidWidth,
    ) -> Result<Self, PhysicalRangeTooSmall> {
        let pa_range = id_aa64mmfr0_el1 & 0xf;
        if pa_range < SMALLEST_PA_RANGE {
            return Err(PhysicalRangeTooSmall);
        }
        let ps = if pa_range > LARGEST_PA_RANGE {
            LARGEST_PA_RANGE
        } else {
            pa_range
        };
        let vs = match width {
            VmidWidth::Eight => 0,
            VmidWidth::Sixteen => VMID_16_BITS,
        };
        let t0sz = 64 - IPA_BITS as u64;
        Ok(Self(
            RES1 | vs
                | (ps << PS_SHIFT)
                | WALK_INNER_SHAREABLE
                | WALK_OUTER_WRITE_BACK
                | WALK_INNER_WRITE_BACK
                | START_LEVEL_1
                | t0sz,
        ))
    }

    /// The register's value.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// The number that tags a VM's translations in the TLBs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vmid(u16);

impl Vmid {
    /// The VMID `number`, or `None` when the core compares fewer bits than it has.
    pub const fn new(number: u16, width: VmidWidth) -> Option<Self> {
        match width {
            VmidWidth::Eight if number > 0xff => None,
            _ => Some(Self(number)),
        }
    }
}

/// The value of `VTTBR_EL2`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vttbr(u64);

impl Vttbr {
    /// The level-1 table at `table`, a multiple of the page size, under `vmid`. CnP stays 0.
    pub(super) const fn new(table: u64, vmid: Vmid) -> Self {
        Self((vmid.0 as u64) << 48 | table)
    }

    /// The register's value.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values by hand from the register's description in the Arm ARM.
    #[test]
    fn vtcr_has_the_architected_bits() {
        // PARange: Cortex-A57 44 bits, Neoverse N1 48 bits, QEMU's max 52 bits, of which 48 count.
        for (pa_range, width, bits) in [
            (4, VmidWidth::Eight, 0x8004_3559),
            (5, VmidWidth::Sixteen, 0x800d_3559),
            (6, VmidWidth::Sixteen, 0x800d_3559),
        ] {
            assert_eq!(Vtcr::new(pa_range, width).map(Vtcr::bits), Ok(bits));
        }
    }

    #[test]
    fn a_core_with_short_physical_addresses_is_refused() {
        for (pa_range, served) in [(0, false), (1, false), (2, true), (3, true)] {
            let vtcr = Vtcr::new(pa_range, VmidWidth::Eight);
            assert_eq!(vtcr.is_ok(), served, "PARange {pa_range}");
        }
    }

    #[test]
    fn vmids_have_the_bits_that_the_core_compares() {
        assert_eq!(VmidWidth::from_mmfr1(0xf0f), VmidWidth::Eight);
        assert_eq!(VmidWidth::from_mmfr1(0xf2f), VmidWidth::Sixteen);
        assert_eq!(Vmid::new(0x100, VmidWidth::Eight), None);
        for (number, width) in [(0xff, VmidWidth::Eight), (0xffff, VmidWidth::Sixteen)] {
            let vmid = Vmid::new(number, width).unwrap();
            let vttbr = Vttbr::new(0x4567_8000, vmid).bits();
            assert_eq!(vttbr, u64::from(number) << 48 | 0x4567_8000);
        }
    }
}
