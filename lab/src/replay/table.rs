//! The state machine of one vCPU under one scheme as a table that fills as it is used.
//!
//! All that a window can change is a [`State`], and what it can bring is a symbol. The first time
//! that a window comes in a state, the state machine runs, and its new state goes into the table;
//! from then on the step is a look-up, and so it is for groups of windows. Nothing is counted in a
//! step but that it was taken: the counts are had at the end by running each window that was taken
//! once more, times how often.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use trapcast_forecast::{Resume, Rule, Scheme};
use trapcast_switch::{Class, Context, Gate, GateRegister};

use super::{
    batch::{self, GROUP, SINGLES, SYMBOLS},
    counts::SchemeCounts,
    machine::{Place, Twin},
};

/// States that a table holds. One that is full is added up and begun anew. Tests have that happen
/// often.
const MAX_STATES: usize = if cfg!(test) { 50 } else { 8192 };

/// Symbols that a table can take before its steps have to be added up: each counts once for every
/// window of a group.
pub(super) const MAX_STEPS: u64 = u32::MAX as u64 / GROUP as u64;

/// Whose registers a core holds, as one vCPU sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Owner {
    /// The host's.
    Host,
    /// This vCPU's.
    Me,
    /// Another vCPU's.
    Other,
    /// Those of another core's host: nobody's that this core holds.
    Elsewhere,
}

impl Context for Owner {}

/// How a vCPU leaves its core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leave {
    /// Whose registers the core holds.
    pub owner: Owner,
    pub gate: GateRegister,
    /// Whether the host took another vCPU's registers since this one came.
    pub other_evicted: bool,
}

/// A vCPU and its core between two windows, nothing counted yet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct State {
    vcpu: Twin<Owner>,
    core: Place<Owner>,
    /// Whether the host took another vCPU's registers since this one came. It cannot do so twice.
    other_evicted: bool,
}

impl State {
    /// Runs one window. Returns the state after it and what it counted.
    fn window(mut self, flags: u8) -> (Self, SchemeCounts) {
        let mut counts = SchemeCounts::default();
        // A rule does not ask how the guest resumes.
        match self.core.window(&mut self.vcpu, (flags, Resume::default())) {
            Some(Owner::Me) => counts.host_evictions += 1,
            Some(Owner::Other) => self.other_evicted = true,
            Some(Owner::Host | Owner::Elsewhere) | None => {}
        }
        self.core.count_gate(&mut counts);
        counts += self.vcpu.take_counts();
        (self, counts)
    }

    /// Returns how this vCPU leaves its core.
    fn leave(&self) -> Leave {
        Leave {
            owner: self.core.owner(),
            gate: self.core.gate(),
            other_evicted: self.other_evicted,
        }
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
    state: Arc<State>,
    /// What of it other vCPUs find.
    leave: Leave,
    /// The rows of this vCPU in a core with another owner or gate.
    variants: [u32; 6],
}

/// One vCPU under one scheme: where it is in its table, and what it has counted.
#[derive(Debug)]
pub(super) struct Table {
    entries: Vec<Entry>,
    rows: Vec<Row>,
    index: FxHashMap<Arc<State>, u32>,
    /// Where the current state's row begins in `entries`.
    current: u32,
    counts: SchemeCounts,
}

impl Table {
    /// Returns the table of a vCPU that has not run yet, on a core where nobody has.
    pub fn new(scheme: Scheme) -> Self {
        let mut table = Self {
            entries: Vec::new(),
            rows: Vec::new(),
            index: FxHashMap::default(),
            current: 0,
            counts: SchemeCounts::default(),
        };
        table.current = table.intern(State {
            vcpu: Twin::new(Owner::Me, Rule::new(scheme)),
            core: Place::new(Owner::Host),
            other_evicted: false,
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
        let row = self.make_room(row);
        let mut next = row;
        for flags in batch::flags(symbol) {
            next = self.look_up(next, flags);
        }
        let entry = &mut self.entries[row as usize + usize::from(symbol)];
        entry.next = next;
        entry.visits += 1;
        next
    }

    /// Returns the row after one window.
    fn look_up(&mut self, row: u32, flags: u8) -> u32 {
        let place = row as usize + usize::from(flags);
        let known = self.entries[place].next;
        if known != UNKNOWN {
            return known;
        }
        let (state, _) = self.row(row).state.window(flags);
        let next = self.intern(state);
        self.entries[place].next = next;
        next
    }

    /// Makes sure that one more symbol's states fit. Returns where the row of the state in `row`
    /// begins then.
    fn make_room(&mut self, row: u32) -> u32 {
        if self.rows.len() + GROUP <= MAX_STATES {
            return row;
        }
        let state = self.row(row).state.clone();
        self.add_up();
        self.entries.clear();
        self.rows.clear();
        self.index.clear();
        self.intern_shared(state)
    }

    /// Returns how this vCPU leaves its core, if it does so now.
    pub fn leave(&self) -> Leave {
        self.row(self.current).leave
    }

    /// The vCPU goes to another core and leaves this one, which is like this now. Returns what becomes of
    /// it.
    pub fn fetch(&mut self, owner: Owner, gate: GateRegister) -> (Owner, GateRegister) {
        let row = self.make_room(self.current);
        let mut state = *self.row(row).state;
        let mut old = Place::with(Owner::Host, owner, gate);
        Place::new(Owner::Elsewhere).fetch(&mut old, &mut state.vcpu);
        old.count_gate(&mut self.counts);
        self.counts += state.vcpu.take_counts();
        self.current = self.intern(state);
        (old.owner(), old.gate())
    }

    /// The vCPU finds its core like this after others ran there.
    pub fn set_core(&mut self, owner: Owner, gate: GateRegister) {
        let open = gate == GateRegister::new(Gate::Open(Class::Fp));
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
        let row = self.make_room(self.current);
        let mut state = *self.row(row).state;
        state.core = Place::with(Owner::Host, owner, gate);
        state.other_evicted = false;
        let next = self.intern(state);
        self.rows[row as usize / SYMBOLS].variants[variant] = next;
        next
    }

    fn row(&self, row: u32) -> &Row {
        &self.rows[row as usize / SYMBOLS]
    }

    /// Returns where the row of `state` begins.
    fn intern(&mut self, state: State) -> u32 {
        match self.index.get(&state) {
            Some(&row) => row,
            None => self.intern_shared(Arc::new(state)),
        }
    }

    /// Adds a row for `state`, which has none, and returns where it begins.
    fn intern_shared(&mut self, state: Arc<State>) -> u32 {
        let row = self.entries.len() as u32;
        self.entries.resize(self.entries.len() + SYMBOLS, EMPTY);
        self.rows.push(Row {
            state: Arc::clone(&state),
            leave: state.leave(),
            variants: [UNKNOWN; 6],
        });
        self.index.insert(state, row);
        row
    }

    /// Adds up what the steps since the last time counted. To be called before [`MAX_STEPS`] of them
    /// more.
    pub fn add_up(&mut self) {
        self.divide_groups();
        for (row, entries) in self.rows.iter().zip(self.entries.chunks_exact_mut(SYMBOLS)) {
            for (flags, entry) in (0..).zip(&mut entries[..SINGLES]) {
                if entry.visits != 0 {
                    let visits = std::mem::take(&mut entry.visits);
                    let (_, counts) = row.state.window(flags);
                    self.counts.add(&counts, u64::from(visits));
                }
            }
        }
    }

    /// Counts every step of a group as one of each of its windows.
    fn divide_groups(&mut self) {
        for row in (0..self.entries.len()).step_by(SYMBOLS) {
            for symbol in SINGLES..SYMBOLS {
                let visits = std::mem::take(&mut self.entries[row + symbol].visits);
                if visits == 0 {
                    continue;
                }
                let mut row = row;
                for flags in batch::flags(symbol as u16) {
                    let window = &mut self.entries[row + usize::from(flags)];
                    window.visits += visits;
                    row = window.next as usize;
                }
            }
        }
    }

    /// Returns what was counted, which is all if it was added up just before.
    pub const fn counts(&self) -> SchemeCounts {
        self.counts
    }

    /// Returns what was counted, to be changed.
    pub const fn counts_mut(&mut self) -> &mut SchemeCounts {
        &mut self.counts
    }
}
