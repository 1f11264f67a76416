//! What `inspect` says of files that are made up.

use std::path::Path;

use trapcast_trace::record::{Flags, Record};

use super::{inspect, render};
use crate::record::{End, Metadata, RecordWriter, Shape, Vcpu, generate};

/// Writes a record of these windows on one core.
fn write(path: &Path, records: &[Record]) {
    let vcpus = [(0, 0), (0, 1), (7, 0)].map(|(vm, index)| Vcpu { vm, index });
    let metadata = Metadata {
        workload: "test".to_string(),
        vcpus: vcpus.to_vec(),
        ..Metadata::default()
    };
    let mut writer = RecordWriter::create(path, metadata).unwrap();
    writer.push(0, records).unwrap();
    let end = End {
        waits: 5,
        counter_frequency: 1000,
    };
    writer.finish(end).unwrap();
}

#[test]
fn windows_before_the_first_mark_are_of_the_boot() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("marks.parquet");
    let record = |vcpu, flags: Flags| Record {
        vcpu,
        flags: flags.bits(),
        ..Record::default()
    };
    let (marked, none) = (Flags::MARK, Flags::empty());
    let records = [
        record(0, none),
        record(2, none),
        record(1, none),
        record(1, marked),
        record(0, marked),
        record(2, none),
    ];
    write(&path, &records);
    let summary = inspect(&path).unwrap();
    let boots: Vec<_> = summary.vcpus.iter().map(|vcpu| vcpu.boot_windows).collect();
    assert_eq!(boots, [Some(1), Some(2), None]);
}

#[test]
fn inspect_says_what_is_in_a_record() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.parquet");
    // vCPU 0: a load window of three windows, the second of which uses; then one without a use.
    let window = |vcpu, flags: Flags, start: u64| Record {
        vcpu,
        start,
        duration: 10,
        guest_instructions: 7,
        el2_instructions: 3,
        exit: 6,
        flags: flags.bits(),
        ..Record::default()
    };
    let none = Flags::empty();
    let records = [
        window(0, Flags::LOADED, 100),
        window(0, Flags::FP, 120),
        window(0, Flags::PUT, 140),
        window(2, Flags::LOADED | Flags::FP, 160),
        window(2, Flags::FP | Flags::PUT, 180),
        window(0, Flags::LOADED, 200),
        window(0, none, 220),
        window(0, Flags::PUT | Flags::FP, 240),
        window(0, Flags::LOADED | Flags::PUT, 600),
    ];
    write(&path, &records);
    let summary = inspect(&path).unwrap();
    assert_eq!((summary.ticks, summary.seconds), (510, Some(0.51)));
    assert_eq!(
        (summary.guest_instructions, summary.el2_instructions),
        (63, 27)
    );
    let entry = &summary.entry_windows;
    assert_eq!((entry.windows, entry.used), (9, 4));
    assert_eq!(entry.use_after_use, Some(1.0 / 3.0));
    assert_eq!(entry.use_after_none, Some(2.0 / 4.0));
    let load = &summary.vcpus[0].load_windows;
    assert_eq!((load.windows, load.used), (3, 2));
    assert_eq!((load.use_after_use, load.use_after_none), (Some(0.5), None));
    let vcpus: Vec<_> = summary.vcpus.iter().map(|vcpu| vcpu.vcpu).collect();
    assert_eq!(vcpus, [0, 2]);
    let [exit] = &summary.exits[..] else {
        panic!("one reason: {:?}", summary.exits);
    };
    assert_eq!((exit.exit, exit.windows), ("wait", 9));
    assert_eq!(exit.next_used_share, Some(3.0 / 7.0));
    let distances = &summary.distances;
    assert_eq!(
        (distances.count, distances.p50, distances.max),
        (2, Some(1), Some(4))
    );
    let text = render(&summary);
    for wanted in [
        "vm7 vcpu0",
        "fp_used",
        "uint32 or null",
        "0.510 s",
        "5 times",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
}

#[test]
fn even_a_long_record_fits_into_the_width() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long.parquet");
    let shape = Shape {
        windows: 10_000,
        vcpus: 3,
        seed: 1,
        replay_only: false,
    };
    generate(&path, shape).unwrap();
    let mut summary = inspect(&path).unwrap();
    for vcpu in &mut summary.vcpus {
        vcpu.entry_windows.windows = 1_234_567_890;
        vcpu.load_windows.windows = 123_456_789;
        vcpu.preemptions = 123_456_789;
        vcpu.host_uses = 123_456_789;
    }
    let text = render(&summary);
    for line in text.lines().skip_while(|line| !line.is_empty()) {
        assert!(line.chars().count() <= 120, "{line}");
    }
}
