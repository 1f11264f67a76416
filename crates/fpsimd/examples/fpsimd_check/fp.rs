//! V0 to V31, FPSR and FPCR: save, load, exchange.

use trapcast_fpsimd::{FpSimd, VectorLength};

use crate::{
    check::{Checks, Core, Outcome, expect},
    pattern::Vectors,
    registers,
};

/// The checks of this file.
pub const CHECKS: Checks = &[("fp/round-trip", round_trip)];

fn values(seed: u64) -> FpSimd {
    let mut vectors = Vectors::ZERO;
    vectors.set(seed, VectorLength::MIN);
    vectors.v(VectorLength::MIN)
}

fn round_trip(_: &Core) -> Outcome {
    let (first, second) = (values(1), values(2));
    let (mut saved, mut exchanged) = (FpSimd::ZERO, FpSimd::ZERO);
    registers::load_fp(&first);
    // SAFETY: the gates are open, and no VM's registers are in the core.
    unsafe { FpSimd::save(&mut saved) }
    expect(saved == first, "a save stored something else", [0; 4])?;
    expect(
        registers::store_fp() == first,
        "a save changed the registers",
        [0; 4],
    )?;
    registers::load_fp(&second);
    // SAFETY: as above.
    unsafe { FpSimd::exchange(&mut exchanged, &saved) }
    expect(
        exchanged == second,
        "an exchange stored something else",
        [0; 4],
    )?;
    expect(
        registers::store_fp() == first,
        "an exchange loaded something else",
        [0; 4],
    )?;
    // SAFETY: as above.
    unsafe { FpSimd::load(&exchanged) }
    expect(
        registers::store_fp() == second,
        "a load loaded something else",
        [0; 4],
    )
}
