//! Tables as files: CSV, and Parquet.

use std::{io::Write, path::Path, sync::Arc};

use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::Result as ParquetResult,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};

use super::data::{Flat, Table, Values};
use trapcast_tool::{
    error::Result,
    output::{self, cannot_write},
};

/// Writes a table as `NAME.csv` and `NAME.parquet` in a directory.
///
/// # Errors
/// Those of [`output::write`].
pub fn write(table: &Table, directory: &Path) -> Result<()> {
    let flat = table.flat();
    let path = |ending: &str| directory.join(format!("{}.{ending}", table.name));
    output::write(&path("csv"), csv(&flat).as_bytes())?;
    let mut bytes = Vec::new();
    parquet(&flat, &mut bytes).map_err(|error| cannot_write(&path("parquet"), &error))?;
    output::write(&path("parquet"), &bytes)
}

/// Returns a table as CSV (RFC 4180, with plain line ends): names first; nothing between commas where
/// there is no value. Numbers have all the digits that tell them from their neighbours.
pub fn csv(columns: &[Flat]) -> String {
    let names: Vec<_> = columns.iter().map(|column| quoted(&column.name)).collect();
    let mut text = names.join(",") + "\n";
    for row in 0..columns.first().map_or(0, rows) {
        let cells: Vec<_> = columns.iter().map(|column| cell(column, row)).collect();
        text += &(cells.join(",") + "\n");
    }
    text
}

fn rows(column: &Flat) -> usize {
    match &column.values {
        Values::Text(values) => values.len(),
        Values::Whole(values) => values.len(),
        Values::Number(values) => values.len(),
    }
}

fn cell(column: &Flat, row: usize) -> String {
    match &column.values {
        Values::Text(values) => quoted(&values[row]),
        Values::Whole(values) => values[row].map_or(String::new(), |number| number.to_string()),
        Values::Number(values) => values[row].map_or(String::new(), |number| number.to_string()),
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_string()
}

fn parquet(columns: &[Flat], output: &mut (impl Write + Send)) -> ParquetResult<()> {
    let fields: ParquetResult<Vec<_>> = columns.iter().map(field).collect();
    let schema = Type::group_type_builder("table")
        .with_fields(fields?)
        .build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = SerializedFileWriter::new(output, Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut columns = columns.iter();
    while let (Some(mut writer), Some(column)) = (group.next_column()?, columns.next()) {
        match &column.values {
            Values::Text(values) => {
                let values: Vec<_> = values
                    .iter()
                    .map(|text| ByteArray::from(text.as_str()))
                    .collect();
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(&values, None, None)?;
            }
            Values::Whole(values) => {
                let (levels, values) = dense(values, u64::cast_signed);
                writer
                    .typed::<Int64Type>()
                    .write_batch(&values, Some(&levels), None)?;
            }
            Values::Number(values) => {
                let (levels, values) = dense(values, |number| number);
                writer
                    .typed::<DoubleType>()
                    .write_batch(&values, Some(&levels), None)?;
            }
        }
        writer.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

/// Which values are there, and those that are.
fn dense<T: Copy, U>(values: &[Option<T>], convert: impl Fn(T) -> U) -> (Vec<i16>, Vec<U>) {
    let levels = values.iter().map(|value| i16::from(value.is_some()));
    let there = values.iter().flatten().map(|&value| convert(value));
    (levels.collect(), there.collect())
}

fn field(column: &Flat) -> ParquetResult<Arc<Type>> {
    let (physical, logical, repetition) = match column.values {
        Values::Text(_) => (
            Physical::BYTE_ARRAY,
            Some(LogicalType::String),
            Repetition::REQUIRED,
        ),
        Values::Whole(_) => (
            Physical::INT64,
            Some(LogicalType::integer(64, false)),
            Repetition::OPTIONAL,
        ),
        Values::Number(_) => (Physical::DOUBLE, None, Repetition::OPTIONAL),
    };
    Type::primitive_type_builder(&column.name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .build()
        .map(Arc::new)
}

#[cfg(test)]
mod tests {
    use parquet::{
        file::{reader::FileReader, serialized_reader::SerializedFileReader},
        record::Field,
    };

    use super::*;
    use crate::{
        analysis::estimate::{Estimate, Interval},
        report::{data::Column, html, words::Format},
    };

    fn table() -> Table {
        let columns = [
            Column::text("name", "a name"),
            Column::whole("windows", "windows"),
            Column::number("cost", "a cost", Format::Plain),
            Column::estimate("share", "a share", Format::Percent),
        ];
        let mut table = Table::new("some", "Some numbers.", &columns);
        let estimate = Estimate {
            value: Some(1.0 / 3.0),
            interval: Some(Interval {
                low: 0.25,
                high: 0.5,
            }),
        };
        table.push([
            "a, \"b\" <c>".into(),
            u64::MAX.into(),
            0.1.into(),
            estimate.into(),
        ]);
        table.push([
            "d".into(),
            None::<u64>.into(),
            None::<f64>.into(),
            Estimate::default().into(),
        ]);
        table
    }

    #[test]
    fn csv_quotes_what_it_must_and_leaves_out_what_is_not_there() {
        assert_eq!(
            csv(&table().flat()),
            "name,windows,cost,share,share_low,share_high\n\
             \"a, \"\"b\"\" <c>\",18446744073709551615,0.1,0.3333333333333333,0.25,0.5\n\
             d,,,,,\n"
        );
    }

    #[test]
    fn parquet_holds_what_csv_holds() {
        let directory = tempfile::tempdir().unwrap();
        write(&table(), directory.path()).unwrap();
        let file = std::fs::File::open(directory.path().join("some.parquet")).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let mut text = String::new();
        for (number, row) in reader.get_row_iter(None).unwrap().enumerate() {
            let row = row.unwrap();
            let columns: Vec<_> = row.get_column_iter().collect();
            if number == 0 {
                let names: Vec<_> = columns.iter().map(|(name, _)| quoted(name)).collect();
                text += &(names.join(",") + "\n");
            }
            let cells = columns.iter().map(|(_, field)| match field {
                Field::Null => String::new(),
                Field::Str(text) => quoted(text),
                Field::ULong(number) => number.to_string(),
                Field::Double(number) => number.to_string(),
                other => panic!("{other:?}"),
            });
            text += &(cells.collect::<Vec<_>>().join(",") + "\n");
        }
        let written = std::fs::read_to_string(directory.path().join("some.csv")).unwrap();
        assert_eq!(text, written);
    }

    #[test]
    fn the_page_shows_the_same_rounded() {
        let page = html::table(&table());
        for wanted in [
            "<td>a, &quot;b&quot; &lt;c&gt;</td>",
            "18,446,744,073,709,551,615",
            "<td class=\"n\">0.100</td>",
            "33.3\u{a0}%<span class=\"ci\">25.0–50.0\u{a0}%</span>",
            "<td class=\"n\">–</td>",
        ] {
            assert!(page.contains(wanted), "{wanted} is not in {page}");
        }
        assert_eq!(page.matches("<tr>").count(), 3);
    }
}
