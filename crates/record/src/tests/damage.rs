//! Files that are no records, or damaged: each is refused with a sentence, and none does harm.

use super::*;

#[test]
fn what_is_no_record_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("foreign.parquet");
    for bytes in [&b""[..], b"PAR1", b"vcpu,core\n1,2\n3,4\n", &[0; 5000]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(refusal(&path).contains("is not a Parquet file"));
    }
    let error = RecordFile::open(&directory.path().join("none")).unwrap_err();
    assert!(error.to_string().starts_with("cannot read "), "{error}");
    let error = RecordFile::open(directory.path()).unwrap_err();
    assert!(error.to_string().ends_with("is not a file"), "{error}");
}

/// Replaces bytes of a file's footer, and seals it anew.
fn forge(path: &Path, old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let mut bytes = std::fs::read(path).unwrap();
    let place = bytes.windows(old.len()).rposition(|window| window == old);
    let place = place.unwrap();
    bytes[place..place + old.len()].copy_from_slice(new);
    reseal(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_newer_format_and_metadata_that_lack_are_refused() {
    let (_directory, path) = small(10);
    forge(
        &path,
        b"trapcast.format\x18\x014",
        b"trapcast.format\x18\x015",
    );
    let sentence = refusal(&path);
    assert!(
        sentence.contains("newer trapcast (format 5; this one reads 4)"),
        "{sentence}"
    );
    let (_directory, path) = small(10);
    forge(
        &path,
        b"trapcast.format\x18\x014",
        b"trapcast.format\x18\x011",
    );
    assert!(refusal(&path).contains("unknown format 1"));
    let (_directory, path) = small(10);
    forge(&path, b"trapcast.format", b"trapcast.fromat");
    assert!(refusal(&path).contains("no record of Trapcast"));
    let (_directory, path) = small(10);
    forge(&path, b"trapcast.waits", b"trapcast.weeds");
    let sentence = refusal(&path);
    assert!(sentence.contains("`waits`"), "{sentence}");
    let (_directory, path) = small(10);
    forge(
        &path,
        b"trapcast.windows\x18\x0210",
        b"trapcast.windows\x18\x0211",
    );
    assert!(refusal(&path).contains("10 windows, but its metadata say 11"));
}

#[test]
fn a_missing_column_and_one_of_the_wrong_type_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.parquet");
    let records = [(0, Record::default())];
    let without: Vec<_> = COLUMNS
        .iter()
        .copied()
        .filter(|column| column.name != "put")
        .collect();
    write(&path, without.leak(), 10, &records).unwrap();
    assert!(refusal(&path).contains("has no column put (bool)"));
    let changed = COLUMNS.iter().map(|column| match column.name {
        "vcpu" => Column {
            value: Value::Long(|row| row.record.vcpu.into()),
            ..*column
        },
        _ => *column,
    });
    write(&path, changed.collect::<Vec<_>>().leak(), 10, &records).unwrap();
    let sentence = refusal(&path);
    assert!(
        sentence.contains("column vcpu of type uint64; a record's is uint16"),
        "{sentence}"
    );
    let nullable = COLUMNS.iter().map(|column| match column.name {
        "core" => Column {
            value: Value::MaybeNumber(crate::schema::Bits::Eight, |row| Some(row.core.into())),
            ..*column
        },
        _ => *column,
    });
    write(&path, nullable.collect::<Vec<_>>().leak(), 10, &records).unwrap();
    assert!(refusal(&path).contains("core of type uint8 or null"));
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let (_directory, path) = small(300);
    let whole = std::fs::read(&path).unwrap();
    let step = whole.len() / 97;
    let ends = (0..whole.len()).step_by(step);
    for end in ends.chain(whole.len() - 20..whole.len()) {
        std::fs::write(&path, &whole[..end]).unwrap();
        refusal(&path);
    }
}

/// A seeded choice of bits below a number.
fn bits(below: usize, count: usize) -> impl Iterator<Item = usize> {
    const SEED: u64 = 7;
    println!("seed {SEED}");
    let mut state = SEED;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    })
    .take(count)
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let (_directory, path) = small(300);
    let whole = std::fs::read(&path).unwrap();
    for bit in bits(whole.len() * 8, 400) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        refusal(&path);
    }
}

#[test]
fn a_footer_made_on_purpose_does_no_harm() {
    let (_directory, path) = small(300);
    let whole = std::fs::read(&path).unwrap();
    let length = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap());
    let footer = whole.len() - 8 - length as usize;
    let key = seal::FOOTER_KEY.as_bytes();
    let sealed = whole.windows(key.len()).rposition(|window| window == key);
    for bit in bits((sealed.unwrap() - footer) * 8, 600) {
        let mut bytes = whole.clone();
        bytes[footer + bit / 8] ^= 1 << (bit % 8);
        reseal(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        // What it says is for nobody to know; that it comes back is the point.
        if read_all(&path).is_err() {
            refusal(&path);
        }
    }
}

#[test]
fn a_column_made_on_purpose_does_no_harm() {
    let (_directory, path) = small(300);
    let whole = std::fs::read(&path).unwrap();
    let length = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap());
    let footer = whole.len() - 8 - length as usize;
    let mut refused = 0;
    for bit in bits((footer - 4) * 8, 600) {
        let mut bytes = whole.clone();
        bytes[4 + bit / 8] ^= 1 << (bit % 8);
        reseal(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        if read_all(&path).is_err() {
            let sentence = refusal(&path);
            assert!(!sentence.contains("its checksum"), "{sentence}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}
