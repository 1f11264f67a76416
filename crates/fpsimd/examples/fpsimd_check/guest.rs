//! A guest at EL1 of a few instructions, each of which can be stopped by a gate.

use core::arch::global_asm;

/// ESR_EL2.EC of an HVC: the guest has come to its end.
pub const HVC: u64 = 0x16;

macro_rules! guests {
    ($($(#[$doc:meta])* $name:ident = $($line:literal),+;)+) => {
        global_asm!(
            ".pushsection .text.check_guest, \"ax\"",
            ".arch_extension fp", ".arch_extension simd", ".arch_extension sve", ".arch_extension sme",
            $(concat!(stringify!($name), ":"), $($line,)+ "hvc #0",)+
            ".popsection",
        );
        unsafe extern "C" { $($(#[$doc])* pub safe static $name: u8;)+ }
    };
}

guests! {
    /// Uses V.
    check_guest_v = "mov v0.16b, v0.16b";
    /// Uses Z.
    check_guest_z = "mov z0.d, z0.d";
    /// Uses the streaming vector length.
    check_guest_sme = "rdsvl x0, #1";
    /// Uses SVCR.
    check_guest_svcr = "mrs x0, S3_3_C4_C2_2";
    /// Reads ZCR_EL1.
    check_guest_zcr = "mrs x0, S3_0_C1_C2_0";
    /// Reads FFR, by way of P0.
    check_guest_ffr = "rdffr p0.b";
    /// Tells its vector length.
    check_guest_vl = "rdvl x0, #1";
    /// Uses FP/SIMD first, and then SVE.
    check_guest_v_then_z = "ins v3.d[1], x0", "fmov d5, x0", "mov z0.d, z0.d";
}

unsafe extern "C" {
    fn check_run_el1(entry: u64, argument: u64) -> Exit;
}

/// How EL1 came back.
#[repr(C)]
pub struct Exit {
    esr: u64,
    /// Its x0.
    pub x0: u64,
}

impl Exit {
    /// The exception class.
    pub const fn class(&self) -> u64 {
        self.esr >> 26
    }
}

/// Runs EL1 from this instruction, with this in its x0.
pub fn run(entry: &u8, argument: u64) -> Exit {
    // SAFETY: the guest touches x0 and the registers that the gates let it at, no memory.
    unsafe { check_run_el1(entry as *const u8 as u64, argument) }
}

/// Runs EL1 on from where it was stopped.
pub fn resume() -> Exit {
    let next = crate::mrs!("elr_el2");
    // SAFETY: as above.
    unsafe { check_run_el1(next, 0) }
}
