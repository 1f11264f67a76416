//! Reads a trace of any length, and writes its windows as a record.

use std::{
    collections::BTreeMap,
    io::{BufRead, Read},
};

use trapcast_record::{Cancel, End, Metadata, Output, RecordWriter, Recorder, Traced};
use trapcast_trace::record::{Flags, NEVER, Record};

use crate::{
    host::{Host, Tally, Window},
    line::{Line, parse},
};

/// Longer lines are no trace's.
const LONGEST_LINE: u64 = 1 << 16;

/// What a recorder says of a host: what goes beyond that is none of ours.
const MOST_KEYS: usize = 32;

/// Lines between two questions whether to go on.
const STRIDE: u64 = 4096;

/// Why a trace is not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The trace cannot be read.
    #[error("the trace cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// pKVM: what is at EL2 switches the registers, and the host does not see whose they are.
    #[error(
        "the host runs protected KVM, where the host's kernel does not see who uses the registers: boot it with \
         kvm-arm.mode=nvhe, or without that word, and record again"
    )]
    Protected,
    /// Nothing of it can be used.
    #[error("the trace has no load of a vCPU from its start to its end{}", missing(.0))]
    NoWindows(Box<Tally>),
    /// The record cannot be written, or it was given up.
    #[error(transparent)]
    Record(#[from] trapcast_record::Error),
}

/// What of the events a trace lacks, as the end of a sentence.
fn missing(tally: &Tally) -> String {
    if tally.missing.is_empty() {
        return ": record for longer than a time slice".to_string();
    }
    format!(
        ": it has no event {}; `trapcast host-recorder` prints a script that records what is needed",
        tally.missing.join(", ")
    )
}

/// What became of a trace.
#[derive(Debug)]
pub struct Imported<W> {
    /// What the record was written to.
    pub output: W,
    /// What was used, and what was not.
    pub tally: Tally,
    /// What the recorder says of the host.
    pub about: BTreeMap<String, String>,
    /// vCPUs.
    pub vcpus: usize,
}

/// Imports a trace. Memory does not grow with it but for a load that lasts for more than a million windows.
///
/// `progress` is told now and then how many bytes were read. Of the metadata, the recorder, the clock, the vCPUs and what
/// the trace says of its host are filled in.
///
/// # Errors
/// As [`Error`] says; [`trapcast_record::Error::Cancelled`] if `is_cancelled` says so.
pub fn import<R: BufRead, W: Output>(
    mut trace: R,
    output: W,
    metadata: Metadata,
    is_cancelled: Cancel<'_>,
    mut progress: impl FnMut(u64),
) -> Result<Imported<W>, Error> {
    let metadata = Metadata {
        recorder: Recorder::Host,
        vcpus: Vec::new(),
        ..metadata
    };
    let mut writer = RecordWriter::of_trace(output, metadata)?;
    let mut written = Written::default();
    let mut host = Host::default();
    let mut about = BTreeMap::new();
    let mut bytes = Vec::new();
    let (mut read, mut lines) = (0, 0u64);
    loop {
        bytes.clear();
        let line = (&mut trace)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut bytes);
        read += line.map_err(Error::Unreadable)? as u64;
        if bytes.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(&bytes);
        // A file that is cut off ends within a number, and a longer line is none of a trace.
        let line = match bytes.ends_with(b"\n") {
            true => parse(&text),
            false => Line::Unknown,
        };
        if let Line::About(key, value) = line {
            if (key, value) == ("mode", "protected") {
                return Err(Error::Protected);
            }
            if about.len() < MOST_KEYS {
                about.insert(printable(key), printable(value));
            }
        }
        host.take(&line);
        written.write(&mut host, &mut writer)?;
        lines += 1;
        if lines.is_multiple_of(STRIDE) {
            progress(read);
            if is_cancelled() {
                return Err(trapcast_record::Error::Cancelled.into());
            }
        }
    }
    host.end();
    written.write(&mut host, &mut writer)?;
    progress(read);
    let tally = host.tally();
    if tally.windows == 0 {
        return Err(Error::NoWindows(Box::new(tally)));
    }
    let said = |key: &str| about.get(key).cloned().unwrap_or_default();
    let metadata = writer.metadata_mut();
    metadata.cpu = said("cpu");
    metadata.vhe = said("mode") == "vhe";
    metadata.versions = serde_json::json!(about);
    let end = End {
        waits: 0,
        counter_frequency: 1_000_000_000,
    };
    Ok(Imported {
        vcpus: host.vcpus().len(),
        output: writer.finish(end)?,
        tally,
        about,
    })
}

/// What may be shown on a terminal.
fn printable(words: &str) -> String {
    words.replace(char::is_control, " ")
}

/// vCPUs that the record knows.
#[derive(Debug, Default)]
struct Written {
    vcpus: usize,
}

impl Written {
    /// Writes the windows that are known.
    fn write<W: Output>(
        &mut self,
        host: &mut Host,
        writer: &mut RecordWriter<W>,
    ) -> Result<(), Error> {
        while let Some(window) = host.next() {
            for vcpu in &host.vcpus()[self.vcpus..] {
                writer.add_vcpu(*vcpu);
            }
            self.vcpus = host.vcpus().len();
            let traced = Traced {
                used: window.used,
                duration: window.end - window.start,
            };
            writer.push_traced(window.core.into(), &record(&window), traced)?;
        }
        Ok(())
    }
}

/// A window as records have it.
fn record(window: &Window) -> Record {
    let mut flags = Flags::empty();
    flags.set(Flags::LOADED, window.loaded);
    flags.set(Flags::PUT, window.put);
    Record {
        start: window.start,
        pc: window.pc,
        first_use: NEVER,
        host_uses: window.host_uses,
        vcpu: window.vcpu,
        exit: window.exit as u8,
        flags: flags.bits(),
        ..Record::default()
    }
}
