//! Calculations by SIMD whose results integer arithmetic checks.
//!
//! All numbers are small integers, exact in f32 under any rounding mode, so that results are equal
//! or wrong.

use trapcast_guests::rng::SplitMix64;

use crate::simd;

/// Elements of the arrays.
const LENGTH: usize = 256;

/// Runs each kernel once on numbers from `rng` and returns how many gave a wrong result.
pub fn wrong_results(rng: &mut SplitMix64) -> u64 {
    let kernels = [multiply_is_right, saxpy_is_right, popcount_is_right];
    let wrong = kernels.iter().filter(|is_right| !is_right(rng));
    wrong.count() as u64
}

fn small_numbers<const N: usize>(rng: &mut SplitMix64) -> [u16; N] {
    core::array::from_fn(|_| rng.below(256) as u16)
}

fn floats<const N: usize>(numbers: &[u16; N]) -> [f32; N] {
    numbers.map(f32::from)
}

fn multiply_is_right(rng: &mut SplitMix64) -> bool {
    let left: [u16; 16] = small_numbers(rng);
    let right: [u16; 16] = small_numbers(rng);
    let product = simd::multiply(&floats(&left), &floats(&right));
    product.iter().enumerate().all(|(index, found)| {
        let (column, row) = (index / 4, index % 4);
        let terms = (0..4).map(|k| u32::from(left[4 * k + row]) * u32::from(right[4 * column + k]));
        *found as u32 == terms.sum()
    })
}

fn saxpy_is_right(rng: &mut SplitMix64) -> bool {
    let start: [u16; LENGTH] = small_numbers(rng);
    let addends: [u16; LENGTH] = small_numbers(rng);
    let mut sums = floats(&start);
    simd::saxpy(&mut sums, &floats(&addends));
    let expected = start
        .iter()
        .zip(&addends)
        .map(|(start, addend)| start + 5 * addend);
    sums.iter()
        .zip(expected)
        .all(|(found, expected)| *found as u16 == expected)
}

fn popcount_is_right(rng: &mut SplitMix64) -> bool {
    let bytes: [u8; LENGTH] = core::array::from_fn(|_| rng.next_u64() as u8);
    let expected: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
    simd::popcount(&bytes) == expected.into()
}
