//! Checks of a record file's footer: each says what is wrong as the end of a sentence that begins
//! with the file's name.

use std::{fs::File, os::unix::fs::FileExt};

use parquet::file::metadata::{KeyValue, ParquetMetaData};

use super::{
    metadata::{self, FORMAT_KEY, FORMAT_VERSION, Metadata, OLDEST_FORMAT},
    schema::{self, COLUMNS, Column},
    seal,
};

/// The most windows of a row group: memory is asked for by no larger number.
const MAX_ROW_GROUP: i64 = 1 << 24;

/// Reads the footer of a file of so many bytes.
pub fn read_footer(file: &File, bytes: u64) -> Result<Vec<u8>, String> {
    let failed = |error| format!("cannot be read: {error}");
    let mut start = [0; 4];
    let mut tail = [0; seal::TAIL as usize];
    let foreign = "is not a Parquet file, so no record of Trapcast";
    if bytes < start.len() as u64 + seal::TAIL {
        return Err(foreign.to_string());
    }
    file.read_exact_at(&mut start, 0).map_err(failed)?;
    file.read_exact_at(&mut tail, bytes - seal::TAIL)
        .map_err(failed)?;
    if !seal::begins_well(&start) {
        return Err(foreign.to_string());
    }
    let cut = || "is cut off or damaged: it does not end with a Parquet footer".to_string();
    let length = seal::footer_length(tail).ok_or_else(cut)?;
    let place = (bytes - seal::TAIL).checked_sub(length).ok_or_else(cut)?;
    let mut footer = vec![0; length as usize];
    file.read_exact_at(&mut footer, place).map_err(failed)?;
    Ok(footer)
}

/// Returns the format of a file with these metadata, if it is one that is read.
pub fn check_format(pairs: &[KeyValue]) -> Result<u32, String> {
    match metadata::parsed::<u32>(pairs, FORMAT_KEY) {
        Some(format @ OLDEST_FORMAT..=FORMAT_VERSION) => Ok(format),
        Some(newer) if newer > FORMAT_VERSION => Err(format!(
            "was written by a newer trapcast (format {newer}; this one reads {FORMAT_VERSION}): update this one"
        )),
        Some(other) => Err(format!(
            "has the unknown format {other}; this trapcast reads {OLDEST_FORMAT} to {FORMAT_VERSION}"
        )),
        None => Err(format!(
            "is a Parquet file, but no record of Trapcast: its metadata has no {FORMAT_KEY}"
        )),
    }
}

/// Returns where each of [`COLUMNS`] stands, if all that a replay reads are there, and all that are
/// there are of the right type.
pub fn places(footer: &ParquetMetaData, format: u32) -> Result<Vec<Option<usize>>, String> {
    let fields = footer
        .file_metadata()
        .schema_descr()
        .root_schema()
        .get_fields();
    let place = |column: &Column| {
        let expected = column.type_name();
        let found = fields.iter().position(|field| field.name() == column.name);
        let Some(place) = found else {
            if schema::REPLAYED.contains(&column.name) {
                return Err(format!(
                    "has no column {} ({expected}), which every record has",
                    column.name
                ));
            }
            return Ok(None);
        };
        match schema::type_name(&fields[place]) {
            found if found == expected => Ok(Some(place)),
            // In an older format it was never null.
            found if format < FORMAT_VERSION && expected == format!("{found} or null") => {
                Ok(Some(place))
            }
            found => Err(format!(
                "has a column {} of type {found}; a record's is {expected}",
                column.name
            )),
        }
    };
    if fields.iter().any(|field| field.is_group()) {
        return Err("has columns within columns, which no record has".to_string());
    }
    COLUMNS.iter().map(place).collect()
}

/// Checks the numbers by which memory is asked for and checksums are found.
pub fn check_row_groups(
    footer: &ParquetMetaData,
    metadata: &Metadata,
    checksums: &str,
) -> Result<(), String> {
    let mut windows = 0;
    let mut columns = 0;
    for group in footer.row_groups() {
        let rows = group.num_rows();
        if !(1..=MAX_ROW_GROUP).contains(&rows) {
            return Err(format!(
                "has a row group of {rows} windows, which no record has"
            ));
        }
        windows += rows.unsigned_abs();
        columns += group.num_columns();
    }
    if windows != metadata.windows {
        let expected = metadata.windows;
        return Err(format!(
            "has {windows} windows, but its metadata say {expected}"
        ));
    }
    if !checksums.is_ascii() || checksums.len() != columns * seal::DIGITS {
        return Err(format!(
            "has not one checksum for each of its {columns} column chunks"
        ));
    }
    Ok(())
}
