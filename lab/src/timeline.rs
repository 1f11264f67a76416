//! `trapcast timeline`: a record as a trace that trace viewers open.
//!
//! `docs/timeline.md` says what its tracks show.

use std::{
    io::{BufWriter, IsTerminal, Write, stderr},
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use trapcast_forecast::Scheme;

use trapcast_report::record::{self, RecordFile, Recorder};
use trapcast_tool::{
    error::{Error, Result},
    output, signals,
};

mod args;
mod clock;
mod core;
mod cut;
#[cfg(test)]
mod tests;
mod trace;
mod tracks;

pub use args::{EXAMPLES, TimelineArgs};
use clock::Clock;
use cut::Cut;
use trace::Trace;
use tracks::Tracks;

/// What is to be shown of a record.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The scheme that is replayed; without one, that under which the record was made.
    pub scheme: Option<Scheme>,
    /// Leaves out windows that begin before so many nanoseconds since the record's start.
    pub from: u64,
    /// Leaves out windows that begin then or later.
    pub to: Option<u64>,
    /// The most windows.
    pub windows: Option<u64>,
}

/// A trace that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its windows.
    pub windows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// When the first window that was cut off began, in nanoseconds since the record's start; `None` if
    /// none was, or only such as begin too late.
    pub cut_at: Option<u64>,
}

/// Writes the trace of `record` to a file, which appears whole or not at all. Memory does not grow with
/// the record.
///
/// # Errors
/// [`Error::Input`] where the record cannot be shown or the file not be written, [`Error::Stopped`] on Ctrl-C.
pub fn write(record: &RecordFile, plan: &Plan, path: &Path) -> Result<Written> {
    record.require_windows().map_err(record::told)?;
    let scheme = plan.scheme.map_or_else(|| recorded_scheme(record), Ok)?;
    if same_file(record.path(), path) {
        return Err(Error::input(format!(
            "{} is the record itself: name another file by -o",
            path.display()
        )));
    }
    let mut output = BufWriter::with_capacity(1 << 20, output::begin(path)?);
    let failed = |error: std::io::Error| output::cannot_write(path, &error);
    let mut trace = Trace::begin(&mut output).map_err(failed)?;
    let cut = fill(record, plan, scheme, &mut trace).map_err(|error| match error {
        Stopped::Output(error) => failed(error),
        Stopped::Error(error) => error,
    })?;
    if cut.shown() == 0 {
        return Err(Error::input(format!(
            "no window of {} begins in that time",
            record.path().display()
        )));
    }
    let about = json!({
        "workload": record.metadata().workload,
        "cpu": record.metadata().cpu,
        "recorded under": record.metadata().scheme,
        "scheme": scheme.name(),
        "windows of the record": record.windows(),
        "windows": cut.shown(),
    });
    trace.end(&about).map_err(failed)?;
    let file = output
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    Ok(Written {
        windows: cut.shown(),
        bytes: file.finish()?,
        cut_at: cut.cut_at(),
    })
}

/// Why a trace is not finished.
enum Stopped {
    /// It cannot be written.
    Output(std::io::Error),
    /// Anything else.
    Error(Error),
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<trapcast_replay::Error> for Stopped {
    fn from(error: trapcast_replay::Error) -> Self {
        Self::Error(record::told(error))
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Goes through the windows of the record and writes what they did.
fn fill<W: Write>(
    record: &RecordFile,
    plan: &Plan,
    scheme: Scheme,
    trace: &mut Trace<W>,
) -> std::result::Result<Cut, Stopped> {
    let mut rows = record.rows().map_err(record::told)?;
    let mut windows = Vec::new();
    rows.read(&mut windows).map_err(record::told)?;
    let frequency = match record.metadata().recorder {
        Recorder::El2 | Recorder::Host => record.metadata().counter_frequency,
        // An instruction is a nanosecond, as QEMU's -icount shift=0 has it.
        Recorder::Observer => 1_000_000_000,
    };
    let clock = Clock::new(windows.first().map_or(0, |window| window.start), frequency)
        .ok_or_else(|| {
            Error::input(format!(
                "{} does not say how fast its clock ran, so nothing of it has a time",
                record.path().display()
            ))
        })?;
    let mut cut = Cut::new(plan);
    let mut tracks = Tracks::new(&record.metadata().vcpus, clock, scheme, plan.from);
    let progress = progress(record.windows());
    'record: while !windows.is_empty() {
        signals::check()?;
        for (number, window) in (progress.position()..).zip(&windows) {
            if !cut.goes_on(clock.nanoseconds(window.start)) {
                break 'record;
            }
            if !tracks.in_order(window) {
                return Err(Error::input(format!(
                    "{} cannot be shown: window {number} overlaps with another one on core {}; record it anew",
                    record.path().display(),
                    window.core
                ))
                .into());
            }
            tracks.window(number, window, trace)?;
        }
        progress.inc(windows.len() as u64);
        rows.read(&mut windows).map_err(record::told)?;
    }
    progress.finish_and_clear();
    tracks.finish(trace)?;
    Ok(cut)
}

/// The scheme under which a record was made.
fn recorded_scheme(record: &RecordFile) -> Result<Scheme> {
    let name = &record.metadata().scheme;
    name.parse().map_err(|_| {
        Error::input(format!(
            "{} was recorded under '{name}', which is no scheme of this version: name one by --scheme",
            record.path().display()
        ))
    })
}

/// A bar on a terminal, and nothing elsewhere.
fn progress(windows: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:30} {percent:>3} %  {pos} windows  ({eta} left)")
            .expect("a valid template");
    ProgressBar::new(windows).with_style(style)
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Does what `trapcast timeline` was asked. Returns what to print.
///
/// # Errors
/// Those of [`write()`].
pub fn run(arguments: &TimelineArgs) -> Result<String> {
    let record = record::open(&arguments.file)?;
    let plan = arguments.plan()?;
    let path = arguments.output();
    let written = write(&record, &plan, &path)?;
    if let Some(at) = written.cut_at.filter(|_| arguments.cuts_by_default()) {
        eprintln!(
            "trapcast: {} of {} windows are shown, as viewers are slow with more: go on with --from {}, or \
             take --windows N or --all",
            written.windows,
            record.windows(),
            milliseconds(at)
        );
    }
    Ok(format!(
        "{}: {} windows, {} bytes, for ui.perfetto.dev or chrome://tracing\n",
        path.display(),
        written.windows,
        written.bytes
    ))
}

/// Milliseconds as the options take them, to the nanosecond.
fn milliseconds(nanoseconds: u64) -> String {
    let text = format!("{}.{:06}", nanoseconds / 1_000_000, nanoseconds % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Where the trace of a record goes unless another place is named: beside it.
fn beside(record: &Path) -> PathBuf {
    record.with_extension("trace.json")
}
