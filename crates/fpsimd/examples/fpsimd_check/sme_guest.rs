//! A guest with SME: its memory, and the core's registers as it has them.

use core::cell::UnsafeCell;

use trapcast_fpsimd::{Granule, SmeConfig, SmeFile, Svcr, VectorLength};

use crate::{
    check::{Core, Failure, Outcome, expect},
    mrs, msr,
    pattern::{self, Vectors},
    registers,
};

/// The largest file.
const LARGEST: SmeConfig = SmeConfig {
    streaming: VectorLength::MAX,
    sve: Some(VectorLength::MAX),
    fa64: true,
    zt0: true,
};

/// Memory that is too large for the stack; there is one core, and each is used in one place at a time.
pub struct Large<T>(UnsafeCell<T>);

// SAFETY: there is one core.
unsafe impl<T> Sync for Large<T> {}

impl<T> Large<T> {
    const fn new(content: T) -> Self {
        Self(UnsafeCell::new(content))
    }

    /// The content.
    #[expect(
        clippy::mut_from_ref,
        reason = "one core, and each is used in one place at a time"
    )]
    pub fn get(&self) -> &mut T {
        // SAFETY: see the type.
        unsafe { &mut *self.0.get() }
    }
}

/// Memory for a register file, with some on either side that has to stay as it is.
pub type Memory = Large<[Granule; SmeFile::granules(LARGEST) + 2]>;
/// For one guest.
pub static FIRST: Memory = Large::new([Granule::ZERO; SmeFile::granules(LARGEST) + 2]);
/// For another.
pub static SECOND: Memory = Large::new([Granule::ZERO; SmeFile::granules(LARGEST) + 2]);
/// What ZA should hold.
static ZA: Large<[u8; 65536]> = Large::new([0; 65536]);
/// What ZA holds.
pub static FOUND: Large<[u8; 65536]> = Large::new([0; 65536]);

/// Every value of SVCR.
pub const STATES: [Svcr; 4] = [
    Svcr::OFF,
    Svcr::new(true, false),
    Svcr::new(false, true),
    Svcr::new(true, true),
];

/// Makes a register file.
pub fn file(memory: &'static Memory, config: SmeConfig) -> Result<SmeFile<'static>, Failure> {
    let memory = memory.get();
    memory.fill(Granule::ZERO);
    SmeFile::new(&mut memory[1..=SmeFile::granules(config)], config).ok_or(Failure {
        what: "the memory is too short",
        numbers: [0; 4],
    })
}

/// Whether the memory beside a register file is as it was.
pub fn untouched(memory: &'static Memory, config: SmeConfig) -> Outcome {
    let memory = memory.get();
    expect(
        [memory[0], memory[SmeFile::granules(config) + 1]] == [Granule::ZERO; 2],
        "a save wrote beside its memory, streaming vector length:",
        [config.streaming.bits() as u64, 0, 0, 0],
    )
}

/// The guests that the core can have. Of SVE's lengths only powers of two: the others are checked with
/// SVE alone.
pub fn configs(core: &Core) -> impl Iterator<Item = SmeConfig> {
    let (fa64, zt0) = (core.fa64, core.zt0);
    let lengths = core
        .sve
        .iter()
        .filter(|length| length.bits().is_power_of_two());
    let sve = lengths.map(Some).chain([None]);
    sve.flat_map(move |sve| {
        core.streaming.iter().flat_map(move |streaming| {
            [false, true]
                .into_iter()
                .filter(move |wanted| fa64 || !wanted)
                .map(move |fa64| SmeConfig {
                    streaming,
                    sve,
                    fa64,
                    zt0,
                })
        })
    })
}

/// What a guest of this kind has in a state: vector length, and whether there is FFR.
fn shape(config: SmeConfig, svcr: Svcr) -> (VectorLength, bool) {
    if svcr.streaming() {
        (config.streaming, config.fa64)
    } else {
        (
            config.sve.unwrap_or(VectorLength::MIN),
            config.sve.is_some(),
        )
    }
}

/// The values of a guest in a state.
fn values(seed: u64, config: SmeConfig, svcr: Svcr) -> Vectors {
    let (length, ffr) = shape(config, svcr);
    let mut vectors = Vectors::ZERO;
    vectors.set(seed, length);
    if !ffr {
        vectors.ffr.fill(0);
    }
    if config.sve.is_none() && !svcr.streaming() {
        vectors.p.fill(0);
    }
    vectors
}

/// Puts the core into a state, past the crate that is checked, and fills its registers.
pub fn enter(seed: u64, config: SmeConfig, svcr: Svcr) {
    // SAFETY: at EL2, with the gates open; no VM's registers are in the core.
    unsafe {
        msr!("S3_4_C1_C2_6", config.smcr());
        if let Some(length) = config.sve {
            msr!("S3_4_C1_C2_0", length.len_field());
        }
        msr!("S3_3_C4_C2_2", svcr.bits());
    }
    let vectors = values(seed, config, svcr);
    let (length, ffr) = shape(config, svcr);
    if config.sve.is_none() && !svcr.streaming() {
        registers::load_fp(&vectors.v(length));
    } else {
        registers::load(&vectors, length, ffr);
    }
    if svcr.za() {
        let rows = &mut ZA.get()[..config.streaming.za_bytes()];
        pattern::fill(rows, seed);
        registers::load_za(rows, config.streaming);
    }
}

/// Whether the core is in a state and its registers have the values.
pub fn holds(seed: u64, config: SmeConfig, svcr: Svcr) -> Outcome {
    let found = mrs!("S3_3_C4_C2_2");
    expect(
        found == svcr.bits(),
        "SVCR, expected:",
        [found, svcr.bits(), 0, 0],
    )?;
    let vectors = values(seed, config, svcr);
    let (length, ffr) = shape(config, svcr);
    if config.sve.is_none() && !svcr.streaming() {
        expect(
            registers::store_fp() == vectors.v(length),
            "core: V, FPSR or FPCR",
            [0; 4],
        )?;
    } else {
        let mut found = Vectors::ZERO;
        registers::store(&mut found, length, ffr);
        vectors.is(&found, length)?;
    }
    if svcr.za() {
        let found = &mut FOUND.get()[..config.streaming.za_bytes()];
        registers::store_za(found, config.streaming);
        same_za(
            seed,
            config,
            found,
            "core: ZA, first byte, streaming vector length:",
        )?;
    }
    Ok(())
}

fn same_za(seed: u64, config: SmeConfig, found: &[u8], what: &'static str) -> Outcome {
    let rows = &mut ZA.get()[..config.streaming.za_bytes()];
    pattern::fill(rows, seed);
    let differs = rows.iter().zip(found).position(|(a, b)| a != b);
    let length = config.streaming.bits() as u64;
    expect(
        differs.is_none() && rows.len() == found.len(),
        what,
        [differs.unwrap_or(0) as u64, length, 0, 0],
    )
}

/// Whether a file has the values.
pub fn stored(seed: u64, svcr: Svcr, file: &mut SmeFile<'_>) -> Outcome {
    let config = file.config();
    expect(
        file.svcr() == svcr,
        "memory: SVCR, expected:",
        [file.svcr().bits(), svcr.bits(), 0, 0],
    )?;
    values(seed, config, svcr).is_in(&file.vectors())?;
    match file.za() {
        Some(rows) if svcr.za() => same_za(seed, config, rows, "memory: ZA, first byte, length:"),
        za => expect(
            za.is_none() && !svcr.za(),
            "memory: ZA there or not",
            [0; 4],
        ),
    }
}

/// Turns everything off.
pub fn leave() {
    // SAFETY: at EL2; nobody needs the registers.
    unsafe { Svcr::OFF.write() }
}
