//! Encodes rows as row groups of a Parquet file.

use std::{
    io::{BufWriter, Write},
    sync::Arc,
};

use super::{
    buffer::{BATCH, Buffer},
    metadata::Metadata,
    row::Row,
    schema::{self, Column, Layout},
    seal::{self, Sum, Summing},
};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    errors::Result,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::types::ColumnPath,
};

/// Level of zstd. Level 3 was measured to take 6 % more time for files that are 0.03 % smaller: indices and
/// differences leave little to find.
const LEVEL: i32 = 1;

/// Bytes of a page before compression, at most about.
const PAGE: usize = 1 << 18;

/// A file under way.
pub struct Encoder<W: Write + Send> {
    file: SerializedFileWriter<Summing<BufWriter<W>>>,
    columns: &'static [Column],
    sum: Sum,
    checksums: String,
    values: Vec<Buffer>,
    rows: usize,
    row_group: usize,
}

impl<W: Write + Send> std::fmt::Debug for Encoder<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.file.fmt(formatter)
    }
}

impl<W: Write + Send> Encoder<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(output: W, columns: &'static [Column], row_group: usize) -> Result<Self> {
        let sum = Sum::new();
        let output = Summing {
            inner: BufWriter::new(output),
            sum: sum.clone(),
        };
        let schema = schema::parquet_schema(columns);
        Ok(Self {
            file: SerializedFileWriter::new(output, schema, Arc::new(properties(columns)?))?,
            columns,
            sum,
            checksums: String::new(),
            values: columns.iter().map(Buffer::new).collect(),
            rows: 0,
            row_group,
        })
    }

    /// Adds rows; writes them when they fill a row group.
    ///
    /// # Errors
    /// Those of the output.
    pub fn push(&mut self, mut rows: &[Row]) -> Result<()> {
        while !rows.is_empty() {
            let (now, later) = rows.split_at(rows.len().min(self.row_group - self.rows));
            for (column, values) in self.columns.iter().zip(&mut self.values) {
                values.extend(column, now);
            }
            self.rows += now.len();
            if self.rows == self.row_group {
                self.flush()?;
            }
            rows = later;
        }
        Ok(())
    }

    /// Writes the rows so far as a row group.
    fn flush(&mut self) -> Result<()> {
        // What was written before is not of a column. The library buffers, but flushes at the end of
        // each column.
        self.file.flush()?;
        self.sum.take();
        let mut group = self.file.next_row_group()?;
        for values in &mut self.values {
            let Some(mut writer) = group.next_column()? else {
                break;
            };
            values.write(writer.untyped())?;
            writer.close()?;
            values.clear();
            self.checksums += &self.sum.take();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// Writes the last rows and the footer, and returns the output, whose seal is still blank.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self, metadata: &Metadata) -> Result<BufWriter<W>> {
        if self.rows > 0 {
            self.flush()?;
        }
        let mut pairs = metadata.to_pairs();
        let checksums = std::mem::take(&mut self.checksums);
        pairs.push(KeyValue::new(seal::COLUMNS_KEY.to_string(), checksums));
        let blank = seal::BLANK.to_string();
        pairs.push(KeyValue::new(seal::FOOTER_KEY.to_string(), blank));
        for pair in pairs {
            self.file.append_key_value_metadata(pair);
        }
        Ok(self.file.into_inner()?.inner)
    }
}

fn properties(columns: &[Column]) -> Result<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("trapcast ", env!("CARGO_PKG_VERSION")).to_string())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_write_batch_size(BATCH)
        .set_data_page_size_limit(PAGE)
        .set_data_page_row_count_limit(usize::MAX)
        // Row groups are read whole: their statistics serve, those of pages do not.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in columns {
        let path = ColumnPath::new(vec![column.name.to_string()]);
        let dictionary = column.layout == Layout::Dictionary;
        properties = properties.set_column_dictionary_enabled(path.clone(), dictionary);
        properties = match column.layout {
            Layout::Plain | Layout::Dictionary => {
                properties.set_column_encoding(path, Encoding::PLAIN)
            }
            Layout::Delta => properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
        };
    }
    Ok(properties.build())
}
