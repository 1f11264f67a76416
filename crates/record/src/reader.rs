//! Reads record files, and refuses in one sentence what is none.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader},
        serialized_reader::SerializedPageReader,
    },
};

use super::{
    check,
    chunk::{Chunk, Pages},
    error::{Error, Result},
    guard::guarded,
    metadata::{self, Metadata, Recorder},
    schema::{COLUMNS, SINCE_3, TRACED},
    seal,
};

/// A record file whose footer was read and found whole. May be read by several threads at once.
#[derive(Debug)]
pub struct RecordFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    footer: ParquetMetaData,
    metadata: Metadata,
    checksums: String,
    format: u32,
    /// Where in the file's schema each of [`COLUMNS`] stands.
    places: Vec<Option<usize>>,
}

impl RecordFile {
    /// Opens a file and checks its footer: that it is a whole record of a version that this one
    /// reads, with all columns.
    ///
    /// # Errors
    /// [`Error::NotARecord`] and the like, in one sentence, where it is not.
    pub fn open(path: &Path) -> Result<Self> {
        let named = || path.to_path_buf();
        let unreadable = |source| Error::Unreadable {
            path: named(),
            source,
        };
        // Before it is opened, as a FIFO would wait for its writer.
        let about = fs::metadata(path).map_err(unreadable)?;
        if !about.is_file() {
            let why = if about.is_dir() {
                "is not a file"
            } else {
                "is no regular file, and a record is not read from its start to its end: save it as one first"
            };
            return Err(Error::NotRegular { path: named(), why });
        }
        let file = File::open(path).map_err(unreadable)?;
        Self::read(path, file, about.len()).map_err(|why| Error::NotARecord { path: named(), why })
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
        let format = check::check_format(pairs)?;
        if whole.is_none() {
            return Err("is damaged: its footer has no checksum".to_string());
        }
        let metadata = Metadata::from_pairs(pairs)
            .map_err(|why| format!("has metadata that cannot be used: {why}"))?;
        let checksums = metadata::value(pairs, seal::COLUMNS_KEY).unwrap_or_default();
        let checksums = checksums.to_string();
        let places = check::places(&footer, format)?;
        check::check_row_groups(&footer, &metadata, &checksums)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            bytes,
            footer,
            metadata,
            checksums,
            format,
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

    /// The version of its layout.
    pub const fn format(&self) -> u32 {
        self.format
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
    /// [`Error::NoWindows`] where it has none.
    pub fn require_windows(&self) -> Result<()> {
        match self.windows() {
            0 => Err(Error::NoWindows {
                path: self.path.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Refuses a file that lacks a column.
    ///
    /// # Errors
    /// [`Error::NoColumn`] where it does.
    pub(super) fn require(&self, column: &'static str) -> Result<()> {
        match self.has(column) || self.is_null(column) {
            true => Ok(()),
            false => Err(Error::NoColumn {
                path: self.path.clone(),
                column,
            }),
        }
    }

    /// Whether the file has a column.
    ///
    /// # Panics
    /// If no record has such a column.
    pub(super) fn has(&self, name: &str) -> bool {
        self.places[place_of(name)].is_some()
    }

    /// Whether a column that the file lacks is null in all windows: the format had none, or whoever saw the
    /// windows cannot know it.
    pub(super) fn is_null(&self, name: &str) -> bool {
        let is_too_old = self.format < 3 && SINCE_3.contains(&name);
        let is_traced = self.metadata.recorder == Recorder::Host && !TRACED.contains(&name);
        !self.has(name) && (is_too_old || is_traced)
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

    /// The error of a row group that cannot be decoded.
    pub(super) fn damaged(&self, row_group: usize, error: ParquetError) -> Error {
        let before = 0..row_group;
        let first = before.map(|group| self.row_group_windows(group)).sum();
        Error::Damaged {
            path: self.path.clone(),
            first,
            last: first + self.row_group_windows(row_group) - 1,
            // The library's own errors begin with their kind.
            source: match error {
                ParquetError::General(sentence) => sentence.into(),
                error => Box::new(error),
            },
        }
    }
}

const NO_MATCH: &str = "does not match its checksum; take another copy, or record it again";

/// An error with a sentence of our own.
pub(super) fn general(sentence: String) -> ParquetError {
    ParquetError::General(sentence)
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
