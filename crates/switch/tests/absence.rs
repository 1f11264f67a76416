//! Windows of absence: when a scheme like `forecast` is asked, and when it is told the outcome.

mod common;

use common::Context;
use trapcast_forecast::{Decision, Evidence, Release, Resume, Window};
use trapcast_switch::{Class, Core, Exchange, Forecast, Gate, Guest};

/// Decides as the test says, and keeps how often it was asked and what it has learned.
#[derive(Clone, Copy, Debug)]
struct Script {
    decision: Decision,
    /// Whether nothing changes where registers were left out.
    stays_out: bool,
    asked: u32,
    /// How often it was found that nothing had changed, and where last.
    spared: (u32, u64),
    told: [Option<Evidence>; 4],
}

impl Script {
    const fn new(decision: Decision) -> Self {
        Self {
            decision,
            stays_out: false,
            asked: 0,
            spared: (0, 0),
            told: [None; 4],
        }
    }
}

impl Forecast for Script {
    fn decide(&mut self, _: impl FnOnce() -> Resume) -> Decision {
        self.asked += 1;
        self.decision
    }

    fn stays_out(&mut self, pc: impl FnOnce() -> u64) -> bool {
        let stays = self.stays_out && self.decision == Decision::Leave;
        if stays {
            self.spared = (self.spared.0 + 1, pc());
        }
        stays
    }

    fn learn(&mut self, evidence: Evidence) {
        let free = self.told.iter_mut().find(|told| told.is_none());
        *free.expect("told too often") = Some(evidence);
    }

    fn window(&self) -> Window {
        Window::Absence
    }

    fn release(&self) -> Release {
        Release::OnDemand
    }
}

/// Where the guest resumes.
const PC: u64 = 0x1000;

/// A core, and a guest on it.
struct Board {
    core: Core<Context>,
    guest: Guest<Context, Script>,
}

impl Board {
    fn new(decision: Decision) -> Self {
        Self {
            core: Core::new(Context::Host),
            guest: Guest::new(Context::A, Script::new(decision), false),
        }
    }

    /// One entry and its exit. Returns whether it loaded, the gate, and whether a use trapped.
    fn entry(&mut self, uses: bool) -> (bool, Gate, bool) {
        let resume = || Resume {
            pc: PC,
            pending: false,
        };
        let entry = self.core.enter(&mut self.guest, resume);
        let traps = uses && entry.gate == Gate::Closed;
        if traps {
            let _ = self.core.trap(&mut self.guest, Class::Fp);
        }
        let exchange: Option<Exchange<Context>> = self.core.exit(&mut self.guest);
        assert_eq!(exchange, None, "nothing is given back at an exit");
        (entry.exchange.is_some(), entry.gate, traps)
    }

    fn host_use(&mut self) {
        let _ = self.core.host_begin();
        let _ = self.core.host_end();
    }

    fn put(&mut self) {
        let _ = self.core.put(&mut self.guest);
    }

    /// How often it was asked so far, and all that it was told.
    fn script(&self) -> (u32, Vec<Evidence>) {
        let script = self.guest.forecaster(Class::Fp);
        (script.asked, script.told.into_iter().flatten().collect())
    }
}

const OPEN: Gate = Gate::Open(Class::Fp);

#[test]
fn registers_that_are_left_out_are_asked_about_at_each_entry_and_judged_once() {
    let mut board = Board::new(Decision::Leave);
    for _ in 0..3 {
        assert_eq!(board.entry(false), (false, Gate::Closed, false));
    }
    assert_eq!(board.script(), (3, vec![]));
    board.put();
    assert_eq!(board.script(), (3, vec![Evidence::Unused]));
    board.entry(false);
    assert_eq!(board.entry(true), (false, Gate::Closed, true));
    let used = vec![Evidence::Unused, Evidence::Used];
    assert_eq!(board.script(), (5, used.clone()));
    // They are in the core now: nothing to ask, and nothing to tell at the put.
    assert_eq!(board.entry(true), (false, OPEN, false));
    board.put();
    assert_eq!(board.entry(false), (false, OPEN, false));
    assert_eq!(board.script(), (5, used));
}

#[test]
fn registers_that_stay_out_are_asked_about_once_per_absence() {
    let mut board = Board::new(Decision::Leave);
    board.guest.forecaster_mut(Class::Fp).stays_out = true;
    for absence in 1..=2 {
        for _ in 0..3 {
            assert_eq!(board.entry(false), (false, Gate::Closed, false));
        }
        assert_eq!(board.script().0, absence);
        assert_eq!(board.guest.forecaster(Class::Fp).spared, (2 * absence, PC));
        board.put();
        assert_eq!(board.script().1, vec![Evidence::Unused; absence as usize]);
    }
    // A use ends the absence, too: what then takes the registers begins another one.
    board.entry(false);
    assert_eq!(board.entry(true), (false, Gate::Closed, true));
    assert_eq!(board.script().1.last(), Some(&Evidence::Used));
    board.host_use();
    board.entry(false);
    assert_eq!(board.script().0, 4);
}

#[test]
fn what_a_load_came_to_is_told_at_the_put_and_nobody_knows() {
    let mut board = Board::new(Decision::Load);
    assert_eq!(board.entry(false), (true, OPEN, false));
    assert_eq!(board.entry(true), (false, OPEN, false));
    assert_eq!(board.script(), (1, vec![]));
    board.put();
    assert_eq!(board.script(), (1, vec![Evidence::Blind]));
}

#[test]
fn a_probe_keeps_the_gate_closed_until_they_are_used() {
    let mut board = Board::new(Decision::Probe);
    assert_eq!(board.entry(false), (true, Gate::Closed, false));
    assert_eq!(board.entry(false), (false, Gate::Closed, false));
    assert_eq!(board.entry(true), (false, Gate::Closed, true));
    assert_eq!(board.script(), (1, vec![Evidence::Used]));
    assert_eq!(board.guest.counts.probes, 1);
    assert_eq!(board.guest.counts.traps, 0, "nothing had to be loaded");
    assert_eq!(board.entry(true), (false, OPEN, false));
}

#[test]
fn a_probe_that_is_not_used_is_told_at_the_put_or_when_they_are_lost() {
    let mut board = Board::new(Decision::Probe);
    board.entry(false);
    board.put();
    assert_eq!(board.script(), (1, vec![Evidence::Unused]));
    // The probe is over, the registers are still there.
    assert_eq!(board.entry(false), (false, OPEN, false));
    board.host_use();
    assert_eq!(board.entry(false), (true, Gate::Closed, false));
    board.host_use();
    assert_eq!(board.entry(true), (true, Gate::Closed, true));
    let told = [Evidence::Unused, Evidence::Unused, Evidence::Used];
    assert_eq!(board.script(), (3, told.to_vec()));
}

#[test]
fn a_load_that_is_lost_is_not_judged_and_asked_about_anew() {
    let mut board = Board::new(Decision::Load);
    board.entry(false);
    board.host_use();
    assert_eq!(board.entry(false), (true, OPEN, false));
    assert_eq!(board.script(), (2, vec![]));
    assert_eq!(board.guest.counts.eager_loads, 2);
}
