//! What the observer writes about each window, from an entry into a guest to its exit, as it sees it from
//! outside of the hypervisor.
//!
//! A file, or what behaves like one, holds an [`ObservedHeader`] and then one [`ObservedWindow`] after the
//! other, each as soon as nothing more can happen to it: at its core's next entry, or at the end. So windows of
//! several cores do not stand in the order of their starts; [`ObservedWindow::number`] has it.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First eight bytes of what an observer writes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"TRAPSEEN");

/// Version of the layout. A reader refuses any other.
pub const VERSION: u32 = 2;

/// [`ObservedWindow::first_use`] of a window that did not use the registers.
pub const NEVER: u64 = u64::MAX;

/// [`ObservedWindow::intid`] where nobody was seen to acknowledge an interrupt.
pub const NO_INTID: u32 = u32::MAX;

/// What stands before the windows.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct ObservedHeader {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// Bytes of a window.
    pub window_size: u32,
}

impl ObservedHeader {
    /// The header that this version writes.
    pub const fn new() -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            window_size: size_of::<ObservedWindow>() as u32,
        }
    }
}

impl Default for ObservedHeader {
    fn default() -> Self {
        Self::new()
    }
}

bitflags! {
    /// What was so of a window: [`ObservedWindow::flags`].
    #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
    pub struct Seen: u32 {
        /// The guest executed an FP/SIMD instruction.
        const FP = 1 << 0;
        /// It executed an SVE instruction.
        const SVE = 1 << 1;
        /// It executed an SME instruction.
        const SME = 1 << 2;
        /// It is not the core's first: what is said of the gap before it is known.
        const GAP_BEFORE = 1 << 3;
        /// The hypervisor wrote VMPIDR_EL2 in the gap before it.
        const VMPIDR_WRITTEN = 1 << 4;
        /// The hypervisor wrote ICH_VMCR_EL2 in the gap before it.
        const VMCR_WRITTEN = 1 << 5;
        /// HCR_EL2.E2H was set at the entry.
        const E2H = 1 << 6;
        /// A later window of its core was seen: what is said of the gap after it is known.
        const GAP_AFTER = 1 << 7;
        /// EL0 of the host, or its EL1, executed an FP/SIMD, SVE or SME instruction in the gap after it.
        const HOST_FP = 1 << 8;
        /// The guest stored [`MARK`](crate::record::MARK) at the start of a page where nothing is mapped: it said so
        /// to a UART, whose data register is there.
        const MARK = 1 << 9;
    }
}

/// A window. What stands here of a gap is of the time between two windows of the same core.
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct ObservedWindow {
    /// Its number over all cores, in the order of the entries, from 0.
    pub number: u64,
    /// VTTBR_EL2 at the entry: the root of stage 2, and the VMID.
    pub vttbr: u64,
    /// VMPIDR_EL2 at the entry.
    pub vmpidr: u64,
    /// ELR_EL2 at the entry: where the guest resumes.
    pub pc: u64,
    /// ELR_EL2 at the exit.
    pub exit_pc: u64,
    /// TTBR0_EL1 at the exit.
    pub ttbr0: u64,
    /// CPTR_EL2 at the entry.
    pub cptr: u64,
    /// Instructions that the guest executed.
    pub guest_instructions: u64,
    /// Instructions executed at EL2 in the gap before.
    pub el2_instructions: u64,
    /// Instructions executed at EL0 and EL1 in the gap before: those of the host.
    pub host_instructions: u64,
    /// FP/SIMD, SVE and SME instructions executed in the gap after, at EL2 or at the host's EL1.
    pub hypervisor_fp: u64,
    /// Instructions executed at EL2 in the traps within the window.
    pub trap_instructions: u64,
    /// Instructions that the guest had executed in the window when it first used the registers, or [`NEVER`].
    pub first_use: u64,
    /// Traps within the window: the guest went on at the instruction that trapped.
    pub traps: u32,
    /// Those of them that were for FP/SIMD, SVE or SME.
    pub fp_traps: u32,
    /// SPSR_EL2 at the entry, bits 31:0.
    pub pstate: u32,
    /// ESR_EL2 at the exit, bits 31:0; 0 if an interrupt ended the window.
    pub esr: u32,
    /// CONTEXTIDR_EL1 at the exit.
    pub contextidr: u32,
    /// CPACR_EL1 at the exit.
    pub cpacr: u32,
    /// The INTID that was acknowledged first in the gap after, if an interrupt ended the window, or
    /// [`NO_INTID`].
    pub intid: u32,
    /// [`Seen`].
    pub flags: u32,
    /// The core.
    pub core: u16,
    /// The current ASID at the exit: of TTBR0_EL1 or TTBR1_EL1, as TCR_EL1.A1 chooses.
    pub asid: u16,
    /// Offset of the vector by which the guest was left: 0x400 to 0x780.
    pub vector: u16,
    /// Zero.
    pub reserved: u16,
}

const _: () = {
    assert!(size_of::<ObservedHeader>() == 16);
    assert!(size_of::<ObservedWindow>() == 144);
};

impl ObservedWindow {
    /// Whether all of `flags` are set.
    pub const fn has(&self, flags: Seen) -> bool {
        Seen::from_bits_truncate(self.flags).contains(flags)
    }

    /// Whether an interrupt, not an exception of the guest, ended it: the vector says so.
    pub const fn is_interrupt(&self) -> bool {
        matches!(self.vector & 0x180, 0x080 | 0x100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_tell_interrupts_from_exceptions() {
        let vectors = [0x400, 0x480, 0x500, 0x580, 0x600, 0x680, 0x700, 0x780];
        let told = vectors.map(|vector| {
            let window = ObservedWindow {
                vector,
                ..ObservedWindow::default()
            };
            window.is_interrupt()
        });
        assert_eq!(told, [false, true, true, false, false, true, true, false]);
    }
}
