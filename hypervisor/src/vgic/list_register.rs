//! The layouts of `ICH_LR<n>_EL2` and `ICH_HCR_EL2`.

/// Most list registers that a core can implement.
pub const MAX_LIST_REGISTERS: usize = 16;

/// `ICH_HCR_EL2.En`: the virtual CPU interface signals interrupts.
pub const HCR_EN: u64 = 1 << 0;
/// `ICH_HCR_EL2.UIE`: a maintenance interrupt when no or one list register is valid.
pub const HCR_UIE: u64 = 1 << 1;
/// `ICH_HCR_EL2.LRENPIE`: a maintenance interrupt when `EOIcount` is not 0.
pub const HCR_LRENPIE: u64 = 1 << 2;
/// `ICH_HCR_EL2.NPIE`: a maintenance interrupt when no list register is pending.
pub const HCR_NPIE: u64 = 1 << 3;
/// `ICH_HCR_EL2.TDIR`: a guest's write of `ICC_DIR_EL1` traps.
pub const HCR_TDIR: u64 = 1 << 14;

/// State: pending.
pub const PENDING: u64 = 1 << 62;
/// State: active.
pub(super) const ACTIVE: u64 = 1 << 63;
/// Mapped to a physical interrupt, which the guest's deactivation deactivates.
pub(super) const HW: u64 = 1 << 61;
const GROUP1: u64 = 1 << 60;
/// A maintenance interrupt when the guest deactivates this one; only if `HW` is clear.
pub(super) const EOI: u64 = 1 << 41;

/// `ICH_HCR_EL2.EOIcount`: deactivations that found no list register.
pub(super) const fn eoi_count(hcr: u64) -> u64 {
    hcr >> 27 & 0x1f
}

/// The fields other than the state, for an interrupt that is not mapped.
pub(super) const fn identity(intid: usize, priority: u8, group1: bool) -> u64 {
    let group = if group1 { GROUP1 } else { 0 };
    group | (priority as u64) << 48 | intid as u64
}

/// The fields that map an interrupt to the physical one with the same INTID.
pub(super) const fn mapped(intid: usize) -> u64 {
    HW | (intid as u64) << 32
}

/// vINTID.
pub(super) const fn intid(value: u64) -> u32 {
    value as u32
}
