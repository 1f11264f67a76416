//! Forecasters that know more, or less, than `forecast`, over the same windows by the same state machine.

use serde::Serialize;
use trapcast_forecast::{Accounts, Costs, Decision, Evidence, Prices, Resume};
use trapcast_replay::Event;
use trapcast_switch::Forecast;

use super::{
    Facts,
    trial::{Trial, as_forecast, trial},
};

/// A forecaster to compare with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rival {
    /// Knows what each window does, and loads if it uses the registers.
    KnowsWindows,
    /// Loads or not by the place where the guest resumes, whichever was better there over the whole record.
    KnowsPlaces,
    /// The same for each vCPU as a whole: what knowing p and the costs comes to.
    KnowsVcpus,
    /// `forecast` without the place.
    WithoutPlace,
    /// `forecast` that never probes.
    WithoutProbes,
    /// `forecast` that loads also while an interrupt is pending.
    NotPrompt,
    /// `forecast` that also considers why the guest came out last.
    WithExit,
    /// `forecast` that also considers the exception level.
    WithLevel,
    /// `forecast` that also considers the address space.
    WithAddressSpace,
    /// `forecast` that also considers the guest's CPACR_EL1.
    WithCpacr,
    /// `forecast` that also considers the time since the exit, in powers of four.
    WithTime,
    /// `forecast` that also considers whether the window before used the registers, which no hypervisor
    /// sees behind an open gate.
    WithLastUse,
}

impl Rival {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::KnowsWindows,
        Self::KnowsPlaces,
        Self::KnowsVcpus,
        Self::WithoutPlace,
        Self::WithoutProbes,
        Self::NotPrompt,
        Self::WithExit,
        Self::WithLevel,
        Self::WithAddressSpace,
        Self::WithCpacr,
        Self::WithTime,
        Self::WithLastUse,
    ];

    /// Those that are parts of `forecast` taken away or added.
    pub const ABLATIONS: &[Self] = Self::ALL.split_at(3).1;

    /// What it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KnowsWindows => "knows each window",
            Self::KnowsPlaces => "knows each place",
            Self::KnowsVcpus => "knows each vCPU",
            Self::WithoutPlace => "without the place",
            Self::WithoutProbes => "without probes",
            Self::NotPrompt => "not prompt",
            Self::WithExit => "with the exit's reason",
            Self::WithLevel => "with the exception level",
            Self::WithAddressSpace => "with the address space",
            Self::WithCpacr => "with CPACR_EL1",
            Self::WithTime => "with the time since the exit",
            Self::WithLastUse => "with the last window's use",
        }
    }

    /// Returns a trial of it; nothing if that takes the whole record beforehand.
    pub fn trial(self, costs: &Costs) -> Option<Box<dyn Trial>> {
        let (prices, probes) = (Prices::new(costs), self != Self::WithoutProbes);
        match self {
            Self::KnowsPlaces | Self::KnowsVcpus => None,
            Self::KnowsWindows => Some(trial(|_| Told, *costs)),
            _ => Some(trial(
                move |number| Altered {
                    accounts: Accounts::new(prices, number.into()),
                    probes,
                },
                *costs,
            )),
        }
    }

    /// Returns what it is told in place of what `forecast` would be.
    pub fn resume(self, event: &Event, facts: &Facts) -> Resume {
        let resume = Resume {
            pc: event.pc,
            pending: event.has(Event::PENDING),
        };
        let more = |what: u64| Resume {
            // An odd factor leaves none of the bits out that tell places apart.
            pc: resume.pc
                ^ what
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .wrapping_mul(Accounts::PLACE_BYTES),
            ..resume
        };
        match self {
            Self::KnowsWindows => Resume {
                pc: event.has(Event::USED).into(),
                ..resume
            },
            Self::WithoutPlace => Resume { pc: 0, ..resume },
            Self::NotPrompt => Resume {
                pending: false,
                ..resume
            },
            Self::WithExit => more(facts.exit.into()),
            Self::WithLevel => more(facts.el.into()),
            Self::WithAddressSpace => more(facts.asid.into()),
            Self::WithCpacr => more(facts.cpacr.into()),
            Self::WithTime => more(u64::from(u64::BITS - facts.away.leading_zeros()) / 2),
            Self::WithLastUse => more(facts.used_before.into()),
            _ => resume,
        }
    }
}

/// Does as it is told: loads where the resume point is not zero.
#[derive(Clone, Copy, Debug)]
struct Told;

impl Forecast for Told {
    fn decide(&mut self, resume: impl FnOnce() -> Resume) -> Decision {
        if resume().pc == 0 {
            Decision::Leave
        } else {
            Decision::Load
        }
    }

    fn learn(&mut self, _: Evidence) {}

    as_forecast!();
}

/// `forecast`, with probes or without.
#[derive(Clone, Copy, Debug)]
pub(super) struct Altered {
    pub accounts: Accounts,
    pub probes: bool,
}

impl Forecast for Altered {
    fn decide(&mut self, resume: impl FnOnce() -> Resume) -> Decision {
        match self.accounts.decide(resume()) {
            Decision::Probe if !self.probes => Decision::Load,
            decision => decision,
        }
    }

    fn learn(&mut self, evidence: Evidence) {
        self.accounts.learn(evidence);
    }

    as_forecast!();
}
