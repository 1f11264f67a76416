//! Random code at EL0, in AArch64 and AArch32 state.

use core::ptr;

use super::attempt::{EL0, EL0_A32, EL0_T32};
use super::operations::{Hostile, TICKS};
use super::{code, interrupts, regime};

/// Words of random instructions that EL0 is given.
const USER_WORDS: u64 = 32;

/// How EL0 runs, and instructions that it is given more often than others: an endless loop, WFI, SVC,
/// accesses to system registers and to those of FP/SIMD.
const USER_STATES: [(u64, [u32; 8]); 3] = [
    (
        EL0,
        [
            0x1400_0000, // B .
            0xd503_207f, // WFI
            0xd400_0001, // SVC #0
            0xd53b_e040, // MRS X0, CNTVCT_EL0
            0xd53b_9c00, // MRS X0, PMCR_EL0
            0x1e27_0000, // FMOV S0, W0
            0xd503_205f, // WFE
            0xd400_0002, // HVC #0
        ],
    ),
    (
        EL0_A32,
        [
            0xeaff_fffe, // B .
            0xe320_f003, // WFI
            0xef00_0000, // SVC #0
            0xec51_0f1e, // MRRC p15, 1, R0, R1, c14: CNTVCT
            0xee19_0f1c, // MRC p15, 0, R0, c9, c12, 0: PMCR
            0xee00_0a10, // VMOV S0, R0
            0xee10_0e11, // MRC p14, 0, R0, c0, c1, 0: DBGDSCRint
            0xe140_0070, // HVC #0
        ],
    ),
    (
        EL0_T32,
        [
            0xe7fe_e7fe, // B .
            0xbf30_bf30, // WFI
            0xdf00_df00, // SVC #0
            0x0f1e_ec51, // MRRC p15, 1, R0, R1, c14: CNTVCT
            0x0f1c_ee19, // MRC p15, 0, R0, c9, c12, 0: PMCR
            0x0a10_ee00, // VMOV S0, R0
            0x0e11_ee10, // MRC p14, 0, R0, c0, c1, 0: DBGDSCRint
            0x8000_f7e0, // HVC #0
        ],
    ),
];

impl Hostile {
    /// Random instructions at EL0, until one of them traps or the timer fires.
    pub(super) fn user_code(&mut self) {
        self.set_mmu(true, 0);
        interrupts::put_in_order(0);
        let (state, likely) = self.values.one_of(&USER_STATES);
        let offset = 4 * self.values.below(regime::USER_SIZE / 4 - USER_WORDS);
        for index in 0..USER_WORDS {
            let word = if self.values.once_in(2) {
                self.values.one_of(&likely)
            } else {
                self.values.word()
            };
            let place = self.user + offset + 4 * index;
            // SAFETY: memory for EL0, which nothing else uses.
            unsafe {
                ptr::with_exposed_provenance_mut::<u32>(place as usize).write_volatile(word);
            }
        }
        code::publish();
        let mut registers = self.registers();
        for register in &mut registers {
            if self.values.once_in(2) {
                *register = regime::USER + self.values.below(regime::USER_SIZE);
            }
        }
        interrupts::set_timer(TICKS);
        let begin = regime::USER + offset;
        let outcome = self.attempt(begin, state, &registers);
        self.expect(outcome.vector.is_some(), || "EL0 came back by itself");
        interrupts::stop_timer();
    }
}
