//! The guest `timers`: checks that both timers of EL1 and their interrupts do what the architecture says, on
//! one CPU and on several, whatever a guest writes to them.
//!
//! It takes interrupts by hand, with IRQs masked, so that what is pending and what is signalled can be told
//! apart at each step. The same guest on a board without a hypervisor shows what is expected.

#[cfg(target_arch = "aarch64")]
mod again;
mod alone;
#[cfg(target_arch = "aarch64")]
mod moves;
#[cfg(target_arch = "aarch64")]
mod pair;
mod timer;
mod values;

use core::fmt;

use crate::board::entry::fail;
use crate::board::fdt::Machine;
use crate::board::mismatches::Mismatches;
use crate::board::{cpus, gic, ppi};
use crate::bootargs::{TimerChecks, Timers as Settings};
use crate::println;
use timer::Timer;

/// What an acknowledgement answers when nothing is pending.
const NOTHING: u32 = 1023;

/// Reads the bootargs and follows them.
pub fn main(machine: &Machine) {
    let settings = match Settings::parse(machine.bootargs) {
        Ok(settings) => settings,
        Err(error) => fail(&error),
    };
    println!("start {settings}");
    match settings.checks {
        TimerChecks::Alone => with(alone::run),
        TimerChecks::Values => with(|check| values::run(check, settings)),
        #[cfg(target_arch = "aarch64")]
        TimerChecks::BinaryPoint => with(values::binary_point),
        #[cfg(target_arch = "aarch64")]
        TimerChecks::Pair => pair::run(machine),
        #[cfg(target_arch = "aarch64")]
        TimerChecks::Moves => moves::run(machine, settings),
        #[cfg(target_arch = "aarch64")]
        TimerChecks::Again => again::run(machine),
        #[cfg(not(target_arch = "aarch64"))]
        _ => fail(&"these checks are AArch64's"),
    }
}

/// Runs checks on this CPU, which takes interrupts by hand meanwhile, and says how they ended.
fn with(run: impl FnOnce(&mut Check)) {
    gic::mask();
    let mut check = Check {
        cpu: cpus::current(),
        checks: 0,
        mismatches: Mismatches::default(),
    };
    check.quiet();
    run(&mut check);
    check.quiet();
    Timer::Virtual.ppi(check.cpu).enable(true);
    let Check {
        cpu,
        checks,
        mismatches,
    } = check;
    println!("done cpu={cpu} checks={checks} mismatches={mismatches}");
    gic::unmask();
}

/// The checks of one CPU.
struct Check {
    cpu: usize,
    checks: u64,
    mismatches: Mismatches,
}

impl Check {
    /// Counts a check, and reports it if it does not hold.
    fn expect(&mut self, holds: bool, what: fmt::Arguments<'_>) {
        self.checks += 1;
        if !holds {
            self.mismatches.add(format_args!("cpu={} {what}", self.cpu));
        }
    }

    /// Whether `timer`'s interrupt is pending and signalled, or not.
    fn expect_interrupt(
        &mut self,
        timer: Timer,
        pending: bool,
        signalled: bool,
        when: fmt::Arguments<'_>,
    ) {
        let found = timer.ppi(self.cpu).is_pending();
        self.expect(
            found == pending,
            format_args!("{timer} pending={found} {when}"),
        );
        let found = ppi::is_signalled();
        self.expect(
            found == signalled,
            format_args!("{timer} signalled={found} {when}"),
        );
    }

    /// Acknowledges an interrupt, which is `expected`; another one is ended at once, so that the checks that
    /// follow do not wait behind it.
    fn take(&mut self, expected: u32, when: fmt::Arguments<'_>) {
        let found = gic::acknowledge();
        self.expect(
            found == expected,
            format_args!("acknowledged={found} {when}"),
        );
        if found != expected && found < gic::FIRST_SPECIAL {
            gic::end(found);
        }
    }

    /// Acknowledges `timer`'s interrupt.
    fn take_timer(&mut self, timer: Timer, when: fmt::Arguments<'_>) {
        self.take(timer.ppi(self.cpu).intid, when);
    }

    /// Ends `timer`'s interrupt.
    fn end(&self, timer: Timer) {
        gic::end(timer.ppi(self.cpu).intid);
    }

    /// Stops both timers; their interrupts are disabled then, neither pending nor active, and nothing else
    /// is in their way.
    fn quiet(&self) {
        for timer in Timer::ALL {
            timer.stop();
            let ppi = timer.ppi(self.cpu);
            ppi.enable(false);
            ppi.pend(false);
            ppi.activate(false);
        }
        ppi::set_priority_mask(true);
        ppi::enable_group(true);
        gic::enable_groups(true);
    }
}
