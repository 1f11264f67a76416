//! Seals a file that was changed anew: for fuzzers and tests, which want to get past the checksums.

use std::ops::Range;

use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader};

use super::{guard::guarded, metadata, reader::chunk_range, seal};

/// Gives a file's columns and its footer the checksums that they should have, as far as its footer
/// lets them be computed and has a place for them.
pub fn reseal(bytes: &mut [u8]) {
    let Some(footer) = footer(bytes) else {
        return;
    };
    if let Some((place, sums)) = column_sums(bytes, &bytes[footer.clone()]) {
        bytes[footer.clone()][place].copy_from_slice(sums.as_bytes());
    }
    let footer = &mut bytes[footer];
    if let Some(place) = seal::footer_sum(footer) {
        footer[place.clone()].copy_from_slice(seal::BLANK.as_bytes());
        let sum = seal::checksum(footer);
        footer[place].copy_from_slice(sum.as_bytes());
    }
}

/// Returns where a file's footer stands, if it ends like a Parquet file.
fn footer(bytes: &[u8]) -> Option<Range<usize>> {
    let (rest, tail) = bytes.split_last_chunk()?;
    let length = seal::footer_length(*tail)?;
    let start = rest.len().checked_sub(usize::try_from(length).ok()?)?;
    Some(start..rest.len())
}

/// Returns the columns' checksums and where in the footer they stand.
fn column_sums(bytes: &[u8], footer: &[u8]) -> Option<(Range<usize>, String)> {
    let decoded = guarded(|| ParquetMetaDataReader::decode_metadata(footer)).ok()?;
    let pairs = decoded.file_metadata().key_value_metadata()?;
    let old = metadata::value(pairs, seal::COLUMNS_KEY).filter(|old| !old.is_empty())?;
    let is_place = |window: &[u8]| window == old.as_bytes();
    let start = footer.windows(old.len()).rposition(is_place)?;
    let chunks = decoded
        .row_groups()
        .iter()
        .flat_map(|group| group.columns());
    let sums: String = chunks.map(|chunk| sum(bytes, chunk)).collect();
    (sums.len() == old.len()).then_some((start..start + old.len(), sums))
}

/// Returns the checksum of a column chunk; of one outside the file, anything.
fn sum(bytes: &[u8], chunk: &ColumnChunkMetaData) -> String {
    let range = chunk_range(chunk, bytes.len() as u64);
    let range = range.map(|(start, length)| start as usize..start as usize + length);
    let chunk = range.and_then(|range| bytes.get(range));
    chunk.map_or(seal::BLANK.to_string(), seal::checksum)
}
