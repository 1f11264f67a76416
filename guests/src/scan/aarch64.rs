//! The encodings of MRS and MSR with op0 2 and 3.
//!
//! Source: Arm ARM (DDI 0487), D18 "AArch64 System Register Encoding".

use super::{Encodings, Exception, Name, OWN_COUNTERS};

/// Those of AArch64 state.
#[derive(Clone, Copy, Debug)]
pub struct AArch64;

/// SCTLR_EL1: UMA, SED, ITD, UCT, nTWE, E0E and UCI, which are about EL0.
const SCTLR_OF_EL0: u64 = 1 << 9 | 1 << 8 | 1 << 7 | 1 << 15 | 1 << 18 | 1 << 24 | 1 << 26;
/// CNTx_CTL_EL0 without ISTATUS.
const WITHOUT_STATUS: u64 = !(1 << 2);

impl Encodings for AArch64 {
    const COUNT: usize = 1 << 15;

    const EXCEPTIONS: &'static [Exception] = &[
        // The MMU stays off, data little-endian, and the stack aligned.
        Exception::written([3, 0, 1, 0, 0], SCTLR_OF_EL0),
        // VBAR_EL1: exceptions end here. RMR_EL1: resets the CPU.
        Exception::written([3, 0, 12, 0, 0], 0),
        Exception::written([3, 0, 12, 0, 2], 0),
        // ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1: send interrupts, and hold nothing.
        Exception::written([3, 0, 12, 11, 5], 0),
        Exception::written([3, 0, 12, 11, 6], 0),
        Exception::written([3, 0, 12, 11, 7], 0),
        // ICC_BPR0_EL1, ICC_BPR1_EL1: more ends QEMU 7.2.
        Exception::written([3, 0, 12, 8, 3], 0b111),
        Exception::written([3, 0, 12, 12, 3], 0b111),
        // PMCNTENSET_EL0, PMOVSSET_EL0, PMINTENSET_EL1, and what clears them; PMSELR_EL0; PMEVCNTR<n>_EL0,
        // PMEVTYPER<n>_EL0.
        Exception::written([3, 3, 9, 12, 1], OWN_COUNTERS),
        Exception::several([3, 3, 9, 12, 2], [3, 3, 9, 12, 3], 0),
        Exception::written([3, 3, 9, 14, 3], OWN_COUNTERS),
        Exception::written([3, 0, 9, 14, 1], OWN_COUNTERS),
        Exception::written([3, 0, 9, 14, 2], 0),
        Exception::written([3, 3, 9, 12, 5], 0b11),
        Exception::several([3, 3, 14, 8, 4], [3, 3, 14, 8, 7], 0),
        Exception::several([3, 3, 14, 9, 0], [3, 3, 14, 11, 7], 0),
        Exception::several([3, 3, 14, 12, 4], [3, 3, 14, 12, 7], 0),
        Exception::several([3, 3, 14, 13, 0], [3, 3, 14, 15, 6], 0),
        // The counters, CNTP_TVAL_EL0 and CNTV_TVAL_EL0 count; of their controls, ISTATUS follows.
        Exception::kept([3, 3, 14, 0, 1], [3, 3, 14, 0, 2], 0),
        Exception::kept([3, 3, 14, 0, 5], [3, 3, 14, 0, 6], 0),
        Exception::kept([3, 3, 14, 2, 0], [3, 3, 14, 3, 0], 0),
        Exception::kept([3, 3, 14, 2, 1], [3, 3, 14, 3, 1], WITHOUT_STATUS),
        // RNDR, RNDRRS: random.
        Exception::kept([3, 3, 2, 4, 0], [3, 3, 2, 4, 1], 0),
        // ISR_EL1: what is pending.
        Exception::kept([3, 0, 12, 1, 0], [3, 0, 12, 1, 0], 0),
        // ICC_IAR<n>_EL1, ICC_HPPIR<n>_EL1, ICC_RPR_EL1, ICC_AP<n>R<m>_EL1: reading one acknowledges an
        // interrupt, which the others show.
        Exception::kept([3, 0, 12, 8, 0], [3, 0, 12, 8, 0], 0),
        Exception::kept([3, 0, 12, 12, 0], [3, 0, 12, 12, 0], 0),
        Exception::kept([3, 0, 12, 8, 2], [3, 0, 12, 8, 2], 0),
        Exception::kept([3, 0, 12, 12, 2], [3, 0, 12, 12, 2], 0),
        Exception::kept([3, 0, 12, 11, 3], [3, 0, 12, 11, 3], 0),
        Exception::kept([3, 0, 12, 8, 4], [3, 0, 12, 8, 7], 0),
        Exception::kept([3, 0, 12, 9, 0], [3, 0, 12, 9, 3], 0),
        // PMCCNTR_EL0, PMXEVCNTR_EL0, PMEVCNTR<n>_EL0 count; PMOVSCLR_EL0, PMOVSSET_EL0 tell of it.
        Exception::kept([3, 3, 9, 13, 0], [3, 3, 9, 13, 0], 0),
        Exception::kept([3, 3, 9, 13, 2], [3, 3, 9, 13, 2], 0),
        Exception::kept([3, 3, 14, 8, 0], [3, 3, 14, 11, 7], 0),
        Exception::kept([3, 3, 9, 12, 3], [3, 3, 9, 12, 3], 0),
        Exception::kept([3, 3, 9, 14, 3], [3, 3, 9, 14, 3], 0),
    ];

    fn instruction(index: usize, read: bool) -> u32 {
        let direction = u32::from(read) << 21;
        0xd510_0000 | direction | (index as u32) << 5
    }

    fn name(index: usize) -> Name {
        let place = |shift: u32, bits: u32| (index >> shift & ((1 << bits) - 1)) as u8;
        Name([
            2 + place(14, 1),
            place(11, 3),
            place(7, 4),
            place(3, 4),
            place(0, 3),
        ])
    }
}
