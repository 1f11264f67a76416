//! The state machine as a table that fills as it is used.
//!
//! A row stands for one vCPU and its core: all that the state machine knows of them, and nothing counted.
//! What can happen next is a number; the entry of a row and such a number says which row comes after it, and
//! how often it was taken. The first time, the state machine itself is run. What was counted is had at the
//! end, by running each entry that was taken once more, times how often.

mod at;
mod memory;
mod state;
mod symbol;

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use trapcast_forecast::{Rule, Scheme};

pub(super) use self::{
    at::At,
    memory::{Memory, Proxy},
    symbol::{Owner, POWER_ON, Seen, Symbol, decided, fetch, seat, window},
};
use self::{
    state::State,
    symbol::{SYMBOLS, WINDOW_SYMBOL, WINDOWS},
};
use super::{
    counts::SchemeCounts,
    machine::{Place, Twin},
};

/// Two windows by their flags.
const PAIRS: usize = WINDOWS * WINDOWS;

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
        let at = At::new(self.rows.len(), &heard);
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

    /// Forgets what was counted.
    pub fn forget(&mut self) {
        self.add_up();
        self.pending = 0;
        self.counts = SchemeCounts::default();
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
