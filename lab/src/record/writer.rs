//! Writes a record file.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use trapcast_trace::record::Record;

use super::{
    encoder::Encoder,
    metadata::Metadata,
    row::{Enricher, Row},
    schema::{COLUMNS, Column},
    seal,
};
use trapcast_tool::{
    error::Result,
    output::{self, cannot_write},
};

/// Windows of a row group. Each is decoded by one thread at a time, and costs a dictionary per
/// column: a million keep the file small and still give every core of a large machine its share of
/// a record of some ten million.
pub const ROW_GROUP: usize = 1 << 20;

/// Windows handed to the encoder at once.
const PARCEL: usize = 4096;

/// What the encoder writes to.
pub type Output = BufWriter<output::Output>;

/// Writes records to a file that appears whole, under its name, when it is finished, and not at all
/// if it is not.
///
/// A thread of its own encodes, so that a ring is not left waiting. At most two row groups are in
/// memory, one of them on its way to that thread: some 250 MB.
#[derive(Debug)]
pub struct RecordWriter {
    path: PathBuf,
    metadata: Metadata,
    enricher: Enricher,
    rows: Vec<Row>,
    windows: u64,
    parcels: Option<SyncSender<Vec<Row>>>,
    encoder: Option<JoinHandle<Result<Encoder>>>,
}

/// What is known of a run at its end only.
#[derive(Clone, Copy, Debug, Default)]
pub struct End {
    /// Times that the hypervisor found a ring full and waited.
    pub waits: u64,
    /// Ticks per second.
    pub counter_frequency: u64,
}

impl RecordWriter {
    /// Begins a file; a file of the name is replaced only by [`finish`](Self::finish).
    ///
    /// `waits`, `windows` and `vms` of the metadata are filled in at the end.
    ///
    /// # Errors
    /// Those of [`output::begin`].
    pub fn create(path: &Path, metadata: Metadata) -> Result<Self> {
        Self::with_columns(path, metadata, COLUMNS, ROW_GROUP)
    }

    /// As [`create`](Self::create), with other columns or smaller row groups.
    pub(super) fn with_columns(
        path: &Path,
        metadata: Metadata,
        columns: &'static [Column],
        row_group: usize,
    ) -> Result<Self> {
        let file = output::begin(path)?;
        let encoder = Encoder::new(BufWriter::new(file), columns, row_group)
            .map_err(|error| cannot_write(path, &error))?;
        let (parcels, queue) = sync_channel(ROW_GROUP / PARCEL);
        let path = path.to_path_buf();
        let name = path.clone();
        let encoder = std::thread::spawn(move || encode(encoder, &queue, &name));
        Ok(Self {
            enricher: Enricher::new(&metadata.vcpus),
            metadata,
            rows: Vec::with_capacity(PARCEL),
            windows: 0,
            parcels: Some(parcels),
            encoder: Some(encoder),
            path,
        })
    }

    /// Adds the next records of a core, in their order.
    ///
    /// # Errors
    /// [`Run`](trapcast_tool::error::Error::Run) where no hypervisor of this version can have written a record, [`Input`](trapcast_tool::error::Error::Input) where
    /// the file cannot be written.
    pub fn push(&mut self, core: usize, records: &[Record]) -> Result<()> {
        for record in records {
            self.rows.push(self.enricher.enrich(core, record)?);
            self.windows += 1;
            if self.rows.len() == PARCEL {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Windows so far.
    pub const fn windows(&self) -> u64 {
        self.windows
    }

    /// Completes the file and gives it its name; returns its size in bytes.
    ///
    /// # Errors
    /// [`Input`](trapcast_tool::error::Error::Input) where the file cannot be written.
    pub fn finish(mut self, end: End) -> Result<u64> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        let encoder = self.join()?;
        let mut vms: Vec<_> = self.metadata.vcpus.iter().map(|vcpu| vcpu.vm).collect();
        vms.sort_unstable();
        vms.dedup();
        let metadata = Metadata {
            waits: end.waits,
            counter_frequency: end.counter_frequency,
            windows: self.windows,
            vms: vms.len() as u64,
            ..self.metadata.clone()
        };
        let failed = |error: &dyn std::fmt::Display| cannot_write(&self.path, error);
        let mut output = encoder.finish(&metadata).map_err(|error| failed(&error))?;
        output.flush().map_err(|error| failed(&error))?;
        let mut file = output.into_inner().map_err(|error| failed(&error))?;
        seal::seal(&mut file).map_err(|error| failed(&error))?;
        file.finish()
    }

    fn flush(&mut self) -> Result<()> {
        let empty = Vec::with_capacity(PARCEL);
        let rows = std::mem::replace(&mut self.rows, empty);
        match self.parcels.as_ref().map(|parcels| parcels.send(rows)) {
            Some(Ok(())) => Ok(()),
            // The encoder is gone: it says why.
            _ => match self.join() {
                Err(error) => Err(error),
                Ok(_) => Err(cannot_write(&self.path, &"it is closed")),
            },
        }
    }

    /// Lets the encoder come to its end.
    fn join(&mut self) -> Result<Encoder> {
        self.parcels = None;
        let handle = self.encoder.take();
        handle
            .and_then(|handle| handle.join().ok())
            .unwrap_or_else(|| Err(cannot_write(&self.path, &"its encoder ended")))
    }
}

impl Drop for RecordWriter {
    /// Waits for the encoder, which takes the unfinished file away.
    fn drop(&mut self) {
        if self.encoder.is_some() {
            // Whatever it says, the file is not wanted.
            drop(self.join());
        }
    }
}

/// The encoder's thread.
fn encode(mut encoder: Encoder, queue: &Receiver<Vec<Row>>, path: &Path) -> Result<Encoder> {
    for rows in queue {
        encoder
            .push(&rows)
            .map_err(|error| cannot_write(path, &error))?;
    }
    Ok(encoder)
}
