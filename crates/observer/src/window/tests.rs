//! Tables of events, and the windows that they make.

use super::*;

const HVC: u32 = 0x16 << 26;
const FP_TRAP: u32 = 0x07 << 26 | 1 << 25;
const DATA_ABORT: u32 = 0x24 << 26;
const FETCH: u32 = 0x20 << 26;

/// What happens.
#[derive(Clone, Copy)]
enum Step {
    /// Instructions are executed below EL2.
    Below(u64),
    /// At EL2, some of them FP/SIMD.
    El2(u64, u64),
    /// A vCPU is entered at an address.
    Enter(u64, u64),
    /// The guest is left with this syndrome at an address.
    Exit(u32, u64),
    /// An interrupt comes.
    Interrupt,
    /// The first use of a class.
    Uses(Class),
    /// A mark.
    Wrote(Seen),
    /// An acknowledgement.
    Acknowledged(u32),
}

use Step::*;

/// Runs the steps on a core, and returns its windows.
fn run(steps: &[Step]) -> Vec<ObservedWindow> {
    let mut core = Core::new(3);
    let mut counts = Counts::default();
    let mut windows = Vec::new();
    let mut number = 0;
    for step in steps {
        match *step {
            Below(count) => counts.below += count,
            El2(count, fp) => {
                counts.el2 += count;
                counts.fp += fp;
            }
            Enter(vcpu, pc) => {
                let entry = Entry {
                    vmpidr: vcpu,
                    pc,
                    ..Entry::default()
                };
                let next = || {
                    number += 1;
                    number - 1
                };
                windows.extend(core.enter(entry, counts, next));
            }
            Exit(esr, pc) => core.exit(
                super::Exit {
                    vector: 0x400,
                    esr,
                    pc,
                    ..super::Exit::default()
                },
                counts,
            ),
            Interrupt => core.exit(
                super::Exit {
                    vector: 0x480,
                    esr: FP_TRAP,
                    ..super::Exit::default()
                },
                counts,
            ),
            Uses(class) => core.uses(class, counts),
            Wrote(mark) => core.wrote(mark),
            Acknowledged(intid) => core.acknowledged(intid),
        }
    }
    windows.extend(core.finish(counts));
    windows
}

#[test]
fn a_window_goes_from_an_entry_to_its_exit() {
    let windows = run(&[
        El2(500, 0),
        Below(70),
        Enter(1, 0x1000),
        Below(10),
        Exit(HVC, 0x1028),
        El2(30, 0),
        Enter(1, 0x1028),
        Below(5),
        Interrupt,
        Acknowledged(1023),
        Acknowledged(27),
        Acknowledged(30),
        El2(40, 4),
        Below(2),
        Enter(1, 0x103c),
    ]);
    let [first, second] = windows[..] else {
        panic!("{windows:?}");
    };
    let told = (first.number, first.pc, first.exit_pc, first.esr, first.core);
    assert_eq!(told, (0, 0x1000, 0x1028, HVC, 3));
    assert_eq!((first.guest_instructions, first.el2_instructions), (10, 0));
    assert!(!first.has(Seen::GAP_BEFORE) && first.has(Seen::GAP_AFTER));
    assert_eq!((second.number, second.esr, second.intid), (1, 0, 27));
    assert_eq!(
        (second.guest_instructions, second.el2_instructions),
        (5, 30)
    );
    assert_eq!((second.host_instructions, second.hypervisor_fp), (0, 4));
    assert!(second.has(Seen::GAP_BEFORE | Seen::GAP_AFTER));
}

#[test]
fn what_is_not_executed_is_not_counted() {
    // An HVC is executed; what aborts or traps is counted but not executed; what cannot be fetched is neither.
    for (esr, executed) in [(HVC, 10), (DATA_ABORT, 9), (0x01 << 26, 9), (FETCH, 10)] {
        let windows = run(&[Enter(1, 0), Below(10), Exit(esr, 0x24)]);
        assert_eq!(windows[0].guest_instructions, executed, "{esr:#x}");
    }
}

#[test]
fn a_trap_that_goes_on_where_it_was_is_within_the_window() {
    let windows = run(&[
        Enter(1, 0),
        Below(4),
        Exit(FP_TRAP, 0xc),
        El2(189, 34),
        Enter(1, 0xc),
        Below(1),
        Uses(Class::Fp),
        Below(6),
        Exit(HVC, 0x28),
        El2(20, 0),
        Enter(1, 0x28),
    ]);
    let [window] = windows[..] else {
        panic!("{windows:?}");
    };
    assert_eq!((window.traps, window.fp_traps), (1, 1));
    assert_eq!(window.trap_instructions, 189);
    // Of the four, the last trapped and was executed later.
    assert_eq!((window.first_use, window.guest_instructions), (3, 10));
    assert_eq!((window.esr, window.hypervisor_fp), (HVC, 0));
    assert!(window.has(Seen::FP));
}

#[test]
fn a_use_that_trapped_counts_although_an_interrupt_comes_before_it() {
    let windows = run(&[
        Enter(1, 0),
        Below(4),
        Exit(FP_TRAP, 0xc),
        Enter(1, 0xc),
        Interrupt,
        Enter(1, 0xc),
    ]);
    let [window] = windows[..] else {
        panic!("{windows:?}");
    };
    assert!(window.has(Seen::FP));
    assert_eq!((window.first_use, window.guest_instructions), (3, 3));
}

#[test]
fn a_trap_after_which_anything_else_happens_is_an_exit() {
    let trap = [Enter(1, 0), Below(4), Exit(FP_TRAP, 0xc), El2(100, 0)];
    let cases: [(&str, &[Step], usize); 7] = [
        ("it goes on", &[Enter(1, 0xc)], 0),
        ("it is skipped", &[Enter(1, 0x10)], 1),
        ("another vCPU", &[Enter(2, 0xc)], 1),
        ("the host ran", &[Below(1), Enter(1, 0xc)], 1),
        ("a load", &[Wrote(Seen::VMPIDR_WRITTEN), Enter(1, 0xc)], 1),
        (
            "an entry's write",
            &[Wrote(Seen::VMCR_WRITTEN), Enter(1, 0xc)],
            0,
        ),
        ("the end", &[], 1),
    ];
    for (name, steps, windows) in cases {
        let steps = [&trap[..], steps].concat();
        assert_eq!(run(&steps).len(), windows, "{name}");
    }
    // Any other exception ends a window, wherever the guest goes on.
    let abort = [Enter(1, 0), Below(4), Exit(DATA_ABORT, 0xc), Enter(1, 0xc)];
    assert_eq!(run(&abort).len(), 1);
}

#[test]
fn uses_are_the_guests_or_the_hosts() {
    let windows = run(&[
        Uses(Class::Fp),
        Enter(1, 0),
        Below(3),
        Uses(Class::Sve),
        Exit(HVC, 0xc),
        Enter(1, 0xc),
        Below(3),
        Exit(HVC, 0x18),
        Below(9),
        Uses(Class::Fp),
        Enter(1, 0x18),
    ]);
    let flags = windows.iter().map(|window| {
        let all = [Seen::FP, Seen::SVE, Seen::HOST_FP];
        (all.map(|flag| window.has(flag)), window.first_use)
    });
    let expected = [([false, true, false], 2), ([false, false, true], NEVER)];
    assert_eq!(flags.collect::<Vec<_>>(), expected);
}

#[test]
fn marks_belong_to_the_window_after_them() {
    let windows = run(&[
        Wrote(Seen::VMCR_WRITTEN),
        Enter(1, 0),
        Exit(HVC, 0),
        Wrote(Seen::VMPIDR_WRITTEN),
        Enter(1, 0),
        Exit(HVC, 0),
        Enter(1, 0),
        Exit(HVC, 0),
    ]);
    let marks = windows.iter().map(|window| {
        let marks = [Seen::VMPIDR_WRITTEN, Seen::VMCR_WRITTEN];
        marks.map(|mark| window.has(mark))
    });
    let expected = [[false, true], [true, false], [false, false]];
    assert_eq!(marks.collect::<Vec<_>>(), expected);
}

#[test]
fn a_window_that_has_not_ended_is_not_told() {
    assert!(run(&[]).is_empty());
    assert!(run(&[Enter(1, 0), Below(5)]).is_empty());
    // Nor is one whose end was not seen.
    let windows = run(&[Enter(1, 0), Enter(1, 0), Exit(HVC, 0)]);
    assert_eq!(windows.len(), 1);
    assert!(!windows[0].has(Seen::GAP_BEFORE));
}
