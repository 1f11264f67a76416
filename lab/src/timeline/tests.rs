//! Traces read back: what viewers rely on, and that nothing of the record is lost.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use trapcast_trace::{
    record::{Flags, NEVER, Record},
    report::Exit,
};

use super::*;
use trapcast_replay::Cause;
use trapcast_report::{
    record::{self, End, Metadata, RecordWriter, Shape, Vcpu},
    replaying,
};

/// Windows of the record that the tests show.
const WINDOWS: u64 = 6000;

/// A record of three vCPUs on one core.
fn record(directory: &Path) -> RecordFile {
    let path = directory.join("a.parquet");
    let shape = Shape {
        windows: WINDOWS,
        vcpus: 3,
        seed: 5,
        replay_only: false,
    };
    record::generate(&path, shape).unwrap();
    RecordFile::open(&path).unwrap()
}

/// A record of three vCPUs that move between two cores, chosen by a seed.
fn moving_record(directory: &Path) -> RecordFile {
    let path = directory.join("moving.parquet");
    let metadata = Metadata {
        scheme: "owner".to_string(),
        vcpus: (0..3).map(|vm| Vcpu { vm, index: 0 }).collect(),
        ..Metadata::default()
    };
    let mut writer = RecordWriter::create(&path, metadata).unwrap();
    let mut random = 0x1234_5678_9abc_def1_u64;
    // Of each core: its clock, and who is loaded. Of each vCPU: when it was put.
    let mut cores = [(0_u64, None), (5, None)];
    let mut put_at = [Some(0); 3];
    for _ in 0..WINDOWS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let chance = |shift: u32, one_in: u64| (random >> shift).is_multiple_of(one_in);
        let core = usize::from(cores[1].0 < cores[0].0);
        let (clock, loaded) = &mut cores[core];
        let mut flags = Flags::empty();
        let vcpu = *loaded.get_or_insert_with(|| {
            flags |= Flags::LOADED;
            let free = (0..3).filter(|vcpu| put_at[*vcpu].is_some());
            let choice = free.min_by_key(|vcpu| (put_at[*vcpu], *vcpu));
            choice.expect("two cores leave one of three free")
        });
        *clock = (*clock).max(put_at[vcpu].take().unwrap_or(0));
        let (put, used) = (chance(33, 3), chance(37, 2));
        flags.set(Flags::PUT, put);
        flags.set(Flags::FP, used);
        flags.set(Flags::POWERED_ON, chance(41, 50));
        let duration = (random >> 50) as u32 % 90;
        let record = Record {
            start: *clock,
            duration,
            guest_instructions: 16 * duration,
            first_use: if used { 5 * duration } else { NEVER },
            host_uses: u16::from(chance(45, 20)),
            vcpu: vcpu as u16,
            exit: if put { Exit::Wait } else { Exit::Mmio } as u8,
            flags: flags.bits(),
            ..Record::default()
        };
        writer.push(core, &[record]).unwrap();
        *clock += u64::from(duration) + 1;
        if put {
            put_at[vcpu] = Some(*clock);
            *loaded = None;
        }
    }
    let counter_frequency = 62_500_000;
    let end = End {
        counter_frequency,
        ..End::default()
    };
    writer.finish(end).unwrap();
    RecordFile::open(&path).unwrap()
}

/// Writes a trace and reads it back.
fn trace(record: &RecordFile, plan: &Plan) -> (Written, Value) {
    let path = record.path().with_extension("json");
    let written = write(record, plan, &path).unwrap();
    let text = std::fs::read(&path).unwrap();
    assert_eq!(text.len() as u64, written.bytes);
    (written, serde_json::from_slice(&text).unwrap())
}

fn events<'a>(trace: &'a Value, phase: &'a str) -> impl Iterator<Item = &'a Value> {
    let events = trace["traceEvents"].as_array().unwrap().iter();
    events.filter(move |event| event["ph"] == phase)
}

/// Nanoseconds as a viewer reckons them from microseconds in binary, which may lose one.
fn nanoseconds(microseconds: &Value) -> u64 {
    (microseconds.as_f64().unwrap() * 1000.0) as u64
}

fn count(trace: &Value, category: &str, names: &[&str]) -> u64 {
    let has = |event: &&Value| {
        event["cat"] == category && names.iter().any(|name| event["name"] == *name)
    };
    events(trace, "i").filter(has).count() as u64
}

/// On each track, what begins later ends later, and nothing overlaps; each track has a name.
fn is_sound(trace: &Value) {
    let mut named = BTreeMap::new();
    for event in events(trace, "M").filter(|event| event["name"] == "thread_name") {
        let track = (event["pid"].as_u64(), event["tid"].as_u64());
        assert_eq!(named.insert(track, event["args"]["name"].clone()), None);
    }
    let mut ends: BTreeMap<_, u64> = BTreeMap::new();
    for event in events(trace, "X").chain(events(trace, "i")) {
        let track = (event["pid"].as_u64(), event["tid"].as_u64());
        assert_eq!(named.get(&track), Some(&event["cat"]), "{event}");
        let start = nanoseconds(&event["ts"]);
        let end = start + event.get("dur").map_or(0, nanoseconds);
        let before = ends.insert(track, end).unwrap_or(0);
        assert!(before <= start, "{event} begins before {before}");
    }
}

#[test]
fn every_scheme_moves_in_the_trace_what_its_replay_counts() {
    let directory = tempfile::tempdir().unwrap();
    shows_what_is_counted(&record(directory.path()));
    let fetches = shows_what_is_counted(&moving_record(directory.path()));
    assert!(fetches > 100, "{fetches}");
}

/// Compares the trace of a record under every scheme with its replay. Returns how often registers were
/// fetched from another core.
fn shows_what_is_counted(record: &RecordFile) -> u64 {
    let outcome = replaying::outcome(
        record,
        &Scheme::ALL,
        &[trapcast_profile::of_this_machine().fp],
    )
    .unwrap();
    let mut fetches = 0;
    for counted in &outcome.schemes {
        let plan = Plan {
            scheme: Some(counted.scheme),
            ..Plan::default()
        };
        let (written, trace) = trace(record, &plan);
        is_sound(&trace);
        assert_eq!((written.windows, written.cut_at), (WINDOWS, None));
        assert_eq!(trace["otherData"]["scheme"], counted.scheme.name());
        let evictions = events(&trace, "i")
            .filter(|event| event["name"] == "host use" && event["args"]["save"] != "host");
        let total = &counted.total;
        let switches = |names: &[&str]| count(&trace, "switches", names);
        let gives_back = [
            "give back at exit",
            "give back at put",
            "give back at power-on",
        ];
        assert_eq!(
            [
                count(&trace, "traps", &["trap"]),
                switches(&["load in trap"]),
                switches(&["load at entry"]),
                switches(&gives_back),
                switches(&["fetch"]),
                evictions.count() as u64,
            ],
            [
                total.traps,
                total.traps,
                total.eager_loads,
                total.give_backs,
                total.fetches,
                total.host_evictions
            ],
            "{}",
            counted.scheme
        );
        fetches += total.fetches;
    }
    fetches
}

#[test]
fn the_documentation_names_every_track_and_every_move() {
    let documentation = include_str!("../../../docs/timeline.md");
    let tracks = tracks::Track::ALL.map(tracks::Track::name);
    let causes = [
        Cause::PowerOn,
        Cause::Entry { open: true },
        Cause::Trap,
        Cause::Exit,
        Cause::Host,
        Cause::Put,
        Cause::Fetch,
    ];
    for name in tracks.into_iter().chain(causes.map(core::switch_name)) {
        assert!(documentation.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn the_tracks_cover_the_whole_time_of_a_core() {
    let directory = tempfile::tempdir().unwrap();
    let record = record(directory.path());
    let (_, trace) = trace(&record, &Plan::default());
    let of =
        |category: &'static str| events(&trace, "X").filter(move |event| event["cat"] == category);
    let covered = |category| {
        of(category)
            .map(|event| nanoseconds(&event["dur"]) + 1)
            .sum::<u64>()
    };
    let last = of("runs").last().unwrap();
    let end = nanoseconds(&last["ts"]) + nanoseconds(&last["dur"]);
    for category in ["runs", "registers"] {
        let covered = covered(category);
        // A nanosecond of each slice may be lost in reading.
        assert!(
            covered.abs_diff(end) <= 2 * WINDOWS * 2,
            "{category}: {covered} of {end}"
        );
    }
    let owner = of("registers").last().unwrap();
    let owned = nanoseconds(&owner["ts"]) + nanoseconds(&owner["dur"]);
    assert!(owned.abs_diff(end) <= 2, "{owned} of {end}");
    let windows: Vec<_> = of("runs")
        .filter(|event| event["name"].as_str().unwrap().starts_with("vm"))
        .collect();
    assert_eq!(windows.len() as u64, WINDOWS);
    let used = windows
        .iter()
        .filter(|window| window["args"]["used"] == true);
    let outcome = replaying::outcome(&record, &[Scheme::Owner], &[]).unwrap();
    assert_eq!(used.count() as u64, outcome.windows.entry.used);
    let loads = of("loaded").filter(|event| event["args"]["put"] != "not yet");
    assert_eq!(loads.count() as u64, outcome.windows.load.windows);
    let owners: Vec<_> = of("registers").map(|event| &event["name"]).collect();
    assert!(owners.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(count(&trace, "interrupts", &["INTID 27"]) > 0);
}

#[test]
fn a_cut_shows_what_begins_in_it_and_keeps_the_state_from_before() {
    let directory = tempfile::tempdir().unwrap();
    let record = record(directory.path());
    let (_, whole) = trace(&record, &Plan::default());
    let (from, to) = (300_000, 700_000);
    let plan = Plan {
        from,
        to: Some(to),
        ..Plan::default()
    };
    let (written, cut) = trace(&record, &plan);
    is_sound(&cut);
    assert_eq!(written.cut_at, None);
    let windows = |trace: &Value| {
        let of = |event: &&Value| event["args"]["window"].is_u64();
        events(trace, "X").filter(of).cloned().collect::<Vec<_>>()
    };
    let begins_in = |event: &Value| (from..to).contains(&nanoseconds(&event["ts"]));
    let mut expected = windows(&whole);
    expected.retain(begins_in);
    let mut shown = windows(&cut);
    // One that began before is shown from the cut on.
    shown.retain(|event| nanoseconds(&event["ts"]) > from);
    expected.retain(|event| nanoseconds(&event["ts"]) > from);
    assert!(!shown.is_empty() && shown == expected);
    assert!(events(&cut, "i").all(|event| nanoseconds(&event["ts"]) >= from));
    let owner = |trace: &Value| {
        let at = |event: &&Value| {
            let start = nanoseconds(&event["ts"]);
            event["cat"] == "registers"
                && start <= from + 1
                && from + 1 < start + nanoseconds(&event["dur"])
        };
        events(trace, "X")
            .find(at)
            .map(|event| event["name"].clone())
    };
    assert!(owner(&whole).is_some());
    assert_eq!(owner(&cut), owner(&whole));

    let plan = Plan {
        windows: Some(10),
        ..Plan::default()
    };
    let (written, first) = trace(&record, &plan);
    assert_eq!((written.windows, windows(&first).len()), (10, 10));
    let next = &windows(&whole)[10];
    assert!(written.cut_at.unwrap().abs_diff(nanoseconds(&next["ts"])) <= 1);
}
