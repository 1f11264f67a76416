//! SVCR, ZA and the registers of streaming mode, at every streaming vector length of the core.

use core::ptr::NonNull;

use trapcast_fpsimd::{FpSimd, Opening, RegisterFile, SmeConfig, Svcr, SveFile, VectorLength};

use crate::{
    any_guest::VectorCore,
    check::{Checks, Core, Outcome, expect},
    guest::{self, HVC, check_guest_sme, check_guest_svcr, check_guest_v, check_guest_z},
    mrs, msr,
    pattern::Vectors,
    registers,
    sme_guest::{
        FIRST, FOUND, SECOND, STATES, configs, enter, file, holds, leave, stored, untouched,
    },
};

/// The checks of this file.
pub const CHECKS: Checks = &[
    ("sme/lengths", lengths),
    ("sme/svcr", svcr),
    ("sme/round-trip", round_trip),
    ("sme/exchange-of-different-guests", exchange),
    ("sme/fresh-guest-sees-zeroes", fresh),
    ("sme/guest-has-its-maximum", maximum),
    ("sme/guests-of-all-kinds", kinds),
    ("sme/kept-behind-closed-gates", kept_behind_closed_gates),
    ("sme/streaming-mode-is-the-guests-own", modes),
];

/// Each length can be selected; what is asked for and not there gives the next shorter one, or the
/// shortest.
fn lengths(core: &Core) -> Outcome {
    for len in 0..16 {
        // SAFETY: at EL2, SVCR is 0.
        unsafe { msr!("S3_4_C1_C2_6", len) }
        let asked = VectorLength::from_len(len);
        let expected = core
            .streaming
            .at_most(asked)
            .or(core.streaming.iter().next());
        expect(
            registers::streaming_length() == expected,
            "LEN, bitmap:",
            [len, core.streaming.bitmap().into(), 0, 0],
        )?;
    }
    Ok(())
}

/// SVCR is read as it is written, and a change of SM leaves nothing in the vectors.
fn svcr(core: &Core) -> Outcome {
    let Some(streaming) = core.streaming.max() else {
        return Ok(());
    };
    let config = SmeConfig {
        streaming,
        sve: core.sve.max(),
        fa64: core.fa64,
        zt0: core.zt0,
    };
    for state in STATES {
        // SAFETY: at EL2, and nobody needs the registers.
        unsafe { state.write() }
        // SAFETY: as above.
        let (found, register) = (unsafe { Svcr::read() }, mrs!("S3_3_C4_C2_2"));
        expect(
            found == state && register == state.bits(),
            "SVCR, expected:",
            [found.bits(), state.bits(), 0, 0],
        )?;
    }
    leave();
    enter(700, config, Svcr::OFF);
    // SAFETY: as above.
    unsafe { Svcr::new(true, true).write() }
    let mut found = Vectors::ZERO;
    registers::store(&mut found, streaming, config.fa64);
    let rows = &mut FOUND.get()[..streaming.za_bytes()];
    registers::store_za(rows, streaming);
    leave();
    let zero = found
        .z
        .iter()
        .chain(&found.p)
        .chain(&found.ffr)
        .chain(&*rows)
        .all(|byte| *byte == 0);
    expect(zero, "SMSTART left something", [0; 4])
}

/// Every guest in every state: saved, replaced by another, loaded.
fn round_trip(core: &Core) -> Outcome {
    for (n, config) in configs(core).enumerate() {
        for (state, svcr) in STATES.into_iter().enumerate() {
            let seed = 1000 + 4 * n as u64 + state as u64;
            let mut saved = file(&FIRST, config)?;
            enter(seed, config, svcr);
            // SAFETY: the gates are open, the core has the lengths, and no VM's registers are in it.
            unsafe { saved.area().save() }
            expect(
                mrs!("S3_3_C4_C2_2") == 0,
                "a save left SVCR at",
                [mrs!("S3_3_C4_C2_2"), 0, 0, 0],
            )?;
            stored(seed, svcr, &mut saved)?;
            enter(!seed, config, STATES[3 - state]);
            leave();
            // SAFETY: as above.
            unsafe { saved.area().load() }
            holds(seed, config, svcr)?;
            leave();
            stored(seed, svcr, &mut saved)?;
            untouched(&FIRST, config)?;
        }
    }
    Ok(())
}

/// Guests of different lengths and states, back and forth.
fn exchange(core: &Core) -> Outcome {
    let mut before = None;
    for (n, config) in configs(core).enumerate() {
        for (state, svcr) in STATES.into_iter().enumerate() {
            let now = (2000 + 4 * n as u64 + state as u64, config, svcr);
            let (seed_a, config_a, svcr_a) = before.replace(now).unwrap_or(now);
            // The other way round: the states of a pair are not always neighbours.
            let svcr_b = STATES[3 - state];
            let mut a = file(&FIRST, config_a)?;
            let mut b = file(&SECOND, config)?;
            enter(now.0, config, svcr_b);
            // SAFETY: as in `round_trip`.
            unsafe { b.area().save() }
            enter(seed_a, config_a, svcr_a);
            // SAFETY: as in `round_trip`.
            unsafe { a.area().exchange(b.area()) }
            holds(now.0, config, svcr_b)?;
            stored(seed_a, svcr_a, &mut a)?;
            // SAFETY: as in `round_trip`.
            unsafe { b.area().exchange(a.area()) }
            holds(seed_a, config_a, svcr_a)?;
            leave();
            stored(now.0, svcr_b, &mut b)?;
        }
    }
    Ok(())
}

/// A fresh guest finds zeroes, also in ZA when it turns that on.
fn fresh(core: &Core) -> Outcome {
    for config in configs(core).filter(|config| config.sve.is_some()) {
        let mut file = file(&FIRST, config)?;
        enter(3000, config, STATES[3]);
        leave();
        enter(3001, config, Svcr::OFF);
        // SAFETY: as in `round_trip`.
        unsafe { file.area().load() }
        let length = file.vectors().vector_length();
        let mut found = Vectors::ZERO;
        registers::store(&mut found, length, true);
        Vectors::ZERO.is(&found, length)?;
        // SAFETY: as in `round_trip`.
        unsafe { Svcr::new(false, true).write() }
        let rows = &mut FOUND.get()[..config.streaming.za_bytes()];
        registers::store_za(rows, config.streaming);
        leave();
        expect(
            rows.iter().all(|byte| *byte == 0),
            "a fresh ZA is not zero",
            [0; 4],
        )?;
    }
    Ok(())
}

/// A guest can select what its file has room for, and no more; without SME, nothing.
fn maximum(core: &Core) -> Outcome {
    for config in configs(core) {
        let mut file = file(&FIRST, config)?;
        // SAFETY: as in `round_trip`.
        unsafe {
            file.area().load();
            core.gates.set(Opening {
                sve: config.sve.is_some(),
                ..Opening::ALL
            });
        }
        let exit = guest::run(&check_guest_sme, 0);
        core.unlock();
        let bytes = config.streaming.bytes() as u64;
        expect(
            exit.class() == HVC && exit.x0 == bytes,
            "class, bytes, expected:",
            [exit.class(), exit.x0, bytes, 0],
        )?;
    }
    Ok(())
}

/// Guests with FP/SIMD alone, with SVE and with SME take turns on one core.
fn kinds(core: &Core) -> Outcome {
    let (Some(streaming), Some(length)) = (core.streaming.max(), core.sve.max()) else {
        return Ok(());
    };
    let config = SmeConfig {
        streaming,
        sve: core.sve.max(),
        fa64: core.fa64,
        zt0: core.zt0,
    };
    for (state, svcr) in STATES.into_iter().enumerate() {
        let seed = 4000 + state as u64;
        let mut sme_file = file(&FIRST, config)?;
        let sve_memory = SECOND.get();
        let Some(mut sve_file) = SveFile::new(sve_memory, length) else {
            return expect(false, "the memory is too short", [0; 4]);
        };
        let mut sve_values = Vectors::ZERO;
        sve_values.set(!seed, length);
        let mut fp = sve_values.v(length);
        fp.v.reverse();
        // SAFETY: the memory is these files' alone until the end of the round.
        let (mut sme, mut sve) = unsafe {
            (
                RegisterFile::with_sme(sme_file.area()),
                RegisterFile::with_sve(sve_file.area()),
            )
        };
        let mut alone = RegisterFile::with_fp(fp.clone());
        let [sme, sve, alone] = [&mut sme, &mut sve, &mut alone].map(NonNull::from);
        // SAFETY: as in `round_trip`, here and below.
        unsafe { RegisterFile::load(sve, Opening::SVE) }
        registers::load(&sve_values, length, true);
        // SAFETY: as above.
        unsafe { RegisterFile::save(sve, Opening::SVE) }
        enter(seed, config, svcr);
        // SAFETY: as above.
        unsafe {
            RegisterFile::save(sme, Opening::ALL);
            RegisterFile::load(alone, Opening::FP);
            core.gates.set(Opening::FP);
        }
        let class = guest::run(&check_guest_svcr, 0).class();
        expect(
            class == 0x1d,
            "class of SVCR without SME:",
            [class, 0, 0, 0],
        )?;
        core.unlock();
        expect(
            mrs!("S3_3_C4_C2_2") == 0,
            "SVCR is not 0 without SME",
            [0; 4],
        )?;
        expect(registers::store_fp() == fp, "core: V, FPSR or FPCR", [0; 4])?;
        // SAFETY: as above.
        unsafe {
            RegisterFile::save(alone, Opening::FP);
            RegisterFile::load(sve, Opening::SVE);
        }
        let mut found = Vectors::ZERO;
        registers::store(&mut found, length, true);
        sve_values.is(&found, length)?;
        // SAFETY: as above.
        unsafe {
            RegisterFile::save(sve, Opening::SVE);
            RegisterFile::load(sme, Opening::ALL);
        }
        holds(seed, config, svcr)?;
        // SAFETY: as above.
        unsafe {
            RegisterFile::save(sme, Opening::ALL);
            RegisterFile::load(alone, Opening::FP);
        }
        expect(
            registers::store_fp() == fp,
            "memory: V, FPSR or FPCR",
            [0; 4],
        )?;
        // SAFETY: as above.
        unsafe {
            RegisterFile::save(alone, Opening::FP);
            RegisterFile::load(sve, Opening::SVE);
        }
        registers::store(&mut found, length, true);
        sve_values.is(&found, length)?;
        leave();
    }
    Ok(())
}

/// Registers that stay in the core while another guest runs behind closed gates keep their values, in
/// every state.
fn kept_behind_closed_gates(core: &Core) -> Outcome {
    for config in configs(core) {
        for svcr in STATES {
            enter(5000, config, svcr);
            // SAFETY: at EL2.
            unsafe { core.gates.set(Opening::NONE) }
            let class = guest::run(&check_guest_v, 0).class();
            core.unlock();
            expect(class == 0x07, "class:", [class, 0, 0, 0])?;
            holds(5000, config, svcr)?;
            leave();
        }
    }
    Ok(())
}

/// A lazy switch between guests with SME and without: each runs in its own mode, which tells how an
/// instruction of SVE is checked.
fn modes(core: &Core) -> Outcome {
    const SVE: u64 = 0x19;
    let Some(length) = core.sve.max() else {
        return Ok(());
    };
    for config in configs(core).filter(|config| config.sve.is_some()) {
        for (state, svcr) in STATES.into_iter().enumerate() {
            let seed = 6000 + state as u64;
            let mut sme_file = file(&FIRST, config)?;
            let Some(mut sve_file) = SveFile::new(SECOND.get(), length) else {
                return expect(false, "the memory is too short", [0; 4]);
            };
            let mut host = RegisterFile::with_fp(FpSimd::ZERO);
            // SAFETY: the memory is these files' alone until the end of the round.
            let (mut sme, mut sve) = unsafe {
                (
                    RegisterFile::with_sme(sme_file.area()),
                    RegisterFile::with_sve(sve_file.area()),
                )
            };
            let [host, sme, sve] = [&mut host, &mut sme, &mut sve].map(NonNull::from);
            let mut lazy = VectorCore::new(core.e2h, host);
            // SAFETY: the files are valid, and nobody else's registers are in the core.
            unsafe { lazy.trapped(sme) }
            enter(seed, config, svcr);
            // SAFETY: as above, here and below.
            unsafe { lazy.before_entry(sve) }
            let class = guest::run(&check_guest_z, 0).class();
            expect(class == SVE, "SVE beside it, class:", [class, 0, 0, 0])?;
            // SAFETY: as above.
            unsafe { lazy.give_back() }
            // SAFETY: as above.
            unsafe { lazy.before_entry(sme) }
            let class = guest::run(&check_guest_z, 0).class();
            let expected = if svcr.streaming() { HVC } else { SVE };
            expect(
                class == expected,
                "its own, SVCR, class:",
                [svcr.bits(), class, 0, 0],
            )?;
            // SAFETY: as above.
            unsafe { lazy.trapped(sme) }
            holds(seed, config, svcr)?;
            // SAFETY: as above.
            unsafe { lazy.give_back() }
        }
    }
    Ok(())
}
