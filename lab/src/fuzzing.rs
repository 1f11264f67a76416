//! What fuzzers call: everything that reads what others wrote, each with one function from bytes.
//!
//! Bytes of any content are either taken, and then hold together, or refused in one sentence; each
//! function says which, and panics if it is neither. The targets in `fuzz` call these functions with
//! whatever a fuzzer thinks of, the test `corpus` with the inputs that are kept and changes of them.

use std::path::Path;

use trapcast_hypervisor::guest_image::Layout;
use trapcast_trace::record::{
    RINGS_OFFSET, RINGS_SIZE, Record, RingHeader, header_offset, record_offset,
};
use zerocopy::FromBytes;

use trapcast_machine::{image::Image, memory::MemoryFile, ring::RingReader};
use trapcast_report::{
    inspect, profile_table,
    record::{self, End, Metadata, RecordFile, RecordWriter, Vcpu},
};
use trapcast_tool::{
    error::{Error, Result, with_causes},
    output,
};

/// vCPUs of the run whose ring is read.
const VCPUS: [Vcpu; 3] = [
    Vcpu { vm: 0, index: 0 },
    Vcpu { vm: 0, index: 1 },
    Vcpu { vm: 1, index: 0 },
];

/// Imports a trace of a KVM host, and reads the record.
///
/// # Panics
/// As [`ring`] does.
pub fn trace(bytes: &[u8]) -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("trace.parquet");
    let file = output::begin(&path).expect("a file");
    let imported = trapcast_import::import(bytes, file, Metadata::default(), &|| false, |_| {});
    let imported = match imported {
        Ok(imported) => imported,
        Err(error) => return refused(&Error::input(with_causes(&error)), 2),
    };
    imported.output.finish().expect("a file");
    imported.about.values().all(|value| shown(value));
    let summary = inspect::inspect(&path).expect("a record");
    let loads: u64 = summary
        .vcpus
        .iter()
        .map(|vcpu| vcpu.load_windows.windows)
        .sum();
    assert_eq!(loads, imported.tally.loads + imported.tally.cut_loads);
    assert_eq!(summary.unseen_windows, imported.tally.unseen_windows);
    true
}

/// Reads a ring out of a board's RAM into a record file, and that file: `bytes` are the ring's header
/// and the records that wait from its tail on.
///
/// # Panics
/// If what was taken is not what can be read afterwards, or an error is not as errors are.
pub fn ring(bytes: &[u8]) -> bool {
    let Ok((header, records)) = RingHeader::read_from_prefix(bytes) else {
        return false;
    };
    let waiting = records.len() / size_of::<Record>();
    // Records beyond those given would be zeroes: nothing but time.
    if header.pending().is_ok_and(|count| count > waiting as u64) {
        return false;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ring.parquet");
    let ram = board(bytes, header.tail, records);
    let metadata = Metadata {
        vcpus: VCPUS.to_vec(),
        ..Metadata::default()
    };
    let mut writer = RecordWriter::create(&path, metadata).expect("a file");
    let mut reader = RingReader::new(&ram, 0);
    let drained = reader.drain(|core, records| writer.push(core.into(), records));
    let waits = reader.waits();
    let count = match drained {
        Ok(count) => count,
        Err(error) => return refused(&error, 1),
    };
    let end = End {
        waits,
        ..End::default()
    };
    writer.finish(end).expect("the file is written");
    let file = record::open(&path).expect("what was written is read");
    assert_eq!((file.windows(), file.metadata().waits), (count, waits));
    assert_eq!(events(&file).expect("it is whole"), count);
    assert_eq!(reader.drain(|_, _| Ok(())), Ok(0), "nothing is left");
    count > 0
}

/// A board's RAM with a ring whose records start at `tail`.
fn board(header: &[u8], tail: u64, records: &[u8]) -> MemoryFile {
    let ram = MemoryFile::zeroed(RINGS_OFFSET + RINGS_SIZE).expect("memory");
    let header = &header[..size_of::<RingHeader>()];
    ram.write_at(header, RINGS_OFFSET + header_offset(0))
        .expect("the header fits");
    for (number, record) in (0..).zip(records.chunks_exact(size_of::<Record>())) {
        let place = record_offset(0, tail.wrapping_add(number));
        ram.write_at(record, RINGS_OFFSET + place)
            .expect("a record fits");
    }
    ram
}

/// Reads a record file, as it is and with the checksums that it should have, so that its content is
/// looked at, too.
///
/// # Panics
/// If an error is not as errors are.
pub fn record_file(bytes: &[u8]) -> bool {
    let mut sealed = bytes.to_vec();
    record::reseal(&mut sealed);
    read(bytes) || sealed != bytes && read(&sealed)
}

fn read(bytes: &[u8]) -> bool {
    let memory = MemoryFile::with_content(bytes).expect("memory");
    let path = memory.path();
    let opened = record::open(&path);
    let read = opened.and_then(|file| Ok((file.windows(), events(&file)?)));
    let is_read = match read {
        Ok((windows, events)) => {
            assert_eq!(windows, events);
            true
        }
        Err(error) => refused(&error, 2),
    };
    let is_inspected = match inspect::inspect(&path) {
        Ok(summary) => shown(&inspect::render(&summary)),
        Err(error) => refused(&error, 2),
    };
    is_read && is_inspected
}

/// Reads all events of a file and returns how many there are.
fn events(file: &RecordFile) -> Result<u64> {
    let mut events = Vec::new();
    let mut count = 0;
    for row_group in 0..file.row_group_count() {
        file.read_events(row_group, &mut events)
            .map_err(record::told)?;
        count += events.len() as u64;
    }
    Ok(count)
}

/// Reads a kernel, and finds a place for it in a VM. It is unpacked into a mebibyte at most, as more would be
/// nothing but time.
///
/// # Panics
/// If an error is not as errors are.
pub fn kernel(bytes: &[u8]) -> bool {
    const LIMIT: u64 = 1 << 20;
    let image = match Image::of(Path::new("kernel"), bytes.to_vec(), LIMIT) {
        Ok(image) => image,
        Err(error) => return refused(&error, 2),
    };
    assert!(image.file_size <= LIMIT.max(bytes.len() as u64));
    if let Ok(layout) = Layout::new(0, &image.header, Some(1), LIMIT << 8) {
        assert!(layout.kernel.end - layout.kernel.start >= image.file_size);
    }
    true
}

/// Reads a cost profile, if `bytes` are text.
///
/// # Panics
/// If an error does not begin with the place, or is not as errors are.
pub fn profile(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    match trapcast_profile::parse(text, "profile.toml") {
        Ok(profile) => {
            profile.round_trip();
            if let Some(share) = profile.break_even() {
                assert!((0.0..=1.0).contains(&share), "p* = {share}");
            }
            shown(&profile_table::render(&[profile]))
        }
        Err(error) => {
            let sentence = error.to_string();
            assert!(sentence.starts_with("profile.toml, line "), "{sentence}");
            refused(&error.into(), 2)
        }
    }
}

/// What is shown on a terminal does nothing there but go on to the next line.
fn shown(text: &str) -> bool {
    let disturbs = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(disturbs), "{text:?}");
    true
}

/// An error is one line that can be shown on a terminal, with the exit status of whose fault it is.
fn refused(error: &Error, status: u8) -> bool {
    let sentence = error.to_string();
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
    assert_eq!(error.exit_code(), status, "{sentence}");
    false
}
