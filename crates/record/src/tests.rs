//! Whole files: written, read back, damaged, refused.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use tempfile::TempDir;
use trapcast_trace::{
    record::{Flags, Record},
    report::{EXITS, MAX_CORES},
};
use zerocopy::FromBytes;

use super::{
    End, Error, Event, Metadata, NULL, Outside, RecordFile, RecordWriter, Result, Shape, Vcpu,
    generate, reseal,
    row::{Enricher, Row, Seen},
    schema::{COLUMNS, Column, Value},
    seal,
};

mod damage;

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

/// An empty file to be written.
fn file(path: &Path) -> File {
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(true);
    options.open(path).unwrap()
}

fn write(
    path: &Path,
    columns: &'static [Column],
    row_group: usize,
    records: &[(usize, Record)],
) -> Result<File> {
    let mut writer = RecordWriter::with_columns(file(path), metadata(), columns, row_group)?;
    for (core, record) in records {
        writer.push(*core, &[*record])?;
    }
    writer.finish(End {
        waits: 5,
        counter_frequency: 1000,
    })
}

/// What a column of these rows is when it is read.
fn expected(column: &Column, rows: &[Row]) -> Vec<u64> {
    let value = |row: &Row| match column.value {
        Value::Bool(value) => value(row).into(),
        Value::MaybeBool(value) => value(row).map_or(NULL, u64::from),
        Value::Number(_, value) => value(row).into(),
        Value::MaybeNumber(_, value) => value(row).map_or(NULL, u64::from),
        Value::Long(value) => value(row),
        Value::MaybeLong(value) => value(row).unwrap_or(NULL),
        Value::Exit(value) => value(row).into(),
        Value::MaybeExit(value) => value(row).map_or(NULL, u64::from),
    };
    rows.iter().map(value).collect()
}

/// Reads a column of a row group.
fn read_column(file: &RecordFile, group: usize, name: &'static str) -> Result<Vec<u64>> {
    let mut columns = file.columns(group..group + 1, [name])?;
    let mut all = Vec::new();
    while let Some([values]) = columns.next()? {
        all.extend(values);
    }
    Ok(all)
}

fn event(core: usize, record: &Record) -> Event {
    let flags = Flags::from_bits_truncate(record.flags);
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    Event {
        pc: record.pc,
        vcpu: record.vcpu,
        core: core as u8,
        flags: flag(flags.contains(Flags::FP), Event::USED)
            | flag(flags.contains(Flags::PUT), Event::PUT)
            | flag(flags.contains(Flags::POWERED_ON), Event::POWERED_ON)
            | flag(flags.contains(Flags::INTERRUPT_PENDING), Event::PENDING)
            | flag(record.host_uses > 0, Event::HOST),
    }
}

/// Reads everything that a file has.
fn read_all(path: &Path) -> Result<Vec<Event>> {
    let file = RecordFile::open(path)?;
    let (mut all, mut events) = (Vec::new(), Vec::new());
    for group in 0..file.row_group_count() {
        file.read_events(group, &mut events)?;
        all.append(&mut events);
        for column in COLUMNS {
            read_column(&file, group, column.name)?;
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
        let rows = records.iter().map(|(core, record)| enricher.enrich(*core, record, Seen::El2).unwrap());
        let rows: Vec<_> = rows.collect();
        let file = RecordFile::open(&path).unwrap();
        prop_assert_eq!(file.windows(), records.len() as u64);
        prop_assert_eq!(file.metadata().waits, 5);
        prop_assert_eq!(file.metadata().vms, 2);
        prop_assert_eq!(file.row_group_count(), rows.len().div_ceil(row_group));
        for (group, rows) in rows.chunks(row_group).enumerate() {
            for column in COLUMNS {
                let read = read_column(&file, group, column.name).unwrap();
                prop_assert_eq!(read, expected(column, rows), "{}", column.name);
            }
        }
        let events: Vec<_> = records.iter().map(|(core, record)| event(*core, record)).collect();
        prop_assert_eq!(read_all(&path).unwrap(), events);
    }
}

/// What an observer may see of a window.
fn outside() -> impl Strategy<Value = Outside> {
    let maybe = || prop::option::of(any::<u32>());
    let gaps = (maybe(), maybe(), maybe());
    let fields = (any::<[u32; 3]>(), any::<u16>(), any::<bool>());
    (gaps, fields).prop_map(
        |(gaps, ([traps, fp_traps, cptr], vmid, is_intid_known))| Outside {
            el2_instructions: gaps.0,
            host_instructions: gaps.1,
            hypervisor_fp: gaps.2,
            trap_instructions: traps,
            fp_traps,
            cptr,
            vmid,
            is_intid_known,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_an_observer_saw_is_read_and_what_it_did_not_see_is_null(
        windows in prop::collection::vec((0..MAX_CORES, record(), outside()), 1..200),
        row_group in 1..120usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.parquet");
        let mut enricher = Enricher::new(&VCPUS);
        let mut rows = Vec::new();
        let mut writer =
            RecordWriter::with_columns(file(&path), metadata(), COLUMNS, row_group).unwrap();
        for (core, record, outside) in &windows {
            writer.push_observed(*core, record, *outside).unwrap();
            rows.push(enricher.enrich(*core, record, Seen::Observer(*outside)).unwrap());
        }
        writer.finish(End::default()).unwrap();
        let file = RecordFile::open(&path).unwrap();
        for (group, rows) in rows.chunks(row_group).enumerate() {
            for column in COLUMNS {
                let read = read_column(&file, group, column.name).unwrap();
                prop_assert_eq!(read, expected(column, rows), "{}", column.name);
            }
            for unseen in ["start_ticks", "end_ticks", "interrupt_pending"] {
                let read = read_column(&file, group, unseen).unwrap();
                prop_assert!(read.iter().all(|value| *value == NULL), "{}", unseen);
            }
        }
        let pending = Flags::INTERRUPT_PENDING.bits();
        let events = windows.iter().map(|(core, record, _)| event(*core, &Record {
            flags: record.flags & !pending,
            ..*record
        }));
        prop_assert_eq!(read_all(&path).unwrap(), events.collect::<Vec<_>>());
    }
}

#[test]
fn without_ticks_a_cores_instructions_are_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.parquet");
    let mut writer = RecordWriter::new(file(&path), metadata()).unwrap();
    let record = |instructions| Record {
        guest_instructions: instructions,
        ..Record::default()
    };
    let gap = |el2, host, trap_instructions| Outside {
        el2_instructions: el2,
        host_instructions: host,
        trap_instructions,
        ..Outside::default()
    };
    let windows = [
        (0, record(10), gap(None, None, 5)),
        (1, record(7), gap(None, None, 0)),
        (0, record(20), gap(Some(100), Some(1000), 0)),
    ];
    for (core, record, outside) in &windows {
        writer.push_observed(*core, record, *outside).unwrap();
    }
    writer.finish(End::default()).unwrap();
    let file = RecordFile::open(&path).unwrap();
    let mut windows = Vec::new();
    file.rows().unwrap().read(&mut windows).unwrap();
    let times = windows.iter().map(|window| (window.start, window.end));
    assert_eq!(times.collect::<Vec<_>>(), [(0, 15), (0, 7), (1115, 1135)]);
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
    generate(file(&path), shape, &|| false).unwrap();
    (directory, path)
}

fn refusal(path: &Path) -> String {
    let error = read_all(path).unwrap_err();
    let cause = std::error::Error::source(&error);
    let sentence = cause.map_or(error.to_string(), |cause| format!("{error}: {cause}"));
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
    generate(file(&path), shape, &|| false).unwrap();
    let file = RecordFile::open(&path).unwrap();
    let mut events = Vec::new();
    file.read_events(0, &mut events).unwrap();
    let mut expected = read_all(&whole).unwrap();
    assert!(expected.iter().any(|event| event.pc != 0));
    expected.iter_mut().for_each(|event| event.pc = 0);
    assert_eq!(events, expected);
    let error = read_column(&file, 0, "pc").unwrap_err().to_string();
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
        assert!(events.iter().any(|event| event.vcpu == vcpu));
    }
    for flag in [Event::USED, Event::PUT, Event::HOST, Event::POWERED_ON] {
        let set = events.iter().filter(|event| event.has(flag));
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
}

#[test]
fn all_vms_are_at_work_behind_the_last_mark_until_the_first_one_ends() {
    let directory = tempfile::tempdir().unwrap();
    // By vCPU, of which 0 and 1 are VM 0's and 2 is VM 7's; a large letter marks.
    let phase = |windows: &str| {
        let path = directory.path().join(windows);
        let records: Vec<_> = windows
            .bytes()
            .map(|letter| {
                let flags = match letter.is_ascii_uppercase() {
                    true => Flags::MARK,
                    false => Flags::empty(),
                };
                let record = Record {
                    vcpu: u16::from(letter.to_ascii_lowercase() - b'a'),
                    flags: flags.bits(),
                    ..Record::default()
                };
                (0, record)
            })
            .collect();
        write(&path, COLUMNS, 3, &records).unwrap();
        RecordFile::open(&path).unwrap().work_phase().unwrap()
    };
    for (windows, expected) in [
        // Nobody marks; one VM does, or both, once or again; one is there from its first window on.
        ("abcacb", 0..6),
        ("abA", 3..3),
        ("abAaabb", 3..7),
        ("caAcCabBcab", 5..9),
        ("acAcab", 3..4),
        ("aaAaacca", 5..7),
        // VM 7 has ended before VM 0 marks, or with it.
        ("cCcaAa", 5..5),
        ("cCaAca", 4..5),
    ] {
        assert_eq!(phase(windows), expected, "{windows}");
    }
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
fn a_record_without_windows_opens_but_has_nothing_to_replay() {
    let (_directory, path) = small(0);
    let file = RecordFile::open(&path).unwrap();
    assert_eq!((file.windows(), file.row_group_count()), (0, 0));
    let error = file.require_windows().unwrap_err();
    assert!(error.to_string().contains("no windows"), "{error}");
}

/// An output that takes so many bytes.
struct Full(std::io::Cursor<Vec<u8>>, usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.get_ref().len() + bytes.len() > self.1 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        std::io::Write::write(&mut self.0, bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::io::Read for Full {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        std::io::Read::read(&mut self.0, bytes)
    }
}

impl std::io::Seek for Full {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        std::io::Seek::seek(&mut self.0, to)
    }
}

#[test]
fn an_output_that_is_full_is_an_error_with_its_cause() {
    let shape = Shape {
        windows: 100_000,
        vcpus: 1,
        seed: 1,
        replay_only: false,
    };
    let full = Full(std::io::Cursor::default(), 50_000);
    let error = generate(full, shape, &|| false).err().unwrap();
    assert!(matches!(error, Error::Unwritable { .. }), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("no storage space"), "{cause}");
}

#[test]
fn what_the_caller_gives_up_is_given_up() {
    let shape = Shape {
        windows: 1 << 40,
        vcpus: 1,
        seed: 1,
        replay_only: true,
    };
    let full = Full(std::io::Cursor::default(), usize::MAX);
    let error = generate(full, shape, &|| true).err().unwrap();
    assert!(matches!(error, Error::Cancelled), "{error}");
}
