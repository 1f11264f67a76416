//! Tests of what guests see: nothing forbidden whatever the core has, and what real cores have.

use super::*;

const EVERYTHING: Allowed = Allowed {
    pauth: true,
    fp: true,
    sve: true,
    sme: true,
    pmu: true,
};
/// What a guest has by default.
const PLAIN: Allowed = Allowed {
    pauth: false,
    fp: true,
    sve: false,
    sme: false,
    pmu: false,
};

fn field(crm: u8, op2: u8, shift: u32, physical: u64, allowed: Allowed) -> u64 {
    guest_value(crm, op2, physical, allowed) >> shift & 0xf
}

/// CRm, op2, lowest bit, name.
const FORBIDDEN: &[(u8, u8, u32, &str)] = &[
    (4, 0, 8, "EL2"),
    (4, 0, 12, "EL3"),
    (4, 0, 28, "RAS"),
    (4, 0, 36, "SEL2"),
    (4, 0, 40, "MPAM"),
    (4, 0, 44, "AMU"),
    (4, 0, 52, "RME"),
    (4, 1, 8, "MTE"),
    (4, 1, 12, "RAS_frac"),
    (4, 1, 16, "MPAM_frac"),
    (4, 1, 28, "RNDR_trap"),
    (4, 1, 36, "NMI"),
    (4, 1, 40, "MTE_frac"),
    (4, 1, 44, "GCS"),
    (4, 1, 48, "THE"),
    (4, 1, 52, "MTEX"),
    (4, 1, 56, "DF2"),
    (4, 1, 60, "PFAR"),
    (5, 0, 4, "TraceVer"),
    (5, 0, 16, "PMSS"),
    (5, 0, 32, "PMSVer"),
    (5, 0, 40, "TraceFilt"),
    (5, 0, 44, "TraceBuffer"),
    (5, 0, 48, "MTPMU"),
    (5, 0, 52, "BRBE"),
    (6, 0, 24, "TME"),
    (6, 1, 60, "LS64"),
    (6, 2, 0, "WFxT"),
    (6, 2, 16, "MOPS"),
    (7, 0, 12, "SNSMem"),
    (7, 0, 56, "FGT"),
    (7, 0, 60, "ECV"),
    (7, 1, 4, "VMIDBits"),
    (7, 1, 8, "VH"),
    (7, 1, 16, "LO"),
    (7, 1, 28, "XNX"),
    (7, 1, 32, "TWED"),
    (7, 1, 40, "HCX"),
    (7, 2, 12, "IESB"),
    (7, 2, 24, "NV"),
    (7, 2, 40, "FWB"),
    (7, 2, 56, "EVT"),
];

#[test]
fn nothing_forbidden_shows_on_a_core_that_has_everything() {
    for physical in [u64::MAX, 0x1111_1111_1111_1111, 0x2222_2222_2222_2222] {
        for &(crm, op2, shift, name) in FORBIDDEN {
            let shown = field(crm, op2, shift, physical, EVERYTHING);
            assert_eq!(shown, 0, "{name}");
        }
    }
}

#[test]
fn other_registers_read_as_zero() {
    let shown = [
        (4, 0),
        (4, 1),
        (4, 4),
        (4, 5),
        (5, 0),
        (6, 0),
        (6, 1),
        (6, 2),
        (7, 0),
        (7, 1),
        (7, 2),
    ];
    for crm in 0..16 {
        for op2 in 0..8 {
            let value = guest_value(crm, op2, u64::MAX, EVERYTHING);
            assert_eq!(value != 0, shown.contains(&(crm, op2)), "{crm} {op2}");
        }
    }
}

#[test]
fn pointer_authentication_shows_where_its_keys_are_switched() {
    let fields = [(6, 1, 4), (6, 1, 8), (6, 1, 24), (6, 1, 28)];
    let more = [(6, 2, 8), (6, 2, 12), (6, 2, 24)];
    for (crm, op2, shift) in fields.into_iter().chain(more) {
        let physical = 5 << shift;
        assert_eq!(field(crm, op2, shift, physical, EVERYTHING), 5);
        assert_eq!(field(crm, op2, shift, physical, PLAIN), 0);
    }
}

/// CRm, op2, lowest bit: instructions on registers of FP/SIMD.
const SIMD: [(u8, u8, u32); 16] = [
    (6, 0, 4),
    (6, 0, 8),
    (6, 0, 12),
    (6, 0, 28),
    (6, 0, 32),
    (6, 0, 36),
    (6, 0, 40),
    (6, 0, 44),
    (6, 0, 48),
    (6, 1, 12),
    (6, 1, 16),
    (6, 1, 32),
    (6, 1, 44),
    (6, 1, 52),
    (6, 2, 4),
    (7, 1, 44),
];

#[test]
fn without_fp_nothing_of_it_shows() {
    let refused = Allowed {
        fp: false,
        sve: false,
        sme: false,
        ..EVERYTHING
    };
    for physical in [0, 1, u64::MAX] {
        assert_eq!(guest_value(4, 0, physical, refused) >> 16 & 0xff, 0xff);
    }
    for (crm, op2, shift) in SIMD {
        assert_eq!(field(crm, op2, shift, 1 << shift, EVERYTHING), 1);
        assert_eq!(field(crm, op2, shift, 1 << shift, refused), 0);
    }
}

#[test]
fn sve_and_sme_show_where_they_are_allowed() {
    let only = |sve, sme| Allowed {
        sve,
        sme,
        ..EVERYTHING
    };
    for sve in [false, true] {
        for sme in [false, true] {
            let shows = |crm, op2, shift, value: u64| {
                field(crm, op2, shift, value << shift, only(sve, sme)) == value
            };
            assert_eq!(shows(4, 0, 32, 1), sve, "SVE");
            assert_eq!(shows(4, 4, 0, 1), sve, "SVEver");
            assert_eq!(shows(4, 1, 24, 1), sme, "SME");
            assert_eq!(shows(4, 5, 36, 0xf), sme, "I8I32");
            assert_eq!(shows(4, 5, 60, 8), sme, "FA64");
        }
    }
}

#[test]
fn pmu_shows_where_it_is_allowed() {
    let version = |pmuver: u64, allowed| field(5, 0, 8, pmuver << 8, allowed);
    assert_eq!(version(4, EVERYTHING), 4);
    assert_eq!(version(9, EVERYTHING), 6);
    assert_eq!(version(0xf, EVERYTHING), 0, "not an architected one");
    assert_eq!(version(4, PLAIN), 0);
}

#[test]
fn fixed_fields_do_not_depend_on_the_core() {
    for physical in [0, u64::MAX] {
        for (crm, op2, shift, value) in [
            (4, 0, 0, 1),  // EL0: AArch64 only
            (4, 0, 4, 1),  // EL1: AArch64 only
            (4, 0, 24, 1), // GIC
            (5, 0, 0, 6),  // DebugVer
            (7, 0, 40, 1), // TGran4_2
        ] {
            assert_eq!(field(crm, op2, shift, physical, PLAIN), value);
        }
    }
}

#[test]
fn absent_floating_point_stays_absent() {
    assert_eq!(field(4, 0, 16, 0xf << 16, PLAIN), 0xf);
    assert_eq!(field(4, 0, 20, 0xf << 20, PLAIN), 0xf);
    assert_eq!(field(4, 0, 16, 1 << 16, PLAIN), 1);
    assert_eq!(field(4, 0, 16, 0, PLAIN), 0);
}

#[test]
fn granules_without_52_bits() {
    assert_eq!(field(7, 0, 28, 1 << 28, PLAIN), 0, "4 KiB");
    assert_eq!(field(7, 0, 28, 0xf << 28, PLAIN), 0xf, "no 4 KiB");
    assert_eq!(field(7, 0, 20, 2 << 20, PLAIN), 1, "16 KiB");
}

#[test]
fn physical_addresses_are_ones_that_stage_2_translates() {
    let bits = [32, 36, 40, 42, 44, 48, 52];
    let range = field(7, 0, 0, 0xf, PLAIN) as usize;
    assert!(bits[range] <= IPA_BITS);
    assert!(bits[range + 1] > IPA_BITS);
    assert_eq!(field(7, 0, 0, 0, PLAIN), 0, "no more than the core has");
}

#[test]
fn what_a_core_has_and_may_show_passes() {
    for register in REGISTERS {
        for &(name, shift, rule) in register.fields {
            let (Rule::UpTo(most) | Rule::UpToOrNone(most)) = rule else {
                continue;
            };
            for value in 0..=u64::from(most) {
                let physical = value << shift;
                let shown = field(register.crm, register.op2, shift, physical, PLAIN);
                assert_eq!(shown, value, "{name}");
            }
        }
    }
}

/// The identification registers of a Cortex-A57 r1p0, from its technical reference manual.
#[test]
fn cortex_a57() {
    let table = [
        (4, 0, 0x0100_2222, 0x0100_0011),
        (5, 0, 0x1030_5106, 0x1030_5006),
        (6, 0, 0x0001_1120, 0x0001_1120),
        (7, 0, 0x0000_1124, 0x0111_0000_0121),
    ];
    for (crm, op2, physical, shown) in table {
        assert_eq!(guest_value(crm, op2, physical, PLAIN), shown);
    }
}

#[test]
fn fields_do_not_overlap() {
    for register in REGISTERS {
        let mut seen = 0u64;
        for &(name, shift, _) in register.fields {
            assert_eq!(shift % 4, 0, "{name}");
            assert_eq!(seen >> shift & 0xf, 0, "{name}");
            seen |= 0xf << shift;
        }
    }
}
