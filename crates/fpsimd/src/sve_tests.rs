//! Tests of the layout, on any machine.

extern crate std;

use std::{vec, vec::Vec};

use super::*;
use crate::VectorLengths;

fn lengths() -> impl Iterator<Item = VectorLength> {
    VectorLengths::from_bitmap(u16::MAX).iter()
}

fn memory(length: VectorLength) -> Vec<Granule> {
    vec![Granule([0xa5; 16]); SveFile::granules(length)]
}

#[test]
fn memory_is_the_registers_and_a_header() {
    for length in lengths() {
        let bytes = SveFile::bytes(length);
        let needed = length.sve_bytes() + 32;
        assert!((needed..needed + 16).contains(&bytes), "{length:?}");
        assert_eq!(bytes % align_of::<Granule>(), 0);
    }
}

#[test]
fn too_little_memory_is_refused() {
    for length in lengths() {
        let mut memory = memory(length);
        let last = memory.len() - 1;
        assert!(SveFile::new(&mut memory[..last], length).is_none());
        assert!(SveFile::new(&mut memory, length).is_some());
    }
}

#[test]
fn a_new_file_is_zero_and_knows_its_length() {
    for length in lengths() {
        let mut memory = memory(length);
        let mut file = SveFile::new(&mut memory, length).unwrap();
        assert!(file.registers().iter().all(|byte| *byte == 0));
        assert_eq!((file.fpsr(), file.fpcr()), (0, 0));
        assert_eq!(file.header().zcr, length.len_field());
        // SAFETY: the memory is borrowed here.
        let again = unsafe { file.area().file() };
        assert_eq!(again.vector_length(), length);
    }
}

/// Every byte of the registers belongs to one of them, and to one only.
#[test]
fn registers_do_not_overlap_and_leave_no_gap() {
    for length in lengths() {
        let mut memory = memory(length);
        let mut file = SveFile::new(&mut memory, length).unwrap();
        let add_one = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte += 1);
        (0..32).for_each(|n| add_one(file.z_mut(n)));
        (0..16).for_each(|n| add_one(file.p_mut(n)));
        add_one(file.ffr_mut());
        assert!(file.registers().iter().all(|byte| *byte == 1));
        assert_eq!((file.fpsr(), file.fpcr()), (0, 0));
        assert_eq!(file.z(31).len() * 8, length.bits());
        assert_eq!(file.p(15).len() * 64, length.bits());
        assert_eq!(file.ffr().len(), file.p(0).len());
    }
}

/// What the assembly counts on: Z registers from byte 32 on, then P, then FFR.
#[test]
fn registers_stand_where_the_moves_have_them() {
    for length in lengths() {
        let mut memory = memory(length);
        let base = memory.as_ptr() as usize;
        let file = SveFile::new(&mut memory, length).unwrap();
        let offset = |bytes: &[u8]| bytes.as_ptr() as usize - base;
        let middle = 32 + 16 * length.bytes();
        for n in 0..32 {
            assert_eq!(
                offset(file.z(n)) + 16 * length.bytes(),
                middle + n * length.bytes()
            );
        }
        for n in 0..16 {
            assert_eq!(
                offset(file.p(n)),
                middle + (128 + n) * length.predicate_bytes()
            );
        }
        assert_eq!(offset(file.ffr()), middle + 144 * length.predicate_bytes());
    }
}

#[test]
fn v_is_the_low_part_of_z() {
    let mut fp = FpSimd {
        fpsr: 0x1f,
        fpcr: 0x0100_0000,
        ..FpSimd::ZERO
    };
    for (n, v) in fp.v.iter_mut().enumerate() {
        *v = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f00 + n as u128;
    }
    for length in lengths() {
        let mut memory = memory(length);
        let mut file = SveFile::new(&mut memory, length).unwrap();
        file.registers_mut().fill(0xff);
        assert_eq!(file.upper_is_zero(), length == VectorLength::MIN);
        file.set_fp(&fp);
        assert_eq!(file.fp(), fp);
        assert_eq!(file.z(3)[..2], [0x03, 0x0f]);
        assert!(file.upper_is_zero());
        assert!(file.p(0).iter().chain(file.ffr()).all(|byte| *byte == 0xff));
        if length > VectorLength::MIN {
            *file.z_mut(31).last_mut().unwrap() = 1;
            assert!(!file.upper_is_zero());
        }
        file.zero();
        assert_eq!(file.fp(), FpSimd::ZERO);
        assert!(file.registers().iter().all(|byte| *byte == 0));
    }
}

#[test]
#[should_panic = "Z32"]
fn there_is_no_z32() {
    let mut memory = memory(VectorLength::MIN);
    SveFile::new(&mut memory, VectorLength::MIN).unwrap().z(32);
}

#[test]
#[should_panic = "P16"]
fn ffr_is_no_p16() {
    let mut memory = memory(VectorLength::MIN);
    SveFile::new(&mut memory, VectorLength::MIN).unwrap().p(16);
}
