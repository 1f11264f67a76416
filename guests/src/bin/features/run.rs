//! Runs a few instructions and says what came of them, whatever exception they are taken as.

use trapcast_guests::hostile::attempt::{EL0, EL1_MASKED, Outcome, attempt};

/// Classes of ESR_EL1: SVC, from EL0.
pub const SVC: u64 = 0x15;
/// A Data Abort from EL0; one more is from EL1.
pub const DATA_ABORT: u64 = 0x24;

/// The address of a few instructions in a section of the image.
macro_rules! code {
    ($section:literal, $($line:expr),+ $(,)?) => {{
        let address: u64;
        // SAFETY: an address. The instructions are elsewhere.
        unsafe {
            core::arch::asm!(
                concat!(".pushsection ", $section, ", \"ax\""),
                ".arch armv9.4-a+aes+sha2+sha3+sm4+rng+fp16fml+lse128+rcpc3+f32mm+f64mm+sve2-aes+sve2-sha3\
                 +sve2-sm4+sve2-bitperm+sve2p1+sme2+sme-f64f64+sme-i16i64",
                "2:",
                $($line,)+
                ".popsection",
                "adrp {address}, 2b",
                "add {address}, {address}, :lo12:2b",
                address = out(reg) address,
                options(nomem, nostack, preserves_flags),
            );
        }
        address
    }};
}

/// Instructions for EL1, which end by RET.
macro_rules! el1 {
    ($($line:expr),+ $(,)?) => { $crate::run::code!(".text.uses", $($line,)+ "ret") };
}

/// Instructions for EL0, which end by SVC.
macro_rules! el0 {
    ($($line:expr),+ $(,)?) => { $crate::run::code!(".user.text", $($line,)+ "svc #0") };
}

/// A use that leaves this in X0. X1 is the address of memory, 64 bytes that nobody else uses.
macro_rules! gives {
    ($expected:expr; $($line:expr),+ $(,)?) => {
        || $crate::run::result($crate::run::el1!($($line),+)) == Some($expected)
    };
}

/// A use that is no exception.
macro_rules! executes {
    ($($line:expr),+ $(,)?) => {
        || $crate::run::result($crate::run::el1!($($line),+)).is_some()
    };
}

pub(crate) use {code, el0, el1, executes, gives};

#[repr(C, align(64))]
struct Memory(core::cell::UnsafeCell<[u64; 8]>);

// SAFETY: one CPU, and the instructions that are run.
unsafe impl Sync for Memory {}

#[unsafe(link_section = ".user.bss")]
static MEMORY: Memory = Memory(core::cell::UnsafeCell::new([0; 8]));

/// The address of the memory that EL0 reaches too.
pub fn memory() -> u64 {
    MEMORY.0.get().expose_provenance() as u64
}

/// Runs what stands at `begin` with this SPSR_EL1 and these values of X0 and X1.
pub fn run(begin: u64, spsr: u64, x0: u64, x1: u64) -> Outcome {
    let mut registers = [0; 31];
    (registers[0], registers[1]) = (x0, x1);
    // SAFETY: this is vCPU 0, whose interrupts are masked; the instructions access only what the
    // registers say.
    unsafe { attempt(0, begin, spsr, &registers) }
}

/// What instructions leave in X0 at EL1; none if they end by an exception.
pub fn result(begin: u64) -> Option<u64> {
    let outcome = run(begin, EL1_MASKED, 0, memory());
    outcome.vector.is_none().then_some(outcome.registers[0])
}

/// What they leave there at EL0.
pub fn result_at_el0(begin: u64) -> Option<u64> {
    let outcome = run(begin, EL0, 0, memory());
    (outcome.class() == Some(SVC)).then_some(outcome.registers[0])
}
