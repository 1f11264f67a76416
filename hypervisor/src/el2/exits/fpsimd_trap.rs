//! The traps of the closed gate: a use of FP/SIMD, SVE or SME that the switch has to know of.

use ::core::hint::black_box;

use trapcast_hypervisor::syndrome::{ExceptionClass, Syndrome};
use trapcast_switch::{Class, Exchange, Gate};

use crate::el2::{
    arch::{register_file::Area, sysreg::isb},
    exits::inject,
    state::{core::Core, vcpu::Vcpu},
};
use crate::mrs;

/// The way of a trap of the closed FP/SIMD gate, called by its vector: says what to move.
///
/// The vCPU and the core come as third and fourth argument: x0 and x1 are the answer's.
///
/// # Safety
/// Called by the vector with the current vCPU and this core, and nobody else has a reference to
/// either.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn el2_gate_trap(_: u64, _: u64, vcpu: &mut Vcpu, core: &mut Core) -> Move {
    if vcpu.guest.observed() {
        return observed_trap(vcpu, core);
    }
    if core.switch.owner() == vcpu.guest.context() {
        return trap_of_any_class(vcpu, core, Class::Fp);
    }
    core.open_fp();
    let Some(exchange) = core.switch.trap(&mut vcpu.guest, Class::Fp).exchange else {
        return Move::done();
    };
    let Exchange {
        save,
        saved,
        load,
        loaded,
    } = exchange;
    if exchange.is_fp_alone() {
        return Move {
            save: Some(save),
            load: Some(load),
        };
    }
    trap_other(save, load, loaded, core, saved)
}

/// The way of a trap of FP/SIMD that the observer armed, and perhaps the scheme too.
#[inline(never)]
extern "C" fn observed_trap(vcpu: &mut Vcpu, core: &mut Core) -> Move {
    let is_owner = core.switch.owner() == vcpu.guest.context();
    if is_owner && core.switch.held() == Class::Fp && vcpu.vm.settings.fp {
        core.recorder.used();
        let gate = core.switch.trap(&mut vcpu.guest, Class::Fp).gate;
        core.set_gate(gate);
        return Move::NONE;
    }
    trap_of_any_class(vcpu, core, Class::Fp)
}

/// The way of a trap of the closed gate of SVE or SME, as ESR_EL2 says.
///
/// # Safety
/// As for [`el2_gate_trap`].
#[unsafe(no_mangle)]
unsafe extern "C" fn el2_gate_trap_above(_: u64, _: u64, vcpu: &mut Vcpu, core: &mut Core) -> Move {
    let syndrome = Syndrome::new(mrs!("esr_el2"));
    // SVCR.SM is the guest's own, so an instruction of SVE traps as one of SME in its streaming mode only.
    let class = if syndrome.class() == ExceptionClass::SVE {
        Class::Sve
    } else {
        Class::Sme
    };
    trap_of_any_class(vcpu, core, class)
}

/// Deals with a trap of the gate, whatever has to move. What the guest has not is undefined.
#[inline(never)]
extern "C" fn trap_of_any_class(vcpu: &mut Vcpu, core: &mut Core, class: Class) -> Move {
    if !vcpu.vm.settings.fp || vcpu.guest.most() < class {
        inject::undefined(vcpu);
        return Move::done();
    }
    core.recorder.used();
    let entry = core.switch.trap(&mut vcpu.guest, class);
    core.exchange(entry.exchange);
    core.set_gate(entry.gate);
    Move::done()
}

/// Carries out an exchange of a trap of FP/SIMD that moves more, or loads what nobody's were before. By its parts, so
/// that the trap needs no stack before.
#[cold]
#[inline(never)]
extern "C" fn trap_other(
    save: Area,
    load: Area,
    loaded: Class,
    core: &mut Core,
    saved: Class,
) -> Move {
    core.exchange_other(save, saved, load, loaded);
    core.set_gate(Gate::Open(loaded));
    Move::done()
}

/// An exchange as the vector takes it: in x0 and x1, zero for nothing to do.
#[repr(C)]
pub struct Move {
    save: Option<Area>,
    load: Option<Area>,
}

impl Move {
    const NONE: Self = Self {
        save: None,
        load: None,
    };

    /// Nothing is left to move. Opaque, so that whoever returns this can be called last: the short way
    /// then needs no stack.
    fn done() -> Self {
        black_box(Self::NONE)
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
