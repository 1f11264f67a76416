//! The checks of a vCPU that uses SVE and SME: what each class of window finds, selects and leaves.
//!
//! Source: Arm ARM, B1.4 "Streaming SVE mode", "PSTATE.SM", "PSTATE.ZA": a change of SM zeroes Z, P and
//! FFR, and turning ZA on zeroes ZA.

use core::fmt;

use super::vectors::{self, Features, Rows, SM, ZA};
use crate::bootargs::Checker as Settings;
use crate::classes::{Choices, Class, Length, Lengths, RegisterSet, Shares};
use crate::memory::{PAGE, take_from_end};
use crate::pattern::{Mismatch, Name, Registers};
use crate::rng::mix;
use crate::vectors::{Held, MAX_GRANULES, Vectors, za_pattern};

/// Memory for the registers of one vCPU.
struct Memory {
    /// What Z, P, FFR and the registers inside them hold.
    held: Held,
    /// What was found, or is written next.
    vectors: Vectors,
    rows: Rows,
}

/// What a vCPU has of SVE or of SME.
#[derive(Clone, Copy, Debug)]
struct Extension {
    lengths: Lengths,
    told: Length,
    /// The length in force, in granules.
    granules: usize,
}

impl Extension {
    fn new(told: Length, select: impl Fn(usize) -> usize) -> Self {
        let lengths = vectors::lengths(&select);
        let asked = match told {
            Length::Bits(bits) => bits / 128,
            Length::Max | Length::Vary => MAX_GRANULES,
        };
        Self {
            lengths,
            told,
            granules: select(asked),
        }
    }

    /// What to select now, if the length changes.
    fn next(&self, choices: &mut Choices) -> Option<usize> {
        let next = choices.length();
        next.filter(|_| self.told == Length::Vary)
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = 128 * self.granules;
        write!(f, "{bits} of {} lengths", self.lengths.count())?;
        if self.told == Length::Vary {
            f.write_str(", which varies")?;
        }
        Ok(())
    }
}

/// What one window does.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// The registers that it uses.
    pub class: Class,
    /// Its number.
    pub window: u64,
    /// Whether to leave a wrong bit.
    pub fault: bool,
}

/// A vCPU that uses SVE or SME.
pub struct Wide {
    memory: &'static mut Memory,
    seed: u64,
    shares: Shares,
    choices: Choices,
    sve: Option<Extension>,
    sme: Option<Extension>,
    fa64: bool,
    svcr: u64,
    tpidr2: u64,
    /// The window whose pattern ZA holds; zeroes without one.
    za: Option<u64>,
    /// Windows of each class.
    counts: [u64; 3],
}

impl Wide {
    /// Gets this vCPU ready to follow `settings`; takes memory from the end of `free`, a half-open range
    /// of addresses that nobody else uses. `None` for a guest with FP/SIMD alone.
    ///
    /// # Errors
    ///
    /// Says what this CPU lacks for it.
    pub fn new(settings: &Settings, free: &mut (u64, u64)) -> Result<Option<Self>, &'static str> {
        let features = Features::read();
        let (sve, sme) = match settings.registers {
            RegisterSet::Fp => return Ok(None),
            RegisterSet::Sve if !features.sve => {
                return Err("registers=sve, and this CPU shows no SVE");
            }
            RegisterSet::Sve => (true, false),
            RegisterSet::Sme if !features.sme => {
                return Err("registers=sme, and this CPU shows no SME");
            }
            RegisterSet::Sme => (features.sve, true),
        };
        let address = take_from_end(free, size_of::<Memory>() as u64, PAGE)
            .ok_or("there is no memory left for the registers of another vCPU")?;
        let memory = core::ptr::with_exposed_provenance_mut::<Memory>(address as usize);
        // SAFETY: this is RAM that is mapped and aligned, and nobody else's from now on.
        unsafe { (&raw mut (*memory).held).write(Held::ZERO) };
        // SAFETY: as above; any bytes are numbers.
        let memory = unsafe { &mut *memory };
        vectors::open();
        let streaming = |granules| vectors::select_streaming(granules, features.fa64);
        let sve = sve.then(|| Extension::new(settings.length, vectors::select));
        let sme = sme.then(|| Extension::new(settings.streaming_length, streaming));
        Ok(Some(Self {
            memory,
            seed: settings.seed,
            shares: Shares {
                sme: if sme.is_some() {
                    settings.shares.sme
                } else {
                    0
                },
                sve: if sve.is_some() {
                    settings.shares.sve
                } else {
                    0
                },
            },
            choices: Choices::new(settings.seed),
            sve,
            sme,
            fa64: features.fa64,
            svcr: 0,
            tpidr2: 0,
            za: None,
            counts: [0; 3],
        }))
    }

    /// What the next window uses.
    pub fn next_class(&mut self) -> Class {
        let class = self.choices.class(self.shares);
        self.counts[class as usize] += 1;
        class
    }

    /// Whether FP/SIMD instructions work as outside streaming mode.
    pub fn is_plain(&self) -> bool {
        self.svcr & SM == 0
    }

    /// What V, FPSR and FPCR hold.
    pub fn fp(&self) -> Registers {
        self.memory.held.fp()
    }

    /// After a window outside streaming mode has left `next` in V, FPSR and FPCR.
    pub fn wrote_fp(&mut self, next: &Registers) {
        let granules = self.granules();
        self.memory.held.wrote_fp(next, granules);
    }

    /// Uses the registers of one class: checks what they hold, and leaves something else.
    pub fn run(&mut self, task: Task, report: &mut dyn FnMut(Mismatch)) {
        match task.class {
            Class::Fp => self.use_v(task, report),
            Class::Sve => self.use_vectors(task, report),
            Class::Sme => self.use_sme(task, report),
        }
    }

    /// The vector length that counts now, in granules.
    fn granules(&self) -> usize {
        let extension = if self.is_plain() { self.sve } else { self.sme };
        extension.map_or(1, |extension| extension.granules)
    }

    fn has_ffr(&self) -> bool {
        self.is_plain() || self.fa64
    }

    fn use_v(&mut self, task: Task, report: &mut dyn FnMut(Mismatch)) {
        let mut found = Registers::ZERO;
        vectors::store_v(&mut found);
        self.fp().differences(&found).for_each(report);
        let next = Registers::pattern(self.seed, task.window);
        let mut written = next;
        written.v[3] ^= u128::from(task.fault);
        vectors::load_v(&written);
        self.wrote_fp(&next);
    }

    fn use_vectors(&mut self, task: Task, report: &mut dyn FnMut(Mismatch)) {
        self.check_vectors(report);
        let change = self.sve.and_then(|sve| sve.next(&mut self.choices));
        if let Some(asked) = change.filter(|_| self.is_plain()) {
            self.change_length(asked, report);
        }
        self.fill_vectors(task);
    }

    fn change_length(&mut self, asked: usize, report: &mut dyn FnMut(Mismatch)) {
        if let Some(sve) = &mut self.sve {
            sve.granules = sve.lengths.selected(asked);
            vectors::select(asked);
            self.memory.held.selected(sve.granules);
            self.check_vectors(report);
        }
    }

    fn check_vectors(&mut self, report: &mut dyn FnMut(Mismatch)) {
        let (granules, with_ffr) = (self.granules(), self.has_ffr());
        compare("VL", granules as u64, vectors::granules() as u64, report);
        let Memory { held, vectors, .. } = &mut *self.memory;
        vectors::store(vectors, with_ffr);
        held.differences(vectors, granules, with_ffr)
            .for_each(report);
    }

    fn fill_vectors(&mut self, task: Task) {
        let (granules, with_ffr) = (self.granules(), self.has_ffr());
        let Memory { held, vectors, .. } = &mut *self.memory;
        vectors.set_pattern(self.seed, task.window, granules);
        held.wrote(vectors, granules, with_ffr);
        vectors.z[3][granules - 1] ^= u128::from(task.fault);
        vectors::load(vectors, with_ffr);
    }

    fn use_sme(&mut self, task: Task, report: &mut dyn FnMut(Mismatch)) {
        self.check_sme(report);
        self.change_streaming_length(report);
        self.change_svcr(report);
        if !self.is_plain() {
            self.fill_vectors(task);
        }
        if self.svcr & ZA != 0 {
            self.fill_za(task);
        }
        self.tpidr2 = mix(self.seed ^ mix(task.window));
        let wrong = task.fault && self.svcr == 0;
        vectors::set_tpidr2(self.tpidr2 ^ u64::from(wrong));
    }

    fn check_sme(&mut self, report: &mut dyn FnMut(Mismatch)) {
        compare("SVCR", self.svcr, vectors::svcr(), report);
        compare("TPIDR2_EL0", self.tpidr2, vectors::tpidr2(), report);
        if !self.is_plain() {
            self.check_vectors(report);
        }
        if self.svcr & ZA != 0 {
            self.check_za(report);
        }
    }

    /// Selects another streaming vector length, now and then. What that does to registers in use is
    /// partly undefined, so streaming mode and ZA go off before it.
    fn change_streaming_length(&mut self, report: &mut dyn FnMut(Mismatch)) {
        let change = self.sme.and_then(|sme| sme.next(&mut self.choices));
        let Some(asked) = change else {
            return;
        };
        self.set_svcr(0);
        if let Some(sme) = &mut self.sme {
            sme.granules = sme.lengths.selected(asked);
            let found = vectors::select_streaming(asked, self.fa64);
            compare("SVL", sme.granules as u64, found as u64, report);
        }
    }

    /// Turns streaming mode and ZA on and off, and checks what comes into sight.
    fn change_svcr(&mut self, report: &mut dyn FnMut(Mismatch)) {
        let old = self.svcr;
        let next = self.choices.svcr();
        self.set_svcr(next);
        let turned_on = self.svcr & !old;
        if turned_on & SM != 0 {
            self.check_vectors(report);
        }
        if turned_on & ZA != 0 {
            self.check_za(report);
        }
    }

    fn set_svcr(&mut self, next: u64) {
        vectors::set_svcr(next);
        let changed = self.svcr ^ next;
        if changed & SM != 0 {
            self.memory.held.changed_mode();
        }
        if changed & ZA != 0 {
            self.za = None;
        }
        self.svcr = next;
    }

    fn streaming_granules(&self) -> usize {
        self.sme.map_or(1, |sme| sme.granules)
    }

    fn check_za(&mut self, report: &mut dyn FnMut(Mismatch)) {
        let granules = self.streaming_granules();
        vectors::store_rows(&mut self.memory.rows, granules);
        for (row, found) in self.memory.rows[..16 * granules].iter().enumerate() {
            let wrong = (0..granules).find_map(|granule| {
                let pattern = |window| za_pattern(self.seed, window, row, granule);
                let expected = self.za.map_or(0, pattern);
                (expected != found[granule]).then_some((granule, expected))
            });
            if let Some((granule, expected)) = wrong {
                report(Mismatch {
                    name: Name::Za(row as u8, granule as u8),
                    expected,
                    found: found[granule],
                });
            }
        }
    }

    fn fill_za(&mut self, task: Task) {
        let granules = self.streaming_granules();
        for (row, values) in self.memory.rows[..16 * granules].iter_mut().enumerate() {
            for (granule, value) in values[..granules].iter_mut().enumerate() {
                *value = za_pattern(self.seed, task.window, row, granule);
            }
        }
        self.memory.rows[3][granules - 1] ^= u128::from(task.fault);
        vectors::load_rows(&self.memory.rows, granules);
        self.za = Some(task.window);
    }
}

fn compare(name: &'static str, expected: u64, found: u64, report: &mut dyn FnMut(Mismatch)) {
    let mismatch = Mismatch::of(Name::Other(name), expected.into(), found.into());
    mismatch.into_iter().for_each(report);
}

impl fmt::Display for Wide {
    /// What there is, and how many windows of each class there were.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fp, sve, sme] = self.counts;
        write!(f, "fp={fp} sve={sve} sme={sme}")?;
        if let Some(sve) = &self.sve {
            write!(f, "; VL {sve}")?;
        }
        if let Some(sme) = &self.sme {
            write!(f, "; SVL {sme}")?;
        }
        Ok(())
    }
}
