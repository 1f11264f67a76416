//! The checker: uses the FP/SIMD registers in a known pattern of windows, and checks at each use
//! that they hold exactly what it left in them. Each CPU of its machine is a checker of its own.

#![no_std]
#![no_main]

use trapcast_guests::board::entry::fail;
use trapcast_guests::board::fdt::Machine;
use trapcast_guests::board::mismatches::Mismatches;
use trapcast_guests::board::wide::{Task, Wide};
use trapcast_guests::board::window::{self, Found, Opening};
use trapcast_guests::board::{console, cpus, delays, timer};
use trapcast_guests::bootargs::Checker as Settings;
use trapcast_guests::classes::Class;
use trapcast_guests::memory::{self, FreshPages};
use trapcast_guests::pattern::{Mismatch, Name, Registers};
use trapcast_guests::plan::{Plan, Window};
use trapcast_guests::println;
use trapcast_guests::rng::SplitMix64;

trapcast_guests::entry!(main);

/// Windows from one fresh page of memory to the next.
const WINDOWS_PER_PAGE: u64 = 64;

/// Windows from one line to the next with `verbose`.
const WINDOWS_PER_LINE: u64 = 1000;

/// Reads the bootargs and follows them.
pub fn main(machine: &Machine) {
    match Settings::parse(machine.bootargs) {
        Ok(settings) => run_on_all(settings, machine),
        Err(error) => fail(&error),
    }
}

fn run_on_all(settings: Settings, machine: &Machine) {
    let check = |cpu| {
        let mut free = memory::share(machine.free, cpu as u64, machine.cpus as u64);
        let own = Settings {
            seed: settings.seed_of(cpu),
            ..settings
        };
        match Wide::new(&own, &mut free) {
            Ok(wide) => Checker::new(settings, cpu, free, wide).run(),
            Err(error) => fail(&error),
        }
    };
    if let Err(cpu) = cpus::on_all(machine.cpus, &check) {
        fail(&format_args!("CPU {cpu} cannot be turned on"));
    }
}

struct Checker {
    settings: Settings,
    cpu: usize,
    /// The seed of this CPU: that of the settings is the first one's.
    seed: u64,
    expected: Registers,
    /// What there is besides FP/SIMD.
    wide: Option<Wide>,
    pages: FreshPages,
    operands: SplitMix64,
    /// Ticks from now to the timer's next expiry.
    distances: SplitMix64,
    used: u64,
    mismatches: Mismatches,
}

impl Checker {
    fn new(settings: Settings, cpu: usize, free: (u64, u64), wide: Option<Wide>) -> Self {
        let seed = settings.seed_of(cpu);
        Self {
            settings,
            cpu,
            seed,
            expected: Registers::ZERO,
            wide,
            pages: FreshPages::new(free),
            operands: SplitMix64::stream(seed, 2),
            distances: SplitMix64::stream(seed, 3),
            used: 0,
            mismatches: Mismatches::default(),
        }
    }

    fn run(&mut self) {
        let Settings {
            workload,
            seed,
            windows,
            exits,
            percent,
            work,
            ..
        } = self.settings;
        let cpu = self.cpu;
        println!(
            "start cpu={cpu} workload={workload} seed={seed} windows={windows} exits={exits} \
             p={percent}"
        );
        if cpu == 0 {
            console::mark();
        }
        let plan = Plan::new(workload, self.seed, percent).with_most_work(work);
        for (index, window) in (0..windows).zip(plan) {
            if let Some(longest) = self.settings.timer {
                delays::go_on(|| 1 + self.distances.below(timer::ticks(longest).max(1)));
            }
            self.run_window(index, &window);
            if index % WINDOWS_PER_PAGE == WINDOWS_PER_PAGE - 1 {
                self.touch_fresh_page(index);
            }
            if self.settings.verbose && (index + 1) % WINDOWS_PER_LINE == 0 {
                let Self {
                    used, mismatches, ..
                } = self;
                let ran = index + 1;
                println!("ran cpu={cpu} windows={ran} used={used} mismatches={mismatches}");
            }
        }
        if self.settings.timer.is_some() {
            delays::print();
        }
        if let Some(wide) = &self.wide {
            println!("classes cpu={cpu} {wide}");
        }
        let Self {
            used, mismatches, ..
        } = self;
        println!(
            "done cpu={cpu} workload={workload} seed={seed} windows={windows} used={used} \
             mismatches={mismatches}"
        );
    }

    fn run_window(&mut self, index: u64, window: &Window) {
        let Settings { exits, timer, .. } = self.settings;
        let waits = exits != 0 && timer.is_none();
        let opening = if waits && index.is_multiple_of(exits) {
            Opening::Wait
        } else {
            Opening::Call
        };
        if let Some(class) = self.class_beyond_fp(window) {
            let unused = Window {
                uses: false,
                ..*window
            };
            window::run(&unused, opening, 0, &Registers::ZERO);
            return self.use_wide(index, class);
        }
        let next = Registers::pattern(self.seed, index);
        let operand = self.operands.below(1 << 16);
        let mut written = next;
        if self.settings.fault == Some(index) {
            written.v[3] ^= 1;
        }
        if let Some(found) = window::run(window, opening, operand, &written) {
            self.check(index, operand, &found);
            self.expected = next;
            self.used += 1;
            if let Some(wide) = &mut self.wide {
                wide.wrote_fp(&next);
            }
        }
    }

    /// The class of registers that this window uses, if the window's own code cannot use it.
    fn class_beyond_fp(&mut self, window: &Window) -> Option<Class> {
        let wide = self.wide.as_mut().filter(|_| window.uses)?;
        let class = wide.next_class();
        (class != Class::Fp || !wide.is_plain()).then_some(class)
    }

    /// Uses SVE or SME at the end of a window.
    fn use_wide(&mut self, index: u64, class: Class) {
        let Some(mut wide) = self.wide.take() else {
            return;
        };
        let task = Task {
            class,
            window: index,
            fault: self.settings.fault == Some(index),
        };
        wide.run(task, &mut |mismatch| self.report(index, &mismatch));
        self.expected = wide.fp();
        self.used += 1;
        self.wide = Some(wide);
    }

    fn check(&mut self, index: u64, operand: u64, found: &Found) {
        let expected = self.expected;
        for mismatch in expected.differences(&found.registers) {
            self.report(index, &mismatch);
        }
        let sum = window::expected_sum(operand);
        self.compare(index, Name::Arithmetic, sum, found.sum);
    }

    /// Checks that the next fresh page reads as zero, and writes to it.
    fn touch_fresh_page(&mut self, index: u64) {
        let Some(address) = self.pages.next() else {
            return;
        };
        let word = core::ptr::with_exposed_provenance_mut::<u64>(address as usize);
        // SAFETY: the page is RAM that is mapped, outside the image and the FDT; nothing else
        // uses it.
        let found = unsafe { word.read_volatile() };
        self.compare(index, Name::Memory, 0, found);
        // SAFETY: as above.
        unsafe { word.write_volatile(address) };
    }

    fn compare(&mut self, index: u64, name: Name, expected: u64, found: u64) {
        if let Some(mismatch) = Mismatch::of(name, expected.into(), found.into()) {
            self.report(index, &mismatch);
        }
    }

    fn report(&mut self, index: u64, mismatch: &Mismatch) {
        self.mismatches
            .add(format_args!("cpu={} window={index} {mismatch}", self.cpu));
    }
}
