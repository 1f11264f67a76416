//! Records as the commands read and write them: errors that say how a command ends, files that take their
//! name when they are whole, and signals that stop what takes long.

use std::path::{Path, PathBuf};

use trapcast_forecast::Scheme;
use trapcast_trace::record::Record;

pub use trapcast_record::{
    Columns, End, Event, FORMAT_VERSION, Metadata, NULL, Outside, RecordFile, Recorder, Shape,
    Vcpu, Window, order, reseal, schema,
};
use trapcast_tool::{
    error::{Error, Result, with_causes},
    output::{self, Output, cannot_write},
    signals,
};

/// The name of the record that a study leaves of a workload's run under a scheme, in this course.
pub fn name(workload: &str, scheme: Scheme, course: u32) -> String {
    match course {
        0 => format!("{workload}.{scheme}.parquet"),
        _ => format!("{workload}.{scheme}.course-{course}.parquet"),
    }
}

/// Opens a record.
///
/// # Errors
/// [`Error::Input`] where it is none, or one of another version.
pub fn open(path: &Path) -> Result<RecordFile> {
    RecordFile::open(path).map_err(told)
}

/// How a command ends that is told this of a record or its replay.
pub fn told(error: impl Into<trapcast_replay::Error>) -> Error {
    use trapcast_record::Error as OfRecord;
    use trapcast_replay::Error as OfReplay;
    match error.into() {
        OfReplay::Cancelled | OfReplay::Record(OfRecord::Cancelled) => {
            let stopped = signals::check().err();
            stopped.unwrap_or_else(|| Error::run("it was stopped"))
        }
        error @ OfReplay::Record(OfRecord::Impossible { .. }) => Error::run(error),
        error => Error::input(with_causes(&error)),
    }
}

/// Whether a signal has asked to stop.
pub fn is_stopped() -> bool {
    signals::check().is_err()
}

/// Writes records to a file that appears whole, under its name, when it is finished, and not at all
/// if it is not.
#[derive(Debug)]
pub struct RecordWriter {
    path: PathBuf,
    writer: trapcast_record::RecordWriter<Output>,
}

impl RecordWriter {
    /// Begins a file; a file of the name is replaced only by [`finish`](Self::finish).
    ///
    /// # Errors
    /// Those of [`output::begin`].
    pub fn create(path: &Path, metadata: Metadata) -> Result<Self> {
        let file = output::begin(path)?;
        let writer = trapcast_record::RecordWriter::new(file, metadata);
        Ok(Self {
            path: path.to_path_buf(),
            writer: writer.map_err(|error| of_output(path, error))?,
        })
    }

    /// Adds the next records of a core, in their order.
    ///
    /// # Errors
    /// [`Error::Run`] where no hypervisor of this version can have written a record, [`Error::Input`] where
    /// the file cannot be written.
    pub fn push(&mut self, core: usize, records: &[Record]) -> Result<()> {
        let pushed = self.writer.push(core, records);
        pushed.map_err(|error| of_output(&self.path, error))
    }

    /// Adds the next window of a core that an observer saw.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_observed(&mut self, core: usize, record: &Record, outside: Outside) -> Result<()> {
        let pushed = self.writer.push_observed(core, record, outside);
        pushed.map_err(|error| of_output(&self.path, error))
    }

    /// Windows so far.
    pub const fn windows(&self) -> u64 {
        self.writer.windows()
    }

    /// Completes the file and gives it its name; returns its size in bytes.
    ///
    /// # Errors
    /// [`Error::Input`] where the file cannot be written.
    pub fn finish(self, end: End) -> Result<u64> {
        let finished = self.writer.finish(end);
        finished
            .map_err(|error| of_output(&self.path, error))?
            .finish()
    }
}

/// Writes a record file of a shape. Returns its size in bytes.
///
/// # Errors
/// [`Error::Input`] without a vCPU or where the file cannot be written, [`Error::Stopped`] on Ctrl-C.
pub fn generate(path: &Path, shape: Shape) -> Result<u64> {
    let generated = trapcast_record::generate(output::begin(path)?, shape, &is_stopped);
    generated.map_err(|error| of_output(path, error))?.finish()
}

/// The error of a record that was to be written to a file.
fn of_output(path: &Path, error: trapcast_record::Error) -> Error {
    match error {
        trapcast_record::Error::Unwritable { source } => cannot_write(path, &source),
        error => told(error),
    }
}

#[cfg(test)]
mod tests {
    use trapcast_trace::report::EXITS;

    use super::*;

    fn metadata() -> Metadata {
        Metadata {
            vcpus: vec![Vcpu::default()],
            ..Metadata::default()
        }
    }

    #[test]
    fn an_unfinished_file_leaves_nothing_and_the_old_one_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/file.parquet");
        let mut writer = RecordWriter::create(&path, metadata()).unwrap();
        writer.push(0, &[Record::default()]).unwrap();
        writer.finish(End::default()).unwrap();
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
        let files = std::fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(files.count(), 1);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_the_users_affair() {
        let nowhere = Path::new("/dev/null/x.parquet");
        let written = RecordWriter::create(nowhere, metadata()).unwrap_err();
        for error in [written, open(nowhere).unwrap_err()] {
            assert_eq!(error.exit_code(), 2);
            assert!(
                error.to_string().contains("/dev/null/x.parquet: "),
                "{error}"
            );
        }
    }
}
