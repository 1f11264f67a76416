//! A guest's accesses to system registers that trap.

use ::core::sync::atomic::Ordering;

use trapcast_hypervisor::{
    aarch32::{self, CoprocessorAccess},
    physical_timer,
    syndrome::{Syndrome, SystemRegister, SystemRegisterAccess},
    vgic::{Effects, Vgic},
};

use crate::el2::{
    arch::{debug, timer},
    exits::inject::{self, skip_instruction},
    sched::{effects, scheduler::Next},
    state::{core::Core, vcpu::Vcpu},
};
use crate::{mrs, msr};

/// Encodings of registers that are answered one by one.
const ACTLR_EL1: SystemRegister = SystemRegister::new(3, 0, 1, 0, 1);
const REVIDR_EL1: SystemRegister = SystemRegister::new(3, 0, 0, 0, 6);
/// Of AArch32 alone.
const TCMTR: SystemRegister = SystemRegister::new(3, 0, 0, 0, 2);
const TLBTR: SystemRegister = SystemRegister::new(3, 0, 0, 0, 3);
const AIDR_EL1: SystemRegister = SystemRegister::new(3, 1, 0, 0, 7);
const SMIDR_EL1: SystemRegister = SystemRegister::new(3, 1, 0, 0, 6);
/// SMIDR_EL1.{Implementer, Revision}: there are no priorities, and nobody shares the unit.
const SMIDR_IMPLEMENTER: u64 = 0xffff_0000;
const ICC_DIR_EL1: SystemRegister = SystemRegister::new(3, 0, 12, 11, 1);
const ICC_SGI1R_EL1: SystemRegister = SystemRegister::new(3, 0, 12, 11, 5);
const ICC_ASGI1R_EL1: SystemRegister = SystemRegister::new(3, 0, 12, 11, 6);
const ICC_SGI0R_EL1: SystemRegister = SystemRegister::new(3, 0, 12, 11, 7);
const ICC_SRE_EL1: SystemRegister = SystemRegister::new(3, 0, 12, 12, 5);
/// DIB, DFB and SRE, all RAO/WI: there is nothing but system registers.
const ICC_SRE_VALUE: u64 = 0b111;
/// The physical counter, which QEMU 7.2 lets trap from EL0 with CNTHCTL_EL2.EL1PCTEN set, if E2H is 0.
const CNTPCT_EL0: SystemRegister = SystemRegister::new(3, 3, 14, 0, 1);
/// DC ISW, DC CSW and DC CISW: cache maintenance by set and way.
const DC_ISW: SystemRegister = SystemRegister::new(1, 0, 7, 6, 2);
const DC_CSW: SystemRegister = SystemRegister::new(1, 0, 7, 10, 2);
const DC_CISW: SystemRegister = SystemRegister::new(1, 0, 7, 14, 2);

/// Answers an access, or lets the guest take an undefined-instruction exception.
#[inline(never)]
pub fn access(vcpu: &mut Vcpu, core: &Core, access: SystemRegisterAccess) -> Next {
    if access.read {
        let Some(value) = read(vcpu, core, access.register) else {
            inject::undefined(vcpu);
            return Next::Again;
        };
        vcpu.set_register(access.rt, value);
        skip_instruction();
        return Next::Again;
    }
    let value = vcpu.register(access.rt);
    if write(vcpu, core, access.register, value) {
        skip_instruction();
    } else {
        inject::undefined(vcpu);
    }
    Next::Continue
}

/// Answers an access of an AArch32 guest, as [`access`] does.
pub fn access_aarch32(vcpu: &mut Vcpu, core: &Core, syndrome: Syndrome) {
    let access = CoprocessorAccess::new(syndrome);
    let done = if access.read {
        let value = read(vcpu, core, access.register);
        if let Some(value) = value {
            if access.reads_to_flags() {
                let pstate = aarch32::with_flags(mrs!("spsr_el2"), value);
                // SAFETY: the guest's own flags.
                unsafe { msr!("spsr_el2", pstate) }
            }
            vcpu.set_register(access.rt, value & 0xffff_ffff);
            if let Some(rt2) = access.rt2 {
                vcpu.set_register(rt2, value >> 32);
            }
        }
        value.is_some()
    } else {
        let half = |rt| vcpu.register(rt) & 0xffff_ffff;
        let value = half(access.rt) | access.rt2.map_or(0, half) << 32;
        write(vcpu, core, access.register, value)
    };
    if done {
        skip_instruction();
    } else {
        inject::undefined(vcpu);
    }
}

#[inline]
fn read(vcpu: &mut Vcpu, core: &Core, register: SystemRegister) -> Option<u64> {
    let id = vcpu.vm.id_registers.get(register);
    id.or_else(|| read_other(vcpu, core, register))
}

#[inline(never)]
fn read_other(vcpu: &mut Vcpu, core: &Core, register: SystemRegister) -> Option<u64> {
    match register {
        ACTLR_EL1 | REVIDR_EL1 | AIDR_EL1 => Some(0),
        // No tightly coupled memory, and one TLB for instructions and data.
        TCMTR | TLBTR if vcpu.aarch32 => Some(0),
        SMIDR_EL1 if vcpu.vm.vectors.sme.is_some() => {
            Some(SMIDR_IMPLEMENTER & mrs!("s3_1_c0_c0_6"))
        }
        ICC_SRE_EL1 => Some(ICC_SRE_VALUE),
        CNTPCT_EL0 => Some(timer::now()),
        _ => match physical_timer::Register::decode(register) {
            Some(register) => Some(read_physical_timer(vcpu, core, register)),
            None => debug::read(&mut vcpu.debug, vcpu.aarch32, register),
        },
    }
}

#[inline]
fn write(vcpu: &mut Vcpu, core: &Core, register: SystemRegister, value: u64) -> bool {
    if register != ICC_SGI1R_EL1 {
        return write_other(vcpu, core, register, value);
    }
    change_vgic(vcpu, core, |vgic| vgic.send_sgi(vcpu.index, value));
    true
}

#[inline(never)]
fn write_other(vcpu: &mut Vcpu, core: &Core, register: SystemRegister, value: u64) -> bool {
    match register {
        ICC_SGI0R_EL1 => {
            change_vgic(vcpu, core, |vgic| vgic.send_sgi_group0(vcpu.index, value));
        }
        ICC_DIR_EL1 => {
            change_vgic(vcpu, core, |vgic| vgic.deactivate(vcpu.index, value as u32));
        }
        // There is one Security state: no other group 1.
        ICC_ASGI1R_EL1 | ICC_SRE_EL1 | ACTLR_EL1 => {}
        // What it is for, cleaning all of a cache, is not a guest's to do, and the board's caches
        // are coherent.
        DC_ISW | DC_CSW | DC_CISW => {}
        _ => match physical_timer::Register::decode(register) {
            Some(register) => write_physical_timer(vcpu, core, register, value),
            None => return debug::write(&mut vcpu.debug, vcpu.aarch32, register, value),
        },
    }
    true
}

/// The line is what the guest reads of it: EL2's own timer, which would raise it, may fire late.
fn read_physical_timer(vcpu: &mut Vcpu, core: &Core, register: physical_timer::Register) -> u64 {
    let now = timer::now();
    let value = vcpu.physical_timer.read(register, now);
    if vcpu.physical_timer.deadline() <= now {
        let high = vcpu.physical_timer.look(now);
        change_vgic(vcpu, core, |vgic| {
            vgic.set_level(vcpu.index, physical_timer::INTID, high)
        });
    }
    value
}

fn write_physical_timer(
    vcpu: &mut Vcpu,
    core: &Core,
    register: physical_timer::Register,
    value: u64,
) {
    let high = (vcpu.physical_timer).write(register, value, timer::now());
    change_vgic(vcpu, core, |vgic| {
        vgic.set_level(vcpu.index, physical_timer::INTID, high)
    });
    // EL2's timer is set anew before the entry.
    core.shared.changed.store(true, Ordering::Relaxed);
}

#[inline(always)]
fn change_vgic(vcpu: &Vcpu, core: &Core, change: impl FnOnce(&mut Vgic) -> Effects) {
    let mut state = vcpu.vm.state.lock();
    // It is out, so that an interrupt to itself calls nobody.
    state.vgic.left(vcpu.index);
    let effects = change(&mut state.vgic);
    effects::apply(vcpu.vm, vcpu.index, core, &mut state, effects);
}
