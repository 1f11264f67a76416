//! What was to be reached, and whether it is.

use serde::Serialize;
use trapcast_forecast::{Scheme, Window};

use super::{BootTiming, CORES, PEER_SCHEME, Path, WakeUps, find, wakeups};
use crate::kvm;
use trapcast_machine::machine::Cpu;

/// Something that was to be reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What it is about.
    pub name: String,
    /// What was measured.
    pub measured: f64,
    /// The most that it was to be.
    pub at_most: f64,
    /// Whether it is.
    pub met: bool,
}

/// Judges the figures.
pub(super) fn goals(paths: &[Path], wake_ups: &[WakeUps], boots: &[BootTiming]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut goal = |name: String, measured: f64, at_most: f64| {
        goals.push(Goal {
            name,
            measured,
            at_most,
            met: measured <= at_most,
        });
    };
    for cpu in CORES {
        for (path, share, of) in [
            ("hvc-null", 0.25, "a quarter"),
            ("fp-trap-switch", 0.5, "half"),
        ] {
            let measured = find(paths, cpu, PEER_SCHEME, path).map(|path| path.median as f64);
            let peer = kvm::instructions(path, cpu).map(f64::from);
            if let Some((measured, peer)) = measured.zip(peer) {
                goal(
                    format!("{path} on {cpu}: {of} of KVM's {peer}"),
                    measured,
                    peer * share,
                );
            }
        }
        for (path, what, at_most) in [
            ("sgi-self", "send, acknowledge, end", 600.0),
            ("tick-switch", "a tick and a switch to another VM", 1200.0),
        ] {
            if let Some(path) = find(paths, cpu, PEER_SCHEME, path) {
                let name = format!("{} on {cpu}: {what}", path.path);
                goal(name, path.median as f64, at_most);
            }
        }
        for scheme in Scheme::ALL {
            if let Some(decision) = Decision::of(paths, cpu, scheme) {
                let with = decision.with_gate_and_learning;
                let name = format!(
                    "rule of {scheme} on {cpu}, beside none's ({with} with gate and learning)"
                );
                goal(name, decision.rule, most_of(scheme));
            }
        }
    }
    for wake_up in wake_ups {
        let WakeUps { cores, vcpus, .. } = wake_up;
        let name = format!("longest wake-up of {vcpus} vCPUs on {cores} cores, in slices");
        goal(name, wake_up.slices(), wakeups::AT_MOST);
    }
    for boot in boots {
        goal(
            format!("Linux boot on {}: wall time beside none", boot.cpu),
            boot.ratio,
            1.2,
        );
    }
    goals
}

/// What a scheme's rule may take, in instructions. That of `forecast` decides and learns by tables, and is asked once
/// per absence; further entries of an absence take half of it.
const fn most_of(scheme: Scheme) -> f64 {
    match scheme {
        Scheme::Forecast => 64.0,
        _ => 20.0,
    }
}

/// What the decision about a window that moves nothing takes, in instructions.
struct Decision {
    /// The scheme's own rule: compared with `none`, which takes the same path with nothing to decide.
    rule: f64,
    /// With the path that all schemes share: setting the gate at the window's start, and learning at
    /// its end. Compared with an entry at which no decision is due, inside a window from load to put.
    with_gate_and_learning: f64,
}

impl Decision {
    /// `eager` and `eager-until-put` have no such window: they move registers at every entry and load.
    fn of(paths: &[Path], cpu: Cpu, scheme: Scheme) -> Option<Self> {
        const ENTRY: &str = "entry-exit-unused";
        let path = match (scheme, scheme.window()) {
            (Scheme::None | Scheme::Eager | Scheme::EagerUntilPut, _) => return None,
            (_, Window::Entry) => ENTRY,
            (_, Window::Load | Window::Absence) => "entry-exit-wfi-unused",
        };
        let median = |scheme, path| Some(find(paths, cpu, scheme, path)?.median as f64);
        let rule = median(scheme, path)? - median(Scheme::None, path)?;
        let shared = median(Scheme::None, ENTRY)? - median(Scheme::UntilPut, ENTRY)?;
        Some(Self {
            rule,
            with_gate_and_learning: rule + shared,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tests::path;

    #[test]
    fn goals_are_judged_by_the_figures() {
        let paths = [
            path(Scheme::UntilPut, "hvc-null", 261),
            path(Scheme::UntilPut, "fp-trap-switch", 95),
            path(Scheme::UntilPut, "sgi-self", 600),
            path(Scheme::UntilPut, "tick-switch", 1201),
            path(Scheme::None, "entry-exit-unused", 100),
            path(Scheme::UntilPut, "entry-exit-unused", 90),
            path(Scheme::None, "entry-exit-wfi-unused", 1000),
            path(Scheme::LastTrap, "entry-exit-unused", 112),
            path(Scheme::Credit, "entry-exit-wfi-unused", 1021),
            path(Scheme::Eager, "entry-exit-unused", 300),
        ];
        let wake_ups = [WakeUps {
            cores: 2,
            vcpus: 3,
            slice: 500_000,
            rounds: 10,
            p50: 1000,
            p99: 2000,
            longest: 600_000,
        }];
        let boots = [BootTiming {
            cpu: "neoverse-n1",
            hypervisor: vec![],
            without: vec![],
            ratio: 1.2,
        }];
        let goals = goals(&paths, &wake_ups, &boots);
        let last_trap = &goals[4].name;
        assert!(
            last_trap.contains("last-trap") && last_trap.contains("(22 with"),
            "{last_trap}"
        );
        let judged: Vec<_> = goals.iter().map(|goal| (goal.measured, goal.met)).collect();
        assert_eq!(
            judged,
            [
                (261.0, true),
                (95.0, false),
                (600.0, true),
                (1201.0, false),
                (12.0, true),
                (21.0, false),
                (1.2, false),
                (1.2, true)
            ]
        );
    }
}
