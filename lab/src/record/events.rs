//! Decodes what a replay needs of a record: six columns of thirty-odd, as [`Event`]s.
//!
//! Of these the numbers are indices into dictionaries and the booleans single bits. Both are read
//! straight from the pages, since the library's general readers take three times as long.

use bytes::Bytes;
use parquet::{
    basic::Encoding,
    column::page::{Page, PageReader},
    errors::{ParquetError, Result as ParquetResult},
    file::statistics::Statistics,
};
use trapcast_forecast::Resume;
use trapcast_trace::report::MAX_CORES;

use super::{
    chunk,
    guard::guarded,
    hybrid::Hybrid,
    reader::{RecordFile, Values, general, place_of},
};
use crate::replay::Event;
use trapcast_tool::error::Result;

/// Windows decoded at once: few enough that they stay in the first-level cache.
const BATCH: usize = 4096;

impl RecordFile {
    /// Reads the windows of a row group into `events`, whose content is dropped and whose memory is
    /// used again. Several threads may do so at once.
    ///
    /// # Errors
    /// [`Error::Input`](trapcast_tool::error::Error::Input) where the file is damaged.
    ///
    /// # Panics
    /// If there is no such row group.
    pub fn read_events(&self, row_group: usize, events: &mut Vec<Event>) -> Result<()> {
        events.clear();
        guarded(|| self.decode_events(row_group, events))
            .map_err(|error| self.damaged(row_group, &error))
    }

    /// Reads how the guest resumed in each window of a row group, as the forecast of a VM that is
    /// `prompt` is told. A file that was made for replays only does not know.
    ///
    /// # Errors
    /// As [`read_events`](Self::read_events).
    ///
    /// # Panics
    /// If there is no such row group.
    pub fn read_resumes(&self, row_group: usize) -> Result<Vec<Resume>> {
        if ["pc", "interrupt_pending"]
            .iter()
            .any(|name| !self.has(name))
        {
            return Ok(vec![Resume::default(); self.row_group_windows(row_group)]);
        }
        let (Values::Longs(pcs), Values::Bools(pending)) = (
            self.read_column(row_group, "pc")?,
            self.read_column(row_group, "interrupt_pending")?,
        ) else {
            unreachable!("the schema says so");
        };
        let resume = |(pc, pending)| Resume { pc, pending };
        Ok(pcs.into_iter().zip(pending).map(resume).collect())
    }

    fn decode_events(&self, group: usize, events: &mut Vec<Event>) -> ParquetResult<()> {
        let rows = self.row_group_windows(group);
        let vcpus = self.metadata().vcpus.len();
        let mut vcpu = self.source(group, "vcpu", vcpus)?;
        let mut core = self.source(group, "core", MAX_CORES)?;
        let mut host = self.source(group, "host_uses", usize::MAX)?;
        let mut bits = [
            (self.source(group, "fp_used", 2)?, Event::USED),
            (self.source(group, "put", 2)?, Event::PUT),
            (self.source(group, "powered_on", 2)?, Event::POWERED_ON),
        ];
        let mut constant = flag(host.constant(), Event::HOST);
        for (source, bit) in &bits {
            constant |= flag(source.constant(), *bit);
        }
        let mut vcpus = [vcpu.constant(); BATCH];
        let mut cores = [core.constant(); BATCH];
        let mut hosts = [0; BATCH];
        events.reserve(rows);
        while events.len() < rows {
            let count = BATCH.min(rows - events.len());
            let mut flags = [constant; BATCH];
            vcpu.numbers(&mut vcpus[..count])?;
            core.numbers(&mut cores[..count])?;
            if host.numbers(&mut hosts[..count])? {
                for (flags, uses) in flags.iter_mut().zip(&hosts) {
                    *flags |= flag(*uses, Event::HOST);
                }
            }
            for (source, bit) in &mut bits {
                source.bits(&mut flags[..count], *bit)?;
            }
            let columns = vcpus.iter().zip(&cores).zip(&flags).take(count);
            events.extend(
                columns.map(|((vcpu, core), flags)| Event::new(*vcpu as u16, *core as u8, *flags)),
            );
        }
        Ok(())
    }

    /// Begins to read a column of a row group, all of whose values must be below a limit.
    fn source(&self, group: usize, name: &'static str, limit: usize) -> ParquetResult<Source> {
        let place = place_of(name);
        let statistics = self.chunk_about(group, place)?.statistics();
        if let Some(value) = statistics.and_then(only_value) {
            below(value, limit, name)?;
            return Ok(Source::Constant(value));
        }
        Ok(Source::Pages(Pages {
            name,
            limit,
            pages: Box::new(self.pages(group, place)?),
            dictionary: Vec::new(),
            indices: Hybrid::default(),
            bits: Bytes::new(),
            values: 0,
            next: 0,
        }))
    }
}

/// A flag if a value is not 0.
const fn flag(value: u32, flag: u8) -> u8 {
    if value != 0 { flag } else { 0 }
}

/// Returns the value of a column that has but one, according to its statistics.
fn only_value(statistics: &Statistics) -> Option<u32> {
    let (least, most) = match statistics {
        Statistics::Int32(values) => (
            values.min_opt()?.cast_unsigned(),
            values.max_opt()?.cast_unsigned(),
        ),
        Statistics::Boolean(values) => {
            (u32::from(*values.min_opt()?), u32::from(*values.max_opt()?))
        }
        _ => return None,
    };
    (least == most).then_some(least)
}

/// A column of a row group under way.
enum Source {
    /// All values are the same: the statistics say so, and nothing is read.
    Constant(u32),
    /// The values follow.
    Pages(Pages),
}

impl Source {
    /// The value of a column that has but one; of any other, 0.
    const fn constant(&self) -> u32 {
        match self {
            Self::Constant(value) => *value,
            Self::Pages(_) => 0,
        }
    }

    /// Reads the next values of a column of numbers, and returns true; one that has but one value
    /// leaves them as they are.
    fn numbers(&mut self, values: &mut [u32]) -> ParquetResult<bool> {
        let Self::Pages(pages) = self else {
            return Ok(false);
        };
        let mut done = 0;
        while done < values.len() {
            let count = pages.available(values.len() - done)?;
            let (indices, dictionary) = (&mut pages.indices, &pages.dictionary);
            let read = indices.read(dictionary, &mut values[done..done + count]);
            read.ok_or_else(|| pages.unusable())?;
            pages.next += count;
            done += count;
        }
        Ok(true)
    }

    /// Reads the next values of a column of booleans, and sets a bit in those `flags` whose value is
    /// true.
    fn bits(&mut self, flags: &mut [u8], bit: u8) -> ParquetResult<()> {
        let Self::Pages(pages) = self else {
            return Ok(());
        };
        let mut done = 0;
        while done < flags.len() {
            let count = pages.available(flags.len() - done)?;
            let read = set_bits(&pages.bits, pages.next, &mut flags[done..done + count], bit);
            read.ok_or_else(|| pages.unusable())?;
            pages.next += count;
            done += count;
        }
        Ok(())
    }
}

/// Bytes of 0 and 1 for the bits of a byte, the lowest bit first in memory.
const SPREAD: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte] |= (byte as u64 >> bit & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    table
};

/// Sets `bit` in those flags whose bit in a page, from a number on, is set; `None` where the page
/// has fewer.
fn set_bits(page: &[u8], first: usize, flags: &mut [u8], bit: u8) -> Option<()> {
    // The bits before the next whole byte, and then eight at a time.
    let head = (first.next_multiple_of(8) - first).min(flags.len());
    let (head, whole) = flags.split_at_mut(head);
    for (flags, place) in head.iter_mut().zip(first..) {
        *flags |= bit * (page.get(place / 8)? >> (place % 8) & 1);
    }
    let page = page.get(first.div_ceil(8)..)?;
    if page.len() < whole.len().div_ceil(8) {
        return None;
    }
    let (groups, tail) = whole.as_chunks_mut::<8>();
    let rest = page.get(groups.len()).copied().unwrap_or(0);
    for (group, byte) in groups.iter_mut().zip(page) {
        let set = SPREAD[usize::from(*byte)] * u64::from(bit);
        *group = (u64::from_le_bytes(*group) | set).to_le_bytes();
    }
    for (place, flags) in tail.iter_mut().enumerate() {
        *flags |= bit * (rest >> place & 1);
    }
    Some(())
}

/// A column's pages, and how far they are read.
struct Pages {
    name: &'static str,
    limit: usize,
    pages: Box<chunk::Pages>,
    dictionary: Vec<u32>,
    /// The page, if it is of numbers.
    indices: Hybrid,
    /// The page, if it is of booleans.
    bits: Bytes,
    /// Values of the page.
    values: usize,
    /// Those of them that are read.
    next: usize,
}

impl Pages {
    /// Returns how many of `wanted` values, at least one, the page has left; goes on to the next one
    /// if it has none.
    fn available(&mut self, wanted: usize) -> ParquetResult<usize> {
        while self.next == self.values {
            self.turn()?;
        }
        Ok(wanted.min(self.values - self.next))
    }

    /// Goes on to the next page.
    fn turn(&mut self) -> ParquetResult<()> {
        match self.pages.get_next_page()? {
            Some(Page::DictionaryPage { buf, .. }) => {
                let (numbers, _) = buf.as_chunks();
                self.dictionary = numbers.iter().map(|n| u32::from_le_bytes(*n)).collect();
                let largest = self.dictionary.iter().max().copied();
                below(largest.unwrap_or(0), self.limit, self.name)
            }
            Some(Page::DataPage {
                buf,
                num_values,
                encoding,
                ..
            }) => {
                match encoding {
                    Encoding::PLAIN => self.bits = buf,
                    Encoding::RLE_DICTIONARY => {
                        self.indices = Hybrid::new(buf).ok_or_else(|| self.unusable())?;
                    }
                    _ => return Err(self.unusable()),
                }
                self.values = num_values as usize;
                self.next = 0;
                Ok(())
            }
            _ => Err(self.unusable()),
        }
    }

    fn unusable(&self) -> ParquetError {
        let name = self.name;
        general(format!(
            "column {name} ends too early, or is laid out as no record's is"
        ))
    }
}

/// Refuses a number that is not below a limit.
pub(super) fn below(number: u32, limit: usize, name: &str) -> ParquetResult<()> {
    if number as usize >= limit {
        return Err(general(format!(
            "column {name} has {number}, and there are {limit}"
        )));
    }
    Ok(())
}
