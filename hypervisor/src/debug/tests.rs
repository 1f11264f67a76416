//! What reads return, what writes change, and what of it is in the core.

use super::*;
use proptest::prelude::*;

const FEATURES: Features = Features {
    breakpoints: 6,
    watchpoints: 4,
    contexts: 2,
    double_lock: true,
};

const fn register(crn: u8, crm: u8, op2: u8) -> SystemRegister {
    SystemRegister::new(2, 0, crn, crm, op2)
}

const MDSCR_EL1: SystemRegister = register(0, 2, 2);
const OSLAR_EL1: SystemRegister = register(1, 0, 4);
const OSLSR_EL1: SystemRegister = register(1, 1, 4);
const OSDLR_EL1: SystemRegister = register(1, 3, 4);
const DBGPRCR_EL1: SystemRegister = register(1, 4, 4);

/// A vCPU's registers by reads and writes.
struct Vcpu {
    registers: DebugRegisters,
    aarch32: bool,
}

impl Vcpu {
    fn new(aarch32: bool) -> Self {
        Self {
            registers: DebugRegisters::RESET,
            aarch32,
        }
    }

    fn unlocked(aarch32: bool) -> Self {
        let mut vcpu = Self::new(aarch32);
        assert_eq!(vcpu.write(OSLAR_EL1, 0), Some(Change::Control));
        vcpu
    }

    fn read(&self, register: SystemRegister) -> Option<u64> {
        self.registers.read(register, self.aarch32, FEATURES)
    }

    fn write(&mut self, register: SystemRegister, value: u64) -> Option<Change> {
        self.registers
            .write(register, self.aarch32, FEATURES, value)
    }
}

#[test]
fn numbers_are_those_of_the_core() {
    // A Cortex-A57.
    assert_eq!(Features::of(0x1030_5106), FEATURES);
    assert_eq!(FEATURES.dbgdidr(), 0x3516_8000);
    for n in 0..MAX as u8 {
        for (op2, there) in [(4, n < 6), (5, n < 6), (6, n < 4), (7, n < 4)] {
            for aarch32 in [false, true] {
                let found = Vcpu::new(aarch32).read(register(0, n, op2));
                assert_eq!(found.is_some(), there, "{n} {op2}");
            }
        }
        let upper = Vcpu::new(true).read(register(1, n, 1));
        assert_eq!(upper.is_some(), (4..6).contains(&n), "DBGBXVR{n}");
    }
}

#[test]
fn nothing_is_generated_while_a_lock_is_locked() {
    const ALL: u64 = MDSCR_SS | MDSCR_TDCC | MDSCR_KDE | MDSCR_MDE;
    let mut vcpu = Vcpu::new(false);
    assert_eq!(vcpu.read(OSLSR_EL1), Some(0b1010));
    vcpu.write(MDSCR_EL1, ALL);
    assert_eq!(vcpu.registers.mdscr_in_core(), MDSCR_TDCC);
    vcpu.write(OSLAR_EL1, !1);
    assert_eq!(vcpu.read(OSLSR_EL1), Some(0b1000));
    assert_eq!(vcpu.registers.mdscr_in_core(), ALL);
    vcpu.write(OSDLR_EL1, 1);
    assert_eq!(vcpu.registers.mdscr_in_core(), MDSCR_TDCC);
    // DBGPRCR_EL1.CORENPDRQ.
    vcpu.write(DBGPRCR_EL1, 1);
    assert_eq!(vcpu.registers.mdscr_in_core(), ALL);
    vcpu.write(OSLAR_EL1, 1);
    assert_eq!(vcpu.registers.mdscr_in_core(), MDSCR_TDCC);
    assert_eq!(vcpu.read(MDSCR_EL1), Some(ALL));
}

#[test]
fn without_the_double_lock_its_register_does_nothing() {
    let features = Features::of(0xf << 36);
    assert!(!features.double_lock && Features::of(0).double_lock);
    let mut registers = DebugRegisters::RESET;
    assert_eq!(
        registers.write(OSDLR_EL1, false, features, 1),
        Some(Change::None)
    );
    assert_eq!(registers.read(OSDLR_EL1, false, features), Some(0));
}

#[test]
fn aarch32_locks_by_a_key() {
    let mut vcpu = Vcpu::unlocked(true);
    vcpu.write(OSLAR_EL1, 1);
    assert_eq!(vcpu.read(OSLSR_EL1), Some(0b1000));
    vcpu.write(OSLAR_EL1, 0xc5ac_ce55);
    assert_eq!(vcpu.read(OSLSR_EL1), Some(0b1010));
}

#[test]
fn what_a_powerdown_saves_is_writable_while_locked() {
    let mut vcpu = Vcpu::new(false);
    vcpu.write(MDSCR_EL1, u64::MAX);
    let all = vcpu.read(MDSCR_EL1).unwrap();
    assert_eq!(all, 0xece0_f041);
    vcpu.write(OSLAR_EL1, 0);
    vcpu.write(MDSCR_EL1, 0);
    assert_eq!(vcpu.read(MDSCR_EL1), Some(all & MDSCR_SAVED));
    assert_eq!(vcpu.registers.mdscr_in_core(), 0);
}

#[test]
fn how_a_debug_exception_came_about_is_the_cores() {
    let mut vcpu = Vcpu::unlocked(true);
    vcpu.registers.take_entry(0b1010 << 2 | MDSCR_MDE);
    assert_eq!(vcpu.read(MDSCR_EL1), Some(0b1010 << 2));
    assert_eq!(vcpu.read(register(0, 1, 0)), Some(0b1010 << 2));
    vcpu.write(MDSCR_EL1, MDSCR_MDE);
    assert_eq!(vcpu.registers.mdscr_in_core(), MDSCR_MDE);
    // MDSCR_EL1 has no such field.
    let mut other = Vcpu::unlocked(false);
    other.write(MDSCR_EL1, u64::MAX);
    assert_eq!(other.registers.mdscr_in_core() & MDSCR_MOE, 0);
}

#[test]
fn claim_tags_are_set_and_cleared() {
    let mut vcpu = Vcpu::new(false);
    let (set, clear) = (register(7, 8, 6), register(7, 9, 6));
    assert_eq!(vcpu.write(set, 0xfff0), Some(Change::None));
    assert_eq!(vcpu.read(clear), Some(0xf0));
    vcpu.write(clear, 0x30);
    assert_eq!(vcpu.read(clear), Some(0xc0));
    assert_eq!(vcpu.read(set), Some(0xff));
}

#[test]
fn breakpoints_on_what_is_el2s_stay_off() {
    let mut vcpu = Vcpu::unlocked(false);
    let control = register(0, 5, 5);
    for (kind, enabled) in [
        (0, 1),
        (1, 1),
        (2, 1),
        (3, 1),
        (8, 0),
        (9, 0),
        (10, 0),
        (15, 0),
    ] {
        let value = kind << 20 | 0x1e7;
        assert_eq!(vcpu.write(control, value), Some(Change::Breakpoint(5)));
        assert_eq!(vcpu.read(control), Some(value));
        let in_core = vcpu.registers.breakpoint_in_core(5).control;
        assert_eq!(in_core & ENABLE, enabled, "{kind:#x}");
    }
}

#[test]
fn what_is_read_only_or_write_only_is_undefined_the_other_way() {
    let mut vcpu = Vcpu::new(true);
    assert_eq!(vcpu.read(OSLAR_EL1), None);
    for (crn, crm, op2) in [(1, 1, 4), (0, 1, 0), (0, 0, 0), (1, 0, 0), (7, 14, 6)] {
        assert_eq!(vcpu.write(register(crn, crm, op2), 0), None);
        assert!(vcpu.read(register(crn, crm, op2)).is_some());
    }
}

#[test]
fn each_state_has_its_own_registers() {
    for (register, aarch64, aarch32) in [
        (SystemRegister::new(2, 3, 0, 1, 0), true, false), // MDCCSR_EL0
        (SystemRegister::new(2, 3, 0, 4, 0), true, false), // DBGDTR_EL0
        (SystemRegister::new(2, 0, 0, 0, 0), false, true), // DBGDIDR
        (SystemRegister::new(2, 0, 0, 7, 0), false, true), // DBGVCR
        (SystemRegister::new(2, 0, 7, 2, 7), false, true), // DBGDEVID
        (SystemRegister::new(2, 1, 0, 0, 0), false, false), // of the trace unit
        (SystemRegister::new(2, 4, 0, 7, 0), false, false), // DBGVCR32_EL2
        (SystemRegister::new(3, 0, 0, 2, 2), false, false),
    ] {
        assert_eq!(
            Vcpu::new(false).read(register).is_some(),
            aarch64,
            "{register:?}"
        );
        assert_eq!(
            Vcpu::new(true).read(register).is_some(),
            aarch32,
            "{register:?}"
        );
    }
}

proptest! {
    /// The points read back as they were written, but for bits that are RES0, and are in the core as they
    /// read; no other changes.
    #[test]
    fn points_keep_what_is_written(
        writes in prop::collection::vec((0u8..6, 4u8..8, any::<u64>()), 1..50),
        aarch32: bool,
    ) {
        let mut vcpu = Vcpu::unlocked(aarch32);
        let mut expected = [[0; MAX]; 4];
        for (n, op2, value) in writes {
            let value = if aarch32 { value & 0xffff_ffff } else { value };
            let (n, kind) = (n as usize, op2 as usize - 4);
            let name = register(0, n as u8, op2);
            if kind >= 2 && n >= FEATURES.watchpoints {
                prop_assert_eq!(vcpu.write(name, value), None);
                continue;
            }
            let change = if kind < 2 {
                Change::Breakpoint(n)
            } else {
                Change::Watchpoint(n)
            };
            prop_assert_eq!(vcpu.write(name, value), Some(change));
            expected[kind][n] = value & [u64::MAX, BCR, !0b11, WCR][kind];
        }
        for (kind, values) in expected.iter().enumerate() {
            let most = [FEATURES.breakpoints, FEATURES.watchpoints][kind / 2];
            for (n, value) in values.iter().enumerate().take(most) {
                prop_assert_eq!(vcpu.read(register(0, n as u8, kind as u8 + 4)), Some(*value));
            }
        }
        let [_, _, values, controls] = expected;
        let points = values.into_iter().zip(controls).take(FEATURES.watchpoints);
        for (n, (value, control)) in points.enumerate() {
            let point = Point { value, control };
            prop_assert_eq!(vcpu.registers.watchpoint_in_core(n), point);
        }
    }

    /// No access panics, whatever it names.
    #[test]
    fn any_access_is_answered_or_refused(number: u32, value: u64, aarch32: bool) {
        let field = |shift: u32, width: u32| (number >> shift & ((1 << width) - 1)) as u8;
        let name = SystemRegister::new(2, field(0, 3), field(3, 4), field(7, 4), field(11, 3));
        let mut vcpu = Vcpu::new(aarch32);
        let _ = (vcpu.read(name), vcpu.write(name, value));
    }
}
