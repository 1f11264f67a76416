//! Tests of the decoding, on values composed from the field tables of the Arm ARM.

use super::*;

const fn esr(class: u8, iss: u32) -> Syndrome {
    Syndrome::new((class as u64) << 26 | 1 << 25 | iss as u64)
}

#[test]
fn classes_by_number() {
    let table = [
        (0x01, ExceptionClass::WFX),
        (0x07, ExceptionClass::FP_SIMD),
        (0x16, ExceptionClass::HVC64),
        (0x17, ExceptionClass::SMC64),
        (0x18, ExceptionClass::SYSTEM_REGISTER),
        (0x19, ExceptionClass::SVE),
        (0x1d, ExceptionClass::SME),
        (0x20, ExceptionClass::INSTRUCTION_ABORT_LOWER),
        (0x24, ExceptionClass::DATA_ABORT_LOWER),
        (0x3c, ExceptionClass::BRK64),
    ];
    for (number, class) in table {
        assert_eq!(esr(number, 0x01ff_ffff).class(), class);
    }
    assert_eq!(ExceptionClass::HVC64.name(), "HVC");
    assert_eq!(ExceptionClass(0x3f).name(), "unallocated exception class");
}

#[test]
fn iss_leaves_out_what_is_not_its_own() {
    // ISS2, EC and IL all set.
    let syndrome = Syndrome::new(!0x01ff_ffff | 0x1234);
    assert_eq!(syndrome.iss(), 0x1234);
    assert_eq!(syndrome.class().0, 0x3f);
}

#[test]
fn length_of_the_instruction() {
    assert_eq!(esr(0x18, 0).instruction_length(), 4);
    assert_eq!(Syndrome::new(0x03 << 26).instruction_length(), 2);
}

#[test]
fn immediate_of_a_call() {
    assert_eq!(esr(0x16, 0xbeef).immediate(), 0xbeef);
}

#[test]
fn waits() {
    let table = [
        (0b00, Wait::Interrupt),
        (0b01, Wait::Event),
        (0b10, Wait::InterruptWithTimeout),
        (0b11, Wait::EventWithTimeout),
    ];
    for (ti, wait) in table {
        assert_eq!(esr(0x01, 0x01e0_0000 | ti).wait(), wait);
    }
}

#[test]
fn system_register_of_a_real_trap() {
    // mrs x3, ICC_SGI1R_EL1's neighbour: KVM logs `msr ICC_SGI1R_EL1, x5` as ISS 0x3a30b6.
    let access = esr(0x18, 0x003a_30b6).system_register();
    let expected = SystemRegisterAccess {
        register: SystemRegister::new(3, 0, 12, 11, 5),
        rt: 5,
        read: false,
    };
    assert_eq!(access, expected);
    assert!(esr(0x18, 0x003a_30b7).system_register().read);
}

#[test]
fn encodings_are_apart_and_come_back() {
    for (op0, op1, crn, crm, op2) in [(3, 0, 0, 4, 0), (2, 7, 15, 15, 7), (3, 3, 14, 2, 1)] {
        let register = SystemRegister::new(op0, op1, crn, crm, op2);
        let fields = (
            register.op0(),
            register.op1(),
            register.crn(),
            register.crm(),
        );
        assert_eq!(fields, (op0, op1, crn, crm));
        assert_eq!(register.op2(), op2);
    }
    let all = SystemRegister::new(0xff, 0xff, 0xff, 0xff, 0xff);
    assert_eq!(all, SystemRegister(SystemRegister::FIELDS));
}

/// ISV, SAS, SSE, SRT, SF, WnR and a translation fault at level 3.
fn data_abort(sas: u32, sse: u32, srt: u32, sf: u32, wnr: u32) -> Abort {
    let iss = 1 << 24 | sas << 22 | sse << 21 | srt << 16 | sf << 15 | wnr << 6 | 0b00_0111;
    esr(0x24, iss).abort()
}

#[test]
fn access_of_a_data_abort() {
    for (sas, size) in [(0, 1), (1, 2), (2, 4), (3, 8)] {
        let expected = Access {
            write: true,
            size,
            register: 31,
            sign_extend: false,
            wide: true,
        };
        assert_eq!(data_abort(sas, 0, 31, 1, 1).access(), Some(expected));
    }
    let load = data_abort(1, 1, 2, 0, 0).access();
    let expected = Access {
        write: false,
        size: 2,
        register: 2,
        sign_extend: true,
        wide: false,
    };
    assert_eq!(load, Some(expected));
}

#[test]
fn no_access_without_a_valid_syndrome() {
    assert_eq!(
        esr(0x24, 0x00ff_0047).abort().access(),
        None,
        "ISV is clear"
    );
    assert_eq!(
        esr(0x24, 0x01ff_00c7).abort().access(),
        None,
        "S1PTW is set"
    );
}

#[test]
fn faults_by_status_code() {
    let table = [
        (0x00, Fault::AddressSize { level: 0 }),
        (0x03, Fault::AddressSize { level: 3 }),
        (0x04, Fault::Translation { level: 0 }),
        (0x06, Fault::Translation { level: 2 }),
        (0x09, Fault::AccessFlag { level: 1 }),
        (0x0f, Fault::Permission { level: 3 }),
        (0x10, Fault::External),
        (0x16, Fault::ExternalOnWalk { level: 2 }),
        (0x21, Fault::Alignment),
        (0x29, Fault::AddressSize { level: -1 }),
        (0x2b, Fault::Translation { level: -1 }),
        (0x30, Fault::TlbConflict),
        (0x11, Fault::Other(0x11)),
        (0x3f, Fault::Other(0x3f)),
    ];
    for (code, fault) in table {
        assert_eq!(esr(0x24, 0x01ff_ffc0 | code).abort().fault(), fault);
    }
}

#[test]
fn ipa_when_it_is_reported() {
    let far = 0xffff_8000_1234_5678;
    let hpfar = 0x8000_0000_0009_0010; // NS, FIPA of page 0x9001
    let ipa = |iss: u32| esr(0x24, iss).abort().ipa(far, hpfar);
    assert_eq!(ipa(0x07), Some(0x0900_1678), "translation");
    assert_eq!(ipa(0x0b), Some(0x0900_1678), "access flag");
    assert_eq!(ipa(0x03), Some(0x0900_1678), "address size");
    assert_eq!(ipa(0x0f), None, "permission");
    assert_eq!(ipa(0x8f), Some(0x0900_1678), "permission on a walk");
    assert_eq!(ipa(0x407), None, "FnV");
    assert_eq!(ipa(0x10), None, "external");
}

#[test]
fn values_stored_and_loaded() {
    let access = |size, sign_extend, wide| Access {
        write: false,
        size,
        register: 0,
        sign_extend,
        wide,
    };
    let value = 0xf1f2_f3f4_85f6_f788;
    let table = [
        (access(1, false, false), 0x88),
        (access(2, false, true), 0xf788),
        (access(4, false, false), 0x85f6_f788),
        (access(8, false, true), value),
        (access(1, true, false), 0xffff_ff88),
        (access(1, true, true), 0xffff_ffff_ffff_ff88),
        (access(4, true, true), 0xffff_ffff_85f6_f788),
        (access(8, true, true), value),
    ];
    for (access, loaded) in table {
        assert_eq!(access.loaded(value), loaded, "{access:?}");
    }
    assert_eq!(access(1, true, true).loaded(0x7f), 0x7f);
    assert_eq!(access(2, true, true).stored(value), 0xf788);
    assert_eq!(access(8, false, true).stored(value), value);
}
