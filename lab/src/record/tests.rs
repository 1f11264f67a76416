//! Whole files: written, read back, damaged, refused.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use trapcast_trace::{
    record::{Flags, Record},
    report::{EXITS, MAX_CORES},
};
use zerocopy::FromBytes;

use super::{
    End, Metadata, RecordFile, RecordWriter, Shape, Vcpu, generate, inspect,
    reader::Values,
    reseal,
    row::{Enricher, Row},
    schema::{COLUMNS, Column, Value},
    seal,
};
use crate::replay::Event;
use trapcast_tool::error::Result;

const VCPUS: [Vcpu; 3] = [
    Vcpu { vm: 0, index: 0 },
    Vcpu { vm: 0, index: 1 },
    Vcpu { vm: 7, index: 0 },
];

fn metadata() -> Metadata {
    Metadata {
        workload: "test".to_string(),
        vcpus: VCPUS.to_vec(),
        counter_frequency: 1000,
        ..Metadata::default()
    }
}

/// A record of any content that the hypervisor could write.
fn record() -> impl Strategy<Value = Record> {
    let flags = 0..=Flags::all().bits();
    let fields = (0..VCPUS.len() as u16, 0..EXITS as u8, flags, 0..3u16);
    (any::<[u8; size_of::<Record>()]>(), fields).prop_map(|(bytes, fields)| {
        let (vcpu, exit, flags, host_uses) = fields;
        Record {
            vcpu,
            exit,
            flags,
            host_uses,
            ..Record::read_from_bytes(&bytes).unwrap()
        }
    })
}

fn write(
    path: &Path,
    columns: &'static [Column],
    row_group: usize,
    records: &[(usize, Record)],
) -> Result<u64> {
    let mut writer = RecordWriter::with_columns(path, metadata(), columns, row_group)?;
    for (core, record) in records {
        writer.push(*core, &[*record])?;
    }
    writer.finish(End {
        waits: 5,
        counter_frequency: 1000,
    })
}

/// What a column of these rows is when it is read.
fn expected(column: &Column, rows: &[Row]) -> Values {
    let rows = rows.iter();
    match column.value {
        Value::Bool(value) => Values::Bools(rows.map(value).collect()),
        Value::Number(_, value) => Values::Numbers(rows.map(|row| Some(value(row))).collect()),
        Value::MaybeNumber(_, value) => Values::Numbers(rows.map(value).collect()),
        Value::Long(value) => Values::Longs(rows.map(value).collect()),
        Value::Exit(value) => Values::Exits(rows.map(|row| Some(value(row))).collect()),
        Value::MaybeExit(value) => Values::Exits(rows.map(value).collect()),
    }
}

fn event(core: usize, record: &Record) -> Event {
    let flags = Flags::from_bits_truncate(record.flags);
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let flags = flag(flags.contains(Flags::FP), Event::USED)
        | flag(flags.contains(Flags::PUT), Event::PUT)
        | flag(flags.contains(Flags::POWERED_ON), Event::POWERED_ON)
        | flag(record.host_uses > 0, Event::HOST);
    Event::new(record.vcpu, core as u8, flags)
}

/// Reads everything that a file has.
fn read_all(path: &Path) -> Result<Vec<Event>> {
    let file = RecordFile::open(path)?;
    let (mut all, mut events) = (Vec::new(), Vec::new());
    for group in 0..file.row_group_count() {
        file.read_events(group, &mut events)?;
        all.append(&mut events);
        for column in COLUMNS {
            file.read_column(group, column.name)?;
        }
    }
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_written_is_read(
        records in prop::collection::vec((0..MAX_CORES, record()), 0..200),
        row_group in 1..120usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.parquet");
        write(&path, COLUMNS, row_group, &records).unwrap();
        let mut enricher = Enricher::new(&VCPUS);
        let rows = records.iter().map(|(core, record)| enricher.enrich(*core, record).unwrap());
        let rows: Vec<_> = rows.collect();
        let file = RecordFile::open(&path).unwrap();
        prop_assert_eq!(file.windows(), records.len() as u64);
        prop_assert_eq!(file.metadata().waits, 5);
        prop_assert_eq!(file.metadata().vms, 2);
        prop_assert_eq!(file.row_group_count(), rows.len().div_ceil(row_group));
        for (group, rows) in rows.chunks(row_group).enumerate() {
            for column in COLUMNS {
                let read = file.read_column(group, column.name).unwrap();
                prop_assert_eq!(read, expected(column, rows), "{}", column.name);
            }
        }
        let events: Vec<_> = records.iter().map(|(core, record)| event(*core, record)).collect();
        prop_assert_eq!(read_all(&path).unwrap(), events);
    }
}

/// A small file in a directory of its own.
fn small(windows: u64) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.parquet");
    let shape = Shape {
        windows,
        vcpus: 3,
        seed: 1,
        replay_only: false,
    };
    generate(&path, shape).unwrap();
    (directory, path)
}

fn refusal(path: &Path) -> String {
    let error = read_all(path).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    let sentence = error.to_string();
    assert!(!sentence.contains('\n'), "{sentence}");
    assert!(
        sentence.contains("parquet "),
        "it names no file: {sentence}"
    );
    sentence
}

#[test]
fn a_record_for_replays_holds_the_same_windows_and_nothing_else() {
    let (directory, whole) = small(3_000);
    let path = directory.path().join("lean.parquet");
    let shape = Shape {
        windows: 3_000,
        vcpus: 3,
        seed: 1,
        replay_only: true,
    };
    generate(&path, shape).unwrap();
    let file = RecordFile::open(&path).unwrap();
    let mut events = Vec::new();
    file.read_events(0, &mut events).unwrap();
    assert_eq!(events, read_all(&whole).unwrap());
    let error = file.read_column(0, "pc").unwrap_err().to_string();
    assert!(error.contains("no column pc"), "{error}");
}

#[test]
fn the_same_seed_makes_the_same_windows() {
    let (_first, first) = small(30_000);
    let (_second, second) = small(30_000);
    assert_eq!(
        std::fs::read(&first).unwrap(),
        std::fs::read(&second).unwrap()
    );
    let events = read_all(&first).unwrap();
    assert_eq!(events.len(), 30_000);
    for vcpu in 0..3 {
        assert!(events.iter().any(|event| event.vcpu() == vcpu));
    }
    for flag in [Event::USED, Event::PUT, Event::HOST, Event::POWERED_ON] {
        let set = events.iter().filter(|event| event.flags() & flag != 0);
        let set = set.count();
        assert!((1..29_000).contains(&set), "{flag}: {set}");
    }
}

#[test]
fn work_begins_behind_the_first_mark_of_a_vm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("marks.parquet");
    let record = |vcpu, flags: Flags| {
        let flags = flags.bits();
        let record = Record {
            vcpu,
            flags,
            ..Record::default()
        };
        (0, record)
    };
    // The two vCPUs of VM 0 and the one of VM 7, in row groups of two windows.
    let marked = Flags::MARK;
    let none = Flags::empty();
    let records = [
        record(0, none),
        record(2, none),
        record(1, none),
        record(1, marked),
        record(0, marked),
        record(2, none),
    ];
    write(&path, COLUMNS, 2, &records).unwrap();
    let file = RecordFile::open(&path).unwrap();
    assert_eq!(file.work_begins().unwrap(), [(0, 4), (7, 0)].into());
    let summary = inspect::inspect(&path).unwrap();
    let boots: Vec<_> = summary.vcpus.iter().map(|vcpu| vcpu.boot_windows).collect();
    assert_eq!(boots, [Some(1), Some(2), None]);
}

#[test]
fn several_threads_may_read_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.parquet");
    let records = vec![(0, Record::default()); 40];
    write(&path, COLUMNS, 10, &records).unwrap();
    let file = RecordFile::open(&path).unwrap();
    std::thread::scope(|scope| {
        for group in 0..file.row_group_count() {
            let file = &file;
            scope.spawn(move || {
                let mut events = vec![Event::new(9, 9, 9); 3];
                file.read_events(group, &mut events).unwrap();
                assert_eq!(events, vec![Event::new(0, 0, 0); 10]);
            });
        }
    });
}

#[test]
fn an_unfinished_file_leaves_nothing_and_the_old_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/file.parquet");
    write(&path, COLUMNS, 10, &[(0, Record::default())]).unwrap();
    let before = std::fs::read(&path).unwrap();
    let mut writer = RecordWriter::create(&path, metadata()).unwrap();
    writer.push(0, &[Record::default(); 10_000]).unwrap();
    drop(writer);
    let mut writer = RecordWriter::create(&path, metadata()).unwrap();
    let impossible = Record {
        exit: EXITS as u8,
        ..Record::default()
    };
    let error = writer.push(0, &[impossible]).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    drop(writer);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1
    );
}

#[test]
fn a_directory_that_cannot_be_made_is_the_users_affair() {
    let error = RecordWriter::create(Path::new("/dev/null/x.parquet"), metadata()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("/dev/null/x.parquet"), "{error}");
}

#[test]
fn a_record_without_windows_opens_but_has_nothing_to_replay() {
    let (_directory, path) = small(0);
    let file = RecordFile::open(&path).unwrap();
    assert_eq!((file.windows(), file.row_group_count()), (0, 0));
    let error = file.require_windows().unwrap_err();
    assert!(error.to_string().contains("no windows"), "{error}");
}

#[test]
fn what_is_no_record_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("foreign.parquet");
    for bytes in [&b""[..], b"PAR1", b"vcpu,core\n1,2\n3,4\n", &[0; 5000]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(refusal(&path).contains("is not a Parquet file"));
    }
    let error = RecordFile::open(&directory.path().join("none")).unwrap_err();
    assert!(error.to_string().starts_with("cannot read "), "{error}");
    let error = RecordFile::open(directory.path()).unwrap_err();
    assert!(error.to_string().ends_with("is not a file"), "{error}");
}

/// Replaces bytes of a file's footer, and seals it anew.
fn forge(path: &Path, old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let mut bytes = std::fs::read(path).unwrap();
    let place = bytes.windows(old.len()).rposition(|window| window == old);
    let place = place.unwrap();
    bytes[place..place + old.len()].copy_from_slice(new);
    reseal(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_newer_format_and_metadata_that_lack_are_refused() {
    let (_directory, path) = small(10);
    forge(
        &path,
        b"trapcast.format\x18\x012",
        b"trapcast.format\x18\x013",
    );
    let sentence = refusal(&path);
    assert!(
        sentence.contains("newer trapcast (format 3; this one reads 2)"),
        "{sentence}"
    );
    let (_directory, path) = small(10);
    forge(
        &path,
        b"trapcast.format\x18\x012",
        b"trapcast.format\x18\x011",
    );
    assert!(refusal(&path).contains("unknown format 1"));
    let (_directory, path) = small(10);
    forge(&path, b"trapcast.format", b"trapcast.fromat");
    assert!(refusal(&path).contains("no record of Trapcast"));
    let (_directory, path) = small(10);
    forge(&path, b"trapcast.waits", b"trapcast.weeds");
    let sentence = refusal(&path);
    assert!(sentence.contains("`waits`"), "{sentence}");
    let (_directory, path) = small(10);
    forge(
        &path,
        b"trapcast.windows\x18\x0210",
        b"trapcast.windows\x18\x0211",
    );
    assert!(refusal(&path).contains("10 windows, but its metadata say 11"));
}

#[test]
fn a_missing_column_and_one_of_the_wrong_type_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.parquet");
    let records = [(0, Record::default())];
    let without: Vec<_> = COLUMNS
        .iter()
        .copied()
        .filter(|column| column.name != "put")
        .collect();
    write(&path, without.leak(), 10, &records).unwrap();
    assert!(refusal(&path).contains("has no column put (bool)"));
    let changed = COLUMNS.iter().map(|column| match column.name {
        "vcpu" => Column {
            value: Value::Long(|row| row.record.vcpu.into()),
            ..*column
        },
        _ => *column,
    });
    write(&path, changed.collect::<Vec<_>>().leak(), 10, &records).unwrap();
    let sentence = refusal(&path);
    assert!(
        sentence.contains("column vcpu of type uint64; a record's is uint16"),
        "{sentence}"
    );
    let nullable = COLUMNS.iter().map(|column| match column.name {
        "core" => Column {
            value: Value::MaybeNumber(super::schema::Bits::Eight, |row| Some(row.core.into())),
            ..*column
        },
        _ => *column,
    });
    write(&path, nullable.collect::<Vec<_>>().leak(), 10, &records).unwrap();
    assert!(refusal(&path).contains("core of type uint8 or null"));
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let (_directory, path) = small(300);
    let whole = std::fs::read(&path).unwrap();
    let step = whole.len() / 97;
    let ends = (0..whole.len()).step_by(step);
    for end in ends.chain(whole.len() - 20..whole.len()) {
        std::fs::write(&path, &whole[..end]).unwrap();
        refusal(&path);
    }
}

/// A seeded choice of bits below a number.
fn bits(below: usize, count: usize) -> impl Iterator<Item = usize> {
    const SEED: u64 = 7;
    println!("seed {SEED}");
    let mut state = SEED;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    })
    .take(count)
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let (_directory, path) = small(300);
    let whole = std::fs::read(&path).unwrap();
    for bit in bits(whole.len() * 8, 400) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        refusal(&path);
    }
}

#[test]
fn a_footer_made_on_purpose_does_no_harm() {
    let (_directory, path) = small(300);
    let whole = std::fs::read(&path).unwrap();
    let length = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap());
    let footer = whole.len() - 8 - length as usize;
    let key = seal::FOOTER_KEY.as_bytes();
    let sealed = whole.windows(key.len()).rposition(|window| window == key);
    for bit in bits((sealed.unwrap() - footer) * 8, 600) {
        let mut bytes = whole.clone();
        bytes[footer + bit / 8] ^= 1 << (bit % 8);
        reseal(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        // What it says is for nobody to know; that it comes back is the point.
        if read_all(&path).is_err() {
            refusal(&path);
        }
    }
}

#[test]
fn a_column_made_on_purpose_does_no_harm() {
    let (_directory, path) = small(300);
    let whole = std::fs::read(&path).unwrap();
    let length = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap());
    let footer = whole.len() - 8 - length as usize;
    let mut refused = 0;
    for bit in bits((footer - 4) * 8, 600) {
        let mut bytes = whole.clone();
        bytes[4 + bit / 8] ^= 1 << (bit % 8);
        reseal(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        if read_all(&path).is_err() {
            let sentence = refusal(&path);
            assert!(!sentence.contains("its checksum"), "{sentence}");
            refused += 1;
        }
    }
    assert!(refused > 0);
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
    write(&path, COLUMNS, 4, &records.map(|record| (0, record))).unwrap();
    let summary = super::inspect::inspect(&path).unwrap();
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
    let text = super::inspect::render(&summary);
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
    let (_directory, path) = small(10_000);
    let mut summary = super::inspect::inspect(&path).unwrap();
    for vcpu in &mut summary.vcpus {
        vcpu.entry_windows.windows = 1_234_567_890;
        vcpu.load_windows.windows = 123_456_789;
        vcpu.preemptions = 123_456_789;
        vcpu.host_uses = 123_456_789;
    }
    let text = super::inspect::render(&summary);
    for line in text.lines().skip_while(|line| !line.is_empty()) {
        assert!(line.chars().count() <= 120, "{line}");
    }
}
