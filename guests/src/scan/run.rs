//! The scan itself, the same in both Execution states.

use core::fmt;
use core::marker::PhantomData;
use core::ptr;

use super::{Encodings, Name, Reading, Role, Settings, bits, differences, marker, remarkable};
use crate::board::entry::fail;
use crate::board::fdt::Machine;
use crate::board::mismatches::Mismatches;
use crate::board::{gic, psci, timer};
use crate::memory::{PAGE, take_from_end};
use crate::{println, read_sysreg};

/// What reads and writes: instructions that are made for it, and run whatever comes of them.
pub trait Access {
    /// The encodings.
    type Of: Encodings;

    /// The instructions of one access, up to a return.
    fn code(instruction: u32) -> [u32; 4];

    /// Makes what has been written executable, and gets ready to run it: with the MMU off.
    fn prepare();

    /// Runs the instructions at an address with this value in the register, or both, that they write. What
    /// they read there; none if they end by an exception.
    fn run(code: u64, value: u64) -> Reading;

    /// Reads a register that [`run`](Self::run) itself goes through, of those with these names.
    fn read_direct(name: Name) -> Option<u64>;

    /// Writes one of these.
    fn write_direct(name: Name, value: u64);
}

/// Reads the bootargs and follows them.
pub fn main<A: Access>(machine: &Machine) {
    let settings = match Settings::parse(machine.bootargs) {
        Ok(settings) => settings,
        Err(error) => fail(&error),
    };
    let Settings {
        role, seed, rounds, ..
    } = settings;
    // CNTFRQ_EL0 is one of those that are written.
    let (start, pause) = (timer::ticks(settings.start), timer::ticks(settings.pause));
    let is_first = now() < start;
    println!("start role={role:?} seed={seed} rounds={rounds} first-life={is_first}");
    let mut free = machine.free;
    let mut scan = Scan::<A> {
        settings,
        start,
        pause,
        code: take(&mut free, 2 * A::Of::COUNT),
        first: take(&mut free, A::Of::COUNT),
        now: take(&mut free, A::Of::COUNT),
        readings: 0,
        mismatches: Mismatches::default(),
        encodings: PhantomData,
    };
    scan.make_code();
    gic::mask();
    A::prepare();
    scan.read();
    scan.show_first();
    if is_first || !settings.reset {
        // Once more, as exceptions of the first reading have left their traces.
        scan.read();
        scan.keep();
        match role {
            Role::Reader => scan.look(),
            Role::Writer => scan.write_all(),
        }
    }
    let Scan {
        readings,
        mismatches,
        ..
    } = scan;
    let there = scan.now.iter().flatten().count();
    println!("done role={role:?} registers={there} readings={readings} mismatches={mismatches}");
    if settings.reset && is_first {
        loop {
            psci::call(psci::SYSTEM_RESET);
        }
    }
}

/// `count` values in memory that nobody else uses.
fn take<T: Default>(free: &mut (u64, u64), count: usize) -> &'static mut [T] {
    let bytes = (count * size_of::<T>()) as u64;
    let Some(address) = take_from_end(free, bytes, PAGE) else {
        fail(&"there is no memory for the readings");
    };
    let first = ptr::with_exposed_provenance_mut::<T>(address as usize);
    for index in 0..count {
        // SAFETY: RAM that is mapped, aligned and nobody else's.
        unsafe { first.wrapping_add(index).write(T::default()) };
    }
    // SAFETY: as above, and each value is there now.
    unsafe { core::slice::from_raw_parts_mut(first, count) }
}

/// The board's counter.
fn now() -> u64 {
    read_sysreg!("cntpct_el0")
}

struct Scan<A> {
    settings: Settings,
    /// Of the settings, in ticks.
    start: u64,
    pause: u64,
    /// Of each encoding what reads it, then of each what writes it.
    code: &'static mut [[u32; 4]],
    /// What was there first.
    first: &'static mut [Reading],
    /// What is there now.
    now: &'static mut [Reading],
    readings: u64,
    mismatches: Mismatches,
    encodings: PhantomData<A>,
}

impl<A: Access> Scan<A> {
    fn make_code(&mut self) {
        let (reads, writes) = self.code.split_at_mut(A::Of::COUNT);
        for (index, (read, write)) in reads.iter_mut().zip(writes).enumerate() {
            *read = A::code(A::Of::instruction(index, true));
            *write = A::code(A::Of::instruction(index, false));
        }
    }

    fn run(&self, at: usize, value: u64) -> Reading {
        A::run(self.code[at].as_ptr().expose_provenance() as u64, value)
    }

    /// Reads all registers.
    fn read(&mut self) {
        // First those that change by reading others.
        for index in 0..A::Of::COUNT {
            self.now[index] = A::read_direct(A::Of::name(index));
        }
        for index in 0..A::Of::COUNT {
            if self.now[index].is_none() {
                self.now[index] = self.run(index, 0);
            }
        }
        self.readings += 1;
    }

    /// What is read now is what has to be read later.
    fn keep(&mut self) {
        self.first.copy_from_slice(self.now);
    }

    /// Shows what is there at the beginning of a life, so that the lives can be compared.
    fn show_first(&self) {
        if self.settings.reset {
            for (name, value) in remarkable::<A::Of>(self.now) {
                println!("initial {name}={value:#x}");
            }
        }
    }

    /// Looks whether any register changes.
    fn look(&mut self) {
        if now() >= self.start && self.start != 0 {
            fail(&"the others write already: give a later start=");
        }
        while now() < self.start {}
        for round in 0..self.settings.rounds {
            self.pause();
            self.read();
            self.compare(round);
        }
    }

    /// Writes all registers, and looks whether they stay so.
    fn write_all(&mut self) {
        while now() < self.start {}
        for round in 0..self.settings.rounds {
            for index in 0..A::Of::COUNT {
                let (written, _) = bits::<A::Of>(index);
                if written != 0 {
                    let old = self.now[index].unwrap_or(0);
                    let marker = marker(self.settings.seed, round, index);
                    let value = old & !written | marker & written;
                    if A::read_direct(A::Of::name(index)).is_none() {
                        self.run(A::Of::COUNT + index, value);
                    }
                }
            }
            self.write_direct(round);
            self.read();
            self.keep();
            self.write_direct(round);
            self.pause();
            self.read();
            self.compare(round);
        }
    }

    /// Writes those that other accesses change.
    fn write_direct(&self, round: u64) {
        for index in 0..A::Of::COUNT {
            let (written, _) = bits::<A::Of>(index);
            if let Some(old) = A::read_direct(A::Of::name(index)) {
                let marker = marker(self.settings.seed, round, index);
                A::write_direct(A::Of::name(index), old & !written | marker & written);
            }
        }
    }

    /// Lets the others run.
    fn pause(&self) {
        let end = now() + self.pause;
        while now() < end {
            // An exit now and then.
            psci::call(psci::VERSION);
        }
    }

    fn compare(&mut self, round: u64) {
        for (name, first, now) in differences::<A::Of>(self.first, self.now) {
            let (first, now) = (Shown(first), Shown(now));
            self.mismatches
                .add(format_args!("round={round} {name} first={first} now={now}"));
        }
    }
}

/// A reading as it is printed.
struct Shown(Reading);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value:#x}"),
            None => f.write_str("exception"),
        }
    }
}
