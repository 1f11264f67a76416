//! The replay against the state machine itself, brute force, and counts made by hand.

mod brute;

use std::collections::HashMap;

use proptest::prelude::*;
use trapcast_forecast::{Costs, Decision, Evidence, Release, Resume, Scheme, Window};
use trapcast_record::{RecordFile, Shape, generate};
use trapcast_switch::{Forecast, Tally};

use super::{Asked, Error, Event, Follower, Outcome, Replay, SchemeCounts, replay_record};

const USED: u8 = Event::USED;
const PUT: u8 = Event::PUT;
const HOST: u8 = Event::HOST;
const POWERED_ON: u8 = Event::POWERED_ON;
const PENDING: u8 = Event::PENDING;

/// Replays `events` under all schemes on so many threads, in pieces of `piece` windows.
fn replay_by(events: &[Event], profiles: &[Costs], threads: usize, piece: usize) -> Outcome {
    pool(threads).install(|| {
        let mut replay = Replay::new(&Scheme::ALL, profiles);
        for piece in events.chunks(piece) {
            replay.add(piece).unwrap();
        }
        replay.finish()
    })
}

fn by_tables(events: &[Event], profiles: &[Costs]) -> Outcome {
    replay_by(events, profiles, 1, events.len().max(1))
}

/// What the state machine counts under a scheme if it is run window by window.
fn followed(scheme: Scheme, costs: &Costs, events: &[Event]) -> SchemeCounts {
    let mut follower = Follower::new(scheme, costs);
    for event in events {
        follower.window(*event, |_| ()).unwrap();
    }
    follower.finish()
}

/// What a stretch of windows of one vCPU is like.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    vcpu: u16,
    /// The core of a stretch that moves its vCPU there.
    moves_to: Option<u8>,
    windows: usize,
    /// Bits in each of which a flag is set in a window.
    flags: [u64; 5],
}

impl Stretch {
    fn events(self) -> impl Iterator<Item = Event> {
        let resumes = u64::from(self.vcpu) * 3;
        // Else vCPUs 0 and 2 run on core 0, 1 and 3 on core 1; 4 on core 0.
        let core = self.moves_to.unwrap_or((self.vcpu % 2) as u8);
        (0..self.windows).map(move |window| {
            let flags = (0..5).fold(0, |flags, flag| {
                let set = self.flags[flag].rotate_right(window as u32) & 1 != 0;
                flags | u8::from(set) << flag
            });
            Event {
                // A few places, some of which share an account.
                pc: (resumes + window as u64 * window as u64 % 7) << 6,
                ..Event::new(self.vcpu, core, flags)
            }
        })
    }
}

/// Bits that are nearly all clear or nearly all set, or random.
fn bits() -> impl Strategy<Value = u64> {
    let sparse = || (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(a, b, c)| a & b & c);
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        any::<u64>(),
        sparse(),
        sparse().prop_map(|bits| !bits)
    ]
}

/// Bits that are clear most of the time.
fn rare_bits() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 1 => (0..64).prop_map(|bit| 1_u64 << bit), 1 => any::<u64>()]
}

/// Sees to it that each vCPU is put before it runs on another core.
fn put_before_moves(mut events: Vec<Event>) -> Vec<Event> {
    let mut last = HashMap::new();
    for index in 0..events.len() {
        let event = events[index];
        if let Some(before) = last.insert(event.vcpu, index)
            && events[before].core != event.core
        {
            events[before].flags |= PUT;
        }
    }
    events
}

/// Records of one, three or eight vCPUs on three cores, between which they move: long enough that counts
/// wrap and credits end.
fn records() -> impl Strategy<Value = Vec<Event>> {
    prop::sample::select(&[1, 3, 8][..]).prop_flat_map(records_of)
}

fn records_of(vcpus: u16) -> impl Strategy<Value = Vec<Event>> {
    let windows = prop_oneof![4 => 1..12_usize, 1 => 1..700_usize];
    let moves_to = prop_oneof![2 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    let flags = (bits(), bits(), rare_bits(), rare_bits(), rare_bits());
    let stretch = (0..vcpus, moves_to, windows, flags).prop_map(
        |(vcpu, moves_to, windows, (used, put, host, powered_on, pending))| Stretch {
            vcpu,
            moves_to,
            windows,
            flags: [used, put, host, powered_on, pending],
        },
    );
    let stretches = prop::collection::vec(stretch, 0..40);
    let events =
        |stretches: Vec<Stretch>| stretches.into_iter().flat_map(Stretch::events).collect();
    stretches.prop_map(move |stretches| put_before_moves(events(stretches)))
}

fn costs() -> impl Strategy<Value = Costs> {
    let cost = || prop_oneof![Just(0), 1..5_u32, 1..5000_u32];
    (cost(), cost(), cost(), cost(), cost(), cost()).prop_map(
        |(trap, probe, save, load, gate, isb)| Costs {
            trap,
            probe,
            save,
            load,
            gate,
            isb,
        },
    )
}

proptest! {
    /// The tables, the threads and the pieces that a record comes in change nothing: the counts are those of
    /// the state machine, and the schemes decide by the same costs.
    #[test]
    fn tables_count_what_the_state_machine_counts(
        events in records(),
        piece in 1..3000_usize,
        threads in 1..5_usize,
        profiles in prop::collection::vec(costs(), 1..3),
    ) {
        let found = replay_by(&events, &profiles, threads, piece);
        for of_scheme in &found.schemes {
            let costs = of_scheme.costs.unwrap_or(Costs::FREE);
            let expected = followed(of_scheme.scheme, &costs, &events);
            prop_assert_eq!(of_scheme.total, expected, "{}", of_scheme.scheme);
        }
        let mut not_pending = events.clone();
        not_pending.iter_mut().for_each(|event| event.flags &= !PENDING);
        for not_prompt in &found.not_prompt {
            let costs = not_prompt.costs.unwrap();
            let expected = followed(Scheme::Forecast, &costs, &not_pending);
            prop_assert_eq!(not_prompt.total, expected);
        }
        let distinct = profiles.len();
        prop_assert_eq!(found.schemes.len(), Scheme::RULES.len() + distinct);
        prop_assert_eq!((found.not_prompt.len(), found.oracles.len()), (distinct, distinct));
        prop_assert_eq!(by_tables(&events, &profiles), found);
    }

    /// What an observer counts of the windows is what the replay counts without it.
    #[test]
    fn watching_changes_no_count(events in records()) {
        let outcome = by_tables(&events, &[]);
        for of_scheme in &outcome.schemes {
            let mut follower = Follower::new(of_scheme.scheme, &Costs::FREE);
            for event in &events {
                follower.window(*event, |_| ()).unwrap();
            }
            let sum = |of: fn(&trapcast_switch::Counts) -> u64| -> u64 {
                follower.observed_counts().map(of).sum()
            };
            let plain = of_scheme.total;
            prop_assert_eq!(sum(|counts| counts.entries), plain.entries);
            prop_assert_eq!(sum(|counts| counts.puts), plain.puts);
            prop_assert_eq!(sum(|counts| counts.traps), plain.traps);
            prop_assert_eq!(sum(|counts| counts.eager_loads), plain.eager_loads);
            prop_assert_eq!(sum(|counts| counts.give_backs), plain.give_backs);
            prop_assert_eq!(sum(|counts| counts.fetches), plain.fetches);
            for (of, tally) in [
                (
                    (|counts| &counts.entry_windows) as fn(&trapcast_switch::Counts) -> &Tally,
                    &outcome.windows.entry,
                ),
                (|counts| &counts.load_windows, &outcome.windows.load),
            ] {
                let sum = |part: fn(&Tally) -> u64| -> u64 {
                    follower.observed_counts().map(|counts| part(of(counts))).sum()
                };
                prop_assert_eq!(sum(|tally| tally.windows), tally.windows);
                prop_assert_eq!(sum(|tally| tally.used), tally.used);
                prop_assert_eq!(sum(|tally| tally.pairs[0][1]), tally.pairs[0][1]);
                prop_assert_eq!(sum(|tally| tally.pairs[1][1]), tally.pairs[1][1]);
            }
        }
    }

    /// `forecast` is replayed with an interrupt going first and without: beside the same windows in none of
    /// which one is pending, and in all of which one is.
    #[test]
    fn a_pending_interrupt_goes_first_or_not(events in records(), costs in costs()) {
        let replayed = |pending: u8| {
            let events = events.iter().map(|event| Event {
                flags: event.flags & !PENDING | pending,
                ..*event
            });
            by_tables(&events.collect::<Vec<_>>(), &[costs])
        };
        let (never, always) = (replayed(0), replayed(PENDING));
        let of = |outcome: &Outcome| outcome.scheme(Scheme::Forecast, &costs).unwrap().total;
        prop_assert_eq!(Some(of(&never).moves().cost(&costs)), never.cost_not_prompt(&costs));
        prop_assert_eq!(never.cost_not_prompt(&costs), always.cost_not_prompt(&costs));
        prop_assert_eq!(of(&always).eager_loads, 0);
        prop_assert_eq!(always.cost(Scheme::Forecast, &costs), always.cost(Scheme::Owner, &costs));
    }

    /// Registers are lost no more often than they were loaded, and as often if they are given back
    /// at every exit.
    #[test]
    fn registers_are_lost_as_often_as_they_are_loaded(events in records()) {
        for scheme in by_tables(&events, &[]).schemes {
            let counts = scheme.total;
            let losses = counts.give_backs + counts.host_evictions + counts.fetches + counts.held;
            prop_assert!(losses <= counts.loads(), "{}: {counts:?}", scheme.scheme);
            // Under the others, they may also be lost to another guest's.
            if scheme.scheme.release() == Release::Exit {
                prop_assert_eq!(losses, counts.loads(), "{}", scheme.scheme);
            }
        }
    }

    /// The oracle's shortcuts leave out nothing, however long the record is.
    #[test]
    fn the_oracle_is_the_cheapest_over_long_records(events in records(), costs in costs()) {
        let outcome = by_tables(&events, &[costs]);
        prop_assert_eq!(outcome.oracles[0].cost(), brute::cheapest_by_layers(&events, &costs));
    }

    /// No scheme that is right beats it.
    #[test]
    fn no_scheme_beats_the_oracle(events in records(), costs in costs()) {
        let outcome = by_tables(&events, &[costs]);
        for scheme in Scheme::RULES.into_iter().filter(|&scheme| scheme != Scheme::None) {
            let cost = outcome.cost(scheme, &costs).unwrap();
            prop_assert!(cost >= outcome.oracles[0].cost(), "{scheme}");
        }
    }

    /// On short records it costs what the best of all sequences of decisions costs, those that give
    /// registers back early among them.
    #[test]
    fn the_oracle_is_the_cheapest_of_all_sequences(
        windows in prop::collection::vec((0..3_u16, 0..16_u8, any::<bool>()), 1..=8),
        costs in costs(),
    ) {
        let events: Vec<_> = windows
            .into_iter()
            .map(|(vcpu, flags, rare)| {
                let mask = if rare { 0xf } else { USED | PUT };
                Event::new(vcpu, 0, flags & mask)
            })
            .collect();
        let outcome = by_tables(&events, &[costs]);
        prop_assert_eq!(outcome.oracles[0].cost(), brute::cheapest(&events, &costs));
    }
}

/// Two vCPUs on one core: the registers are used, kept, wanted by the other one and by the host.
const TRACE: [Event; 6] = [
    Event::new(0, 0, USED),
    Event::new(0, 0, 0),
    Event::new(0, 0, USED | PUT),
    Event::new(1, 0, USED | HOST),
    Event::new(1, 0, PUT),
    Event::new(0, 0, USED),
];

#[test]
fn each_scheme_counts_what_was_worked_out_by_hand() {
    let all = SchemeCounts {
        entries: 6,
        puts: 2,
        ..SchemeCounts::default()
    };
    let until_put = SchemeCounts {
        traps: 3,
        give_backs: 1,
        host_evictions: 1,
        forecast: [[0, 2], [0, 0]],
        gate_writes: 5,
        isbs: 3,
        held: 1,
        ..all
    };
    let none = SchemeCounts {
        forecast: [[0, 0], [2, 4]],
        gate_writes: 1,
        ..all
    };
    let eager = SchemeCounts {
        eager_loads: 6,
        give_backs: 6,
        wasted_loads: 2,
        forecast: [[0, 0], [2, 4]],
        gate_writes: 1,
        isbs: 1,
        ..all
    };
    let per_entry = SchemeCounts {
        traps: 4,
        give_backs: 4,
        forecast: [[2, 4], [0, 0]],
        gate_writes: 7,
        isbs: 4,
        ..all
    };
    let last_trap = SchemeCounts {
        traps: 3,
        eager_loads: 3,
        give_backs: 6,
        wasted_loads: 2,
        forecast: [[0, 3], [2, 1]],
        gate_writes: 5,
        isbs: 3,
        ..all
    };
    let credit = SchemeCounts {
        traps: 2,
        eager_loads: 1,
        ..until_put
    };
    let owner = SchemeCounts {
        give_backs: 0,
        ..until_put
    };
    let expected = [
        none, eager, per_entry, last_trap, until_put, until_put, credit, owner,
    ];
    let outcome = by_tables(&TRACE, &[]);
    for (found, expected) in outcome.schemes.iter().zip(expected) {
        assert_eq!(found.total, expected, "{}", found.scheme);
    }
    assert_eq!(
        (until_put.loads(), until_put.saves(), until_put.exchanges()),
        (3, 2, 5)
    );
}

#[test]
fn windows_are_counted_by_what_they_and_the_one_before_did() {
    let windows = by_tables(&TRACE, &[]).windows;
    let figures = |tally: &Tally| (tally.windows, tally.used, tally.pairs);
    assert_eq!(figures(&windows.entry), (6, 4, [[0, 1], [2, 1]]));
    assert_eq!(figures(&windows.load), (2, 2, [[0, 0], [0, 0]]));
}

#[test]
fn the_host_takes_the_registers_from_whoever_owns_them() {
    // vCPU 1 runs while vCPU 0's registers are in the core, and so the host takes those.
    let events = [
        Event::new(0, 0, USED | PUT),
        Event::new(1, 0, HOST),
        Event::new(1, 0, USED | HOST),
    ];
    let outcome = by_tables(&events, &[]);
    let owner = outcome.schemes.last().unwrap();
    assert_eq!(owner.scheme, Scheme::Owner);
    assert_eq!(owner.total.host_evictions, 2);
    // Its gate was closed when vCPU 1 came, opened for the host, and so on.
    assert_eq!((owner.total.gate_writes, owner.total.isbs), (5, 3));
}

#[test]
fn a_vcpu_that_is_turned_on_gives_its_registers_back_first() {
    let events = [
        Event::new(0, 0, USED | PUT),
        Event::new(0, 0, USED | POWERED_ON),
    ];
    let owner = by_tables(&events, &[]).schemes.pop().unwrap().total;
    assert_eq!((owner.traps, owner.give_backs, owner.held), (2, 1, 1));
}

#[test]
fn a_vcpu_that_moves_is_fetched_if_its_registers_are_still_there() {
    let stays = [
        Event::new(0, 0, USED | PUT),
        Event::new(0, 1, USED | PUT),
        Event::new(1, 0, USED),
    ];
    let taken = [
        Event::new(0, 0, USED | PUT),
        Event::new(1, 0, USED | PUT),
        Event::new(0, 1, USED),
    ];
    let costs = Costs {
        save: 1,
        load: 1,
        ..Costs::default()
    };
    for (events, fetches, least) in [(stays, 1, 4), (taken, 0, 3)] {
        let outcome = by_tables(&events, &[costs]);
        for scheme in outcome
            .schemes
            .iter()
            .map(|found| (found.scheme, found.total))
        {
            // Only those that give them back on demand leave them there.
            let fetched = if scheme.0.release() == Release::OnDemand {
                fetches
            } else {
                0
            };
            assert_eq!(scheme.1.fetches, fetched, "{}", scheme.0);
        }
        assert_eq!(outcome.oracles[0].moves.exchanges, least);
        assert_eq!(brute::cheapest_by_layers(&events, &costs), 2 * least);
    }
}

#[test]
fn the_oracle_of_a_known_trace_costs_what_was_worked_out_by_hand() {
    let costs = Costs {
        trap: 1000,
        probe: 900,
        save: 30,
        load: 40,
        gate: 5,
        isb: 7,
    };
    let oracle = by_tables(&TRACE, &[costs]).oracles[0];
    // vCPU 0, vCPU 1, the host, vCPU 0 again. The gate opens for the first, is closed for the window
    // that does not use the registers, which the host owns then, and opens once more.
    assert_eq!(oracle.moves.exchanges, 4);
    assert_eq!((oracle.moves.traps, oracle.moves.probes), (0, 0));
    assert_eq!(oracle.cost(), 4 * 70 + (5 + 7) + (5 + 5 + 7));
}

#[test]
fn the_oracle_gives_registers_back_early_where_that_saves_a_write_of_the_gate() {
    let costs = Costs {
        load: 1,
        gate: 1,
        ..Costs::default()
    };
    let events = [
        Event::new(1, 0, USED),
        Event::new(0, 0, 0),
        Event::new(1, 0, POWERED_ON),
    ];
    // Open, load; give back, close. To keep them means to open and close the gate once more.
    assert_eq!(by_tables(&events, &[costs]).oracles[0].cost(), 2 + 2);
    assert_eq!(brute::cheapest(&events, &costs), 2 + 2);
}

#[test]
fn standings_are_over_the_oracle_and_the_cheaper_fixed_scheme() {
    let costs = Costs {
        trap: 100,
        save: 10,
        load: 10,
        ..Costs::default()
    };
    let outcome = by_tables(&TRACE, &[costs]);
    assert_eq!(outcome.cost(Scheme::Eager, &costs), Some(12 * 20));
    assert_eq!(
        outcome.cost(Scheme::PerEntry, &costs),
        Some(4 * 100 + 8 * 20)
    );
    assert_eq!(outcome.fixed_cost(&costs), Some(240));
    assert_eq!(outcome.oracles[0].cost(), 80);
    let standing = outcome
        .standing(Scheme::PerEntry, &outcome.oracles[0])
        .unwrap();
    assert_eq!(standing.over_oracle, Some(7.0));
    assert_eq!(standing.over_fixed, Some(560.0 / 240.0));
}

fn pool(threads: usize) -> rayon::ThreadPool {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
    builder.build().expect("threads can be had")
}

/// A record of three vCPUs.
fn generated(windows: u64) -> (tempfile::TempDir, RecordFile) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made.parquet");
    let mut options = std::fs::File::options();
    let options = options.read(true).write(true).create(true);
    let shape = Shape {
        windows,
        vcpus: 3,
        seed: 1,
        replay_only: false,
    };
    generate(options.open(&path).unwrap(), shape, &|| false).unwrap();
    (directory, RecordFile::open(&path).unwrap())
}

#[test]
fn a_record_is_replayed_as_its_windows_are_on_any_number_of_threads() {
    let (_directory, record) = generated(3 << 20);
    let (mut all, mut events) = (Vec::new(), Vec::new());
    for group in 0..record.row_group_count() {
        record.read_events(group, &mut events).unwrap();
        all.append(&mut events);
    }
    let profiles = [1, 2].map(|trap| Costs {
        trap,
        save: 4,
        ..Costs::default()
    });
    let expected = by_tables(&all, &profiles);
    assert_eq!(expected.windows.entry.windows, 3 << 20);
    for threads in [1, 2] {
        let found = pool(threads)
            .install(|| replay_record(&record, &Scheme::ALL, &profiles, &|| false))
            .unwrap();
        assert_eq!(found, expected, "{threads} threads");
    }
}

#[test]
fn what_the_caller_gives_up_is_given_up() {
    let (_directory, record) = generated(100);
    for threads in [1, 3] {
        let found = pool(threads).install(|| replay_record(&record, &Scheme::RULES, &[], &|| true));
        assert!(matches!(found, Err(Error::Cancelled)), "{found:?}");
    }
}

#[test]
fn a_vcpu_that_was_not_put_before_it_moved_ends_the_replay() {
    let events = [Event::new(0, 0, USED), Event::new(0, 1, USED)];
    let mut replay = Replay::new(&Scheme::RULES, &[]);
    let error = replay.add(&events).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotPut {
                vcpu: 0,
                core: 1,
                before: 0
            }
        ),
        "{error}"
    );
}

#[test]
fn a_record_without_windows_counts_nothing() {
    let outcome = by_tables(&[], &[Costs::default()]);
    assert_eq!(outcome.schemes.len(), Scheme::ALL.len());
    assert!(
        outcome
            .schemes
            .iter()
            .all(|scheme| scheme.total == SchemeCounts::default())
    );
    assert_eq!(outcome.oracles[0].cost(), 0);
    assert_eq!(outcome.windows, super::Windows::default());
}

/// Always leaves the registers out, and counts what it is told.
struct Counting(std::rc::Rc<std::cell::Cell<[u64; 3]>>);

impl Counting {
    fn count(&self, what: usize) {
        let mut counts = self.0.get();
        counts[what] += 1;
        self.0.set(counts);
    }
}

impl Forecast for Counting {
    fn decide(&mut self, _: impl FnOnce() -> Resume) -> Decision {
        self.count(0);
        Decision::Leave
    }

    fn learn(&mut self, evidence: Evidence) {
        self.count(if evidence == Evidence::Used { 1 } else { 2 });
    }

    fn window(&self) -> Window {
        Scheme::Forecast.window()
    }

    fn release(&self) -> Release {
        Scheme::Forecast.release()
    }
}

#[test]
fn a_forecaster_is_told_all_that_is_seen_by_the_end() {
    let counts = std::rc::Rc::new(std::cell::Cell::new([0; 3]));
    let mut asked = Asked::new(|_| Counting(counts.clone()));
    // Asked twice before it uses the registers; not asked while they are there; asked once more, without a use,
    // and put at the end.
    let windows = [0, USED, PUT, HOST, PUT].map(|flags| Event::new(0, 0, flags));
    asked.add(&windows, |_| Resume::default()).unwrap();
    let found = asked.finish();
    assert_eq!(counts.get(), [3, 1, 1]);
    assert_eq!((found.entries, found.traps), (5, 1));
}
