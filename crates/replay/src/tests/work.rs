//! Replays that count a part of a record: what is before has been seen, and is not counted.

use proptest::prelude::*;
use trapcast_record::{End, Metadata, ROW_GROUP, RecordFile, RecordWriter, Vcpu};

use super::{by_hand::TRACE, records::*, run::generated, *};
use crate::{Error, Windows, replay_record, replay_work};

/// Replays `events` in pieces, and counts from one on.
fn replay_from(
    from: usize,
    events: &[Event],
    profiles: &[Costs],
    threads: usize,
    piece: usize,
) -> Outcome {
    pool(threads).install(|| {
        let mut replay = Replay::new(&Scheme::ALL, profiles);
        let (before, counted) = events.split_at(from);
        let add = |replay: &mut Replay, events: &[Event]| {
            for piece in events.chunks(piece) {
                replay.add(piece).unwrap();
            }
        };
        add(&mut replay, before);
        replay.forget();
        add(&mut replay, counted);
        replay.finish()
    })
}

#[test]
fn a_part_counts_what_was_worked_out_by_hand() {
    let costs = Costs {
        trap: 1000,
        probe: 900,
        save: 30,
        load: 40,
        gate: 5,
        isb: 7,
    };
    // vCPU 1 uses the registers and the host takes them, it is entered once more and put, and vCPU 0 uses its own.
    // Under `owner` those were in the core.
    let outcome = replay_from(3, &TRACE, &[costs], 1, 6);
    let of = |scheme| outcome.scheme(scheme, &costs).unwrap().total;
    let owner = of(Scheme::Owner);
    assert_eq!((owner.entries, owner.puts, owner.traps), (3, 1, 2));
    assert_eq!((owner.host_evictions, owner.give_backs), (1, 0));
    // Closed for vCPU 1, opened, closed, opened.
    assert_eq!((owner.gate_writes, owner.isbs), (4, 2));
    assert_eq!((owner.held_before, owner.held), (1, 1));
    assert_eq!((owner.loads(), owner.saves()), (2, 2));
    // The gate has been open since the first window.
    let eager = of(Scheme::Eager);
    assert_eq!((eager.eager_loads, eager.give_backs), (3, 3));
    assert_eq!((eager.gate_writes, eager.held_before), (0, 0));
    // The oracle begins with nobody's registers and an open gate: vCPU 1 only loads. Then the host's; closed for
    // vCPU 1; and opened for vCPU 0.
    let oracle = outcome.oracles[0];
    assert_eq!((oracle.moves.saves, oracle.moves.loads), (2, 3));
    assert_eq!((oracle.moves.gate_writes, oracle.moves.isbs), (2, 1));
    assert_eq!(oracle.cost(), 2 * 30 + 3 * 40 + 2 * 5 + 7);
    // vCPU 0's window before used the registers.
    let Windows { entry, load, .. } = outcome.windows;
    assert_eq!(
        (entry.windows, entry.used, entry.pairs),
        (3, 2, [[0, 0], [1, 1]])
    );
    assert_eq!((load.windows, load.used, load.pairs), (1, 1, [[0; 2]; 2]));
}

/// Adds what was counted before a window to what was counted from there on.
fn sum(before: SchemeCounts, counted: SchemeCounts) -> SchemeCounts {
    assert_eq!(counted.held_before, before.held);
    let mut sum = SchemeCounts { held: 0, ..before };
    sum += SchemeCounts {
        held_before: 0,
        ..counted
    };
    sum
}

fn figures(windows: &Windows) -> Vec<u64> {
    let figures = |tally: &trapcast_switch::Tally| {
        [
            &[tally.windows, tally.used][..],
            &tally.pairs[0],
            &tally.pairs[1],
        ]
        .concat()
    };
    [figures(&windows.entry), figures(&windows.load)].concat()
}

proptest! {
    /// What is counted before a window and from there on is what is counted of both together.
    #[test]
    fn a_part_counts_the_whole_without_what_was_before(
        events in records(),
        from in any::<prop::sample::Index>(),
        piece in 1..3000_usize,
        threads in 1..5_usize,
        costs in costs(),
    ) {
        let from = from.index(events.len() + 1);
        let whole = by_tables(&events, &[costs]);
        let before = by_tables(&events[..from], &[costs]);
        let counted = replay_from(from, &events, &[costs], threads, piece);
        let all = |outcome: &Outcome| [&outcome.schemes[..], &outcome.not_prompt].concat();
        let parts = all(&before).into_iter().zip(all(&counted));
        for (whole, (before, counted)) in all(&whole).into_iter().zip(parts) {
            prop_assert_eq!(whole.total, sum(before.total, counted.total), "{}", whole.scheme);
        }
        let sums = figures(&before.windows).into_iter().zip(figures(&counted.windows));
        let sums: Vec<_> = sums.map(|(before, counted)| before + counted).collect();
        prop_assert_eq!(figures(&whole.windows), sums);
    }

    /// The oracle of a part begins in the best state that its cores can be in, and no scheme beats it.
    #[test]
    fn the_oracle_of_a_part_is_the_cheapest(
        events in records(),
        from in any::<prop::sample::Index>(),
        costs in costs(),
    ) {
        let from = from.index(events.len() + 1);
        let outcome = replay_from(from, &events, &[costs], 1, 1000);
        let oracle = outcome.oracles[0].cost();
        prop_assert_eq!(oracle, brute::cheapest_from(from, &events, &costs));
        let whole = by_tables(&events, &[costs]).oracles[0].cost();
        prop_assert!(oracle <= whole);
        for scheme in Scheme::RULES.into_iter().filter(|&scheme| scheme != Scheme::None) {
            prop_assert!(outcome.cost(scheme, &costs).unwrap() >= oracle, "{scheme}");
        }
        prop_assert!(outcome.cost_not_prompt(&costs).unwrap() >= oracle);
    }
}

/// A record of so many windows of two VMs that share a core, of which each marks at a row.
fn marked(windows: usize, marks: [usize; 2]) -> (tempfile::TempDir, RecordFile) {
    use trapcast_trace::record::{Flags, Record};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("marked.parquet");
    let mut options = std::fs::File::options();
    let file = options.read(true).write(true).create(true).open(&path);
    let metadata = Metadata {
        vcpus: [0, 1].map(|vm| Vcpu { vm, index: 0 }).to_vec(),
        ..Metadata::default()
    };
    let mut writer = RecordWriter::new(file.unwrap(), metadata).unwrap();
    for row in 0..windows {
        let noise = (row as u32).wrapping_mul(0x9e37_79b9) >> 16;
        let vcpu = (row / 10 % 2) as u16;
        let mut flags = Flags::empty();
        flags.set(Flags::FP, noise & 3 == 0);
        flags.set(Flags::PUT, row % 10 == 9);
        flags.set(Flags::MARK, marks[usize::from(vcpu)] == row);
        let flags = flags.bits();
        let start = row as u64;
        let record = Record {
            vcpu,
            flags,
            start,
            ..Record::default()
        };
        writer.push(0, &[record]).unwrap();
    }
    writer.finish(End::default()).unwrap();
    (directory, RecordFile::open(&path).unwrap())
}

#[test]
fn a_record_is_counted_where_all_vms_are_at_work() {
    // VM 0 marks in the first row group, VM 1 in the second, and is gone ten windows before the end.
    let begin = ROW_GROUP + 1019;
    let end = ROW_GROUP / 20 * 20 + 3000;
    let (_directory, record) = marked(end + 10, [40, begin - 1]);
    assert_eq!(record.work_phase().unwrap(), begin as u64..end as u64);
    let (mut all, mut events) = (Vec::new(), Vec::new());
    for group in 0..record.row_group_count() {
        record.read_events(group, &mut events).unwrap();
        all.append(&mut events);
    }
    let costs = Costs {
        trap: 9,
        save: 4,
        load: 4,
        ..Costs::default()
    };
    let expected = replay_from(begin, &all[..end], &[costs], 1, 4000);
    assert_eq!(expected.windows.entry.windows, (end - begin) as u64);
    for threads in [1, 3] {
        let found = pool(threads)
            .install(|| replay_work(&record, &Scheme::ALL, &[costs], &|| false))
            .unwrap();
        assert_eq!(found, expected, "{threads} threads");
    }
}

#[test]
fn without_marks_everything_is_work() {
    let (_directory, record) = generated(20_000);
    let costs = [Costs {
        trap: 3,
        save: 4,
        ..Costs::default()
    }];
    let whole = replay_record(&record, &Scheme::ALL, &costs, &|| false).unwrap();
    let work = replay_work(&record, &Scheme::ALL, &costs, &|| false).unwrap();
    assert_eq!(work, whole);
}

#[test]
fn a_record_without_work_of_all_vms_says_so() {
    let (_directory, record) = marked(32, [0, 12]);
    replay_work(&record, &Scheme::RULES, &[], &|| false).unwrap();
    let (_directory, record) = marked(11, [0, 10]);
    let error = replay_work(&record, &Scheme::RULES, &[], &|| false).unwrap_err();
    assert!(matches!(error, Error::NoWork { .. }), "{error}");
    assert!(error.to_string().contains("all VMs are at work"), "{error}");
}
