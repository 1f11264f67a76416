//! What a core does for an AArch32 guest that it does not for others: FPEXC, registers of its own, its
//! trapped instructions, and its exceptions.

use trapcast_fpsimd::Fpexc;
use trapcast_hypervisor::{
    aarch32::{self, Exception},
    syndrome::{ExceptionClass, Syndrome},
};
use trapcast_switch::{Class, Gate};
use trapcast_trace::report::Exit;

use crate::el2::{
    arch::{spsr, sysreg::isb},
    entry::dispatch::{Next, skip_instruction, wait_as_told},
    exits::{inject, psci, sysregs},
    state::{
        core::{Core, Move, el2_gate_trap},
        vcpu::Vcpu,
    },
};
use crate::{mrs, msr};

/// Declares the registers that only AArch32 has.
macro_rules! registers {
    ($($register:ident = $name:literal,)*) => {
        /// The state of an AArch32 vCPU beside that of `El1`, by names of the Arm ARM.
        #[derive(Clone, Debug, Default)]
        #[allow(missing_docs)]
        pub struct El1Aarch32 {
            $($register: u64,)*
        }

        impl El1Aarch32 {
            /// Saves the core's registers. Only on a core with AArch32 at EL1.
            pub fn save(&mut self) {
                $(self.$register = mrs!($name);)*
            }

            /// Loads the core's registers.
            ///
            /// # Safety
            /// The core has AArch32 at EL1, and the vCPU that they belong to is entered next.
            pub unsafe fn load(&self) {
                // SAFETY: they concern AArch32 state below EL2 alone.
                unsafe {
                    $(msr!($name, self.$register);)*
                }
            }
        }
    };
}

// The general registers of other modes are x16 to x30; SPSR_svc is SPSR_EL1.
registers! {
    spsr_irq = "s3_4_c4_c3_0",
    spsr_abt = "s3_4_c4_c3_1",
    spsr_und = "s3_4_c4_c3_2",
    spsr_fiq = "s3_4_c4_c3_3",
    dacr32 = "s3_4_c3_c0_0",
    ifsr32 = "s3_4_c5_c0_1",
}

impl Core {
    /// Sets FPEXC32_EL2 for the entry of an AArch32 guest that follows, with the gate about to stand
    /// so.
    #[inline]
    pub fn set_fpexc(&mut self, vcpu: &Vcpu, gate: Gate) {
        if let Some(fpexc) = self.fpexc.enter(vcpu.fpexc, gate != Gate::Closed) {
            self.unlock(Class::Fp);
            // SAFETY: at EL2, with the gate open; an AArch32 guest runs only where there is AArch32.
            unsafe { fpexc.write() }
        }
    }

    /// Takes FPEXC32_EL2 as an AArch32 guest left it.
    #[inline]
    pub fn save_fpexc(&mut self, vcpu: &mut Vcpu) {
        if self.fpexc.exit() {
            // SAFETY: as above: the guest ran behind an open gate.
            vcpu.fpexc = unsafe { Fpexc::read() };
            self.fpexc.found(vcpu.fpexc);
        }
    }
}

/// The way of a trap of the closed gate from AArch32 state, called by its vector: says what to move.
///
/// # Safety
/// As for `el2_gate_trap`.
#[unsafe(no_mangle)]
unsafe extern "C" fn el2_gate_trap_aarch32(
    _: u64,
    _: u64,
    vcpu: &mut Vcpu,
    core: &mut Core,
) -> Move {
    // SAFETY: the caller's.
    let rest = unsafe { el2_gate_trap(0, 0, vcpu, core) };
    if vcpu.has_fpexc
        && let Some(fpexc) = core.fpexc.enter(vcpu.fpexc, true)
    {
        isb();
        // SAFETY: the gate is open now, and that was synchronized.
        unsafe { fpexc.write() }
    }
    rest
}

/// Deals with an exception of a class that only AArch32 guests take, or that they take otherwise; none
/// if it is one of those that all guests have in common.
#[inline(never)]
pub fn synchronous(
    vcpu: &mut Vcpu,
    core: &mut Core,
    syndrome: Syndrome,
    class: ExceptionClass,
) -> Option<(Exit, Next)> {
    let conditional = matches!(
        class,
        ExceptionClass::WFX
            | ExceptionClass::CP15_32
            | ExceptionClass::CP15_64
            | ExceptionClass::CP14_32
            | ExceptionClass::CP14_LDC_STC
            | ExceptionClass::VMRS
            | ExceptionClass::CP14_64
            | ExceptionClass::SMC32
    );
    if conditional && !aarch32::condition_passed(syndrome, mrs!("spsr_el2")) {
        skip_instruction();
        return Some((Exit::Other, Next::Continue));
    }
    Some(match class {
        ExceptionClass::HVC32 => (Exit::Hypercall, psci::call(vcpu, core)),
        ExceptionClass::SMC32 => {
            skip_instruction();
            vcpu.registers[0] = psci::NOT_SUPPORTED;
            (Exit::SecureMonitorCall, Next::Continue)
        }
        ExceptionClass::WFX => {
            skip_instruction();
            (Exit::Wait, wait_as_told(vcpu, core, syndrome))
        }
        ExceptionClass::CP15_32
        | ExceptionClass::CP15_64
        | ExceptionClass::CP14_32
        | ExceptionClass::CP14_64
        | ExceptionClass::VMRS => {
            sysregs::access_aarch32(vcpu, core, syndrome);
            (Exit::SystemRegister, Next::Continue)
        }
        ExceptionClass::CP14_LDC_STC => {
            inject::undefined(vcpu);
            (Exit::Other, Next::Continue)
        }
        _ => return None,
    })
}

/// Makes the guest enter its own vector. For an abort, `address` is what it accessed.
pub fn take(vcpu: &mut Vcpu, exception: Exception, address: u64) {
    let el1 = inject::VectorState::current();
    let taken = exception.take(
        mrs!("elr_el2"),
        mrs!("spsr_el2"),
        el1.sctlr,
        el1.vbar,
        inject::has_pan(),
    );
    vcpu.registers[taken.link_register] = taken.link;
    spsr::fetch(mrs!("spsr_el2"));
    // FAR_EL1 holds DFAR and, above it, IFAR.
    let (far, address) = (el1.far, address & 0xffff_ffff);
    let write = Syndrome::new(mrs!("esr_el2")).abort().write();
    // SAFETY: the guest's own registers, as the exception would have set them.
    unsafe {
        match exception {
            Exception::Undefined => msr!("s3_4_c4_c3_2", taken.spsr),
            Exception::PrefetchAbort => {
                msr!("s3_4_c4_c3_1", taken.spsr);
                msr!(
                    "s3_4_c5_c0_1",
                    aarch32::external_abort_status(el1.tcr, false)
                );
                inject::set_far(far & 0xffff_ffff | address << 32);
            }
            Exception::DataAbort => {
                msr!("s3_4_c4_c3_1", taken.spsr);
                inject::set_esr(aarch32::external_abort_status(el1.tcr, write));
                inject::set_far(far & !0xffff_ffff | address);
            }
        }
        msr!("elr_el2", taken.pc);
        msr!("spsr_el2", taken.pstate);
    }
    spsr::hand_over(taken.pstate);
}
