//! Reads the windows of a record one after the other, with what a timeline shows of them: a few thousand
//! at a time, so that memory does not grow with the file.

use parquet::{
    column::reader::ColumnReaderImpl,
    data_type::{BoolType, ByteArrayType, DataType, Int32Type, Int64Type},
    errors::Result as ParquetResult,
};
use trapcast_trace::report::MAX_CORES;

use super::{
    events::below,
    guard::guarded,
    reader::{RecordFile, exit, place_of, short_if},
    schema::COLUMNS,
};
use trapcast_tool::error::Result;

/// Windows that are decoded at a time.
const BATCH: usize = 4096;

/// One window, as `docs/records.md` has its columns.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Window {
    /// Number of the vCPU over all VMs: an index into the metadata's `vcpus`.
    pub vcpu: u16,
    /// Number of the core.
    pub core: u8,
    /// It is the first since the vCPU was loaded.
    pub loaded: bool,
    /// The vCPU was put after it.
    pub put: bool,
    /// The vCPU was put although it could have gone on.
    pub preempted: bool,
    /// The vCPU was turned on right before it.
    pub powered_on: bool,
    /// The guest said in it that its work begins with the next window.
    pub mark: bool,
    /// An interrupt was pending for the guest at the entry.
    pub interrupt_pending: bool,
    /// CNTPCT_EL0 at the entry, in ticks.
    pub start: u64,
    /// CNTPCT_EL0 at the exit, in ticks.
    pub end: u64,
    /// Instructions that the guest retired in it; 0 where the machine does not count.
    pub instructions: u64,
    /// Instructions at EL2 on this core since its window before.
    pub el2_instructions: u32,
    /// Why it ended: an index into [`EXIT_NAMES`](trapcast_trace::report::EXIT_NAMES).
    pub exit: u8,
    /// INTID of the interrupt that ended it.
    pub intid: u16,
    /// Where the guest resumed.
    pub pc: u64,
    /// The exception level at which it did.
    pub el: u8,
    /// Whether it did so in AArch32 state.
    pub aarch32: bool,
    /// It used the FP/SIMD registers.
    pub used: bool,
    /// Instructions into the window at the first use.
    pub first_use: Option<u32>,
    /// Times that the hypervisor used the registers itself after it.
    pub host_uses: u16,
}

/// The windows of a record, in their order.
pub struct Windows<'a> {
    file: &'a RecordFile,
    /// The row group under way, and the windows of it that are left.
    group: Option<(usize, Box<Columns>, usize)>,
    next_group: usize,
}

impl RecordFile {
    /// Returns the windows of the file, of which nothing is read yet.
    ///
    /// # Errors
    /// [`Error::Input`](trapcast_tool::error::Error::Input) where the file was made for replays and lacks columns.
    pub fn rows(&self) -> Result<Windows<'_>> {
        let lacks = |column: &&super::schema::Column| !self.has(column.name);
        if let Some(column) = COLUMNS.iter().find(lacks) {
            let why = format!(
                "has no column {}: it was made for replays only",
                column.name
            );
            return Err(self.refuse(&why));
        }
        Ok(Windows {
            file: self,
            group: None,
            next_group: 0,
        })
    }
}

impl Windows<'_> {
    /// Replaces `windows` by those that come next; by none at the end.
    ///
    /// # Errors
    /// [`Error::Input`](trapcast_tool::error::Error::Input) where the file is damaged.
    pub fn read(&mut self, windows: &mut Vec<Window>) -> Result<()> {
        windows.clear();
        while windows.is_empty() {
            let (number, mut columns, left) = match self.group.take() {
                Some(group) => group,
                None if self.next_group == self.file.row_group_count() => return Ok(()),
                None => self.open()?,
            };
            let count = left.min(BATCH);
            guarded(|| columns.read(count, windows))
                .map_err(|error| self.file.damaged(number, &error))?;
            if left > count {
                self.group = Some((number, columns, left - count));
            }
        }
        Ok(())
    }

    /// Begins the next row group.
    fn open(&mut self) -> Result<(usize, Box<Columns>, usize)> {
        let number = self.next_group;
        self.next_group += 1;
        let columns = guarded(|| Columns::open(self.file, number))
            .map_err(|error| self.file.damaged(number, &error))?;
        Ok((
            number,
            Box::new(columns),
            self.file.row_group_windows(number),
        ))
    }
}

/// A column of a row group under way.
struct Column<T: DataType> {
    reader: ColumnReaderImpl<T>,
    values: Vec<T::T>,
    levels: Vec<i16>,
}

impl<T: DataType> Column<T> {
    fn open(file: &RecordFile, group: usize, name: &str) -> ParquetResult<Self> {
        Ok(Self {
            reader: file.column(group, place_of(name))?,
            values: Vec::new(),
            levels: Vec::new(),
        })
    }

    /// Reads the next `count` values; those that are null are left out.
    fn next(&mut self, count: usize) -> ParquetResult<&[T::T]> {
        self.values.clear();
        self.levels.clear();
        let levels = Some(&mut self.levels);
        let (read, ..) = self
            .reader
            .read_records(count, levels, None, &mut self.values)?;
        short_if(read != count)?;
        Ok(&self.values)
    }
}

type Bools = Column<BoolType>;
type Numbers = Column<Int32Type>;
type Longs = Column<Int64Type>;

/// Sets a field of each window.
type Set<T> = fn(&mut Window, T);

/// The columns of a row group, each with the field that it fills.
struct Columns {
    bools: Vec<(Bools, Set<bool>)>,
    numbers: Vec<(Numbers, &'static str, usize, Set<u32>)>,
    longs: Vec<(Longs, Set<u64>)>,
    first_use: Numbers,
    exit: Column<ByteArrayType>,
}

const BOOLS: [(&str, Set<bool>); 8] = [
    ("loaded", |window, value| window.loaded = value),
    ("put", |window, value| window.put = value),
    ("preempted", |window, value| window.preempted = value),
    ("powered_on", |window, value| window.powered_on = value),
    ("mark", |window, value| window.mark = value),
    ("interrupt_pending", |window, value| {
        window.interrupt_pending = value
    }),
    ("aarch32", |window, value| window.aarch32 = value),
    ("fp_used", |window, value| window.used = value),
];

/// The narrow columns but for `vcpu`, each with the least number that it cannot have.
const NUMBERS: [(&str, usize, Set<u32>); 5] = [
    ("core", MAX_CORES, |window, value| window.core = value as u8),
    ("el", 4, |window, value| window.el = value as u8),
    ("intid_after", 1 << 16, |window, value| {
        window.intid = value as u16;
    }),
    ("host_uses", 1 << 16, |window, value| {
        window.host_uses = value as u16;
    }),
    ("el2_instructions", usize::MAX, |window, value| {
        window.el2_instructions = value;
    }),
];

const LONGS: [(&str, Set<u64>); 5] = [
    ("start_ticks", |window, value| window.start = value),
    ("end_ticks", |window, value| window.end = value),
    ("pc", |window, value| window.pc = value),
    ("start_instructions", |window, value| {
        window.instructions = value;
    }),
    ("end_instructions", |window, value| {
        window.instructions = value.saturating_sub(window.instructions);
    }),
];

impl Columns {
    fn open(file: &RecordFile, group: usize) -> ParquetResult<Self> {
        let vcpus = file.metadata().vcpus.len();
        let vcpu: (_, _, Set<u32>) = ("vcpu", vcpus, |window, value| window.vcpu = value as u16);
        let numbers = NUMBERS.into_iter().chain([vcpu]);
        let bool = |(name, set)| Ok((Bools::open(file, group, name)?, set));
        let long = |(name, set)| Ok((Longs::open(file, group, name)?, set));
        let number = |(name, limit, set)| Ok((Numbers::open(file, group, name)?, name, limit, set));
        Ok(Self {
            bools: BOOLS.into_iter().map(bool).collect::<ParquetResult<_>>()?,
            numbers: numbers.map(number).collect::<ParquetResult<_>>()?,
            longs: LONGS.into_iter().map(long).collect::<ParquetResult<_>>()?,
            first_use: Column::open(file, group, "first_use")?,
            exit: Column::open(file, group, "exit_after")?,
        })
    }

    fn read(&mut self, count: usize, windows: &mut Vec<Window>) -> ParquetResult<()> {
        windows.resize(count, Window::default());
        for (column, set) in &mut self.bools {
            let values = column.next(count)?;
            windows
                .iter_mut()
                .zip(values)
                .for_each(|(w, value)| set(w, *value));
        }
        for (column, name, limit, set) in &mut self.numbers {
            for (window, value) in windows.iter_mut().zip(column.next(count)?) {
                below(value.cast_unsigned(), *limit, name)?;
                set(window, value.cast_unsigned());
            }
        }
        for (column, set) in &mut self.longs {
            let values = column.next(count)?;
            windows
                .iter_mut()
                .zip(values)
                .for_each(|(w, value)| set(w, value.cast_unsigned()));
        }
        for (window, name) in windows.iter_mut().zip(self.exit.next(count)?) {
            window.exit = exit(name)?;
        }
        self.first_use.next(count)?;
        let mut uses = self.first_use.values.iter();
        for (window, level) in windows.iter_mut().zip(&self.first_use.levels) {
            if *level > 0 {
                window.first_use = uses.next().map(|value| value.cast_unsigned());
            }
        }
        Ok(())
    }
}
