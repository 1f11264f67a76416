//! Tests against the manual's tables, written out.

use super::*;

const N: u64 = 1 << 31;
const Z: u64 = 1 << 30;
const C: u64 = 1 << 29;
const V: u64 = 1 << 28;

/// A syndrome of a trapped MCR with these CV and COND.
fn syndrome(cv: bool, condition: u64) -> Syndrome {
    Syndrome::new(0x03 << 26 | 1 << 25 | u64::from(cv) << 24 | condition << 20)
}

/// PSTATE with this IT state.
fn it(state: u64) -> u64 {
    MODE_SVC | PSTATE_T | state >> 2 << 10 | (state & 0b11) << 25
}

#[test]
fn every_condition_holds_for_the_flags_it_names() {
    // One set of flags for which each condition holds, and one for which it does not.
    for (condition, yes, no) in [
        (0b0000, Z, N),
        (0b0001, 0, Z),
        (0b0010, C, Z),
        (0b0011, Z, C),
        (0b0100, N, Z),
        (0b0101, V, N),
        (0b0110, V, C),
        (0b0111, C, V),
        (0b1000, C, C | Z),
        (0b1001, Z | C, C),
        (0b1010, N | V, N),
        (0b1011, V, 0),
        (0b1100, N | V, Z),
        (0b1101, Z, 0),
    ] {
        assert!(
            condition_passed(syndrome(true, condition), yes),
            "{condition:#b}"
        );
        assert!(
            !condition_passed(syndrome(true, condition), no),
            "{condition:#b}"
        );
    }
    for flags in [0, N, Z, C, V, N | Z | C | V] {
        assert!(condition_passed(syndrome(true, 0b1110), flags));
        assert!(condition_passed(syndrome(true, 0b1111), flags));
    }
}

#[test]
fn without_a_condition_in_the_syndrome_the_it_block_has_it() {
    // ITE EQ before its first and its second instruction.
    let (first, second) = (it(0b0000_1100), it(0b0001_1000));
    assert!(condition_passed(syndrome(false, 0), first | Z));
    assert!(!condition_passed(syndrome(false, 0), first));
    assert!(!condition_passed(syndrome(false, 0), second | Z));
    assert!(condition_passed(syndrome(false, 0), second));
    assert!(condition_passed(syndrome(false, 0), it(0)));
}

#[test]
fn an_it_block_goes_on_and_ends() {
    // ITTEE NE: four instructions.
    let states = [0b0001_0111, 0b0000_1110, 0b0001_1100, 0b0001_1000, 0];
    for pair in [0, 1, 3].map(|at| &states[at..at + 2]) {
        let flags = N | C | PSTATE_I;
        assert_eq!(advanced(it(pair[0]) | flags), it(pair[1]) | flags);
    }
    assert_eq!(advanced(RESET_PSTATE), RESET_PSTATE);
}

#[test]
fn registers_are_found_where_the_manual_maps_them() {
    for (mode, sp, lr) in [
        (0x10, 13, 14),
        (0x1f, 13, 14),
        (MODE_IRQ, 17, 16),
        (MODE_SVC, 19, 18),
        (MODE_ABORT, 21, 20),
        (MODE_UNDEFINED, 23, 22),
        (MODE_FIQ, 29, 30),
    ] {
        assert_eq!(view_of_register(mode, 13), sp, "{mode:#x}");
        assert_eq!(view_of_register(mode, 14), lr, "{mode:#x}");
        assert_eq!(view_of_register(mode, 7), 7);
        assert_eq!(
            view_of_register(mode, 12),
            if mode == MODE_FIQ { 28 } else { 12 }
        );
        for view in 15..=31 {
            assert_eq!(view_of_register(mode, view), view);
        }
    }
}

#[test]
fn an_undefined_instruction_is_taken_in_its_mode() {
    let user = 0x10 | N | PSTATE_IL | PSTATE_SS;
    let taken = Exception::Undefined.take(0x8000, user, RESET_SCTLR, 0x1_0000, false);
    let expected = Taken {
        pc: 0x1_0004,
        pstate: MODE_UNDEFINED | N | PSTATE_I,
        spsr: 0x10 | N | PSTATE_IL,
        link: 0x8004,
        link_register: 22,
    };
    assert_eq!(taken, expected);
    let thumb = Exception::Undefined.take(0x8000, it(0b1100) | PSTATE_A, RESET_SCTLR, 0, false);
    assert_eq!(thumb.link, 0x8002);
    assert_eq!(thumb.pstate, MODE_UNDEFINED | PSTATE_A | PSTATE_I);
    assert_eq!(thumb.spsr, it(0b1100) | PSTATE_A);
}

#[test]
fn the_guests_sctlr_decides_where_and_how_exceptions_are_taken() {
    let all = SCTLR_V | SCTLR_EE | SCTLR_TE | SCTLR_DSSBS;
    let taken = Exception::DataAbort.take(0xffff_fffc, MODE_SVC, all, 0x1_0000, true);
    assert_eq!(taken.pc, 0xffff_0010);
    assert_eq!(taken.link, 4, "addresses wrap");
    let states = PSTATE_E | PSTATE_T | PSTATE_SSBS | PSTATE_PAN;
    assert_eq!(taken.pstate, MODE_ABORT | PSTATE_A | PSTATE_I | states);
    let span = Exception::PrefetchAbort.take(0x100, MODE_SVC, SCTLR_SPAN, 0x1_0000, true);
    assert_eq!(
        (span.pc, span.link, span.link_register),
        (0x1_000c, 0x104, 20)
    );
    assert_eq!(span.pstate, MODE_ABORT | PSTATE_A | PSTATE_I);
}

#[test]
fn dit_stands_elsewhere_in_the_guests_spsr() {
    let taken = Exception::Undefined.take(0, MODE_SVC | PSTATE_DIT, 0, 0, false);
    assert_eq!(taken.spsr, MODE_SVC | SPSR_DIT);
    assert_eq!(taken.pstate, MODE_UNDEFINED | PSTATE_DIT | PSTATE_I);
}

#[test]
fn status_has_the_format_of_the_tables() {
    assert_eq!(external_abort_status(0, false), 0x08);
    assert_eq!(external_abort_status(0, true), 0x808);
    assert_eq!(external_abort_status(TTBCR_EAE, true), 0xa10);
}

#[test]
fn bit_0_of_an_entry_point_chooses_t32() {
    assert_eq!(entry(0x4010_0000), (0x4010_0000, RESET_PSTATE));
    assert_eq!(entry(0x4010_0001), (0x4010_0000, RESET_PSTATE | PSTATE_T));
    assert_eq!(RESET_PSTATE, 0x1d3);
}

#[test]
fn a_read_to_the_flags_changes_them_alone() {
    assert_eq!(with_flags(MODE_SVC | N | V, 0x6fff_ffff), MODE_SVC | Z | C);
    assert_eq!(with_flags(u64::MAX, 0), !(N | Z | C | V));
}
