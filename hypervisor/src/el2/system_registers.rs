//! A guest's accesses to system registers that trap.

use trapcast_hypervisor::{id_registers, syndrome::SystemRegisterAccess};

use super::{
    core::Core,
    exit::skip_instruction,
    inject,
    mmio::{apply, register, set_register},
    registers::has_pauth,
    vcpu::Vcpu,
};
use crate::mrs;

/// Encodings as (op0, op1, CRn, CRm, op2).
type Encoding = (u8, u8, u8, u8, u8);
const ACTLR_EL1: Encoding = (3, 0, 1, 0, 1);
const REVIDR_EL1: Encoding = (3, 0, 0, 0, 6);
const AIDR_EL1: Encoding = (3, 1, 0, 0, 7);
const SMIDR_EL1: Encoding = (3, 1, 0, 0, 6);
/// SMIDR_EL1.{Implementer, Revision}: there are no priorities, and nobody shares the unit.
const SMIDR_IMPLEMENTER: u64 = 0xffff_0000;
const ICC_DIR_EL1: Encoding = (3, 0, 12, 11, 1);
const ICC_SGI1R_EL1: Encoding = (3, 0, 12, 11, 5);
const ICC_ASGI1R_EL1: Encoding = (3, 0, 12, 11, 6);
const ICC_SGI0R_EL1: Encoding = (3, 0, 12, 11, 7);
const ICC_SRE_EL1: Encoding = (3, 0, 12, 12, 5);
/// DIB, DFB and SRE, all RAO/WI: there is nothing but system registers.
const ICC_SRE_VALUE: u64 = 0b111;

/// Answers an access, or lets the guest take an undefined-instruction exception.
pub fn access(vcpu: &mut Vcpu, core: &Core, access: SystemRegisterAccess) {
    let name = access.register;
    let encoding = (name.op0(), name.op1(), name.crn(), name.crm(), name.op2());
    let done = if access.read {
        let value = read(vcpu, encoding);
        if let Some(value) = value {
            set_register(vcpu, access.rt, value);
        }
        value.is_some()
    } else {
        let value = register(vcpu, access.rt);
        write(vcpu, core, encoding, value)
    };
    if done {
        skip_instruction();
    } else {
        inject::undefined();
    }
}

fn read(vcpu: &Vcpu, encoding: Encoding) -> Option<u64> {
    match encoding {
        (3, 0, 0, crm @ 1..=7, op2) => Some(id_registers::guest_value(
            crm,
            op2,
            physical_id_register(crm, op2),
            id_registers::Allowed {
                pauth: has_pauth(),
                fp: vcpu.vm.settings.fp,
                sve: vcpu.vm.vectors.sve.is_some(),
                sme: vcpu.vm.vectors.sme.is_some(),
                pmu: vcpu.vm.settings.pmu,
            },
        )),
        ACTLR_EL1 | REVIDR_EL1 | AIDR_EL1 => Some(0),
        SMIDR_EL1 if vcpu.vm.vectors.sme.is_some() => {
            Some(SMIDR_IMPLEMENTER & mrs!("s3_1_c0_c0_6"))
        }
        ICC_SRE_EL1 => Some(ICC_SRE_VALUE),
        // Debug registers: none of them does anything here.
        (2, 0 | 3, ..) => Some(0),
        _ => None,
    }
}

fn write(vcpu: &Vcpu, core: &Core, encoding: Encoding, value: u64) -> bool {
    let mut state = vcpu.vm.state.lock();
    // It is out, so that an interrupt to itself calls nobody.
    state.vgic.left(vcpu.index);
    let effects = match encoding {
        ICC_SGI1R_EL1 => state.vgic.send_sgi(vcpu.index, value),
        ICC_SGI0R_EL1 => state.vgic.send_sgi_group0(vcpu.index, value),
        // There is one Security state: no other group 1.
        ICC_ASGI1R_EL1 => return true,
        ICC_DIR_EL1 => state.vgic.deactivate(vcpu.index, value as u32),
        // Cache maintenance by set and way (DC ISW, CSW, CISW): what it is for, cleaning all of a
        // cache, is not a guest's to do, and the board's caches are coherent.
        (1, 0, 7, 6 | 10 | 14, 2) => return true,
        ACTLR_EL1 | ICC_SRE_EL1 | (2, 0 | 3, ..) => return true,
        _ => return false,
    };
    apply(vcpu.vm, vcpu.index, core, &mut state, effects);
    true
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
