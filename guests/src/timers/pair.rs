//! Two CPUs: what one finds and changes of the other's interrupts.

use core::sync::atomic::{AtomicU64, Ordering};

use super::alone::wait_for_interrupt;
use super::timer::Timer;
use super::{Check, NOTHING, with};
use crate::board::cpus::{self, give_way};
use crate::board::entry::fail;
use crate::board::fdt::Machine;
use crate::board::gic;
use crate::board::ppi::Ppi;
use crate::board::timer::ticks;

/// The CPU whose interrupts are looked at. CPU 0 does.
const OWNER: usize = 1;

/// How long after its time an interrupt may come before CPU 0 sends help, in microseconds.
const PATIENCE: u64 = 20_000;

/// How often each CPU has come to a meeting, both together.
static MEETINGS: AtomicU64 = AtomicU64::new(0);
/// When the owner's timer expires.
static DEADLINE: AtomicU64 = AtomicU64::new(0);
/// The waits that the owner has ended.
static ENDED: AtomicU64 = AtomicU64::new(0);

/// Runs the checks on the first two CPUs.
pub fn run(machine: &Machine) {
    if machine.cpus < 2 {
        fail(&"give this machine two CPUs");
    }
    let work = |cpu: usize| {
        let mut pair = Pair {
            owner: cpu == OWNER,
            meetings: 0,
            waits: 0,
        };
        with(|check| pair.run(check));
    };
    if let Err(cpu) = cpus::on_all(2, &work) {
        fail(&format_args!("CPU {cpu} cannot be turned on"));
    }
}

/// One of the two.
struct Pair {
    owner: bool,
    meetings: u64,
    waits: u64,
}

/// What CPU 0 does with the interrupt of a timer that the owner waits for, and what it did before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    /// It deactivates one that the owner made active.
    Deactivate,
    /// It takes back what the owner made pending and enables it.
    Release,
    /// It makes it active, and inactive again.
    ActivateAndDeactivate,
    /// It disables its group at the distributor, and enables it again.
    DisableAndEnableGroup,
}

impl Pair {
    /// Waits until the other one is here, too.
    fn meet(&mut self) {
        self.meetings += 2;
        MEETINGS.fetch_add(1, Ordering::AcqRel);
        while MEETINGS.load(Ordering::Acquire) < self.meetings {
            give_way();
        }
    }

    fn run(&mut self, check: &mut Check) {
        for timer in Timer::ALL {
            for enabled in [false, true] {
                self.look(check, timer, enabled);
            }
            self.enable_after_fall(check, timer);
            for change in [
                Change::Deactivate,
                Change::Release,
                Change::ActivateAndDeactivate,
                Change::DisableAndEnableGroup,
            ] {
                for late in [false, true] {
                    self.change(check, timer, change, late);
                }
            }
        }
    }

    /// CPU 0 finds the owner's interrupt pending as long as its line is high.
    fn look(&mut self, check: &mut Check, timer: Timer, enabled: bool) {
        let ppi = timer.ppi(OWNER);
        if self.owner {
            check.quiet();
            ppi.enable(enabled);
        }
        for high in [true, false, true, false] {
            if self.owner {
                if high {
                    timer.raise();
                } else {
                    timer.stop();
                }
            }
            self.meet();
            if !self.owner {
                let found = ppi.is_pending();
                check.expect(
                    found == high,
                    format_args!("{timer} pending={found} enabled={enabled}"),
                );
            }
            self.meet();
        }
    }

    /// CPU 0 enables the owner's interrupt after its line has fallen.
    fn enable_after_fall(&mut self, check: &mut Check, timer: Timer) {
        if self.owner {
            check.quiet();
            timer.raise();
            check.expect_interrupt(timer, true, false, format_args!("before CPU 0 enables it"));
            timer.stop();
        }
        self.meet();
        if !self.owner {
            timer.ppi(OWNER).enable(true);
        }
        self.meet();
        if self.owner {
            pause(timer, 200);
            check.expect_interrupt(timer, false, false, format_args!("CPU 0 has enabled it"));
            check.take(NOTHING, format_args!("{timer} CPU 0 has enabled it"));
        }
    }

    /// The owner waits for its timer, which is kept from it until CPU 0 has changed something, before the
    /// timer expires or `late` after that.
    fn change(&mut self, check: &mut Check, timer: Timer, change: Change, late: bool) {
        let ppi = timer.ppi(OWNER);
        if self.owner {
            check.quiet();
            match change {
                Change::Deactivate => {
                    ppi.enable(true);
                    ppi.activate(true);
                }
                Change::Release => ppi.pend(true),
                Change::ActivateAndDeactivate | Change::DisableAndEnableGroup => ppi.enable(true),
            }
            let deadline = timer.count() + ticks(1000);
            DEADLINE.store(deadline, Ordering::Relaxed);
            timer.expire_at(deadline);
        }
        self.meet();
        self.waits += 1;
        if !self.owner {
            self.help(check, timer, change, late);
            self.meet();
            return;
        }
        wait_for_interrupt();
        check.expect(
            timer.count() >= DEADLINE.load(Ordering::Relaxed),
            format_args!("{timer} too early, {change:?} late={late}"),
        );
        ENDED.store(self.waits, Ordering::Release);
        let intid = gic::acknowledge();
        check.expect(
            intid == ppi.intid,
            format_args!("{timer} {intid} ended a wait, {change:?} late={late}"),
        );
        timer.stop();
        gic::end(intid);
        self.meet();
    }

    /// CPU 0's part: the change, and an SGI if that does not help.
    fn help(&self, check: &mut Check, timer: Timer, change: Change, late: bool) {
        let ppi = timer.ppi(OWNER);
        let deadline = DEADLINE.load(Ordering::Relaxed);
        let wait_until = |count: u64| {
            while timer.count() < count {
                give_way();
            }
        };
        match change {
            Change::ActivateAndDeactivate => ppi.activate(true),
            Change::DisableAndEnableGroup => gic::enable_groups(false),
            Change::Deactivate | Change::Release => {}
        }
        wait_until(if late {
            deadline + ticks(500)
        } else {
            deadline - ticks(500)
        });
        let ended = || ENDED.load(Ordering::Acquire) == self.waits;
        check.expect(!ended(), format_args!("{timer} came before {change:?}"));
        apply(ppi, change);
        let last = deadline + ticks(PATIENCE);
        while !ended() && timer.count() < last {
            give_way();
        }
        if !ended() {
            check.expect(
                false,
                format_args!("{timer} did not come after {change:?} late={late}"),
            );
            gic::send_sgi(OWNER as u32);
        }
    }
}

fn apply(ppi: Ppi, change: Change) {
    match change {
        Change::Deactivate | Change::ActivateAndDeactivate => ppi.activate(false),
        Change::Release => {
            ppi.pend(false);
            ppi.enable(true);
        }
        Change::DisableAndEnableGroup => gic::enable_groups(true),
    }
}

fn pause(timer: Timer, microseconds: u64) {
    let begin = timer.count();
    while timer.count() < begin + ticks(microseconds) {
        give_way();
    }
}
