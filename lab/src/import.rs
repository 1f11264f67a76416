//! `trapcast import`: a record of what a trace of a KVM host tells. `trapcast host-recorder`: the script that takes one.

use std::{
    fs::File,
    io::{BufRead, BufReader, IsTerminal, stderr, stdin},
    path::{Path, PathBuf},
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use trapcast_import::{Error as OfImport, Imported, Tally, import};
use trapcast_record::Metadata;
use trapcast_report::record::{is_stopped, told};
use trapcast_tool::{
    error::{Error, Result, with_causes},
    output::{self, Output},
    print::{print, print_json},
};

/// What stands in the help of `trapcast import`.
pub const EXAMPLES: &str = "\
Examples:
  trapcast host-recorder > kvm-ftrace.sh            to run on the host as root: sh kvm-ftrace.sh -s 10
  trapcast import kvm-trace.txt -o host.parquet     what it wrote
  trace-cmd report | trapcast import - -o host.parquet
  perf script --ns | trapcast import - -o host.parquet

docs/hosts.md says which events a trace has to have, and what can and cannot be seen on a host.";

/// How much of a trace is read at once.
const BUFFER: usize = 1 << 20;

/// Arguments of `trapcast import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A text trace of a KVM/arm64 host, of ftrace, trace-cmd report or perf script; - is standard input
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// The record to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// What is printed of an import.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    record: String,
    bytes: u64,
    vcpus: usize,
    host: &'a std::collections::BTreeMap<String, String>,
    trace: &'a Tally,
}

/// Imports a trace.
///
/// # Errors
/// [`Error::Input`] where it is none, cannot be read, or the record cannot be written; [`Error::Stopped`] on a signal.
pub fn run(arguments: &ImportArgs) -> Result<()> {
    let is_stdin = arguments.trace == Path::new("-");
    let named = if is_stdin {
        "the trace".to_string()
    } else {
        arguments.trace.display().to_string()
    };
    let mut bytes = None;
    let trace: Box<dyn BufRead> = if is_stdin {
        Box::new(BufReader::with_capacity(BUFFER, stdin()))
    } else {
        let failed = |error| Error::input(format!("cannot read {named}: {error}"));
        let file = File::open(&arguments.trace).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(Error::input(format!(
                "{named} is a directory: name a trace"
            )));
        }
        bytes = about.is_file().then_some(about.len());
        Box::new(BufReader::with_capacity(BUFFER, file))
    };
    let stem = arguments
        .trace
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let metadata = Metadata {
        workload: if is_stdin {
            "host".to_string()
        } else {
            stem.into_owned()
        },
        scheme: "unknown".to_string(),
        ..Metadata::default()
    };
    let progress = progress(bytes);
    let output = output::begin(&arguments.output)?;
    let imported = import(trace, output, metadata, &is_stopped, |read| {
        progress.set_position(read)
    });
    progress.finish_and_clear();
    let imported = imported.map_err(|error| blamed(&named, error))?;
    finish(arguments, imported)
}

fn finish(arguments: &ImportArgs, imported: Imported<Output>) -> Result<()> {
    let bytes = imported.output.finish()?;
    if arguments.json {
        return print_json(&Summary {
            record: arguments.output.display().to_string(),
            bytes,
            vcpus: imported.vcpus,
            host: &imported.about,
            trace: &imported.tally,
        });
    }
    let tally = &imported.tally;
    let mut text = format!(
        "{}: {} windows in {} loads of {} vCPUs; of {} it is not known whether they used the registers\n",
        arguments.output.display(),
        tally.windows,
        tally.loads,
        imported.vcpus,
        tally.unseen_windows
    );
    for (key, value) in &imported.about {
        text += &format!("{key:<14}{value}\n");
    }
    text += &left_out(tally);
    print(&text)
}

/// What of the trace was not used, and why; nothing if all was.
fn left_out(tally: &Tally) -> String {
    let counts = [
        (
            tally.lost_events.max(tally.losses),
            "events were lost, as the trace says",
        ),
        (
            tally.broken_loads,
            "loads left out: events of them are lost, or contradict each other",
        ),
        (tally.broken_windows, "windows were in these"),
        (
            tally.cut_loads,
            "loads end before their put: events are lost, and a million windows were written by then",
        ),
        (
            tally.unfinished_loads,
            "loads left out that went on at the end of the trace",
        ),
        (tally.unfinished_windows, "windows were in these"),
        (
            tally.entries_without_load,
            "entries left out that followed no load, as at the start of the trace",
        ),
        (
            tally.high_cpus,
            "events left out of CPUs from 256 on, which no record has",
        ),
        (tally.unknown_lines, "lines left out that are no events"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count != 0);
    counts
        .map(|(count, what)| format!("{count:>12} {what}\n"))
        .collect()
}

/// Whose fault it is that nothing was imported.
fn blamed(named: &str, error: OfImport) -> Error {
    match error {
        OfImport::Record(error) => told(error),
        OfImport::Unreadable(error) => Error::input(format!("cannot read {named}: {error}")),
        error => Error::input(format!("{named}: {}", with_causes(&error))),
    }
}

fn progress(bytes: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{bar:30} {percent:>3} %  {bytes}  ({eta} left)",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {bytes}  {bytes_per_sec}",
        ),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("a valid template"))
}

/// Prints the script that records a host.
///
/// # Errors
/// [`Error::Run`] where it cannot be printed.
pub fn host_recorder() -> Result<()> {
    print(trapcast_import::RECORDER)
}
