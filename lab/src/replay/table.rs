//! The state machine of one vCPU under one scheme as a table that fills as it is used.
//!
//! All that a window can change is a [`State`], and what it can bring is a symbol. The first time
//! that a symbol comes in a state, the state machine runs, and its new state goes into the table;
//! from then on the step is a look-up. Nothing is counted in a step but that it was taken: the
//! counts are had at the end by running each step that was taken once more, times how often.

use std::collections::HashMap;

use trapcast_forecast::Scheme;
use trapcast_switch::{Gate, GateRegister};

use super::{
    batch::{self, SYMBOLS},
    counts::SchemeCounts,
    machine::{Place, Twin},
};

/// States that a table holds. One that is full is added up and begun anew. Tests have that happen
/// often.
const MAX_STATES: usize = if cfg!(test) { 50 } else { 2048 };

/// Whose registers a core holds, as one vCPU sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Owner {
    /// The host's.
    Host,
    /// This vCPU's.
    Me,
    /// Another vCPU's.
    Other,
}

/// A vCPU and its core between two windows, nothing counted yet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct State {
    vcpu: Twin<Owner>,
    core: Place<Owner>,
}

/// What a step counts.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    counts: SchemeCounts,
    /// Times that the host took another vCPU's registers.
    others_evicted: u64,
}

impl State {
    /// Takes the windows of a symbol. Returns the state after them and what they counted.
    fn step(mut self, symbol: u16) -> (Self, Step) {
        let mut step = Step::default();
        for flags in batch::flags(symbol) {
            match self.core.window(&mut self.vcpu, flags) {
                Some(Owner::Me) => step.counts.host_evictions += 1,
                Some(Owner::Other) => step.others_evicted += 1,
                Some(Owner::Host) | None => {}
            }
        }
        self.core.count_gate(&mut step.counts);
        step.counts += self.vcpu.take_counts();
        (self, step)
    }
}

/// One step of the table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The row of the state after it, or [`UNKNOWN`].
    next: u32,
    /// Times that it was taken since the counts were last added up.
    visits: u32,
}

/// A row that is not in the table yet.
const UNKNOWN: u32 = u32::MAX;

const EMPTY: Entry = Entry {
    next: UNKNOWN,
    visits: 0,
};

/// A state's row.
#[derive(Clone, Debug)]
struct Row {
    state: State,
    /// The rows of this vCPU in a core with another owner or gate.
    variants: [u32; 6],
}

/// One vCPU under one scheme: where it is in its table, and what it has counted.
#[derive(Debug)]
pub(super) struct Table {
    entries: Vec<Entry>,
    rows: Vec<Row>,
    index: HashMap<State, u32>,
    /// Where the current state's row begins in `entries`.
    current: u32,
    counts: SchemeCounts,
    others_evicted: u64,
}

impl Table {
    /// Returns the table of a vCPU that has not run yet, on a core where nobody has.
    pub fn new(scheme: Scheme) -> Self {
        let mut table = Self {
            entries: Vec::new(),
            rows: Vec::new(),
            index: HashMap::new(),
            current: 0,
            counts: SchemeCounts::default(),
            others_evicted: 0,
        };
        table.current = table.intern(State {
            vcpu: Twin::new(Owner::Me, scheme),
            core: Place::new(Owner::Host),
        });
        table
    }

    /// Takes the steps of `symbols` in each of the tables, all of which are of the same vCPU.
    ///
    /// Every look-up of one table waits for the one before; those of several go on side by side.
    #[inline]
    pub fn run<const N: usize>(mut tables: [&mut Self; N], symbols: &[u16]) {
        let mut rows = tables.each_ref().map(|table| table.current);
        for &symbol in symbols {
            for (table, row) in tables.iter_mut().zip(&mut rows) {
                let entry = &mut table.entries[*row as usize + usize::from(symbol)];
                if entry.next == UNKNOWN {
                    *row = table.learn(*row, symbol);
                } else {
                    entry.visits += 1;
                    *row = entry.next;
                }
            }
        }
        for (table, row) in tables.into_iter().zip(rows) {
            table.current = row;
        }
    }

    /// Takes a step that is not in the table, and puts it there. Returns the row after it.
    #[cold]
    #[inline(never)]
    fn learn(&mut self, row: u32, symbol: u16) -> u32 {
        let (state, step) = self.row(row).state.step(symbol);
        if self.rows.len() >= MAX_STATES || step.others_evicted != 0 {
            // Not to be kept: who lost its registers is not in the table, or it is full.
            self.counts += step.counts;
            self.others_evicted += step.others_evicted;
            if self.rows.len() >= MAX_STATES {
                self.clear();
            }
            return self.intern(state);
        }
        let next = self.intern(state);
        self.entries[row as usize + usize::from(symbol)] = Entry { next, visits: 1 };
        next
    }

    /// Returns whose registers the core holds, and how its gate stands.
    pub fn core(&self) -> (Owner, GateRegister) {
        let core = &self.row(self.current).state.core;
        (core.owner(), core.gate())
    }

    /// The vCPU finds its core like this after others ran there.
    pub fn set_core(&mut self, owner: Owner, gate: GateRegister) {
        let open = gate == GateRegister::new(Gate::Open);
        let variant = owner as usize * 2 + usize::from(open);
        let known = self.row(self.current).variants[variant];
        self.current = if known == UNKNOWN {
            self.learn_variant(variant, owner, gate)
        } else {
            known
        };
    }

    #[cold]
    fn learn_variant(&mut self, variant: usize, owner: Owner, gate: GateRegister) -> u32 {
        let mut state = self.row(self.current).state;
        state.core = Place::with(Owner::Host, owner, gate);
        if self.rows.len() >= MAX_STATES {
            self.clear();
            return self.intern(state);
        }
        let next = self.intern(state);
        self.rows[self.current as usize / SYMBOLS].variants[variant] = next;
        next
    }

    fn row(&self, row: u32) -> &Row {
        &self.rows[row as usize / SYMBOLS]
    }

    /// Returns where the row of `state` begins.
    fn intern(&mut self, state: State) -> u32 {
        *self.index.entry(state).or_insert_with(|| {
            let row = self.entries.len() as u32;
            self.entries.resize(self.entries.len() + SYMBOLS, EMPTY);
            self.rows.push(Row {
                state,
                variants: [UNKNOWN; 6],
            });
            row
        })
    }

    /// Adds up the counts and forgets all rows, the current one too.
    fn clear(&mut self) {
        self.add_up();
        self.entries.clear();
        self.rows.clear();
        self.index.clear();
    }

    /// Adds up what the steps since the last time counted. To be called before 2^32 of them.
    pub fn add_up(&mut self) {
        for (row, entries) in self.rows.iter().zip(self.entries.chunks_exact_mut(SYMBOLS)) {
            for (symbol, entry) in (0..).zip(entries) {
                if entry.visits != 0 {
                    let visits = std::mem::take(&mut entry.visits);
                    let (_, step) = row.state.step(symbol);
                    self.counts.add(&step.counts, u64::from(visits));
                }
            }
        }
    }

    /// Returns how often the host took another vCPU's registers since that was last asked.
    pub fn take_others_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.others_evicted)
    }

    /// Returns what was counted, which is all if it was added up just before.
    pub const fn counts(&self) -> SchemeCounts {
        self.counts
    }

    /// Returns what was counted, to be changed.
    pub const fn counts_mut(&mut self) -> &mut SchemeCounts {
        &mut self.counts
    }

    /// Returns how many states are in the table.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}
