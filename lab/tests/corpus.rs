//! A short run of what fuzzers run for long, without a fuzzer: the inputs in `fuzz/corpus`, and a
//! seeded choice of changes of each.
//!
//! An input whose name begins with `good` has to be taken, one whose name begins with `bad` refused.

use std::{fs, panic::catch_unwind, path::Path};

use trapcast::fuzzing;

const SEED: u64 = 3;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    /// Returns a number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) as usize % limit
    }

    /// Returns a part of so many bytes at most, which may be empty.
    fn part(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        let length = self.below((bytes.len() - start).min(64) + 1);
        start..start + length
    }

    /// Changes an input in one place; `other` is one to take from.
    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let part = self.part(bytes);
        let place = part.start;
        match self.below(6) {
            0 => bytes.truncate(place),
            1 => drop(bytes.drain(part)),
            2 => bytes.extend_from_within(part),
            3 => {
                let from = self.part(other);
                bytes.splice(part, other[from].iter().copied());
            }
            kind => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = match kind {
                        4 => *byte ^ 1 << self.below(8),
                        _ => [0, 1, 0x7f, 0x80, 0xff, b'0', b'"'][self.below(7)],
                    };
                }
            }
        }
    }
}

/// Calls a target with an input; a panic in it names the input.
fn call(target: fn(&[u8]) -> bool, bytes: &[u8], input: &str) -> bool {
    catch_unwind(|| target(bytes)).unwrap_or_else(|_| panic!("{input} makes it panic: see above"))
}

/// Calls a target with its inputs, and with `changes` changed ones.
fn run(name: &str, target: fn(&[u8]) -> bool, changes: usize) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut files: Vec<_> = fs::read_dir(directory.join(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let inputs: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!inputs.is_empty());
    for (file, bytes) in files.iter().zip(&inputs) {
        let input = file.file_name().unwrap().to_str().unwrap();
        let taken = call(target, bytes, input);
        if input.starts_with("good") || input.starts_with("bad") {
            assert_eq!(taken, input.starts_with("good"), "{input}");
        }
    }
    println!("seed {SEED}");
    let mut random = Random(SEED);
    let mut taken = 0;
    for change in 0..changes {
        let which = change % inputs.len();
        let mut bytes = inputs[which].clone();
        for _ in 0..=random.below(3) {
            let other = random.below(inputs.len());
            random.change(&mut bytes, &inputs[other]);
        }
        let input = format!("change {change} of {}", files[which].display());
        taken += usize::from(call(target, &bytes, &input));
    }
    // Changes that are all refused, or all taken, look at nothing.
    assert!((1..changes).contains(&taken), "{taken} of {changes} taken");
}

#[test]
fn rings() {
    run("ring", fuzzing::ring, 300);
}

#[test]
fn record_files() {
    run("record_file", fuzzing::record_file, 700);
}

#[test]
fn kernels() {
    run("kernel", fuzzing::kernel, 2000);
}

#[test]
fn traces() {
    run("trace", fuzzing::trace, 300);
}

#[test]
fn profiles() {
    run("profile", fuzzing::profile, 1000);
}
