//! Forecasters that know more, or less, than `forecast`, over the same windows by the same state machine.

use std::{cell::RefCell, collections::HashMap, hash::BuildHasherDefault};

use rustc_hash::FxHasher;
use serde::Serialize;
use trapcast_forecast::{
    Accounts, Costs, Decision, Evidence, Prices, Release, Resume, Scheme, Window,
};
use trapcast_switch::Forecast;

use super::Facts;
use crate::replay::count_with;

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
    /// `forecast` that also goes by why the guest came out last.
    WithExit,
    /// `forecast` that also goes by the exception level.
    WithLevel,
    /// `forecast` that also goes by the address space.
    WithAddressSpace,
    /// `forecast` that also goes by the guest's CPACR_EL1.
    WithCpacr,
    /// `forecast` that also goes by the time since the exit, in powers of four.
    WithTime,
    /// `forecast` that also goes by whether the window before used the registers, which no hypervisor
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

    /// Returns what it costs over these windows.
    pub fn cost(self, windows: &[Facts], costs: &Costs) -> u64 {
        match self {
            Self::KnowsWindows => {
                let told = windows.iter().map(|facts| {
                    let pc = u64::from(facts.uses());
                    (facts.event, Resume { pc, ..facts.resume })
                });
                count_with(told, |_| Told).moves().cost(costs)
            }
            Self::KnowsPlaces => in_hindsight(windows, costs, |facts| Key {
                vcpu: facts.event.vcpu(),
                place: facts.resume.pc / Accounts::PLACE_BYTES,
            }),
            Self::KnowsVcpus => in_hindsight(windows, costs, |facts| Key {
                vcpu: facts.event.vcpu(),
                ..Key::default()
            }),
            _ => {
                let prices = Prices::new(costs);
                let resumes = windows
                    .iter()
                    .map(|facts| (facts.event, self.resume(facts)));
                let probes = self != Self::WithoutProbes;
                let make = |number: u16| Altered {
                    accounts: Accounts::new(prices, number.into()),
                    probes,
                };
                count_with(resumes, make).moves().cost(costs)
            }
        }
    }

    /// Returns what `forecast` is told in place of what it would be.
    fn resume(self, facts: &Facts) -> Resume {
        let resume = facts.resume;
        let more = |what: u64| Resume {
            // An odd factor leaves none of the bits out that tell places apart.
            pc: resume.pc
                ^ what
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .wrapping_mul(Accounts::PLACE_BYTES),
            ..resume
        };
        match self {
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

/// How `forecast` is asked and when it gives the registers back.
macro_rules! as_forecast {
    () => {
        fn window(&self) -> Window {
            Scheme::Forecast.window()
        }

        fn release(&self) -> Release {
            Scheme::Forecast.release()
        }
    };
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

/// What a table of decisions goes by.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Key {
    vcpu: u16,
    place: u64,
}

/// A key's decision, and what was seen of it.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    load: bool,
    used: u64,
    unused: u64,
}

/// Entries by number.
type Table = RefCell<Vec<Entry>>;

/// Decides by a table.
#[derive(Clone, Copy, Debug)]
struct ByTable<'a> {
    table: &'a Table,
    /// Whether loads are probed, so that all is seen.
    watches: bool,
    current: usize,
}

impl Forecast for ByTable<'_> {
    fn decide(&mut self, resume: impl FnOnce() -> Resume) -> Decision {
        self.current = resume().pc as usize;
        match self.table.borrow()[self.current].load {
            false => Decision::Leave,
            true if self.watches => Decision::Probe,
            true => Decision::Load,
        }
    }

    fn learn(&mut self, evidence: Evidence) {
        let entry = &mut self.table.borrow_mut()[self.current];
        match evidence {
            Evidence::Used => entry.used += 1,
            Evidence::Unused => entry.unused += 1,
            Evidence::Blind => {}
        }
    }

    as_forecast!();
}

/// Times that a table is made better by what the one before has seen.
const IMPROVEMENTS: usize = 6;

/// Returns the least that was found for a fixed decision for each key. What a decision comes to depends
/// on the others, so there may be a better table.
fn in_hindsight(windows: &[Facts], costs: &Costs, key: impl Fn(&Facts) -> Key) -> u64 {
    let mut numbers: HashMap<Key, usize, BuildHasherDefault<FxHasher>> = HashMap::default();
    let numbered: Vec<_> = windows
        .iter()
        .map(|facts| {
            let next = numbers.len();
            let number = *numbers.entry(key(facts)).or_insert(next);
            let pc = number as u64;
            (facts.event, Resume { pc, ..facts.resume })
        })
        .collect();
    let late = u64::from(costs.trap) + costs.unlock();
    let wasted = 2 * costs.exchange();
    let table = RefCell::new(vec![Entry::default(); numbers.len()]);
    let run = |watches| {
        let make = |_| ByTable {
            table: &table,
            watches,
            current: 0,
        };
        count_with(numbered.iter().copied(), make)
            .moves()
            .cost(costs)
    };
    let mut least = run(false);
    for _ in 0..IMPROVEMENTS {
        let clear = |entry: &mut Entry| (entry.used, entry.unused) = (0, 0);
        table.borrow_mut().iter_mut().for_each(clear);
        run(true);
        for entry in table.borrow_mut().iter_mut() {
            entry.load = entry.used * late > entry.unused * wasted;
        }
        least = least.min(run(false));
    }
    least
}
