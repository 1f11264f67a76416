//! Hypervisors of each policy, made up: what they would be seen to do.

use trapcast_trace::observed::ObservedWindow;

use super::*;
use crate::windows::tests::seen;

const HVC: u32 = 0x16 << 26;
const OPEN: u64 = 0;
const CLOSED: u64 = 1 << 10;

/// A window: its vCPU, whether it traps, FP/SIMD instructions of the hypervisor after it.
type Step = (u64, bool, u64);

/// Judges windows that all use the registers, which a hypervisor that closes them where it traps runs.
fn judge(steps: &[Step]) -> Policy {
    judge_with(steps, Seen::FP)
}

fn judge_with(steps: &[Step], use_: Seen) -> Policy {
    // Several rounds, as the first loads are not like the others.
    let steps = steps.repeat(50);
    let windows = steps.into_iter().map(|(vcpu, traps, fp)| ObservedWindow {
        cptr: if traps { CLOSED } else { OPEN },
        traps: traps.into(),
        fp_traps: traps.into(),
        hypervisor_fp: fp,
        flags: (Seen::GAP_BEFORE | Seen::GAP_AFTER | use_).bits(),
        ..seen(0, vcpu, 0, 4, HVC)
    });
    Verdict::of(&Observed::of(windows.collect())).policy
}

#[test]
fn each_policy_is_told_by_what_it_does() {
    // Three windows of one vCPU, then three of another.
    let runs = |first: (bool, u64), then: (bool, u64), last: (bool, u64)| -> Vec<Step> {
        let of = |vcpu| [first, then, last].map(|(traps, fp)| (vcpu, traps, fp));
        [of(1), of(2)].concat()
    };
    for (expected, steps) in [
        (Policy::PerEntry, runs((true, 17), (true, 17), (true, 17))),
        (Policy::UntilPut, runs((true, 0), (false, 0), (false, 17))),
        (
            Policy::EagerEachEntry,
            runs((false, 34), (false, 34), (false, 34)),
        ),
        (
            Policy::EagerEachSwitch,
            runs((false, 0), (false, 0), (false, 34)),
        ),
        (Policy::None, runs((false, 0), (false, 0), (false, 0))),
        // The hypervisor used the registers itself in between.
        (Policy::UntilPut, runs((true, 17), (true, 0), (false, 17))),
        (Policy::Mixed, runs((true, 0), (true, 0), (false, 34))),
    ] {
        assert_eq!(judge(&steps), expected);
    }
}

#[test]
fn registers_that_stay_with_their_owner_trap_in_few_loads() {
    // The second vCPU takes the registers by a trap, the first takes them back and keeps them for ten loads.
    let mut steps = vec![(2, true, true), (1, true, true)];
    steps.extend([(2, false, false), (1, true, false)].repeat(10));
    let windows = steps.repeat(20).into_iter().map(|(vcpu, uses, traps)| {
        let used = if uses { Seen::FP } else { Seen::empty() };
        ObservedWindow {
            traps: u32::from(traps),
            fp_traps: u32::from(traps),
            flags: (Seen::GAP_BEFORE | used).bits(),
            ..seen(0, vcpu, 0, 4, HVC)
        }
    });
    let verdict = Verdict::of(&Observed::of(windows.collect()));
    assert_eq!(verdict.policy, Policy::Owner, "{verdict:?}");
}

#[test]
fn registers_that_stay_with_their_owner_may_trap_in_all_loads() {
    // Three vCPUs take turns, and each finds another's registers.
    let of = |vcpu| [(vcpu, true, 0), (vcpu, false, 0)];
    assert_eq!(judge(&[of(1), of(2), of(3)].concat()), Policy::Owner);
    let of = |vcpu| [(vcpu, true, 0), (vcpu, false, 17)];
    assert_eq!(judge(&[of(1), of(2), of(3)].concat()), Policy::UntilPut);
}

#[test]
fn what_cannot_be_told_is_not_told() {
    // One vCPU alone, whose registers nobody moves.
    assert_eq!(judge(&[(1, false, 0)]), Policy::Unknown);
    // Two, of which none uses them.
    let unused = judge_with(&[(1, false, 0), (2, false, 0)], Seen::empty());
    assert_eq!(unused, Policy::Unknown);
}
