//! A guest's accesses to system registers that trap.

use ::core::{array, sync::atomic::Ordering};

use trapcast_hypervisor::{
    aarch32::{self, CoprocessorAccess},
    guest_image::ExecutionState,
    id_registers, physical_timer,
    settings::VmSettings,
    syndrome::{Syndrome, SystemRegister, SystemRegisterAccess},
    vgic::{Effects, Vgic},
};

use crate::el2::{
    arch::{debug, el1_state::has_pauth, register_file::Vectors, timer},
    entry::dispatch::{Next, skip_instruction},
    exits::{
        inject,
        mmio::{apply, register, set_register},
    },
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

/// What a VM's guest reads from the identification registers, by CRm (from 1 on) and Op2.
pub struct IdRegisters([[u64; 8]; 7]);

impl IdRegisters {
    /// Works them out for a VM of these settings that has these vectors. All cores of a machine are
    /// alike.
    pub fn new(settings: &VmSettings, vectors: &Vectors, state: ExecutionState) -> Self {
        let shown = match state {
            ExecutionState::AArch64 => id_registers::guest_value,
            ExecutionState::AArch32 => id_registers::aarch32_guest_value,
        };
        let allowed = id_registers::Allowed {
            pauth: has_pauth(),
            fp: settings.fp,
            sve: vectors.sve.is_some(),
            sme: vectors.sme.is_some(),
            pmu: settings.pmu,
        };
        Self(array::from_fn(|row| {
            let crm = row as u8 + 1;
            array::from_fn(|op2| {
                let op2 = op2 as u8;
                shown(crm, op2, physical_id_register(crm, op2), allowed)
            })
        }))
    }

    /// Returns the value of `register`, if it is one of them (Op0 = 3, Op1 = 0, CRn = 0).
    #[inline]
    fn get(&self, register: SystemRegister) -> Option<u64> {
        if (register.op0(), register.op1(), register.crn()) != (3, 0, 0) {
            return None;
        }
        let row = self.0.get(usize::from(register.crm()).wrapping_sub(1))?;
        row.get(usize::from(register.op2())).copied()
    }
}

/// Answers an access, or lets the guest take an undefined-instruction exception.
#[inline(never)]
pub fn access(vcpu: &mut Vcpu, core: &Core, access: SystemRegisterAccess) -> Next {
    if access.read {
        let Some(value) = read(vcpu, access.register) else {
            inject::undefined(vcpu);
            return Next::Again;
        };
        set_register(vcpu, access.rt, value);
        skip_instruction();
        return Next::Again;
    }
    let value = register(vcpu, access.rt);
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
        let value = read(vcpu, access.register);
        if let Some(value) = value {
            if access.reads_to_flags() {
                let pstate = aarch32::with_flags(mrs!("spsr_el2"), value);
                // SAFETY: the guest's own flags.
                unsafe { msr!("spsr_el2", pstate) }
            }
            set_register(vcpu, access.rt, value & 0xffff_ffff);
            if let Some(rt2) = access.rt2 {
                set_register(vcpu, rt2, value >> 32);
            }
        }
        value.is_some()
    } else {
        let half = |rt| register(vcpu, rt) & 0xffff_ffff;
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
fn read(vcpu: &mut Vcpu, register: SystemRegister) -> Option<u64> {
    let id = vcpu.vm.id_registers.get(register);
    id.or_else(|| read_other(vcpu, register))
}

#[inline(never)]
fn read_other(vcpu: &mut Vcpu, register: SystemRegister) -> Option<u64> {
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
            Some(register) => Some(vcpu.physical_timer.read(register, timer::now())),
            None => debug::read(vcpu, register),
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
            None => return debug::write(vcpu, register, value),
        },
    }
    true
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
    apply(vcpu.vm, vcpu.index, core, &mut state, effects);
}

/// Reads an identification register (op0 = 3, op1 = 0, CRn = 0).
fn physical_id_register(crm: u8, op2: u8) -> u64 {
    macro_rules! read {
        ($($crm:literal, $op2:literal;)*) => {
            match (crm, op2) {
                $(($crm, $op2) => mrs!(concat!("s3_0_c0_c", $crm, "_", $op2)),)*
                _ => 0,
            }
        };
    }
    read! {
        1, 0; 1, 1; 1, 2; 1, 3; 1, 4; 1, 5; 1, 6; 1, 7;
        2, 0; 2, 1; 2, 2; 2, 3; 2, 4; 2, 5; 2, 6; 2, 7;
        3, 0; 3, 1; 3, 2; 3, 3; 3, 4; 3, 5; 3, 6; 3, 7;
        4, 0; 4, 1; 4, 2; 4, 3; 4, 4; 4, 5; 4, 6; 4, 7;
        5, 0; 5, 1; 5, 2; 5, 3; 5, 4; 5, 5; 5, 6; 5, 7;
        6, 0; 6, 1; 6, 2; 6, 3; 6, 4; 6, 5; 6, 6; 6, 7;
        7, 0; 7, 1; 7, 2; 7, 3; 7, 4; 7, 5; 7, 6; 7, 7;
    }
}
