//! Reads columns of a record side by side, some windows at a time: the one way in which values come out
//! of a file.
//!
//! The library finds and unpacks pages; the values are decoded here, as its general readers take three
//! times as long.

use std::ops::Range;

use bytes::Bytes;
use parquet::{
    basic::Encoding,
    column::page::{Page, PageReader},
    errors::{ParquetError, Result as ParquetResult},
    file::statistics::Statistics,
};
use trapcast_trace::report::{EXIT_NAMES, EXITS, MAX_CORES};

use super::{
    Event, chunk,
    delta::Delta,
    error::Result,
    guard::guarded,
    hybrid::Hybrid,
    reader::{RecordFile, general, place_of},
    schema::{COLUMNS, REPLAYED, Value},
};

/// Windows that are decoded at once: few enough that their columns stay in the nearest caches.
const BATCH: usize = 512;

/// What stands for null, in columns that may have it: no tick is so late, and other numbers have 32 bits.
pub const NULL: u64 = u64::MAX;

/// Some columns of some row groups of a record, in the order of its windows.
pub struct Columns<'a, const N: usize> {
    file: &'a RecordFile,
    names: [&'static str; N],
    groups: Range<usize>,
    /// The row group under way: its number, the windows of it that are left, its columns.
    open: Option<(usize, usize, [Column; N])>,
    values: [Vec<u64>; N],
}

impl RecordFile {
    /// Returns columns of some row groups, of which nothing is read yet. All values are numbers: booleans
    /// 0 or 1, kinds of exit indices into [`EXIT_NAMES`], and [`NULL`] where there is none. A column that
    /// the file may leave out, and does, is asked for in vain.
    ///
    /// # Errors
    /// [`NoColumn`](crate::Error::NoColumn) where the file was made for replays and lacks one.
    ///
    /// # Panics
    /// If no record has such a column.
    pub fn columns<const N: usize>(
        &self,
        groups: Range<usize>,
        names: [&'static str; N],
    ) -> Result<Columns<'_, N>> {
        for name in names {
            self.require(name)?;
        }
        Ok(Columns {
            file: self,
            names,
            groups,
            open: None,
            values: std::array::from_fn(|_| Vec::new()),
        })
    }

    /// Reads the windows of a row group into `events`, whose content is dropped and whose memory is
    /// used again. Several threads may do so at once. Of a file that was made for replays only nothing is
    /// known of how its guests resumed.
    ///
    /// # Errors
    /// [`Damaged`](crate::Error::Damaged) where the file is.
    ///
    /// # Panics
    /// If there is no such row group.
    pub fn read_events(&self, row_group: usize, events: &mut Vec<Event>) -> Result<()> {
        let [vcpu, core, put, powered_on, used, host] = REPLAYED;
        events.clear();
        events.reserve(self.row_group_windows(row_group));
        let groups = row_group..row_group + 1;
        if !self.has("pc") || !self.has("interrupt_pending") {
            let mut columns = self.columns(groups, REPLAYED)?;
            while let Some(batch) = columns.next()? {
                extend(events, batch, |_| (0, 0));
            }
            return Ok(());
        }
        let names = [
            vcpu,
            core,
            put,
            powered_on,
            used,
            host,
            "pc",
            "interrupt_pending",
        ];
        let mut columns = self.columns(groups, names)?;
        while let Some([vcpu, core, put, powered_on, used, host, pc, pending]) = columns.next()? {
            let batch = [vcpu, core, put, powered_on, used, host];
            extend(events, batch, |row| (pc[row], pending[row]));
        }
        Ok(())
    }
}

/// Adds the windows of a batch, of which `resume` knows where they resumed and whether an interrupt was
/// pending.
#[inline]
fn extend(
    events: &mut Vec<Event>,
    [vcpu, core, put, powered_on, used, host]: [&[u64]; 6],
    resume: impl Fn(usize) -> (u64, u64),
) {
    let rows = vcpu.len();
    let (core, put, powered_on) = (&core[..rows], &put[..rows], &powered_on[..rows]);
    let (used, host) = (&used[..rows], &host[..rows]);
    events.extend((0..rows).map(|row| {
        let (pc, pending) = resume(row);
        // Booleans are 0 or 1, and each flag is a bit of its own.
        let flags = used[row] * u64::from(Event::USED)
            + put[row] * u64::from(Event::PUT)
            + u64::from(host[row] != 0) * u64::from(Event::HOST)
            + powered_on[row] * u64::from(Event::POWERED_ON)
            // It may be null.
            + u64::from(pending == 1) * u64::from(Event::PENDING);
        Event {
            pc,
            vcpu: vcpu[row] as u16,
            core: core[row] as u8,
            flags: flags as u8,
        }
    }));
}

impl<const N: usize> Columns<'_, N> {
    /// Returns the columns of the windows that come next, all of the same length and at least of one;
    /// nothing at the end.
    ///
    /// # Errors
    /// [`Damaged`](crate::Error::Damaged) where the file is.
    #[expect(clippy::should_implement_trait, reason = "it lends what it returns")]
    pub fn next(&mut self) -> Result<Option<[&[u64]; N]>> {
        let (group, left, mut columns) = match self.open.take() {
            Some(open) => open,
            None => match self.groups.next() {
                None => return Ok(None),
                Some(group) => self.begin(group)?,
            },
        };
        let count = left.min(BATCH);
        guarded(|| {
            let each = columns.iter_mut().zip(&mut self.values);
            each.into_iter()
                .try_for_each(|(column, values)| column.read(count, values))
        })
        .map_err(|error| self.file.damaged(group, error))?;
        if left > count {
            self.open = Some((group, left - count, columns));
        }
        Ok(Some(self.values.each_ref().map(Vec::as_slice)))
    }

    /// Begins a row group.
    fn begin(&self, group: usize) -> Result<(usize, usize, [Column; N])> {
        let file = self.file;
        let open = || {
            let columns = self.names.map(|name| Column::open(file, group, name));
            // An array of results has no way of its own to become a result of an array.
            let columns: ParquetResult<Vec<Column>> = columns.into_iter().collect();
            Ok(columns?.try_into().unwrap_or_else(|_| unreachable!()))
        };
        let columns = guarded(open).map_err(|error| file.damaged(group, error))?;
        Ok((group, file.row_group_windows(group), columns))
    }
}

/// A column of a row group under way.
enum Column {
    /// All values are the same: the statistics say so, and nothing is decoded.
    Constant(u64),
    /// The values follow.
    Pages(Box<Pages>),
}

impl Column {
    fn open(file: &RecordFile, group: usize, name: &'static str) -> ParquetResult<Self> {
        if file.is_too_old_for(name) {
            return Ok(Self::Constant(NULL));
        }
        let place = place_of(name);
        let kind = COLUMNS[place].value;
        let about = file.chunk_about(group, place)?;
        let nullable = about.column_descr().max_def_level() > 0;
        let pages = Pages {
            name,
            kind,
            nullable,
            limit: limit(name, kind, file.metadata().vcpus.len()),
            // Its bytes are compared with their checksum, whatever its statistics say.
            pages: file.pages(group, place)?,
            dictionary: Vec::new(),
            levels: None,
            values: Encoded::None,
            left: 0,
        };
        match about.statistics().and_then(only_value) {
            Some(value) if !nullable => {
                pages.within(value)?;
                Ok(Self::Constant(value))
            }
            _ => Ok(Self::Pages(Box::new(pages))),
        }
    }

    /// Reads the next `count` values in place of those before.
    fn read(&mut self, count: usize, values: &mut Vec<u64>) -> ParquetResult<()> {
        match self {
            Self::Constant(value) => {
                values.clear();
                values.resize(count, *value);
                Ok(())
            }
            Self::Pages(pages) => {
                values.resize(count, 0);
                pages.read(values)
            }
        }
    }
}

/// The least number that a column cannot have.
fn limit(name: &str, kind: Value, vcpus: usize) -> u64 {
    match (name, kind) {
        ("vcpu", _) => vcpus as u64,
        ("core", _) => MAX_CORES as u64,
        ("el", _) => 4,
        (_, Value::Bool(_) | Value::MaybeBool(_)) => 2,
        (_, Value::Exit(_) | Value::MaybeExit(_)) => EXITS as u64,
        (_, Value::Number(bits, _) | Value::MaybeNumber(bits, _)) => 1 << bits as u32,
        (_, Value::Long(_) | Value::MaybeLong(_)) => u64::MAX,
    }
}

/// Returns the value of a column that has but one, according to its statistics.
fn only_value(statistics: &Statistics) -> Option<u64> {
    let same = |least: u64, most: u64| (least == most).then_some(least);
    match statistics {
        Statistics::Int32(values) => same(
            values.min_opt()?.cast_unsigned().into(),
            values.max_opt()?.cast_unsigned().into(),
        ),
        Statistics::Int64(values) => same(
            values.min_opt()?.cast_unsigned(),
            values.max_opt()?.cast_unsigned(),
        ),
        Statistics::Boolean(values) => {
            same((*values.min_opt()?).into(), (*values.max_opt()?).into())
        }
        _ => None,
    }
}

/// A column's pages, and how far they are read.
struct Pages {
    name: &'static str,
    kind: Value,
    /// Whether values may be null.
    nullable: bool,
    limit: u64,
    pages: chunk::Pages,
    dictionary: Vec<u64>,
    /// Which values of the page are there, if some may be null.
    levels: Option<Hybrid>,
    values: Encoded,
    /// Values of the page that are left.
    left: usize,
}

/// The values of a page.
enum Encoded {
    None,
    /// One bit each, from a bit on.
    Bits(Bytes, usize),
    /// So many bytes each.
    Plain(Bytes, usize),
    /// Indices into the dictionary.
    Indices(Hybrid),
    /// Differences.
    Differences(Delta),
}

impl Pages {
    fn read(&mut self, values: &mut [u64]) -> ParquetResult<()> {
        let mut done = 0;
        while done < values.len() {
            while self.left == 0 {
                self.turn()?;
            }
            let count = self.left.min(values.len() - done);
            let some = &mut values[done..done + count];
            self.decode(some).ok_or_else(|| self.unusable())?;
            self.left -= count;
            done += count;
        }
        Ok(())
    }

    /// Reads values of the page that is under way. `None` where it ends before, or a value cannot be.
    fn decode(&mut self, values: &mut [u64]) -> Option<()> {
        let Some(levels) = &mut self.levels else {
            return self.decode_all(values);
        };
        let mut there = vec![0; values.len()];
        levels.read(&[0, 1], &mut there)?;
        let mut some = vec![0; there.iter().sum::<u64>() as usize];
        self.decode_all(&mut some)?;
        let mut some = some.into_iter();
        for (value, there) in values.iter_mut().zip(there) {
            *value = if there == 0 { NULL } else { some.next()? };
        }
        Some(())
    }

    /// Reads values none of which is null.
    fn decode_all(&mut self, values: &mut [u64]) -> Option<()> {
        match &mut self.values {
            Encoded::None => None,
            Encoded::Bits(bytes, bit) => {
                unpack_bits(bytes, *bit, values)?;
                *bit += values.len();
                Some(())
            }
            Encoded::Indices(indices) => indices.read(&self.dictionary, values),
            Encoded::Plain(bytes, size) => {
                for value in &mut *values {
                    *value = number(bytes.get(..*size)?);
                    *bytes = bytes.slice(*size..);
                }
                values.iter().all(|value| *value < self.limit).then_some(())
            }
            Encoded::Differences(delta) => delta.read(values),
        }
    }

    /// Goes on to the next page.
    fn turn(&mut self) -> ParquetResult<()> {
        match self.pages.get_next_page()? {
            Some(Page::DictionaryPage { buf, .. }) => {
                self.dictionary = self.words(&buf).ok_or_else(|| self.unusable())?;
                let largest = self.dictionary.iter().max().copied();
                self.within(largest.unwrap_or(0))
            }
            Some(Page::DataPage {
                buf,
                num_values,
                encoding,
                ..
            }) => {
                self.begin(buf, encoding).ok_or_else(|| self.unusable())?;
                self.left = num_values as usize;
                Ok(())
            }
            _ => Err(self.unusable()),
        }
    }

    /// Begins a page.
    fn begin(&mut self, mut page: Bytes, encoding: Encoding) -> Option<()> {
        if self.nullable {
            let length = u32::from_le_bytes(*page.first_chunk()?) as usize;
            let levels = page.get(4..)?.get(..length)?;
            self.levels = Some(Hybrid::with_width(page.slice_ref(levels), 1));
            page = page.slice(4 + length..);
        }
        self.values = match (encoding, self.kind) {
            (Encoding::PLAIN, Value::Bool(_) | Value::MaybeBool(_)) => Encoded::Bits(page, 0),
            (Encoding::PLAIN, Value::Number(..) | Value::MaybeNumber(..)) => {
                Encoded::Plain(page, 4)
            }
            (Encoding::PLAIN, Value::Long(_) | Value::MaybeLong(_)) => Encoded::Plain(page, 8),
            (Encoding::RLE_DICTIONARY, _) => Encoded::Indices(Hybrid::new(page)?),
            (Encoding::DELTA_BINARY_PACKED, Value::Long(_) | Value::MaybeLong(_)) => {
                Encoded::Differences(Delta::new(page)?)
            }
            _ => return None,
        };
        Some(())
    }

    /// Returns the values of a dictionary.
    fn words(&self, page: &[u8]) -> Option<Vec<u64>> {
        let size = match self.kind {
            Value::Bool(_) | Value::MaybeBool(_) => return None,
            Value::Number(..) | Value::MaybeNumber(..) => 4,
            Value::Long(_) | Value::MaybeLong(_) => 8,
            Value::Exit(_) | Value::MaybeExit(_) => return exits(page),
        };
        Some(page.chunks_exact(size).map(number).collect())
    }

    /// Refuses a number that the column cannot have.
    fn within(&self, number: u64) -> ParquetResult<()> {
        if number >= self.limit && self.limit != u64::MAX {
            let Self { name, limit, .. } = self;
            return Err(general(format!(
                "column {name} has {number}, and there are {limit}"
            )));
        }
        Ok(())
    }

    fn unusable(&self) -> ParquetError {
        let name = self.name;
        general(format!(
            "column {name} ends too early, or is laid out as no record's is"
        ))
    }
}

/// Returns the number that some bytes, at most eight, are in little-endian order.
fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// Returns the kinds of exit that a dictionary names.
fn exits(mut page: &[u8]) -> Option<Vec<u64>> {
    let mut exits = Vec::new();
    while let Some((length, rest)) = page.split_first_chunk() {
        let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let exit = EXIT_NAMES
            .iter()
            .position(|known| known.as_bytes() == name)?;
        exits.push(exit as u64);
        page = rest;
    }
    page.is_empty().then_some(exits)
}

/// Reads single bits, from a bit of a page on; `None` where the page has fewer.
fn unpack_bits(page: &[u8], first: usize, values: &mut [u64]) -> Option<()> {
    // The bits before the next whole byte, and then eight at a time.
    let head = (first.next_multiple_of(8) - first).min(values.len());
    let (head, whole) = values.split_at_mut(head);
    for (value, place) in head.iter_mut().zip(first..) {
        *value = u64::from(page.get(place / 8)? >> (place % 8) & 1);
    }
    let page = page.get(first.div_ceil(8)..)?;
    if page.len() < whole.len().div_ceil(8) {
        return None;
    }
    for (values, byte) in whole.chunks_mut(8).zip(page) {
        for (bit, value) in values.iter_mut().enumerate() {
            *value = u64::from(byte >> bit & 1);
        }
    }
    Some(())
}
