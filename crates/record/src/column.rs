//! Reads columns of a record side by side, some windows at a time: the one way in which values come out
//! of a file.
//!
//! The library finds and unpacks pages; `pages` decodes the values, as its general readers take three times
//! as long.

use std::ops::Range;

use parquet::{errors::Result as ParquetResult, file::statistics::Statistics};
use trapcast_trace::report::EXITS;

use super::{
    Event,
    error::{Error, Result},
    guard::guarded,
    pages::Pages,
    reader::{RecordFile, place_of},
    row::CORES,
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
    /// 0 or 1, kinds of exit indices into [`EXIT_NAMES`](trapcast_trace::report::EXIT_NAMES), and [`NULL`] where there is none. A column that
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
    /// [`Damaged`](crate::Error::Damaged) where the file is, [`Unseen`](crate::Error::Unseen) where it is not known of
    /// each window whether it used the registers.
    ///
    /// # Panics
    /// If there is no such row group.
    pub fn read_events(&self, row_group: usize, events: &mut Vec<Event>) -> Result<()> {
        self.read_some_events(row_group, events, |used| self.all_seen(used))
    }

    /// The same of any record: a window of which is not known whether it used the registers is
    /// [`UNSEEN`](Event::UNSEEN).
    ///
    /// # Errors
    /// [`Damaged`](crate::Error::Damaged) where the file is.
    ///
    /// # Panics
    /// If there is no such row group.
    pub fn read_events_unseen(&self, row_group: usize, events: &mut Vec<Event>) -> Result<()> {
        self.read_some_events(row_group, events, |_| Ok(()))
    }

    /// Returns of how many windows is not known whether they used the registers.
    ///
    /// # Errors
    /// [`Damaged`](crate::Error::Damaged) where the file is.
    pub fn unseen_windows(&self) -> Result<u64> {
        let place = place_of("fp_used");
        let in_footer = |group| {
            let about = self.chunk_about(group, place).ok()?;
            about.statistics()?.null_count_opt()
        };
        let groups = 0..self.row_group_count();
        if let Some(unseen) = groups.clone().map(in_footer).sum() {
            return Ok(unseen);
        }
        let mut columns = self.columns(groups, ["fp_used"])?;
        let mut unseen = 0;
        while let Some([used]) = columns.next()? {
            unseen += used.iter().filter(|used| **used == NULL).count() as u64;
        }
        Ok(unseen)
    }

    /// Reads the windows of a row group that `check` finds good, by what is known of their uses.
    fn read_some_events(
        &self,
        row_group: usize,
        events: &mut Vec<Event>,
        check: impl Fn(&[u64]) -> Result<()>,
    ) -> Result<()> {
        let [vcpu, core, put, powered_on, used, host] = REPLAYED;
        events.clear();
        events.reserve(self.row_group_windows(row_group));
        let groups = row_group..row_group + 1;
        let is_there = |name| self.require(name).is_ok();
        if !is_there("pc") || !is_there("interrupt_pending") {
            let mut columns = self.columns(groups, REPLAYED)?;
            while let Some(batch) = columns.next()? {
                check(batch[4])?;
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
            check(used)?;
            let batch = [vcpu, core, put, powered_on, used, host];
            extend(events, batch, |row| (pc[row], pending[row]));
        }
        Ok(())
    }
}

impl RecordFile {
    /// Refuses windows of which it is not known whether they used the registers.
    fn all_seen(&self, used: &[u64]) -> Result<()> {
        match used.contains(&NULL) {
            true => Err(Error::Unseen {
                path: self.path().to_path_buf(),
            }),
            false => Ok(()),
        }
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
        // Booleans are 0 or 1, and each flag is a bit of its own, or null.
        let flags = u64::from(used[row] == 1) * u64::from(Event::USED)
            + u64::from(used[row] == NULL) * u64::from(Event::UNSEEN)
            + put[row] * u64::from(Event::PUT)
            + u64::from(host[row] != 0) * u64::from(Event::HOST)
            + powered_on[row] * u64::from(Event::POWERED_ON)
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
        if file.is_null(name) {
            return Ok(Self::Constant(NULL));
        }
        let place = place_of(name);
        let kind = COLUMNS[place].value;
        let about = file.chunk_about(group, place)?;
        let nullable = about.column_descr().max_def_level() > 0;
        let limit = limit(name, kind, file.metadata().vcpus.len());
        // Its bytes are compared with their checksum, whatever its statistics say.
        let pages = Pages::new(name, kind, nullable, limit, file.pages(group, place)?);
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
        ("core", _) => CORES as u64,
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
