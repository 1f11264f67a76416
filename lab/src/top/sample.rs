//! One look at the mailbox of a hypervisor that runs, and counts meanwhile.

use trapcast_forecast::Scheme;
use trapcast_trace::{
    MAILBOX_OFFSET,
    report::{
        CORES_OFFSET, CoreReport, Header, ReadError, Report, State, VCPUS_OFFSET, VcpuReport,
    },
};
use zerocopy::{FromZeros, IntoBytes};

use trapcast_machine::{memory::MemoryFile, run};
use trapcast_tool::error::Result;

/// How often a record is read in the hope that two readings after one another agree.
const TRIES: usize = 16;

/// Counters as they were at about one time.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The mailbox's header.
    pub header: Header,
    /// One per core; nothing of one that could not be read in one piece.
    pub cores: Vec<Option<CoreReport>>,
    /// One per vCPU, likewise.
    pub vcpus: Vec<Option<VcpuReport>>,
}

impl Sample {
    /// Reads the counters from a board's RAM; nothing if the hypervisor has not set its mailbox up.
    ///
    /// # Errors
    /// Those of [`run::unreadable`].
    pub fn take(ram: &MemoryFile) -> Result<Option<Self>> {
        let mailbox = ram.mailbox()?;
        let header = match Report::read(mailbox.bytes()) {
            Ok(report) => *report.header,
            Err(ReadError::NoMagic) => return Ok(None),
            Err(error) => return Err(run::unreadable(error)),
        };
        let mut cores = Vec::new();
        for core in 0..header.cores as usize {
            let offset = CORES_OFFSET + core * size_of::<CoreReport>();
            cores.push(whole::<CoreReport>(ram, offset)?);
        }
        let mut vcpus = Vec::new();
        for vcpu in 0..header.vcpus as usize {
            let offset = VCPUS_OFFSET + vcpu * size_of::<VcpuReport>();
            let report = whole::<VcpuReport>(ram, offset)?;
            vcpus.push(report.filter(|report| makes_sense(report, &header)));
        }
        Ok(Some(Self {
            header,
            cores,
            vcpus,
        }))
    }

    /// How far the hypervisor has come.
    pub fn state(&self) -> &'static str {
        const STATES: [(State, &str); 5] = [
            (State::Booting, "booting"),
            (State::Running, "running"),
            (State::Done, "powered off"),
            (State::Failed, "failed"),
            (State::Refused, "refused to start"),
        ];
        let found = STATES
            .iter()
            .find(|(state, _)| *state as u32 == self.header.state);
        found.map_or("unknown", |(_, name)| name)
    }

    /// Whether nothing will be counted any more.
    pub fn is_over(&self) -> bool {
        [State::Done, State::Failed, State::Refused]
            .iter()
            .any(|state| *state as u32 == self.header.state)
    }
}

/// The scheme of a vCPU.
pub fn scheme(report: &VcpuReport) -> Option<Scheme> {
    Scheme::ALL
        .into_iter()
        .find(|scheme| *scheme as u32 == report.scheme)
}

/// Reads a record until two readings agree: else it is being written.
fn whole<T: FromZeros + zerocopy::FromBytes + IntoBytes + zerocopy::Immutable>(
    ram: &MemoryFile,
    offset: usize,
) -> Result<Option<T>> {
    let read = || -> Result<T> {
        let mut record = T::new_zeroed();
        ram.read_at(record.as_mut_bytes(), MAILBOX_OFFSET + offset as u64)?;
        Ok(record)
    };
    let mut before = read()?;
    for _ in 1..TRIES {
        let after = read()?;
        if before.as_bytes() == after.as_bytes() {
            return Ok(Some(after));
        }
        before = after;
    }
    Ok(None)
}

/// Whether a vCPU's record can be one that a hypervisor wrote, and not one half copied.
fn makes_sense(report: &VcpuReport, header: &Header) -> bool {
    report.vm < header.vms
        && scheme(report).is_some()
        && report.traps <= report.register_loads
        && report.register_loads.wrapping_sub(report.register_saves) <= 1
        && report.wasted_loads <= report.register_loads
}

/// Whether no counter of a record is lower than before. One that was read half copied may be.
pub fn has_grown<T: IntoBytes + zerocopy::Immutable>(before: &T, now: &T) -> bool {
    let words = |record: &'_ T| -> Vec<u64> {
        let (words, _) = record.as_bytes().as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word)).collect()
    };
    words(before)
        .iter()
        .zip(&words(now))
        .all(|(before, now)| before <= now)
}
