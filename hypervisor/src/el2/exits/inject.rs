//! Where a guest goes on: behind the instruction that trapped, or in its own vector, with an exception that EL2 lets
//! it take at its EL1.

use trapcast_hypervisor::{
    aarch32::{Exception, PSTATE_AARCH32, advanced},
    syndrome::Syndrome,
};

use crate::el2::{
    arch::el1_access::{VectorState, e2h, has_pan, set_esr, set_far},
    exits::inject_aarch32,
    state::vcpu::Vcpu,
};
use crate::{mrs, msr};

/// PSTATE's fields in SPSR_EL2: the Exception level and stack pointer, the execution state.
const SPSR_MODE: u64 = 0x1f;
const SPSR_EL0: u64 = 0b0_0000;
const SPSR_EL1T: u64 = 0b0_0100;
const SPSR_EL1H: u64 = 0b0_0101;
/// PSTATE.{D, A, I, F}.
const SPSR_DAIF: u64 = 0xf << 6;
/// PSTATE.{N, Z, C, V}.
const SPSR_NZCV: u64 = 0xf << 28;
const SPSR_SSBS: u64 = 1 << 12;
const SPSR_PAN: u64 = 1 << 22;
const SPSR_DIT: u64 = 1 << 24;
/// SCTLR_EL1.SPAN: do not set PAN on an exception. DSSBS: what PSTATE.SSBS becomes.
const SCTLR_SPAN: u64 = 1 << 23;
const SCTLR_DSSBS: u64 = 1 << 44;

/// ESR_ELx.IL: a 32-bit instruction.
const IL: u64 = 1 << 25;
/// ESR_EL1.WnR: the access of a data abort was a write.
const WNR: u64 = 1 << 6;

/// Lets the guest take an undefined-instruction exception, as if the instruction did not exist.
pub fn undefined(vcpu: &mut Vcpu) {
    if vcpu.aarch32 {
        inject_aarch32::take(vcpu, Exception::Undefined, 0);
    } else {
        // A 16-bit instruction of T32 at EL0 is told by IL.
        inject(mrs!("esr_el2") & IL, None);
    }
}

/// Lets the guest take a synchronous external abort for its access to `address`.
pub fn abort(vcpu: &mut Vcpu, instruction: bool, address: u64) {
    if vcpu.aarch32 {
        let exception = if instruction {
            Exception::PrefetchAbort
        } else {
            Exception::DataAbort
        };
        return inject_aarch32::take(vcpu, exception, address);
    }
    /// Synchronous External abort, not on a walk.
    const DFSC: u64 = 0x10;
    // Classes of aborts from a lower level and from EL1 itself differ by one.
    let mode = mrs!("spsr_el2") & SPSR_MODE;
    let same_level = mode == SPSR_EL1T || mode == SPSR_EL1H;
    let class: u64 = if instruction { 0x20 } else { 0x24 } + u64::from(same_level);
    let write = !instruction && Syndrome::new(mrs!("esr_el2")).abort().write();
    let wnr = if write { WNR } else { 0 };
    inject(class << 26 | IL | wnr | DFSC, Some(address));
}

/// Makes the guest enter its own vector for a synchronous exception (Arm ARM,
/// `AArch64.TakeException`).
fn inject(esr: u64, far: Option<u64>) {
    let spsr = mrs!("spsr_el2");
    let offset = match spsr & SPSR_MODE {
        SPSR_EL1T => 0x000,
        SPSR_EL1H => 0x200,
        SPSR_EL0 => 0x400,
        _ => 0x600,
    };
    let elr = mrs!("elr_el2");
    let VectorState { vbar, sctlr, .. } = VectorState::current();
    // SAFETY: EL1's own registers, as the exception would have set them; with E2H = 1 they have
    // names of their own.
    unsafe {
        if e2h() {
            msr!("s3_5_c4_c0_0", spsr);
            msr!("s3_5_c4_c0_1", elr);
        } else {
            msr!("spsr_el1", spsr);
            msr!("elr_el1", elr);
        }
        set_esr(esr);
        if let Some(far) = far {
            set_far(far);
        }
    }
    let mut pstate = SPSR_DAIF | SPSR_EL1H | spsr & (SPSR_NZCV | SPSR_PAN | SPSR_DIT);
    if has_pan() && sctlr & SCTLR_SPAN == 0 {
        pstate |= SPSR_PAN;
    }
    if sctlr & SCTLR_DSSBS != 0 {
        pstate |= SPSR_SSBS;
    }
    // SAFETY: the guest goes on at EL1, in its own vector.
    unsafe {
        msr!("elr_el2", vbar.wrapping_add(offset));
        msr!("spsr_el2", pstate);
    }
}

/// Goes on behind the instruction that trapped.
pub fn skip_instruction() {
    /// PSTATE.BTYPE, which any instruction but a branch leaves zero.
    const SPSR_BTYPE: u64 = 0b11 << 10;
    /// PSTATE.SS, which an instruction that is done leaves zero: if it was stepped, the exception follows.
    const SPSR_SS: u64 = 1 << 21;
    let length = Syndrome::new(mrs!("esr_el2")).instruction_length();
    let pstate = mrs!("spsr_el2") & !SPSR_SS;
    let pstate = if pstate & PSTATE_AARCH32 == 0 {
        pstate & !SPSR_BTYPE
    } else {
        advanced(pstate)
    };
    // SAFETY: the guest's own program counter and PSTATE.
    unsafe {
        msr!("elr_el2", mrs!("elr_el2").wrapping_add(length));
        msr!("spsr_el2", pstate);
    }
}
