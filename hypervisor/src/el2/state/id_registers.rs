//! What a VM's guest reads from the identification registers.

use ::core::array;

use trapcast_hypervisor::{
    guest_image::ExecutionState, id_registers, settings::VmSettings, syndrome::SystemRegister,
};

use crate::el2::arch::{el1_state::has_pauth, register_file::Vectors};
use crate::mrs;

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
    pub fn get(&self, register: SystemRegister) -> Option<u64> {
        if (register.op0(), register.op1(), register.crn()) != (3, 0, 0) {
            return None;
        }
        let row = self.0.get(usize::from(register.crm()).wrapping_sub(1))?;
        row.get(usize::from(register.op2())).copied()
    }
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
