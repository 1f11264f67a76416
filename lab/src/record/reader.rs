//! Reads record files, and refuses in one sentence what is none.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    column::reader::ColumnReaderImpl,
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader},
        serialized_reader::SerializedPageReader,
    },
};

use trapcast_trace::report::EXIT_NAMES;

use super::{
    check,
    chunk::{Chunk, Pages},
    guard::guarded,
    metadata::{self, Metadata},
    schema::{COLUMNS, Value},
    seal,
};
use trapcast_tool::error::{Error, Result};

/// A record file whose footer was read and found whole. May be read by several threads at once.
#[derive(Debug)]
pub struct RecordFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    footer: ParquetMetaData,
    metadata: Metadata,
    checksums: String,
    /// Where in the file's schema each of [`COLUMNS`] stands.
    places: Vec<Option<usize>>,
}

/// The values of a column of a row group.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Booleans.
    Bools(Vec<bool>),
    /// Numbers of up to 32 bits; `None` is null.
    Numbers(Vec<Option<u32>>),
    /// Numbers of 64 bits.
    Longs(Vec<u64>),
    /// Kinds of exit, as indices into [`EXIT_NAMES`]; `None` is null.
    Exits(Vec<Option<u8>>),
}

impl RecordFile {
    /// Opens a file and checks its footer: that it is a whole record of a version that this one
    /// reads, with all columns.
    ///
    /// # Errors
    /// [`Error::Input`], in one sentence, where it is not.
    pub fn open(path: &Path) -> Result<Self> {
        let unreadable = |error| Error::input(format!("cannot read {}: {error}", path.display()));
        // Before it is opened, as a FIFO would wait for its writer.
        let about = fs::metadata(path).map_err(unreadable)?;
        if !about.is_file() {
            let why = if about.is_dir() {
                "is not a file"
            } else {
                "is no regular file, and a record is not read from its start to its end: save it as one first"
            };
            return Err(Error::input(format!("{} {why}", path.display())));
        }
        let file = File::open(path).map_err(unreadable)?;
        Self::read(path, file, about.len())
            .map_err(|why| Error::input(format!("{} {why}", path.display())))
    }

    /// Reads and checks the footer; an error is the end of a sentence.
    fn read(path: &Path, file: File, bytes: u64) -> std::result::Result<Self, String> {
        let footer_bytes = check::read_footer(&file, bytes)?;
        let whole = seal::footer_is_whole(&footer_bytes);
        if whole == Some(false) {
            return Err(format!("is damaged: its footer {NO_MATCH}"));
        }
        let footer = guarded(|| ParquetMetaDataReader::decode_metadata(&footer_bytes))
            .map_err(|error| format!("is damaged: its footer cannot be read ({error})"))?;
        let pairs = footer.file_metadata().key_value_metadata();
        let pairs = pairs.map_or(&[][..], Vec::as_slice);
        check::check_format(pairs)?;
        if whole.is_none() {
            return Err("is damaged: its footer has no checksum".to_string());
        }
        let metadata = Metadata::from_pairs(pairs)
            .map_err(|why| format!("has metadata that cannot be used: {why}"))?;
        let checksums = metadata::value(pairs, seal::COLUMNS_KEY).unwrap_or_default();
        let checksums = checksums.to_string();
        let places = check::places(&footer)?;
        check::check_row_groups(&footer, &metadata, &checksums)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            bytes,
            footer,
            metadata,
            checksums,
            places,
        })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's size in bytes.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the file says about itself.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Windows in the file.
    pub const fn windows(&self) -> u64 {
        self.metadata.windows
    }

    /// Row groups. They follow one another in the order of the windows.
    pub fn row_group_count(&self) -> usize {
        self.footer.num_row_groups()
    }

    /// Windows of a row group.
    ///
    /// # Panics
    /// If there is no such row group.
    pub fn row_group_windows(&self, row_group: usize) -> usize {
        self.footer.row_group(row_group).num_rows() as usize
    }

    /// Refuses a file that has no windows, for those that need some.
    ///
    /// # Errors
    /// [`Error::Input`] where it has none.
    pub fn require_windows(&self) -> Result<()> {
        match self.windows() {
            0 => Err(self.refuse("has no windows: nothing was recorded")),
            _ => Ok(()),
        }
    }

    /// Whether the file has a column.
    ///
    /// # Panics
    /// If no record has such a column.
    pub(super) fn has(&self, name: &str) -> bool {
        self.places[place_of(name)].is_some()
    }

    /// Bytes that a column takes in the file.
    pub fn column_bytes(&self, column: usize) -> u64 {
        let chunks = self.footer.row_groups().iter();
        let sizes = chunks.filter_map(|group| {
            let place = self.places[column]?;
            Some(group.column(place).compressed_size())
        });
        sizes.map(|size| u64::try_from(size).unwrap_or(0)).sum()
    }

    /// Reads a column of a row group.
    ///
    /// # Errors
    /// [`Error::Input`] where the file is damaged, or was made for replays and lacks the column.
    ///
    /// # Panics
    /// If there is no such row group, or if no record has such a column.
    pub fn read_column(&self, row_group: usize, name: &str) -> Result<Values> {
        let place = place_of(name);
        if self.places[place].is_none() {
            return Err(self.refuse(&format!(
                "has no column {name}: it was made for replays only"
            )));
        }
        let read = || self.values(row_group, place);
        guarded(read).map_err(|error| self.damaged(row_group, &error))
    }

    fn values(&self, group: usize, place: usize) -> ParquetResult<Values> {
        Ok(match COLUMNS[place].value {
            Value::Bool(_) => Values::Bools(self.required::<BoolType>(group, place)?),
            Value::Number(..) => {
                let values = self.required::<Int32Type>(group, place)?;
                Values::Numbers(
                    values
                        .into_iter()
                        .map(|value| Some(value.cast_unsigned()))
                        .collect(),
                )
            }
            Value::MaybeNumber(..) => {
                let values = self.optional::<Int32Type>(group, place)?;
                let unsigned = |value: Option<i32>| value.map(i32::cast_unsigned);
                Values::Numbers(values.into_iter().map(unsigned).collect())
            }
            Value::Long(_) => {
                let values = self.required::<Int64Type>(group, place)?;
                Values::Longs(values.into_iter().map(i64::cast_unsigned).collect())
            }
            Value::Exit(_) => {
                let values = self.required::<ByteArrayType>(group, place)?;
                let exits = values.iter().map(|name| exit(name).map(Some));
                Values::Exits(exits.collect::<ParquetResult<_>>()?)
            }
            Value::MaybeExit(_) => {
                let values = self.optional::<ByteArrayType>(group, place)?;
                let exits = values
                    .iter()
                    .map(|name| name.as_ref().map(exit).transpose());
                Values::Exits(exits.collect::<ParquetResult<_>>()?)
            }
        })
    }

    fn required<T: DataType>(&self, group: usize, place: usize) -> ParquetResult<Vec<T::T>> {
        let rows = self.row_group_windows(group);
        let mut values = Vec::new();
        let mut reader = self.column::<T>(group, place)?;
        let (read, ..) = reader.read_records(rows, None, None, &mut values)?;
        short_if(read != rows)?;
        Ok(values)
    }

    fn optional<T: DataType>(
        &self,
        group: usize,
        place: usize,
    ) -> ParquetResult<Vec<Option<T::T>>> {
        let rows = self.row_group_windows(group);
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let mut reader = self.column::<T>(group, place)?;
        let (read, ..) = reader.read_records(rows, Some(&mut levels), None, &mut values)?;
        short_if(read != rows)?;
        let mut values = values.into_iter();
        let value = |level| if level > 0 { values.next() } else { None };
        Ok(levels.into_iter().map(value).collect())
    }

    /// Begins to read a column of a row group, whose bytes are compared with their checksum first.
    pub(super) fn column<T: DataType>(
        &self,
        group: usize,
        place: usize,
    ) -> ParquetResult<ColumnReaderImpl<T>> {
        let about = self.chunk_about(group, place)?;
        let pages = self.pages(group, place)?;
        Ok(ColumnReaderImpl::new(
            about.column_descr_ptr(),
            Box::new(pages),
        ))
    }

    /// Returns the pages of a column of a row group, whose bytes are compared with their checksum
    /// first.
    pub(super) fn pages(&self, group: usize, place: usize) -> ParquetResult<Pages> {
        let about = self.chunk_about(group, place)?;
        let chunk = Arc::new(self.chunk(group, place)?);
        let rows = self.row_group_windows(group);
        Ok(Pages {
            pages: SerializedPageReader::new(chunk, about, rows, None)?,
            rows,
            has_dictionary: false,
        })
    }

    /// What the footer says of a column of a row group.
    pub(super) fn chunk_about(
        &self,
        group: usize,
        place: usize,
    ) -> ParquetResult<&ColumnChunkMetaData> {
        let number = self.column_number(place)?;
        Ok(self.footer.row_group(group).column(number))
    }

    /// Which of the file's columns stands at `place` of [`COLUMNS`].
    fn column_number(&self, place: usize) -> ParquetResult<usize> {
        let name = COLUMNS[place].name;
        self.places[place].ok_or_else(|| general(format!("there is no column {name}")))
    }

    fn chunk(&self, group: usize, place: usize) -> ParquetResult<Chunk> {
        let name = COLUMNS[place].name;
        let about = self.chunk_about(group, place)?;
        let (start, length) = chunk_range(about, self.bytes)
            .ok_or_else(|| general(format!("column {name} lies outside the file")))?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        let number =
            group * self.footer.row_group(group).num_columns() + self.column_number(place)?;
        let expected = self
            .checksums
            .get(number * seal::DIGITS..(number + 1) * seal::DIGITS);
        if expected != Some(seal::checksum(&bytes).as_str()) {
            return Err(general(format!("column {name} {NO_MATCH}")));
        }
        Ok(Chunk {
            start,
            bytes: bytes.into(),
        })
    }

    /// An error about the file.
    pub(super) fn refuse(&self, why: &str) -> Error {
        Error::input(format!("{} {why}", self.path.display()))
    }

    /// The error of a row group that cannot be decoded.
    pub(super) fn damaged(&self, row_group: usize, error: &ParquetError) -> Error {
        let windows = |groups: std::ops::Range<usize>| -> usize {
            groups.map(|group| self.row_group_windows(group)).sum()
        };
        let first = windows(0..row_group);
        let last = first + self.row_group_windows(row_group) - 1;
        // The library's own errors begin with their kind.
        let error = error.to_string();
        let error = error.strip_prefix("Parquet error: ").unwrap_or(&error);
        self.refuse(&format!("is damaged in windows {first} to {last}: {error}"))
    }
}

const NO_MATCH: &str = "does not match its checksum; take another copy, or record it again";

/// An error with a sentence of our own.
pub(super) fn general(sentence: String) -> ParquetError {
    ParquetError::General(sentence)
}

/// An error if a column has fewer values than its row group.
pub(super) fn short_if(short: bool) -> ParquetResult<()> {
    match short {
        true => Err(general("a column ends too early".to_string())),
        false => Ok(()),
    }
}

/// Returns the kind of exit of a name.
pub(super) fn exit(name: &ByteArray) -> ParquetResult<u8> {
    let exit = EXIT_NAMES
        .iter()
        .position(|known| known.as_bytes() == name.data());
    exit.map(|exit| exit as u8)
        .ok_or_else(|| general("a column has the name of an unknown kind of exit".to_string()))
}

/// Returns the place of a column in [`COLUMNS`].
///
/// # Panics
/// If there is no such column.
pub(super) fn place_of(name: &str) -> usize {
    let place = COLUMNS.iter().position(|column| column.name == name);
    place.unwrap_or_else(|| panic!("no column is called {name}"))
}

/// Returns where a column of a row group stands in a file of so many bytes.
pub(super) fn chunk_range(about: &ColumnChunkMetaData, bytes: u64) -> Option<(u64, usize)> {
    let first = about
        .dictionary_page_offset()
        .unwrap_or(about.data_page_offset());
    let start = u64::try_from(first).ok()?;
    let length = u64::try_from(about.compressed_size()).ok()?;
    (start.checked_add(length)? <= bytes).then_some((start, usize::try_from(length).ok()?))
}
