//! Replays of records in which not all is seen: what is between their bounds.

use proptest::prelude::*;
use trapcast_record::{End, Metadata, RecordFile, RecordWriter, Traced, Vcpu};
use trapcast_trace::record::{Flags, Record};

use super::{records::*, *};
use crate::{Bounds, Counted, Error, is_bounded, replay_bounds, replay_record, unseen::Owners};

const UNSEEN: u8 = Event::UNSEEN;

/// The windows as a host's kernel sees them: not whether one used the registers that the guest owned.
fn as_seen(events: &[Event]) -> Vec<Event> {
    let mut owners = Owners::default();
    let see = |event: &Event| {
        let unseen = Event {
            flags: event.flags & !USED | UNSEEN,
            ..*event
        };
        match owners.follow(&unseen) {
            Ok(()) => unseen,
            Err(_) => {
                owners.follow(event).unwrap();
                *event
            }
        }
    };
    events.iter().map(see).collect()
}

/// Replaces what is not known by what `used` says of each window.
fn taken_for(events: &[Event], mut used: impl FnMut(usize) -> bool) -> Vec<Event> {
    let events = events.iter().enumerate().map(|(row, event)| {
        let is_used = event.has(UNSEEN) && used(row);
        Event {
            flags: event.flags & !UNSEEN | (u8::from(is_used) * USED),
            ..*event
        }
    });
    events.collect()
}

/// Whether a scheme's moves depend on windows that are not seen.
fn depends(scheme: Scheme) -> bool {
    matches!(scheme, Scheme::PerEntry | Scheme::LastTrap)
}

/// Whether a scheme forecasts entry windows, which may not be seen.
fn forecasts_entries(scheme: Scheme) -> bool {
    depends(scheme) || matches!(scheme, Scheme::Eager | Scheme::None)
}

/// Whether a number lies between two, in any order.
fn is_between(number: u64, [one, other]: [u64; 2]) -> bool {
    (one.min(other)..=one.max(other)).contains(&number)
}

proptest! {
    /// Whatever is unseen: counts and costs lie between those of all unused and all used, and are the same
    /// for all schemes but two, and for the oracle.
    #[test]
    fn what_is_unseen_is_bounded(
        events in records(),
        costs in costs(),
        random in prop::collection::vec(any::<bool>(), 1..64),
    ) {
        let seen = as_seen(&events);
        let of = |events: Vec<Event>| by_tables(&events, &[costs]);
        let low = of(taken_for(&seen, |_| false));
        let high = of(taken_for(&seen, |_| true));
        let between = [
            of(events),
            of(taken_for(&seen, |row| random[row % random.len()])),
        ];
        for found in between {
            let used = |outcome: &Outcome| outcome.windows.entry.used;
            prop_assert!(used(&low) <= used(&found) && used(&found) <= used(&high));
            prop_assert_eq!(low.windows.load, found.windows.load);
            prop_assert_eq!(low.oracles[0].cost(), found.oracles[0].cost());
            prop_assert_eq!(&low.not_prompt, &found.not_prompt);
            for ((low, high), found) in low.schemes.iter().zip(&high.schemes).zip(&found.schemes) {
                let scheme = found.scheme;
                if !forecasts_entries(scheme) {
                    prop_assert_eq!(found.total, low.total, "{}", scheme);
                }
                let moves = |outcome: &crate::SchemeOutcome| outcome.total.moves();
                if !depends(scheme) {
                    prop_assert_eq!(moves(found), moves(low), "{}", scheme);
                    prop_assert_eq!(moves(found), moves(high), "{}", scheme);
                }
                let costs = match is_bounded(scheme) {
                    true => costs,
                    false => Costs { gate: 0, isb: 0, ..costs },
                };
                let cost = |outcome| moves(outcome).cost(&costs);
                prop_assert!(cost(low) <= cost(found), "{}", scheme);
                prop_assert!(cost(found) <= cost(high), "{}", scheme);
                if is_bounded(scheme) {
                    let wasted = |outcome: &crate::SchemeOutcome| outcome.total.wasted_loads;
                    prop_assert!(is_between(wasted(found), [low, high].map(wasted)));
                    for pair in 0..4 {
                        let count = |outcome: &crate::SchemeOutcome| {
                            outcome.total.forecast[pair / 2][pair % 2]
                        };
                        prop_assert!(is_between(count(found), [low, high].map(count)));
                    }
                }
            }
        }
    }
}

#[test]
fn bounds_are_what_was_worked_out_by_hand() {
    // Used, unseen, unused as it was put and loaded again.
    let (_directory, record) = traced(&[Some(true), None, None, Some(false)]);
    let bounds = replay_bounds(&record, Counted::All, &Scheme::ALL, &[], &|| false).unwrap();
    let traps = |outcome: &Outcome, scheme| {
        let found = outcome.scheme(scheme, &Costs::FREE).unwrap();
        found.total.traps
    };
    let Bounds {
        unseen,
        unused,
        used,
    } = bounds;
    let used = used.unwrap();
    assert_eq!(unseen, 2);
    assert_eq!(unused.windows.entry.used, 1);
    assert_eq!(used.windows.entry.used, 3);
    // last-trap loads at the second window, and so sees no trap in it; it is the third that traps.
    for (scheme, expected) in [
        (Scheme::PerEntry, [1, 3]),
        (Scheme::LastTrap, [1, 2]),
        (Scheme::Owner, [1, 1]),
        (Scheme::UntilPut, [1, 1]),
    ] {
        let found = [&unused, &used].map(|outcome| traps(outcome, scheme));
        assert_eq!(found, expected, "{scheme}");
    }
}

#[test]
fn without_unseen_windows_there_is_one_replay() {
    let (_directory, record) = traced(&[Some(true), Some(false)]);
    let bounds = replay_bounds(&record, Counted::Work, &Scheme::ALL, &[], &|| false).unwrap();
    let outcome = replay_record(&record, &Scheme::ALL, &[], &|| false).unwrap();
    assert_eq!((bounds.unseen, bounds.used), (0, None));
    assert_eq!(bounds.unused, outcome);
}

#[test]
fn a_window_that_is_unseen_without_a_use_before_it_is_refused() {
    let (_directory, record) = traced(&[Some(false), None]);
    let error = replay_bounds(&record, Counted::All, &Scheme::ALL, &[], &|| false).unwrap_err();
    assert!(
        matches!(error, Error::Unbounded { vcpu: 0, core: 0 }),
        "{error}"
    );
    let unseen = Event::new(0, 0, UNSEEN);
    for between in [
        Event::new(0, 0, PUT),
        Event::new(0, 0, HOST),
        Event::new(1, 0, 0),
    ] {
        let mut owners = Owners::default();
        owners.follow(&Event::new(0, 0, USED)).unwrap();
        owners.follow(&unseen).unwrap();
        owners.follow(&between).unwrap();
        owners.follow(&unseen).unwrap_err();
    }
    let mut owners = Owners::default();
    owners.follow(&Event::new(0, 0, USED)).unwrap();
    owners
        .follow(&Event::new(0, 0, UNSEEN | POWERED_ON))
        .unwrap_err();
    owners.follow(&Event::new(0, 1, UNSEEN)).unwrap_err();
}

/// A record of a host's vCPU, of each of whose windows is known so much. It is put before the last.
fn traced(used: &[Option<bool>]) -> (tempfile::TempDir, RecordFile) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("host.parquet");
    let mut options = std::fs::File::options();
    let file = options.read(true).write(true).create(true).open(&path);
    let metadata = Metadata {
        recorder: trapcast_record::Recorder::Host,
        vcpus: vec![Vcpu { vm: 0, index: 0 }],
        ..Metadata::default()
    };
    let mut writer = RecordWriter::of_trace(file.unwrap(), metadata).unwrap();
    for (row, &seen) in used.iter().enumerate() {
        let mut flags = Flags::empty();
        flags.set(Flags::PUT, row + 2 == used.len());
        let record = Record {
            flags: flags.bits(),
            start: row as u64,
            ..Record::default()
        };
        let traced = Traced {
            used: seen,
            duration: 0,
        };
        writer.push_traced(0, &record, traced).unwrap();
    }
    writer.finish(End::default()).unwrap();
    (directory, RecordFile::open(&path).unwrap())
}
