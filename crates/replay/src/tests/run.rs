//! How a replay runs: over pieces and threads, to its end or an error.

use trapcast_forecast::{Decision, Evidence, Release, Resume, Window};
use trapcast_record::{RecordFile, Shape, generate};
use trapcast_switch::Forecast;

use super::*;
use crate::{Asked, Error, Windows, replay_record};

/// A record of three vCPUs.
pub fn generated(windows: u64) -> (tempfile::TempDir, RecordFile) {
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
    assert_eq!(outcome.windows, Windows::default());
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
