//! Z, P, FFR, FPSR and FPCR at every vector length of the core.

use trapcast_fpsimd::{FpSimd, Granule, Opening, RegisterFile, SveArea, SveFile, VectorLength};

use crate::{
    check::{Checks, Core, Outcome, expect},
    guest::{
        self, HVC, check_guest_ffr, check_guest_v, check_guest_v_then_z, check_guest_vl,
        check_guest_z, check_guest_zcr,
    },
    mrs, msr,
    pattern::Vectors,
    registers,
};

/// The checks of this file.
pub const CHECKS: Checks = &[
    ("sve/lengths", lengths),
    ("sve/round-trip", round_trip),
    ("sve/exchange-of-different-lengths", exchange),
    ("sve/fp-first-then-sve-by-memory", by_memory),
    ("sve/fp-first-then-sve-by-widening", by_widening),
    ("sve/widening-leaves-nothing-above", widening),
    ("sve/guest-without-sve-sees-nothing", without_sve),
    ("sve/fresh-guest-sees-zeroes", fresh),
    ("sve/guest-has-its-maximum", maximum),
    ("sve/kept-behind-closed-gates", kept_behind_closed_gates),
];

/// Memory for a register file, with some on either side that has to stay as it is.
struct Arena([Granule; SveFile::granules(VectorLength::MAX) + 2]);

impl Arena {
    const fn new() -> Self {
        Self([Granule::ZERO; SveFile::granules(VectorLength::MAX) + 2])
    }

    fn file(&mut self, length: VectorLength) -> Option<SveFile<'_>> {
        let size = SveFile::granules(length);
        SveFile::new(&mut self.0[1..=size], length)
    }

    fn untouched(&self, length: VectorLength) -> Outcome {
        let size = SveFile::granules(length);
        let beside = [self.0[0], self.0[size + 1]];
        expect(
            beside == [Granule::ZERO; 2],
            "a save wrote beside its memory, vector length:",
            [length.bits() as u64, 0, 0, 0],
        )
    }
}

/// Makes a register file of `length` in an arena, runs `body` with it, looks at what lies beside.
fn with_file(length: VectorLength, body: impl FnOnce(&mut SveFile<'_>) -> Outcome) -> Outcome {
    let mut arena = Arena::new();
    match arena.file(length) {
        Some(mut file) => body(&mut file)?,
        None => return expect(false, "the memory is too short", [0; 4]),
    }
    arena.untouched(length)
}

/// Has the core select a vector length, past the crate that is checked.
fn select(length: VectorLength) {
    // SAFETY: at EL2, with the gate open; no VM's registers are in the core.
    unsafe { msr!("S3_4_C1_C2_0", length.len_field()) }
}

/// Fills all registers at the core's greatest length: with what nobody may see later.
fn litter(core: &Core, seed: u64) {
    if let Some(length) = core.sve.max() {
        let mut vectors = Vectors::ZERO;
        vectors.set(seed, length);
        vectors.ffr.fill(0xff);
        select(length);
        registers::load(&vectors, length, true);
    }
}

/// The registers as they are, at a length.
fn current(length: VectorLength) -> Vectors {
    let mut found = Vectors::ZERO;
    registers::store(&mut found, length, true);
    found
}

fn pattern(seed: u64, length: VectorLength) -> Vectors {
    let mut vectors = Vectors::ZERO;
    vectors.set(seed, length);
    vectors
}

/// Each length is found once, can be selected, and no other can.
fn lengths(core: &Core) -> Outcome {
    for len in 0..16 {
        let asked = VectorLength::from_len(len);
        select(asked);
        let found = registers::vector_length();
        expect(
            found.is_some() && found == core.sve.at_most(asked),
            "LEN, bitmap:",
            [len, core.sve.bitmap().into(), 0, 0],
        )?;
    }
    Ok(())
}

fn round_trip(core: &Core) -> Outcome {
    for (seed, length) in core.sve.iter().enumerate() {
        let (first, second) = (
            pattern(seed as u64, length),
            pattern(!(seed as u64), length),
        );
        with_file(length, |file| {
            select(length);
            registers::load(&first, length, true);
            // SAFETY: the gates are open, the length is the core's, no VM's registers are in it.
            unsafe { file.area().save() }
            first.is_in(file)?;
            first.is(&current(length), length)?;
            registers::load(&second, length, true);
            // The load selects the length itself.
            select(VectorLength::MIN);
            // SAFETY: as above.
            unsafe { file.area().load() }
            expect(
                mrs!("S3_4_C1_C2_0") == length.len_field(),
                "ZCR_EL2, vector length:",
                [mrs!("S3_4_C1_C2_0"), length.bits() as u64, 0, 0],
            )?;
            first.is(&current(length), length)?;
            first.is_in(file)
        })?;
    }
    Ok(())
}

/// Two guests with every two lengths, back and forth.
fn exchange(core: &Core) -> Outcome {
    for (n, a) in core.sve.iter().enumerate() {
        for b in core.sve.iter() {
            let seed = n as u64 + 100;
            let (of_a, of_b) = (pattern(seed, a), pattern(!seed, b));
            with_file(a, |file_a| {
                with_file(b, |file_b| {
                    of_b.store(file_b);
                    select(a);
                    registers::load(&of_a, a, true);
                    // SAFETY: as in `round_trip`.
                    unsafe { file_a.area().exchange(file_b.area()) }
                    of_a.is_in(file_a)?;
                    of_b.is(&current(b), b)?;
                    // SAFETY: as in `round_trip`.
                    unsafe { file_b.area().exchange(file_a.area()) }
                    of_b.is_in(file_b)?;
                    of_a.is(&current(a), a)
                })
            })?;
        }
    }
    Ok(())
}

/// Enters a guest that uses V, lets it run up to its first use of SVE, calls `on_trap` with what V is
/// then, lets it go on, and compares what it has.
fn fp_then_sve(core: &Core, on_trap: fn(SveArea)) -> Outcome {
    for length in core.sve.iter() {
        with_file(length, |file| {
            let mut expected = pattern(300, length);
            expected.widened(length, &pattern(301, length));
            expected.store(file);
            let mut fp = file.fp();
            litter(core, 302);
            // SAFETY: as in `round_trip`. The guest's Z registers hold nothing above V.
            unsafe {
                FpSimd::load(&fp);
                core.gates.set(Opening::FP);
            }
            let stopped = guest::run(&check_guest_v_then_z, 0x0123_4567_89ab_cdef);
            expect(
                stopped.class() == 0x19,
                "class:",
                [stopped.class(), 0, 0, 0],
            )?;
            // SAFETY: at EL2.
            unsafe { core.gates.unlock(Opening::SVE) }
            on_trap(file.area());
            let ended = guest::resume();
            expect(ended.class() == HVC, "class:", [ended.class(), 0, 0, 0])?;
            // What the guest has written.
            fp.v[3] = fp.v[3] & u128::from(u64::MAX) | 0x0123_4567_89ab_cdef << 64;
            fp.v[5] = 0x0123_4567_89ab_cdef;
            for (n, v) in fp.v.iter().enumerate() {
                expected.z[n * length.bytes()..][..16].copy_from_slice(&v.to_le_bytes());
            }
            expected.is(&current(length), length)
        })?;
    }
    Ok(())
}

fn by_memory(core: &Core) -> Outcome {
    fp_then_sve(core, |area| {
        let mut fp = FpSimd::ZERO;
        // SAFETY: the gates are open, and the registers are the guest's.
        unsafe {
            FpSimd::save(&mut fp);
            let mut file = area.file();
            // What is above V here must not matter.
            (0..32).for_each(|n| file.z_mut(n).fill(0xff));
            file.set_fp(&fp);
            area.load();
        }
    })
}

fn by_widening(core: &Core) -> Outcome {
    // SAFETY: as above, and the file's Z registers hold nothing above V.
    fp_then_sve(core, |area| unsafe { area.widen() })
}

/// What stands above V in the core is not the guest's, however it got there.
fn widening(core: &Core) -> Outcome {
    for length in core.sve.iter() {
        with_file(length, |file| {
            let predicates = pattern(310, length);
            predicates.store(file);
            let mut expected = pattern(311, length);
            select(length);
            registers::load(&expected, length, true);
            // SAFETY: as in `round_trip`.
            unsafe { file.area().widen() }
            expected.widened(length, &predicates);
            expected.is(&current(length), length)
        })?;
    }
    Ok(())
}

/// After another guest's registers, one with FP/SIMD alone finds zeroes above V and cannot reach P,
/// FFR and ZCR_EL1.
fn without_sve(core: &Core) -> Outcome {
    let Some(length) = core.sve.max() else {
        return Ok(());
    };
    let fp = pattern(400, VectorLength::MIN).v(VectorLength::MIN);
    litter(core, 401);
    let mut file = RegisterFile::with_fp(fp.clone());
    let most = file.most();
    // SAFETY: as in `round_trip`.
    unsafe {
        RegisterFile::load((&mut file).into(), most);
        core.gates.set(most);
    }
    let used = guest::run(&check_guest_v, 0).class();
    expect(used == HVC, "class of V:", [used, 0, 0, 0])?;
    for entry in [
        &check_guest_z,
        &check_guest_ffr,
        &check_guest_zcr,
        &check_guest_vl,
    ] {
        let class = guest::run(entry, 0).class();
        expect(class == 0x19, "class of SVE:", [class, 0, 0, 0])?;
    }
    core.unlock();
    select(length);
    let found = current(length);
    let above = found
        .z
        .chunks(length.bytes())
        .take(32)
        .all(|z| z[16..].iter().all(|byte| *byte == 0));
    expect(above, "something is left above V", [0; 4])?;
    expect(found.v(length) == fp, "V is something else", [0; 4])
}

/// After another guest's registers, a fresh one finds none of it.
fn fresh(core: &Core) -> Outcome {
    for length in core.sve.iter() {
        with_file(length, |file| {
            litter(core, 500);
            // SAFETY: as in `round_trip`.
            unsafe { file.area().load() }
            Vectors::ZERO.is(&current(length), length)?;
            litter(core, 501);
            // SAFETY: as in `round_trip`; V is zero, and so is the file.
            unsafe {
                FpSimd::load(&FpSimd::ZERO);
                file.area().widen();
            }
            Vectors::ZERO.is(&current(length), length)
        })?;
    }
    Ok(())
}

/// A guest can select what its file has room for, and no more.
fn maximum(core: &Core) -> Outcome {
    for length in core.sve.iter() {
        with_file(length, |file| {
            // SAFETY: as in `round_trip`.
            unsafe {
                file.area().load();
                core.gates.set(Opening::SVE);
            }
            let exit = guest::run(&check_guest_vl, 0);
            core.unlock();
            expect(
                exit.class() == HVC && exit.x0 == length.bytes() as u64,
                "class, bytes, expected:",
                [exit.class(), exit.x0, length.bytes() as u64, 0],
            )
        })?;
    }
    Ok(())
}

/// Registers that stay in the core while another guest runs behind closed gates keep their values.
fn kept_behind_closed_gates(core: &Core) -> Outcome {
    for length in core.sve.iter() {
        let values = pattern(600, length);
        select(length);
        registers::load(&values, length, true);
        // SAFETY: at EL2.
        unsafe { core.gates.set(Opening::NONE) }
        let class = guest::run(&check_guest_v, 0).class();
        core.unlock();
        expect(class == 0x07, "class:", [class, 0, 0, 0])?;
        values.is(&current(length), length)?;
    }
    Ok(())
}
