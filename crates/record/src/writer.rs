//! Writes a record file.

use std::{
    io::{Read, Seek, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use trapcast_trace::record::Record;

use super::{
    encoder::Encoder,
    error::{Error, Result},
    metadata::{Metadata, Vcpu},
    row::{Enricher, Outside, Row, Seen, Traced},
    schema::{COLUMNS, Column, traced_columns},
    seal,
};

/// Windows of a row group. Each is decoded by one thread at a time, and costs a dictionary per
/// column: a million keep the file small and still give every core of a large machine its share of
/// a record of some ten million.
pub const ROW_GROUP: usize = 1 << 20;

/// Windows handed to the encoder at once.
const PARCEL: usize = 4096;

/// What a record can be written to: a file, or what behaves like one.
pub trait Output: Read + Write + Seek + Send + 'static {}

impl<W: Read + Write + Seek + Send + 'static> Output for W {}

/// Writes records to a file, or to what behaves like one: it is whole when it is finished, and no record
/// before.
///
/// A thread of its own encodes, so that a ring is not left waiting. At most two row groups are in
/// memory, one of them on its way to that thread: some 250 MB.
#[derive(Debug)]
pub struct RecordWriter<W: Output> {
    metadata: Metadata,
    enricher: Enricher,
    rows: Vec<Row>,
    windows: u64,
    parcels: Option<SyncSender<Vec<Row>>>,
    encoder: Option<JoinHandle<Result<Encoder<W>>>>,
}

/// What is known of a run at its end only.
#[derive(Clone, Copy, Debug, Default)]
pub struct End {
    /// Times that the hypervisor found a ring full and waited.
    pub waits: u64,
    /// Ticks per second.
    pub counter_frequency: u64,
}

impl<W: Output> RecordWriter<W> {
    /// Begins a record. `waits`, `windows` and `vms` of the metadata are filled in at the end.
    ///
    /// # Errors
    /// [`Error::Unwritable`] where the output cannot be written.
    pub fn new(output: W, metadata: Metadata) -> Result<Self> {
        Self::with_columns(output, metadata, COLUMNS, ROW_GROUP)
    }

    /// Begins a record of what a trace of a host tells.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_trace(output: W, metadata: Metadata) -> Result<Self> {
        Self::with_columns(output, metadata, traced_columns(), ROW_GROUP)
    }

    /// As [`new`](Self::new), with other columns or smaller row groups.
    pub(super) fn with_columns(
        output: W,
        metadata: Metadata,
        columns: &'static [Column],
        row_group: usize,
    ) -> Result<Self> {
        let encoder = Encoder::new(output, columns, row_group).map_err(Error::unwritable)?;
        let (parcels, queue) = sync_channel(ROW_GROUP / PARCEL);
        let encoder = std::thread::spawn(move || encode(encoder, &queue));
        Ok(Self {
            enricher: Enricher::new(&metadata.vcpus),
            metadata,
            rows: Vec::with_capacity(PARCEL),
            windows: 0,
            parcels: Some(parcels),
            encoder: Some(encoder),
        })
    }

    /// Adds the next records of a core, in their order.
    ///
    /// # Errors
    /// [`Error::Impossible`] where no hypervisor of this version can have written a record,
    /// [`Error::Unwritable`] where the output cannot be written.
    pub fn push(&mut self, core: usize, records: &[Record]) -> Result<()> {
        for record in records {
            self.add(core, record, Seen::El2)?;
        }
        Ok(())
    }

    /// Adds the next window of a core that an observer saw, in the order of its core and of all.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_observed(&mut self, core: usize, record: &Record, outside: Outside) -> Result<()> {
        self.add(core, record, Seen::Observer(outside))
    }

    /// Adds a window that a trace of a host tells of, in the order of its core and of all.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_traced(&mut self, core: usize, record: &Record, traced: Traced) -> Result<()> {
        self.add(core, record, Seen::Host(traced))
    }

    /// What the record says of itself, which is written at its end.
    pub const fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// Adds a vCPU, which has the next number.
    pub fn add_vcpu(&mut self, vcpu: Vcpu) {
        self.metadata.vcpus.push(vcpu);
        self.enricher.add(vcpu);
    }

    fn add(&mut self, core: usize, record: &Record, seen: Seen) -> Result<()> {
        self.rows.push(self.enricher.enrich(core, record, seen)?);
        self.windows += 1;
        if self.rows.len() == PARCEL {
            self.flush()?;
        }
        Ok(())
    }

    /// Windows so far.
    pub const fn windows(&self) -> u64 {
        self.windows
    }

    /// Completes the record, and returns what it was written to.
    ///
    /// # Errors
    /// [`Error::Unwritable`] where the output cannot be written.
    pub fn finish(mut self, end: End) -> Result<W> {
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
        let output = encoder.finish(&metadata).map_err(Error::unwritable)?;
        let output = output.into_inner();
        let mut output = output.map_err(|error| Error::unwritable(error.into_error()))?;
        seal::seal(&mut output).map_err(Error::unwritable)?;
        Ok(output)
    }

    fn flush(&mut self) -> Result<()> {
        let empty = Vec::with_capacity(PARCEL);
        let rows = std::mem::replace(&mut self.rows, empty);
        match self.parcels.as_ref().map(|parcels| parcels.send(rows)) {
            Some(Ok(())) => Ok(()),
            // The encoder is gone: it says why.
            _ => match self.join() {
                Err(error) => Err(error),
                Ok(_) => Err(Error::unwritable("it is closed")),
            },
        }
    }

    /// Lets the encoder come to its end.
    fn join(&mut self) -> Result<Encoder<W>> {
        self.parcels = None;
        let handle = self.encoder.take();
        handle
            .and_then(|handle| handle.join().ok())
            .unwrap_or_else(|| Err(Error::unwritable("its encoder ended")))
    }
}

impl<W: Output> Drop for RecordWriter<W> {
    /// Waits for the encoder, which takes the unfinished file away.
    fn drop(&mut self) {
        if self.encoder.is_some() {
            // Whatever it says, the file is not wanted.
            drop(self.join());
        }
    }
}

/// The encoder's thread.
fn encode<W: Output>(mut encoder: Encoder<W>, queue: &Receiver<Vec<Row>>) -> Result<Encoder<W>> {
    for rows in queue {
        encoder.push(&rows).map_err(Error::unwritable)?;
    }
    Ok(encoder)
}
