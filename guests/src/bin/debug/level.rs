//! The code that debug exceptions come from, at each Exception level, and the words that it accesses.

use core::arch::global_asm;
use core::cell::UnsafeCell;

use trapcast_guests::board::debug::{AT_EL0, AT_EL1};
use trapcast_guests::hostile::attempt::{EL0, EL1_MASKED};

/// PSTATE.D: debug exceptions from EL1 itself are masked.
const SPSR_D: u64 = 1 << 9;

/// The words that watchpoints watch.
pub const WORDS: usize = 8;
/// What they hold.
pub const VALUE: u32 = 0x5a5a_0000;

#[repr(C, align(4096))]
struct Words(UnsafeCell<[u32; WORDS]>);

// SAFETY: one CPU.
unsafe impl Sync for Words {}

#[unsafe(link_section = ".user.bss")]
static DATA: Words = Words(UnsafeCell::new([0; WORDS]));

global_asm!(
    r#"
    .macro stubs level, end:vararg
    debug_target_\level:
        nop
        add     x1, x1, #1              // the target
        \end
    debug_store_\level:
        str     w1, [x0]
        \end
    debug_load_\level:
        ldr     w1, [x0]
        \end
    debug_walk_\level:                  // x0: memory, x3: a device's register
        add     x1, x1, #1
        ldr     w2, [x3]
        cbz     x1, 1f
        ldrh    w4, [x3]
        isb
        ldr     w5, [x0]
    1:  str     w5, [x0]
        add     x1, x1, #1
    .endm

    .section .text.debug, "ax"
    stubs el1, ret
        mrs     x4, id_aa64pfr0_el1
        mrs     x5, mdscr_el1
        mrs     x6, actlr_el1
        wfi                             // an interrupt is pending, and masked
        ldr     x7, [x8]                // memory that nobody has touched
        mov     w0, #0x84000000         // PSCI_VERSION
        hvc     #0
        add     x1, x1, #1
    debug_walk_end_el1:
        ret

    .section .user.text, "ax"
    stubs el0, svc #0
    debug_walk_end_el0:
        svc     #0
    .purgem stubs
    "#
);

unsafe extern "C" {
    static debug_target_el1: u8;
    static debug_target_el0: u8;
    static debug_store_el1: u8;
    static debug_store_el0: u8;
    static debug_load_el1: u8;
    static debug_load_el0: u8;
    static debug_walk_el1: u8;
    static debug_walk_el0: u8;
    static debug_walk_end_el1: u8;
    static debug_walk_end_el0: u8;
}

/// An Exception level, and the code that it runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    El1,
    El0,
}

impl Level {
    pub const BOTH: [Self; 2] = [Self::El1, Self::El0];

    fn pick(self, el1: *const u8, el0: *const u8) -> u64 {
        let stub = match self {
            Self::El1 => el1,
            Self::El0 => el0,
        };
        stub.expose_provenance() as u64
    }

    pub fn target(self) -> u64 {
        self.pick(&raw const debug_target_el1, &raw const debug_target_el0)
    }

    pub fn access(self, is_store: bool) -> u64 {
        if is_store {
            self.pick(&raw const debug_store_el1, &raw const debug_store_el0)
        } else {
            self.pick(&raw const debug_load_el1, &raw const debug_load_el0)
        }
    }

    pub fn walk(self) -> (u64, u64) {
        (
            self.pick(&raw const debug_walk_el1, &raw const debug_walk_el0),
            self.pick(&raw const debug_walk_end_el1, &raw const debug_walk_end_el0),
        )
    }

    /// PMC or PAC.
    pub fn bit(self) -> u64 {
        match self {
            Self::El1 => AT_EL1,
            Self::El0 => AT_EL0,
        }
    }

    /// PSTATE, with debug exceptions from EL1 masked or not.
    pub fn spsr(self, masked: bool) -> u64 {
        match self {
            Self::El1 if masked => EL1_MASKED,
            Self::El1 => EL1_MASKED & !SPSR_D,
            Self::El0 => EL0,
        }
    }

    /// The class of a debug exception from here.
    pub fn class(self, class: u64) -> u64 {
        class + u64::from(self == Self::El1)
    }
}

fn word(n: u64) -> *mut u32 {
    DATA.0.get().cast::<u32>().wrapping_add(n as usize % WORDS)
}

/// The address of a word.
pub fn data(n: u64) -> u64 {
    word(n).expose_provenance() as u64
}

pub fn read_word(n: u64) -> u32 {
    // SAFETY: one of the words; EL0 does not run.
    unsafe { word(n).read_volatile() }
}

pub fn write_word(n: u64, value: u32) {
    // SAFETY: one of the words; EL0 does not run.
    unsafe { word(n).write_volatile(value) };
}
