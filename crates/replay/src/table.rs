//! The state machine as a table that fills as it is used.
//!
//! A row stands for one vCPU and its core: all that the state machine knows of them, and nothing counted.
//! What can happen next is a number; the entry of a row and such a number says which row comes after it, and
//! how often it was taken. The first time, the state machine itself is run. What was counted is had at the
//! end, by running each entry that was taken once more, times how often.

use std::{collections::hash_map::Entry, hash::Hash};

use rustc_hash::FxHashMap;
use trapcast_forecast::{Decision, Evidence, Release, Resume, Rule, Scheme, Window};
use trapcast_switch::{Class, Context, Forecast, Gate, GateRegister};

use super::{
    batch::WINDOW,
    counts::SchemeCounts,
    machine::{Place, Twin},
};

/// Whose registers a core holds, as one vCPU sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub(super) enum Owner {
    /// The host's.
    Host,
    /// This vCPU's.
    Me,
    /// Another vCPU's.
    Other,
    /// Another core's host's, which this core does not hold.
    Elsewhere,
}

impl Context for Owner {}

/// What can happen to a vCPU in its core, as a number: it finds its core in some state after others ran
/// there; it is turned on; a window by its flags, whose forecaster was not asked or has decided; it leaves a
/// core in some state for another one. In this order, so that what is common to all windows lies together.
pub(super) type Symbol = usize;

/// States of a core that a vCPU can find: three owners, and the gate.
const CORES: Symbol = 6;

const SEAT: Symbol = 0;
/// The symbol of being turned on.
pub(super) const POWER_ON: Symbol = SEAT + CORES;
const WINDOW_SYMBOL: Symbol = POWER_ON + 1;
const FETCH: Symbol = WINDOW_SYMBOL + 4 * WINDOWS;
const SYMBOLS: Symbol = FETCH + CORES;

/// Windows by their flags.
const WINDOWS: Symbol = WINDOW as usize + 1;

/// Two windows by their flags.
const PAIRS: usize = WINDOWS * WINDOWS;

/// Returns the symbol of a window of these flags, below 8, in which nothing was asked.
#[inline(always)]
pub(super) const fn window(flags: u8) -> Symbol {
    WINDOW_SYMBOL + flags as Symbol
}

/// Returns the symbol of a window of these flags, below 8, in which this was decided.
#[inline(always)]
pub(super) const fn decided(flags: u8, decision: Decision) -> Symbol {
    window(flags)
        + WINDOWS
            * match decision {
                Decision::Leave => 1,
                Decision::Load => 2,
                Decision::Probe => 3,
            }
}

/// Returns the symbol of finding a core in this state.
#[inline(always)]
pub(super) const fn seat(core: Seen) -> Symbol {
    SEAT + core.number()
}

/// Returns the symbol of leaving a core, which is in this state, for another one.
pub(super) const fn fetch(core: Seen) -> Symbol {
    FETCH + core.number()
}

/// A core as one vCPU sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub(super) struct Seen {
    /// Whose registers it holds.
    pub owner: Owner,
    /// Whether its gate is open.
    pub open: bool,
}

impl Seen {
    #[inline(always)]
    const fn number(self) -> Symbol {
        self.owner as Symbol * 2 + self.open as Symbol
    }

    const fn from_number(number: Symbol) -> Self {
        Self {
            owner: match number / 2 {
                0 => Owner::Host,
                1 => Owner::Me,
                _ => Owner::Other,
            },
            open: number % 2 == 1,
        }
    }

    const fn place(self) -> Place<Owner> {
        let gate = if self.open {
            Gate::Open(Class::Fp)
        } else {
            Gate::Closed
        };
        Place::with(Owner::Host, self.owner, GateRegister::new(gate))
    }
}

/// A forecaster that is part of a row.
pub(super) trait Memory: Forecast + Copy + Eq + Hash {
    /// What it is to answer, if it is asked.
    fn answer(&mut self, _: Decision) {}

    /// Forgets what it was asked and told, and returns it.
    fn take(&mut self) -> Heard {
        Heard::default()
    }
}

/// A rule remembers little, and decides itself.
impl Memory for Rule {}

/// What a forecaster was asked and told in a window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Heard {
    /// It was asked at the entry.
    pub asked: bool,
    /// What it was told before.
    pub before: Option<Evidence>,
    /// What it was told after, or in all if it was not asked.
    pub after: Option<Evidence>,
}

/// Stands for a forecaster whose memory is too large for a row: what it is asked and told is passed on, and
/// what it answers is part of the symbol.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Proxy {
    window: Window,
    release: Release,
    answer: Decision,
    asked: bool,
    told: [Option<Evidence>; 2],
}

impl Proxy {
    /// Returns one that stands for `forecaster`.
    pub fn of(forecaster: &impl Forecast) -> Self {
        Self {
            window: forecaster.window(),
            release: forecaster.release(),
            answer: Decision::Leave,
            asked: false,
            told: [None; 2],
        }
    }
}

impl Forecast for Proxy {
    fn decide(&mut self, _: impl FnOnce() -> Resume) -> Decision {
        self.asked = true;
        self.answer
    }

    fn learn(&mut self, evidence: Evidence) {
        let told = &mut self.told[usize::from(self.asked)];
        debug_assert!(told.is_none(), "a window is learnt of once");
        *told = Some(evidence);
    }

    fn window(&self) -> Window {
        self.window
    }

    fn release(&self) -> Release {
        self.release
    }
}

impl Memory for Proxy {
    fn answer(&mut self, decision: Decision) {
        self.answer = decision;
    }

    fn take(&mut self) -> Heard {
        self.answer = Decision::Leave;
        let asked = std::mem::take(&mut self.asked);
        let [first, second] = std::mem::take(&mut self.told);
        let (before, after) = if asked {
            (first, second)
        } else {
            (None, first)
        };
        Heard {
            asked,
            before,
            after,
        }
    }
}

/// A vCPU and its core between two windows, nothing counted yet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct State<M> {
    vcpu: Twin<Owner, M>,
    core: Place<Owner>,
}

impl<M: Memory> State<M> {
    /// Returns the state after something has happened, what that counted, and what the forecaster heard.
    fn after(mut self, symbol: Symbol) -> (Self, SchemeCounts, Heard) {
        let mut counts = SchemeCounts::default();
        match symbol {
            POWER_ON => self.core.power_on(&mut self.vcpu, |_, _| ()),
            FETCH.. => {
                let mut old = Seen::from_number(symbol - FETCH).place();
                Place::new(Owner::Elsewhere).fetch(&mut old, &mut self.vcpu);
                self.core = old;
            }
            ..POWER_ON => self.core = Seen::from_number(symbol - SEAT).place(),
            _ => {
                let window = symbol - WINDOW_SYMBOL;
                let answer = match window / WINDOWS {
                    2 => Decision::Load,
                    3 => Decision::Probe,
                    _ => Decision::Leave,
                };
                for forecaster in self.vcpu.forecasters() {
                    forecaster.answer(answer);
                }
                let flags = (window % WINDOWS) as u8;
                // Who has to know how the guest resumes is asked outside.
                let resume = Resume::default();
                let vcpu = &mut self.vcpu;
                let saved = self.core.window(vcpu, flags, resume, |_, _| ());
                let evicted = matches!(saved, Some(Owner::Me | Owner::Other));
                counts.host_evictions += u64::from(evicted);
            }
        }
        self.core.count_gate(&mut counts);
        counts += self.vcpu.take_counts();
        let [heard, observed] = self.vcpu.forecasters().map(Memory::take);
        debug_assert_eq!(heard, observed, "the observer changed what is seen");
        (self, counts, heard)
    }

    /// Returns the core as the vCPU leaves it.
    fn core(&self) -> Seen {
        Seen {
            owner: self.core.owner(),
            open: self.core.gate() == GateRegister::new(Gate::Open(Class::Fp)),
        }
    }
}

/// A row that a vCPU is in, and what its forecaster is asked and told there: by its number in the lowest
/// sixteen bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct At(u32);

impl At {
    /// No row: it is not in the table yet.
    const UNKNOWN: Self = Self(u32::MAX);

    const ASKS: u32 = 1 << 16;
    const BEFORE: u32 = 17;
    const AFTER: u32 = 19;

    #[inline(always)]
    const fn row(self) -> usize {
        self.0 as usize & 0xffff
    }

    /// Whether the forecaster is asked at the next entry.
    #[inline(always)]
    pub const fn asks(self) -> bool {
        self.0 & Self::ASKS != 0
    }

    /// What the forecaster learns before it is asked.
    #[inline(always)]
    pub const fn learns_before(self) -> Option<Evidence> {
        evidence(self.0 >> Self::BEFORE)
    }

    /// What it learns of the window before that. It need not be told until it is asked the next time.
    #[inline(always)]
    pub const fn learns(self) -> Option<Evidence> {
        evidence(self.0 >> Self::AFTER)
    }

    /// This one, reached from `before`: what the forecaster was not told there is still to be told.
    #[inline(always)]
    pub const fn owing(self, before: Self) -> Self {
        Self(self.0 | before.0 & 3 << Self::AFTER)
    }

    fn with(self, learns: Option<Evidence>) -> Self {
        Self(self.0 | code(learns) << Self::AFTER)
    }
}

const fn code(evidence: Option<Evidence>) -> u32 {
    match evidence {
        None => 0,
        Some(Evidence::Used) => 1,
        Some(Evidence::Unused) => 2,
        Some(Evidence::Blind) => 3,
    }
}

#[inline(always)]
const fn evidence(code: u32) -> Option<Evidence> {
    // Mostly there is none: what there is else is looked up, so that nothing has to be guessed.
    const KINDS: [Evidence; 4] = [
        Evidence::Blind,
        Evidence::Used,
        Evidence::Unused,
        Evidence::Blind,
    ];
    match code & 3 {
        0 => None,
        code => Some(KINDS[code as usize]),
    }
}

/// Rows above which a table is begun anew when there is time for it. Tests have that happen often.
const MANY: usize = if cfg!(test) { 50 } else { 1 << 14 };

/// What may happen before there is time for that: no more makes a row each.
pub(super) const STEPS: usize = (1 << 15) / 4;
const _: () = assert!(MANY + 4 * STEPS < 1 << 16);

/// One vCPU and its core, and what can happen next.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Row {
    /// The core, as others find it.
    core: Seen,
    /// By symbol, in one word that is read and written whole: how often it was taken since the counts were
    /// last added up, and above that, where it leads ([`At`]).
    entries: [u64; SYMBOLS],
    /// The same for two windows, by their flags.
    pairs: [u64; PAIRS],
}

/// The windows of a row lie in one cache line.
const _: () = assert!(
    (std::mem::offset_of!(Row, entries) + WINDOW_SYMBOL * size_of::<u64>()).is_multiple_of(64)
);

/// An entry that was never taken.
const NEW: u64 = (At::UNKNOWN.0 as u64) << 32;

/// The rows of all vCPUs of a scheme.
#[derive(Debug)]
pub(super) struct Table<M> {
    rows: Vec<Row>,
    states: Vec<State<M>>,
    index: FxHashMap<State<M>, At>,
    /// The row of a vCPU that has not run yet, on a core where nobody has.
    pub start: At,
    counts: SchemeCounts,
    /// Steps since they were last added up, at most.
    pending: usize,
}

impl<M: Memory> Table<M> {
    /// Returns the table of vCPUs whose forecasters begin like this.
    pub fn new(memory: M) -> Self {
        let mut table = Self {
            rows: Vec::new(),
            states: Vec::new(),
            index: FxHashMap::default(),
            start: At::UNKNOWN,
            counts: SchemeCounts::default(),
            pending: 0,
        };
        table.start = table.intern(State {
            vcpu: Twin::new(Owner::Me, memory),
            core: Place::new(Owner::Host),
        });
        table
    }

    /// Returns the core as others find it after a vCPU in this row.
    #[inline(always)]
    pub fn core(&self, at: At) -> Seen {
        self.rows[at.row()].core
    }

    /// Takes one step.
    #[inline(always)]
    pub fn step(&mut self, at: At, symbol: Symbol) -> At {
        let entry = &mut self.rows[at.row()].entries[symbol];
        let next = At((*entry >> 32) as u32);
        *entry = entry.wrapping_add(1);
        if next == At::UNKNOWN {
            return self.find_out(at, symbol);
        }
        next
    }

    /// Goes through two windows in which nothing is asked, by their flags.
    #[inline(always)]
    pub fn step_twice(&mut self, at: At, flags: [u8; 2]) -> At {
        let pair = usize::from(flags[0]) + WINDOWS * usize::from(flags[1]);
        let entry = &mut self.rows[at.row()].pairs[pair % PAIRS];
        let next = At((*entry >> 32) as u32);
        *entry = entry.wrapping_add(1);
        if next == At::UNKNOWN {
            return self.find_out_twice(at, flags);
        }
        next
    }

    /// Takes two steps, and notes where they lead.
    #[cold]
    #[inline(never)]
    fn find_out_twice(&mut self, at: At, flags: [u8; 2]) -> At {
        let next = flags
            .iter()
            .fold(at, |at, &flags| self.step(at, window(flags)));
        let pair = usize::from(flags[0]) + WINDOWS * usize::from(flags[1]);
        // The steps were counted by themselves.
        self.rows[at.row()].pairs[pair] = u64::from(next.0) << 32;
        next
    }

    /// Counts two windows that were taken together as one and the other.
    fn divide_pairs(&mut self) {
        for row in 0..self.rows.len() {
            for pair in 0..PAIRS {
                let entry = self.rows[row].pairs[pair];
                let hits = u64::from(entry as u32);
                if hits != 0 {
                    self.rows[row].pairs[pair] = entry - hits;
                    let first = &mut self.rows[row].entries[window((pair % WINDOWS) as u8)];
                    *first += hits;
                    let between = At((*first >> 32) as u32).row();
                    self.rows[between].entries[window((pair / WINDOWS) as u8)] += hits;
                }
            }
        }
    }

    /// Runs the state machine for a step that was not taken before.
    #[cold]
    #[inline(never)]
    fn find_out(&mut self, at: At, symbol: Symbol) -> At {
        let (state, _, heard) = self.states[at.row()].after(symbol);
        let next = self.intern(state).with(heard.after);
        let entry = &mut self.rows[at.row()].entries[symbol];
        *entry = u64::from(next.0) << 32 | u64::from(*entry as u32);
        next
    }

    /// Returns the row of a state.
    fn intern(&mut self, state: State<M>) -> At {
        let vacant = match self.index.entry(state) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(vacant) => vacant,
        };
        let (.., heard) = state.after(window(0));
        let asks = if heard.asked { At::ASKS } else { 0 };
        let at = At(self.rows.len() as u32 | asks | code(heard.before) << At::BEFORE);
        vacant.insert(at);
        self.rows.push(Row {
            core: state.core(),
            entries: [NEW; SYMBOLS],
            pairs: [NEW; PAIRS],
        });
        self.states.push(state);
        at
    }

    /// Makes ready for so many windows more, at most [`STEPS`]. `current` are the rows that vCPUs are in:
    /// a table that has too many is begun anew with these.
    pub fn expect(&mut self, windows: usize, current: &mut [At]) {
        self.pending += windows;
        let is_full = self.rows.len() > MANY;
        if is_full || self.pending > u32::MAX as usize / 4 {
            self.add_up();
            self.pending = windows;
        }
        if is_full {
            let kept = std::iter::once(&self.start).chain(&*current);
            let kept: Vec<_> = kept.map(|at| self.states[at.row()]).collect();
            self.rows.clear();
            self.states.clear();
            self.index.clear();
            let mut kept = kept.into_iter().map(|state| self.intern(state));
            // The first row is the first again.
            kept.next();
            for (at, kept) in current.iter_mut().zip(kept) {
                *at = kept.owing(*at);
            }
        }
    }

    /// Adds up what was taken since the last time.
    fn add_up(&mut self) {
        self.divide_pairs();
        for (row, state) in self.rows.iter_mut().zip(&self.states) {
            for (symbol, entry) in row.entries.iter_mut().enumerate() {
                let hits = *entry as u32;
                if hits != 0 {
                    let (_, counts, _) = state.after(symbol);
                    self.counts.add(&counts, u64::from(hits));
                    *entry -= u64::from(hits);
                }
            }
        }
    }

    /// Returns what was counted.
    pub fn finish(mut self) -> SchemeCounts {
        self.add_up();
        self.counts
    }
}

impl Table<Rule> {
    /// Returns the table of a scheme of others.
    pub fn of(scheme: Scheme) -> Self {
        Self::new(Rule::new(scheme))
    }
}
