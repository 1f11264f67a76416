//! Takes the records of windows out of the hypervisor's rings while it runs.

use trapcast_trace::record::{
    RING_CAPACITY, RINGS_OFFSET, Record, RingError, RingHeader, TAIL_OFFSET, VERSION,
    header_offset, record_offset,
};
use zerocopy::{FromZeros, IntoBytes};

use crate::memory::MemoryFile;
use trapcast_tool::error::{Error, Result};

/// Records that are taken at once, at most.
const BATCH: u64 = 4096;

/// What takes the records of one core out of a board's RAM.
#[derive(Debug)]
pub struct RingReader<'a> {
    ram: &'a MemoryFile,
    core: u8,
    batch: Vec<Record>,
    /// Times that the hypervisor found the ring full, as far as it was seen.
    waits: u64,
}

impl<'a> RingReader<'a> {
    /// Returns a reader of the ring of `core`, which the hypervisor may not have set up yet.
    pub fn new(ram: &'a MemoryFile, core: u8) -> Self {
        Self {
            ram,
            core,
            batch: Vec::new(),
            waits: 0,
        }
    }

    /// Hands all records that wait to `sink`, in order, and returns how many there were.
    ///
    /// # Errors
    /// Where the ring is another version's or damaged, and those of `sink`.
    pub fn drain(&mut self, mut sink: impl FnMut(u8, &[Record]) -> Result<()>) -> Result<u64> {
        let mut header = RingHeader::new_zeroed();
        self.ram
            .read_at(header.as_mut_bytes(), RINGS_OFFSET + self.header())?;
        let pending = match header.pending() {
            // Not set up yet.
            Err(RingError::NoMagic) => return Ok(0),
            pending => pending.map_err(unreadable)?,
        };
        self.waits = header.waits;
        let mut next = header.tail;
        while next < header.tail + pending {
            let free = RING_CAPACITY - next % RING_CAPACITY;
            let count = (header.tail + pending - next).min(free).min(BATCH);
            self.batch.resize(count as usize, Record::default());
            let place = RINGS_OFFSET + record_offset(self.core.into(), next);
            self.ram.read_at(self.batch.as_mut_bytes(), place)?;
            sink(self.core, &self.batch)?;
            next += count;
            let tail = RINGS_OFFSET + self.header() + TAIL_OFFSET;
            self.ram.write_at(next.as_bytes(), tail)?;
        }
        Ok(pending)
    }

    /// Times that the hypervisor found the ring full and waited.
    pub fn waits(&self) -> u64 {
        self.waits
    }

    fn header(&self) -> u64 {
        header_offset(self.core.into())
    }
}

fn unreadable(error: RingError) -> Error {
    Error::run(match error {
        RingError::Version(version) => format!(
            "the hypervisor writes version {version} of the record and this lab reads version \
             {VERSION}: run make build"
        ),
        RingError::NoMagic | RingError::Damaged => {
            "the ring of records in the board's RAM is damaged".to_string()
        }
    })
}

#[cfg(test)]
mod tests {
    use trapcast_trace::record::RINGS_SIZE;

    use super::*;

    /// RAM as a hypervisor leaves it that has shown records up to `head` and whose reader has taken
    /// those up to `tail`; each record's `start` is its number.
    fn ram(head: u64, tail: u64) -> MemoryFile {
        let ram = MemoryFile::zeroed(RINGS_OFFSET + RINGS_SIZE).unwrap();
        let mut header = RingHeader::new();
        (header.head, header.tail) = (head, tail);
        ram.write_at(header.as_bytes(), RINGS_OFFSET + header_offset(1))
            .unwrap();
        for start in tail..head.min(tail + RING_CAPACITY) {
            let record = Record {
                start,
                ..Record::default()
            };
            ram.write_at(record.as_bytes(), RINGS_OFFSET + record_offset(1, start))
                .unwrap();
        }
        ram
    }

    fn drained(ram: &MemoryFile) -> Result<Vec<u64>> {
        let mut starts = Vec::new();
        RingReader::new(ram, 1).drain(|core, records| {
            assert_eq!(core, 1);
            starts.extend(records.iter().map(|record| record.start));
            Ok(())
        })?;
        Ok(starts)
    }

    #[test]
    fn records_come_once_in_order_and_across_the_end_of_the_ring() {
        let (tail, head) = (RING_CAPACITY - 5000, RING_CAPACITY + 5000);
        let ram = ram(head, tail);
        assert_eq!(drained(&ram).unwrap(), (tail..head).collect::<Vec<_>>());
        assert_eq!(drained(&ram).unwrap(), [0; 0]);
    }

    #[test]
    fn a_ring_that_is_not_set_up_is_empty_and_a_damaged_one_is_refused() {
        let empty = MemoryFile::zeroed(RINGS_OFFSET + RINGS_SIZE).unwrap();
        assert_eq!(drained(&empty).unwrap(), [0; 0]);
        let damaged = drained(&ram(2 * RING_CAPACITY, 1)).unwrap_err();
        assert!(damaged.to_string().contains("damaged"), "{damaged}");
    }

    #[test]
    fn what_the_sink_refuses_is_not_taken() {
        let ram = ram(2, 0);
        let refuse = |_: u8, _: &[Record]| Err(Error::run("full disk"));
        assert!(RingReader::new(&ram, 1).drain(refuse).is_err());
        assert_eq!(drained(&ram).unwrap(), [0, 1]);
    }
}
