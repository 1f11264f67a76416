//! The values of one column, gathered until they fill a row group.

use bytes::Bytes;
use parquet::{
    column::writer::{ColumnWriter, ColumnWriterImpl},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    errors::Result,
};
use trapcast_trace::report::EXIT_NAMES;

use super::{
    row::Row,
    schema::{Column, Value},
};

/// Values handed to the library at once.
pub const BATCH: usize = 8192;

/// Values of a column. Where they may be null, `levels` has 1 for each value and 0 for each null.
#[derive(Debug)]
pub struct Buffer {
    values: Values,
    levels: Vec<i16>,
}

#[derive(Debug)]
enum Values {
    Bools(Vec<bool>),
    Numbers(Vec<i32>),
    Longs(Vec<i64>),
    /// Kinds of exit by number.
    Exits(Vec<u8>),
}

impl Buffer {
    /// Begins a column.
    pub fn new(column: &Column) -> Self {
        Self {
            values: match column.value {
                Value::Bool(_) | Value::MaybeBool(_) => Values::Bools(Vec::new()),
                Value::Number(..) | Value::MaybeNumber(..) => Values::Numbers(Vec::new()),
                Value::Long(_) | Value::MaybeLong(_) => Values::Longs(Vec::new()),
                Value::Exit(_) | Value::MaybeExit(_) => Values::Exits(Vec::new()),
            },
            levels: Vec::new(),
        }
    }

    /// Adds the column's values of some rows.
    pub fn extend(&mut self, column: &Column, rows: &[Row]) {
        let levels = &mut self.levels;
        match (&mut self.values, column.value) {
            (Values::Bools(values), Value::Bool(value)) => values.extend(rows.iter().map(value)),
            (Values::Bools(values), Value::MaybeBool(value)) => {
                extend_with_nulls(values, levels, rows.iter().map(value));
            }
            (Values::Numbers(values), Value::Number(_, value)) => {
                values.extend(rows.iter().map(|row| value(row).cast_signed()));
            }
            (Values::Numbers(values), Value::MaybeNumber(_, value)) => {
                let value = |row: &Row| value(row).map(u32::cast_signed);
                extend_with_nulls(values, levels, rows.iter().map(value));
            }
            (Values::Longs(values), Value::Long(value)) => {
                values.extend(rows.iter().map(|row| value(row).cast_signed()));
            }
            (Values::Longs(values), Value::MaybeLong(value)) => {
                let value = |row: &Row| value(row).map(u64::cast_signed);
                extend_with_nulls(values, levels, rows.iter().map(value));
            }
            (Values::Exits(values), Value::Exit(value)) => values.extend(rows.iter().map(value)),
            (Values::Exits(values), Value::MaybeExit(value)) => {
                extend_with_nulls(values, levels, rows.iter().map(value));
            }
            _ => unreachable!("a buffer is made for its column"),
        }
    }

    /// Writes all values.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&self, writer: &mut ColumnWriter<'_>) -> Result<()> {
        let levels = (!self.levels.is_empty()).then_some(self.levels.as_slice());
        match (&self.values, writer) {
            (Values::Bools(values), ColumnWriter::BoolColumnWriter(writer)) => {
                write::<BoolType>(writer, values, levels)
            }
            (Values::Numbers(values), ColumnWriter::Int32ColumnWriter(writer)) => {
                write::<Int32Type>(writer, values, levels)
            }
            (Values::Longs(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                write::<Int64Type>(writer, values, levels)
            }
            (Values::Exits(values), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                write_exits(writer, values, levels)
            }
            _ => unreachable!("the schema was made of the same columns"),
        }
    }

    /// Drops the values, but not their memory.
    pub fn clear(&mut self) {
        self.levels.clear();
        match &mut self.values {
            Values::Bools(values) => values.clear(),
            Values::Numbers(values) => values.clear(),
            Values::Longs(values) => values.clear(),
            Values::Exits(values) => values.clear(),
        }
    }
}

fn extend_with_nulls<T>(
    values: &mut Vec<T>,
    levels: &mut Vec<i16>,
    more: impl Iterator<Item = Option<T>>,
) {
    for value in more {
        levels.push(value.is_some().into());
        values.extend(value);
    }
}

fn write<T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<()> {
    writer.write_batch(values, levels, None).map(|_| ())
}

/// Writes kinds of exit by their names. The names are text only a batch at a time.
fn write_exits(
    writer: &mut ColumnWriterImpl<'_, ByteArrayType>,
    exits: &[u8],
    levels: Option<&[i16]>,
) -> Result<()> {
    let names = EXIT_NAMES.map(|name| ByteArray::from(Bytes::from_static(name.as_bytes())));
    let mut write_some = |exits: &[u8], levels: Option<&[i16]>| {
        let batch: Vec<_> = exits
            .iter()
            .map(|exit| names[usize::from(*exit)].clone())
            .collect();
        write(writer, &batch, levels)
    };
    let Some(levels) = levels else {
        return exits
            .chunks(BATCH)
            .try_for_each(|exits| write_some(exits, None));
    };
    let mut rest = exits;
    for levels in levels.chunks(BATCH) {
        let defined = levels.iter().filter(|level| **level > 0).count();
        let (now, later) = rest.split_at(defined);
        write_some(now, Some(levels))?;
        rest = later;
    }
    Ok(())
}
