//! The encodings of MRC, MCR, MRRC and MCRR of coprocessors 14 and 15.
//!
//! Source: Arm ARM (DDI 0487), G7 "AArch32 System Register Encoding".

use super::{Encodings, Exception, Name, OWN_COUNTERS, PAIR};

/// Those of AArch32 state.
#[derive(Clone, Copy, Debug)]
pub struct AArch32;

/// Encodings of one register; those of pairs follow.
const SINGLE: usize = 1 << 15;

/// SCTLR: ITD, SED, nTWI, nTWE.
const SCTLR_HARMLESS: u64 = 1 << 7 | 1 << 8 | 1 << 16 | 1 << 18;
/// DBGDSCRext without MDBGen and HDBGen: no debug exceptions.
const WITHOUT_DEBUG: u64 = !(0b11 << 14);
/// CNTx_CTL without ISTATUS.
const WITHOUT_STATUS: u64 = !(1 << 2);

impl Encodings for AArch32 {
    const COUNT: usize = SINGLE + (1 << 9);

    const EXCEPTIONS: &'static [Exception] = &[
        // The MMU stays off, and everything else that code goes by as it is.
        Exception::written([15, 0, 1, 0, 0], SCTLR_HARMLESS),
        // VBAR: exceptions end here. RMR: resets the CPU.
        Exception::written([15, 0, 12, 0, 0], 0),
        Exception::written([15, 0, 12, 0, 2], 0),
        // What was WFI before Armv7.
        Exception::written([15, 0, 7, 0, 4], 0),
        Exception::written([14, 0, 0, 2, 2], WITHOUT_DEBUG),
        // ICC_SGI1R, ICC_ASGI1R, ICC_SGI0R: send interrupts, and hold nothing.
        Exception::written([15, 0, 0, 12, PAIR], 0),
        Exception::written([15, 1, 0, 12, PAIR], 0),
        Exception::written([15, 2, 0, 12, PAIR], 0),
        // ICC_BPR0, ICC_BPR1: more ends QEMU 7.2.
        Exception::written([15, 0, 12, 8, 3], 0b111),
        Exception::written([15, 0, 12, 12, 3], 0b111),
        // PMCNTENSET, PMOVSSET, PMINTENSET, and what clears them; PMSELR; PMEVCNTR<n>, PMEVTYPER<n>.
        Exception::written([15, 0, 9, 12, 1], OWN_COUNTERS),
        Exception::several([15, 0, 9, 12, 2], [15, 0, 9, 12, 3], 0),
        Exception::written([15, 0, 9, 14, 3], OWN_COUNTERS),
        Exception::written([15, 0, 9, 14, 1], OWN_COUNTERS),
        Exception::written([15, 0, 9, 14, 2], 0),
        Exception::written([15, 0, 9, 12, 5], 0b11),
        Exception::several([15, 0, 14, 8, 4], [15, 0, 14, 8, 7], 0),
        Exception::several([15, 0, 14, 9, 0], [15, 0, 14, 11, 7], 0),
        Exception::several([15, 0, 14, 12, 4], [15, 0, 14, 12, 7], 0),
        Exception::several([15, 0, 14, 13, 0], [15, 0, 14, 15, 6], 0),
        // The counters, CNTP_TVAL and CNTV_TVAL count; of their controls, ISTATUS follows.
        Exception::kept([15, 0, 0, 14, PAIR], [15, 1, 0, 14, PAIR], 0),
        Exception::kept([15, 8, 0, 14, PAIR], [15, 9, 0, 14, PAIR], 0),
        Exception::kept([15, 0, 14, 2, 0], [15, 0, 14, 3, 0], 0),
        Exception::kept([15, 0, 14, 2, 1], [15, 0, 14, 3, 1], WITHOUT_STATUS),
        // ISR: what is pending.
        Exception::kept([15, 0, 12, 1, 0], [15, 0, 12, 1, 0], 0),
        // ICC_IAR<n>, ICC_HPPIR<n>, ICC_RPR, ICC_AP<n>R<m>: reading one acknowledges an interrupt, which the
        // others show.
        Exception::kept([15, 0, 12, 8, 0], [15, 0, 12, 8, 0], 0),
        Exception::kept([15, 0, 12, 12, 0], [15, 0, 12, 12, 0], 0),
        Exception::kept([15, 0, 12, 8, 2], [15, 0, 12, 8, 2], 0),
        Exception::kept([15, 0, 12, 12, 2], [15, 0, 12, 12, 2], 0),
        Exception::kept([15, 0, 12, 11, 3], [15, 0, 12, 11, 3], 0),
        Exception::kept([15, 0, 12, 8, 4], [15, 0, 12, 8, 7], 0),
        Exception::kept([15, 0, 12, 9, 0], [15, 0, 12, 9, 3], 0),
        // PMCCNTR, PMXEVCNTR, PMEVCNTR<n> count; PMOVSR, PMOVSSET tell of it.
        Exception::kept([15, 0, 9, 13, 0], [15, 0, 9, 13, 0], 0),
        Exception::kept([15, 0, 0, 9, PAIR], [15, 0, 0, 9, PAIR], 0),
        Exception::kept([15, 0, 9, 13, 2], [15, 0, 9, 13, 2], 0),
        Exception::kept([15, 0, 14, 8, 0], [15, 0, 14, 11, 7], 0),
        Exception::kept([15, 0, 9, 12, 3], [15, 0, 9, 12, 3], 0),
        Exception::kept([15, 0, 9, 14, 3], [15, 0, 9, 14, 3], 0),
    ];

    fn instruction(index: usize, read: bool) -> u32 {
        let read = u32::from(read) << 20;
        let Name([coprocessor, opc1, crn, crm, opc2]) = Self::name(index);
        let [coprocessor, opc1, crn, crm, opc2] =
            [coprocessor, opc1, crn, crm, opc2].map(u32::from);
        if index < SINGLE {
            0xee00_0010 | read | opc1 << 21 | crn << 16 | coprocessor << 8 | opc2 << 5 | crm
        } else {
            // The second register is R1.
            0xec41_0000 | read | coprocessor << 8 | opc1 << 4 | crm
        }
    }

    fn name(index: usize) -> Name {
        let place = |shift: u32, bits: u32| (index >> shift & ((1 << bits) - 1)) as u8;
        if index < SINGLE {
            Name([
                14 + place(14, 1),
                place(11, 3),
                place(7, 4),
                place(3, 4),
                place(0, 3),
            ])
        } else {
            Name([14 + place(8, 1), place(4, 4), 0, place(0, 4), PAIR])
        }
    }
}
