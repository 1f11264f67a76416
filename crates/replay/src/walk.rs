//! The oracle's steps as a table that fills as it is used.
//!
//! A row stands for one vCPU in its core and what is known of the ways there: which states they lead
//! to, and by how much their costs differ. The first time that a window of some flags comes in a row, it
//! is gone through; from then on a step says for each way which one it goes on and what that moves.

use rustc_hash::FxHashMap;
use trapcast_forecast::Costs;
use trapcast_record::Event;

use super::{
    batch::{Run, WINDOW},
    cost::Moves,
    oracle::{self, Owner, Place, Way},
};

/// Rows that a table holds. One that is full is begun anew. Tests have that happen often.
const MAX_ROWS: usize = if cfg!(test) { 12 } else { 4096 };

/// What moved on a way, and which of the ways at the last adding up it goes on: six counts of
/// [`BITS`] bits, and a number.
type Sum = u128;

/// Bits of a count in a [`Sum`]. The number has twenty: a core may hold the registers of any vCPU, behind a gate that
/// is open or closed.
const BITS: u32 = 18;

/// Where in a [`Sum`] the number of a way stands.
const ORIGIN: u32 = 6 * BITS;

/// Windows after which sums are added up: no count grows by more than 16 in one.
const MAX_STEPS: u64 = (1 << BITS) / 16;

/// Windows by their flags, of a vCPU that was turned on or not.
const SYMBOLS: usize = (WINDOW | Event::POWERED_ON) as usize + 1;

/// The ways to all states of a core that can be part of the best: what they lead to, and how much
/// more each costs than the cheapest.
type Ways = Vec<(Place, u64)>;

/// What a window does to the ways of a row.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The row after it, or [`UNKNOWN`].
    next: u32,
    /// Where its legs begin in `legs`.
    first: u32,
    /// How many they are, one for each way of the next row; none if nothing changes.
    legs: u32,
}

/// A row that is not in the table yet.
const UNKNOWN: u32 = u32::MAX;

const EMPTY: Entry = Entry {
    next: UNKNOWN,
    first: 0,
    legs: 0,
};

/// The last part of a way.
#[derive(Clone, Copy, Debug)]
struct Leg {
    /// The way that it goes on, in the row before.
    from: usize,
    moves: Sum,
}

/// One vCPU in its core, and the ways there.
#[derive(Clone, Debug)]
struct Row {
    vcpu: u16,
    ways: Ways,
    /// By number of another vCPU: the row with that one in the core, or [`UNKNOWN`].
    seats: Vec<u32>,
}

/// The steps of a core under one profile, and where the record has come to.
#[derive(Debug)]
pub(super) struct Walk {
    costs: Costs,
    entries: Vec<Entry>,
    legs: Vec<Leg>,
    rows: Vec<Row>,
    index: FxHashMap<(u16, Ways), u32>,
    current: u32,
    /// For each way of the current row: what moved since sums were last added up.
    sums: Vec<Sum>,
    /// Room for those after the next step.
    next: Vec<Sum>,
    /// What moved before that, on each way of then.
    moves: Vec<Moves>,
    /// Windows since then.
    pending: u64,
}

impl Walk {
    /// Returns the walk of a core where nobody has run.
    pub fn new(costs: Costs) -> Self {
        let mut walk = Self {
            costs,
            entries: Vec::new(),
            legs: Vec::new(),
            rows: Vec::new(),
            index: FxHashMap::default(),
            current: 0,
            sums: vec![0],
            next: Vec::new(),
            moves: vec![Moves::default()],
            pending: 0,
        };
        walk.current = walk.intern(0, vec![(Place::START, 0)]);
        walk
    }

    /// Goes through the windows of a run, by their flags.
    pub fn run(&mut self, run: &Run, flags: &[u8]) {
        self.seat(run.vcpu);
        self.pending += flags.len() as u64;
        if self.pending > MAX_STEPS {
            self.add_up();
            self.pending = flags.len() as u64;
        }
        let mut on = if run.powered_on { Event::POWERED_ON } else { 0 };
        let mut current = self.current;
        for &flags in flags {
            let flags = flags | std::mem::take(&mut on);
            let place = current as usize * SYMBOLS + usize::from(flags);
            let mut entry = self.entries[place];
            if entry.next == UNKNOWN {
                self.current = current;
                entry = self.learn(flags);
            }
            current = entry.next;
            if entry.legs != 0 {
                self.go(entry);
            }
        }
        self.current = current;
    }

    /// A vCPU leaves the core for another one.
    pub fn leave(&mut self, vcpu: u16) {
        self.make_room();
        self.add_up();
        let row = &self.rows[self.current as usize];
        let seated = row.vcpu;
        let ways = oracle::leave(begin(&row.ways), vcpu, &self.costs);
        let cheapest = ways.iter().map(|way| way.cost).min().unwrap_or(0);
        let places = ways.iter().map(|way| (way.place, way.cost - cheapest));
        self.current = self.intern(seated, places.collect());
        let sums = ways
            .iter()
            .map(|way| self.sums[way.from] + pack(&way.moves));
        self.sums = sums.collect();
        self.pending = 1;
    }

    /// Forgets what moved, and begins with the registers of any of `owners` in the core, the gate open or closed.
    pub fn begin_anew(&mut self, owners: Vec<Owner>) {
        self.make_room();
        let seated = self.rows[self.current as usize].vcpu;
        let places = owners.into_iter().flat_map(|owner| {
            let place = |open| (Place { owner, open }, 0);
            [true, false].map(place)
        });
        let ways: Ways = places.collect();
        self.sums = vec![0; ways.len()];
        self.moves = vec![Moves::default()];
        self.pending = 0;
        self.current = self.intern(seated, ways);
    }

    /// Goes on all ways at once.
    #[inline]
    fn go(&mut self, entry: Entry) {
        let first = entry.first as usize;
        let legs = &self.legs[first..first + entry.legs as usize];
        self.next.clear();
        let sums = &self.sums;
        self.next
            .extend(legs.iter().map(|leg| sums[leg.from] + leg.moves));
        std::mem::swap(&mut self.sums, &mut self.next);
    }

    /// Makes the vCPU the one in the core.
    fn seat(&mut self, vcpu: u16) {
        let row = &self.rows[self.current as usize];
        if row.vcpu == vcpu {
            return;
        }
        let known = row.seats.get(usize::from(vcpu)).copied();
        self.current = match known {
            None | Some(UNKNOWN) => self.learn_seat(vcpu),
            Some(row) => row,
        };
    }

    #[cold]
    fn learn_seat(&mut self, vcpu: u16) -> u32 {
        self.make_room();
        let row = self.current as usize;
        let next = self.intern(vcpu, self.rows[row].ways.clone());
        let seats = &mut self.rows[row].seats;
        if seats.len() <= usize::from(vcpu) {
            seats.resize(usize::from(vcpu) + 1, UNKNOWN);
        }
        seats[usize::from(vcpu)] = next;
        next
    }

    /// Finds out what a window does to the ways of the current row.
    #[cold]
    #[inline(never)]
    fn learn(&mut self, flags: u8) -> Entry {
        self.make_room();
        let row = &self.rows[self.current as usize];
        let (vcpu, before) = (row.vcpu, row.ways.len());
        let ways = oracle::window(begin(&row.ways), vcpu, flags, &self.costs);
        let cheapest = ways.iter().map(|way| way.cost).min().unwrap_or(0);
        let places = ways.iter().map(|way| (way.place, way.cost - cheapest));
        let next = self.intern(vcpu, places.collect());
        let legs = ways.iter().map(|way| Leg {
            from: way.from,
            moves: pack(&way.moves),
        });
        let stays = |(place, leg): (usize, Leg)| leg.from == place && leg.moves == 0;
        let entry = if ways.len() == before && legs.clone().enumerate().all(stays) {
            Entry { next, ..EMPTY }
        } else {
            let first = self.legs.len() as u32;
            self.legs.extend(legs);
            let legs = ways.len() as u32;
            Entry { next, first, legs }
        };
        self.entries[self.current as usize * SYMBOLS + usize::from(flags)] = entry;
        entry
    }

    /// Makes sure that one more row fits.
    fn make_room(&mut self) {
        if self.rows.len() < MAX_ROWS {
            return;
        }
        let row = self.rows.swap_remove(self.current as usize);
        self.entries.clear();
        self.legs.clear();
        self.rows.clear();
        self.index.clear();
        self.current = self.intern(row.vcpu, row.ways);
    }

    /// Returns the row of a vCPU and ways.
    fn intern(&mut self, vcpu: u16, ways: Ways) -> u32 {
        let key = (vcpu, ways);
        if let Some(&row) = self.index.get(&key) {
            return row;
        }
        let row = self.rows.len() as u32;
        self.rows.push(Row {
            vcpu,
            ways: key.1.clone(),
            seats: Vec::new(),
        });
        self.entries.resize(self.rows.len() * SYMBOLS, EMPTY);
        self.index.insert(key, row);
        row
    }

    /// Adds up what moved since the last time.
    fn add_up(&mut self) {
        let moves = self.sums.iter().map(|&sum| {
            let mut moves = self.moves[(sum >> ORIGIN) as usize];
            moves += unpack(sum);
            moves
        });
        self.moves = moves.collect();
        for (origin, sum) in (0..).zip(&mut self.sums) {
            *sum = origin << ORIGIN;
        }
    }

    /// Returns what the cheapest way has moved.
    pub fn finish(mut self) -> Moves {
        self.add_up();
        let ways = self.rows[self.current as usize].ways.iter();
        let best = ways.zip(&self.moves).min_by_key(|((_, cost), _)| *cost);
        *best.expect("some way leads through every window").1
    }
}

/// Returns ways that have not moved anything yet.
fn begin(ways: &Ways) -> Vec<Way> {
    let begin = |(from, &(place, cost))| Way {
        place,
        cost,
        from,
        moves: Moves::default(),
    };
    ways.iter().enumerate().map(begin).collect()
}

fn pack(moves: &Moves) -> Sum {
    let Moves {
        traps,
        probes,
        saves,
        loads,
        gate_writes,
        isbs,
    } = *moves;
    let counts = [traps, probes, saves, loads, gate_writes, isbs];
    counts
        .iter()
        .rev()
        .fold(0, |sum, &count| sum << BITS | Sum::from(count))
}

fn unpack(sum: Sum) -> Moves {
    let count = |place: u32| (sum >> (place * BITS)) as u64 & ((1 << BITS) - 1);
    Moves {
        traps: count(0),
        probes: count(1),
        saves: count(2),
        loads: count(3),
        gate_writes: count(4),
        isbs: count(5),
    }
}
