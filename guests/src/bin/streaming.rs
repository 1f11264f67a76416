//! The guest `streaming`: tries accesses to its registers under every setting of `CPACR_EL1`, in and out
//! of streaming mode, at EL0 and EL1, after what may have moved the registers; checks that each works
//! or takes the exception that the architecture says, and that nothing is lost. Each CPU of its machine
//! does so.

#![no_std]
#![no_main]

use trapcast_guests::access::{Access, Before, Cpacr, Outcome, Setting, Window, Windows};
use trapcast_guests::board::access::{self, REGISTER, ROW, Stored};
use trapcast_guests::board::entry::fail;
use trapcast_guests::board::fdt::Machine;
use trapcast_guests::board::mismatches::Mismatches;
use trapcast_guests::board::vectors::{self, Features, Rows, SM, ZA};
use trapcast_guests::board::{console, cpus, psci, timer};
use trapcast_guests::bootargs::Streaming as Settings;
use trapcast_guests::classes::RegisterSet;
use trapcast_guests::memory::{self, PAGE, take_from_end};
use trapcast_guests::pattern::{Mismatch, Name, Registers};
use trapcast_guests::println;
use trapcast_guests::rng;
use trapcast_guests::vectors::{Held, Vectors, za_pattern};

trapcast_guests::entry!(main);

/// Bytes from one page that is touched to the next: as much as a hypervisor fills at once.
const FILLED: u64 = 64 << 10;

/// `SMCR_EL1.FA64`.
const FA64: u64 = 1 << 31;

/// Reads the bootargs and follows them.
pub fn main(machine: &Machine) {
    let settings = match Settings::parse(machine.bootargs) {
        Ok(settings) => settings,
        Err(error) => fail(&error),
    };
    let features = Features::read();
    let missing = match settings.registers {
        RegisterSet::Sve | RegisterSet::Sme if !features.sve => Some("SVE"),
        RegisterSet::Sme if !features.sme => Some("SME"),
        _ => None,
    };
    if let Some(missing) = missing {
        let registers = settings.registers;
        fail(&format_args!(
            "registers={registers}, and this CPU shows no {missing}"
        ));
    }
    let check = |cpu| {
        let free = memory::share(machine.free, cpu as u64, machine.cpus as u64);
        match Check::new(settings, cpu, free, features) {
            Some(mut check) => check.run(),
            None => fail(&"there is no memory left for the registers of another CPU"),
        }
    };
    if let Err(cpu) = cpus::on_all(machine.cpus, &check) {
        fail(&format_args!("CPU {cpu} cannot be turned on"));
    }
}

/// Memory for the registers of one CPU.
struct Memory {
    held: Held,
    /// What was written.
    pattern: Vectors,
    /// What was found.
    found: Vectors,
    rows: Rows,
}

struct Check {
    settings: Settings,
    cpu: usize,
    seed: u64,
    memory: &'static mut Memory,
    /// Memory that nobody has touched, as a half-open range of addresses.
    fresh: (u64, u64),
    windows: Windows,
    /// The vector lengths in force outside streaming mode and in it, in granules.
    granules: [usize; 2],
    used: u64,
    mismatches: Mismatches,
}

impl Check {
    fn new(
        settings: Settings,
        cpu: usize,
        mut free: (u64, u64),
        features: Features,
    ) -> Option<Self> {
        let address = take_from_end(&mut free, size_of::<Memory>() as u64, PAGE)?;
        let memory = core::ptr::with_exposed_provenance_mut::<Memory>(address as usize);
        // SAFETY: this is RAM that is mapped and aligned, and nobody else's from now on.
        unsafe { (&raw mut (*memory).held).write(Held::ZERO) };
        let seed = rng::seed_of(settings.seed, cpu as u64);
        Some(Self {
            settings,
            cpu,
            seed,
            // SAFETY: as above; any bytes are numbers.
            memory: unsafe { &mut *memory },
            fresh: free,
            windows: Windows::new(settings.registers, features.fa64, seed),
            granules: [1, 1],
            used: 0,
            mismatches: Mismatches::default(),
        })
    }

    fn run(&mut self) {
        let Settings {
            registers,
            seed,
            windows,
            ..
        } = self.settings;
        let cpu = self.cpu;
        println!("start cpu={cpu} registers={registers} seed={seed} windows={windows}");
        if cpu == 0 {
            console::mark();
        }
        for index in 0..windows {
            let window = self.windows.take();
            self.fill(index, &window);
            access::set_cpacr(window.setting.cpacr);
            if !window.setting.keeps_vectors() {
                self.memory.held.selected(1);
            }
            self.go_before(window.before);
            let reads_device = window.before == Before::Device;
            let (esr, stored) = access::attempt(window.access, window.setting.el, reads_device);
            access::set_cpacr(Cpacr::OPEN);
            let before = self.mismatches;
            self.check(index, &window, esr, &stored);
            if self.mismatches != before {
                println!("cpu={cpu} window={index} was {window:?}, ESR_EL1={esr:#x}");
            }
        }
        let Self {
            used, mismatches, ..
        } = self;
        println!(
            "done cpu={cpu} registers={registers} seed={seed} windows={windows} used={used} \
             mismatches={mismatches}"
        );
    }

    fn has_sve(&self) -> bool {
        self.settings.registers != RegisterSet::Fp
    }

    fn has_sme(&self) -> bool {
        self.settings.registers == RegisterSet::Sme
    }

    /// The vector length that counts under a setting, in granules.
    fn granules(&self, setting: &Setting) -> usize {
        self.granules[usize::from(setting.streaming)]
    }

    /// Selects modes and vector lengths, and fills all registers that there are then.
    fn fill(&mut self, index: u64, window: &Window) {
        access::set_cpacr(Cpacr::OPEN);
        let Setting {
            streaming,
            za,
            fa64,
            ..
        } = window.setting;
        let [length, streaming_length] = window.lengths;
        if self.has_sme() {
            vectors::set_svcr(0);
            self.granules[1] = vectors::select_streaming(streaming_length, fa64);
        }
        if self.has_sve() {
            self.granules[0] = vectors::select(length);
        }
        if self.has_sme() {
            let svcr = [(streaming, SM), (za, ZA)];
            let bits = svcr.iter().filter(|(on, _)| *on).map(|(_, bit)| bit);
            vectors::set_svcr(bits.sum());
        }
        let granules = self.granules(&window.setting);
        let with_ffr = has_ffr(&window.setting);
        let wrong = u128::from(self.settings.fault == Some(index));
        let Memory { held, pattern, .. } = &mut *self.memory;
        pattern.set_pattern(self.seed, index, granules);
        if self.settings.registers == RegisterSet::Fp {
            let mut fp = Registers::pattern(self.seed, index);
            held.wrote_fp(&fp, granules);
            fp.v[REGISTER] ^= wrong;
            vectors::load_v(&fp);
        } else {
            held.wrote(pattern, granules, with_ffr);
            pattern.z[REGISTER][0] ^= wrong;
            vectors::load(pattern, with_ffr);
        }
        if za {
            self.fill_za(index);
        }
    }

    fn fill_za(&mut self, index: u64) {
        let granules = self.granules[1];
        for (row, values) in self.memory.rows[..16 * granules].iter_mut().enumerate() {
            for (granule, value) in values[..granules].iter_mut().enumerate() {
                *value = za_pattern(self.seed, index, row, granule);
            }
        }
        vectors::load_rows(&self.memory.rows, granules);
    }

    /// What may move the registers.
    fn go_before(&mut self, before: Before) {
        match before {
            Before::Nothing | Before::Device => {}
            Before::Call => {
                psci::call(psci::VERSION);
            }
            Before::Wait => timer::wait(),
            Before::Page => {
                if let Some(address) = take_from_end(&mut self.fresh, FILLED, FILLED) {
                    let word = core::ptr::with_exposed_provenance_mut::<u64>(address as usize);
                    // SAFETY: RAM that is mapped, outside the image and the FDT; nothing else
                    // uses it.
                    unsafe { word.write_volatile(address) };
                }
            }
        }
    }

    fn check(&mut self, index: u64, window: &Window, esr: u64, stored: &Stored) {
        let expected = window.access.outcome(window.setting);
        let found = Outcome::of(esr);
        if expected != found {
            let [expected, found] = [expected, found].map(|outcome| outcome.syndrome().into());
            self.compare(index, "ESR_EL1", expected, found);
        }
        if expected == Outcome::Works && found == Outcome::Works {
            self.check_stored(index, window, stored);
        }
        self.check_registers(index, &window.setting);
        self.used += 1;
    }

    /// Checks what an access has stored.
    fn check_stored(&mut self, index: u64, window: &Window, stored: &Stored) {
        let granules = self.granules(&window.setting);
        let Memory { pattern, .. } = &*self.memory;
        let Window { setting, .. } = window;
        let number = u128::from(stored.vector[0] as u64);
        let predicate = |p: &[u16; 16]| {
            (0..granules).find_map(|at| {
                let found = (stored.vector[at / 8] >> (16 * (at % 8))) as u16;
                (p[at] != found).then_some((p[at].into(), found.into()))
            })
        };
        let number =
            |expected: u64| (u128::from(expected) != number).then_some((expected.into(), number));
        let svcr = u64::from(setting.streaming) * SM + u64::from(setting.za) * ZA;
        let vector = |expected: &dyn Fn(usize) -> u128, granules| {
            (0..granules).find_map(|at| {
                let expected = expected(at);
                let found = stored.vector[at];
                (expected != found).then_some((expected, found))
            })
        };
        let wrong = match window.access {
            Access::StoreQ | Access::StoreV => vector(&|_| pattern.z[REGISTER][0], 1),
            Access::StoreZ => vector(&|at| pattern.z[REGISTER][at], granules),
            Access::StoreP => predicate(&pattern.p[REGISTER]),
            Access::Rdffr => predicate(&pattern.ffr),
            Access::StoreZa => {
                let row = |at| za_pattern(self.seed, index, ROW, at);
                vector(&row, self.granules[1])
            }
            Access::Fpcr => number(pattern.fpcr),
            Access::Rdvl => number(16 * granules as u64),
            Access::Rdsvl => number(16 * self.granules[1] as u64),
            Access::Svcr => number(svcr),
            Access::Zcr => number(window.lengths[0] as u64 - 1),
            Access::Smcr => {
                let fa64 = if setting.fa64 { FA64 } else { 0 };
                number((window.lengths[1] as u64 - 1) | fa64)
            }
            // Which bytes it stores is for the predicate to say.
            Access::StoreTile => None,
        };
        if let Some((expected, found)) = wrong {
            self.compare(index, "what it stored", expected, found);
        }
    }

    /// Checks that all registers hold what was left in them.
    fn check_registers(&mut self, index: u64, setting: &Setting) {
        if self.has_sme() {
            let svcr = u64::from(setting.streaming) * SM + u64::from(setting.za) * ZA;
            let found = vectors::svcr();
            self.compare(index, "SVCR", svcr.into(), found.into());
            if found != svcr {
                return;
            }
        }
        let granules = self.granules(setting);
        if self.settings.registers == RegisterSet::Fp {
            let mut found = Registers::ZERO;
            vectors::store_v(&mut found);
            let first = self.memory.held.fp().differences(&found).next();
            self.report(index, first);
        } else {
            let found = vectors::granules();
            self.compare(index, "RDVL", granules as u128, found as u128);
            let with_ffr = has_ffr(setting);
            let Memory { held, found, .. } = &mut *self.memory;
            vectors::store(found, with_ffr);
            let first = held.differences(found, granules, with_ffr).next();
            self.report(index, first);
        }
        if setting.za {
            self.check_za(index);
        }
    }

    fn check_za(&mut self, index: u64) {
        let granules = self.granules[1];
        vectors::store_rows(&mut self.memory.rows, granules);
        let rows = self.memory.rows[..16 * granules].iter().enumerate();
        let mut values = rows.flat_map(|(row, values)| {
            let values = values[..granules].iter().enumerate();
            values.map(move |(at, found)| (row, at, *found))
        });
        let wrong = values.find_map(|(row, at, found)| {
            let expected = za_pattern(self.seed, index, row, at);
            Mismatch::of(Name::Za(row as u8, at as u8), expected, found)
        });
        self.report(index, wrong);
    }

    fn compare(&mut self, index: u64, name: &'static str, expected: u128, found: u128) {
        self.report(index, Mismatch::of(Name::Other(name), expected, found));
    }

    fn report(&mut self, index: u64, mismatch: Option<Mismatch>) {
        if let Some(mismatch) = mismatch {
            self.mismatches
                .add(format_args!("cpu={} window={index} {mismatch}", self.cpu));
        }
    }
}

/// Whether FFR can be used.
const fn has_ffr(setting: &Setting) -> bool {
    !setting.streaming || setting.fa64
}
