//! Exceptions that EL2 lets an AArch32 guest take.

use trapcast_hypervisor::{aarch32, aarch32::Exception, syndrome::Syndrome};

use crate::el2::{
    arch::{el1_access, spsr},
    state::vcpu::Vcpu,
};
use crate::{mrs, msr};

/// Makes the guest enter its own vector. For an abort, `address` is what it accessed.
pub fn take(vcpu: &mut Vcpu, exception: Exception, address: u64) {
    let el1 = el1_access::VectorState::current();
    let taken = exception.take(
        mrs!("elr_el2"),
        mrs!("spsr_el2"),
        el1.sctlr,
        el1.vbar,
        el1_access::has_pan(),
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
                el1_access::set_far(far & 0xffff_ffff | address << 32);
            }
            Exception::DataAbort => {
                msr!("s3_4_c4_c3_1", taken.spsr);
                el1_access::set_esr(aarch32::external_abort_status(el1.tcr, write));
                el1_access::set_far(far & !0xffff_ffff | address);
            }
        }
        msr!("elr_el2", taken.pc);
        msr!("spsr_el2", taken.pstate);
    }
    spsr::hand_over(taken.pstate);
}
