//! The guest `features`: checks that the CPU has what the bootargs say and nothing else, by its ID
//! registers, by every class of instruction, and by what its registers hold; and that every field of every
//! identification register is true, by a use of what it shows.

#![no_std]
#![no_main]

mod run;
mod system;
mod table;
mod translation;

use core::fmt;

use trapcast_guests::board::entry::fail;
use trapcast_guests::board::fdt::Machine;
use trapcast_guests::board::instructions::{INSTRUCTIONS, Instruction, Needs, SMPRI, TPIDR2};
use trapcast_guests::board::mismatches::Mismatches;
use trapcast_guests::board::vectors::{self, Rows};
use trapcast_guests::board::{exceptions, gic, psci, timer};
use trapcast_guests::classes::Lengths;
use trapcast_guests::features::{Features, Offered};
use trapcast_guests::hostile::attempt::install;
use trapcast_guests::identification::Tally;
use trapcast_guests::memory::{PAGE, take_from_end};
use trapcast_guests::pattern::Registers;
use trapcast_guests::vectors::{Held, MAX_GRANULES, Vectors};
use trapcast_guests::{println, read_sysreg};

use table::{REGISTERS, others};

trapcast_guests::entry!(main);

/// Fields of ID_AA64ISAR0_EL1 for instructions on V: AES, SHA1, SHA2, RDM, SHA3, SM3, SM4, DP, FHM.
const ISAR0_ON_V: [u32; 9] = [4, 8, 12, 28, 32, 36, 40, 44, 48];
/// Fields of ID_AA64ISAR1_EL1 for such: JSCVT, FCMA, FRINTTS, BF16, I8MM.
const ISAR1_ON_V: [u32; 5] = [12, 16, 32, 44, 52];

/// Reads the bootargs and follows them.
pub fn main(machine: &Machine) {
    let features = match Features::parse(machine.bootargs) {
        Ok(features) => features,
        Err(error) => fail(&error),
    };
    let Features {
        fp,
        sve,
        sme,
        rounds,
        bare,
    } = features;
    println!("start fp={fp} sve={sve:?} sme={sme:?} rounds={rounds}");
    let mut free = machine.free;
    let Some(address) = take_from_end(&mut free, size_of::<Memory>() as u64, PAGE) else {
        fail(&"there is no memory for the registers");
    };
    let memory = core::ptr::with_exposed_provenance_mut::<Memory>(address as usize);
    // SAFETY: RAM that is mapped, aligned and nobody else's; any bytes are numbers.
    let memory = unsafe { &mut *memory };
    vectors::open();
    let mut check = Check {
        features,
        memory,
        held: Held::ZERO,
        tpidr2: 0,
        mismatches: Mismatches::default(),
    };
    for round in 0..rounds {
        if round != 0 {
            timer::wait();
        }
        check.round(round);
    }
    let Some(tables) = take_from_end(&mut free, translation::SIZE, translation::SIZE) else {
        fail(&"there is no memory for tables");
    };
    translation::give(tables);
    let Tally {
        shown,
        untold,
        mismatches,
    } = use_all(bare);
    let mismatches = check.mismatches.0 + mismatches;
    println!("done rounds={rounds} shown={shown} untold={untold} mismatches={mismatches}");
}

/// Uses all that the identification registers show. A `bare` CPU may show more than is known.
fn use_all(bare: bool) -> Tally {
    let mut tally = Tally::default();
    gic::mask();
    install();
    for register in REGISTERS {
        tally.register(register, bare, &mut |what| println!("MISMATCH {what}"));
    }
    for (crm, op2, value) in others() {
        if value != 0 && !bare {
            tally.mismatches += 1;
            println!("MISMATCH S3_0_C0_C{crm}_{op2}={value:#x}: nobody knows it");
        }
    }
    exceptions::install();
    tally
}

/// What was found in the registers.
struct Memory {
    vectors: Vectors,
    rows: Rows,
}

struct Check {
    features: Features,
    memory: &'static mut Memory,
    /// What V, or Z, P and FFR, hold.
    held: Held,
    tpidr2: u64,
    mismatches: Mismatches,
}

impl Check {
    fn round(&mut self, round: u64) {
        self.id_registers();
        self.contents();
        self.lengths();
        for instruction in &INSTRUCTIONS {
            let expected = self.is_there(instruction.needs);
            self.equal(instruction.name, expected, (instruction.works)());
        }
        if self.features.sme.is_there() {
            self.held.changed_mode();
            self.equal(SMPRI.name, true, (SMPRI.works)());
        }
        self.thread_pointer(round);
        self.calls();
    }

    fn is_there(&self, needs: Needs) -> bool {
        match needs {
            Needs::Fp => self.features.fp,
            Needs::Sve => self.features.sve.is_there(),
            Needs::Sme => self.features.sme.is_there(),
        }
    }

    fn id_registers(&mut self) {
        let Features { fp, sve, sme, .. } = self.features;
        let field = |register: u64, shift: u32| register >> shift & 0xf;
        let pfr0 = read_sysreg!("ID_AA64PFR0_EL1");
        let pfr1 = read_sysreg!("ID_AA64PFR1_EL1");
        self.equal("ID_AA64PFR0_EL1.FP", fp, field(pfr0, 16) != 0xf);
        self.equal("ID_AA64PFR0_EL1.AdvSIMD", field(pfr0, 16), field(pfr0, 20));
        self.equal("ID_AA64PFR0_EL1.SVE", sve.is_there(), field(pfr0, 32) != 0);
        self.equal("ID_AA64PFR1_EL1.SME", sme.is_there(), field(pfr1, 24) != 0);
        if !sve.is_there() && !sme.is_there() {
            self.equal("ID_AA64ZFR0_EL1", 0, read_sysreg!("S3_0_C0_C4_4"));
        }
        let smfr0 = read_sysreg!("S3_0_C0_C4_5");
        self.equal("ID_AA64SMFR0_EL1", sme.is_there(), smfr0 != 0);
        if !fp {
            self.without_fp();
        }
    }

    /// What describes or needs FP/SIMD reads as absent.
    fn without_fp(&mut self) {
        self.equal("MVFR0_EL1", 0, read_sysreg!("S3_0_C0_C3_0"));
        self.equal("MVFR1_EL1", 0, read_sysreg!("S3_0_C0_C3_1"));
        self.equal("MVFR2_EL1", 0, read_sysreg!("S3_0_C0_C3_2"));
        let mask = |shifts: &[u32]| shifts.iter().fold(0, |mask, shift| mask | 0xf << shift);
        let isar0 = read_sysreg!("ID_AA64ISAR0_EL1") & mask(&ISAR0_ON_V);
        self.equal("ID_AA64ISAR0_EL1", 0, isar0);
        let isar1 = read_sysreg!("ID_AA64ISAR1_EL1") & mask(&ISAR1_ON_V);
        self.equal("ID_AA64ISAR1_EL1", 0, isar1);
    }

    /// The registers hold what this guest has left in them: zero, from the start.
    fn contents(&mut self) {
        if self.features.sve.is_there() {
            let granules = vectors::select(MAX_GRANULES);
            vectors::store(&mut self.memory.vectors, true);
            let found = &self.memory.vectors;
            for mismatch in self.held.differences(found, granules, true) {
                self.mismatches.add(format_args!("{mismatch}"));
            }
        } else if self.features.fp {
            let mut found = Registers::ZERO;
            vectors::store_v(&mut found);
            for mismatch in self.held.fp().differences(&found) {
                self.mismatches.add(format_args!("{mismatch}"));
            }
        }
        if self.features.sme.is_there() {
            self.equal("SVCR", 0, vectors::svcr());
            let granules = vectors::select_streaming(MAX_GRANULES, false);
            vectors::set_svcr(vectors::ZA);
            vectors::store_rows(&mut self.memory.rows, granules);
            vectors::set_svcr(0);
            let mut rows = self.memory.rows.iter().take(16 * granules);
            let zero = rows.all(|row| row[..granules].iter().all(|value| *value == 0));
            self.equal("ZA", true, zero);
        }
    }

    /// The longest vectors are as long as they should be.
    fn lengths(&mut self) {
        let Features { sve, sme, .. } = self.features;
        if sve.is_there() {
            self.longest("VL", sve, vectors::lengths(vectors::select));
        }
        if sme.is_there() {
            let select = |granules| vectors::select_streaming(granules, false);
            self.longest("SVL", sme, vectors::lengths(select));
        }
    }

    fn longest(&mut self, name: &str, offered: Offered, lengths: Lengths) {
        if let Offered::Bits(bits) = offered {
            self.equal(name, bits, 128 * lengths.selected(MAX_GRANULES));
        }
    }

    fn thread_pointer(&mut self, round: u64) {
        let Instruction { name, works, .. } = TPIDR2;
        let works = works();
        if self.features.sme.is_there() {
            self.equal(name, true, works);
        }
        if works {
            self.equal(name, self.tpidr2, vectors::tpidr2());
            self.tpidr2 = !round;
            vectors::set_tpidr2(self.tpidr2);
        }
    }

    /// Arm Architecture Calls (DEN 0028), where PSCI says that there are any.
    fn calls(&mut self) {
        const SMCCC_VERSION: u32 = 0x8000_0000;
        const ARCH_FEATURES: u32 = 0x8000_0001;
        const SOC_ID: u32 = 0x8000_0002;
        /// Against branch target injection, which a core with CSV2 does not know.
        const WORKAROUND_1: u32 = 0x8000_8000;
        const PSCI_FEATURES: u32 = 0x8400_000a;
        let call =
            |function, argument: u32| psci::call_with(function, [argument.into(), 0, 0]) as i32;
        if call(PSCI_FEATURES, SMCCC_VERSION) != 0 {
            return;
        }
        self.equal("SMCCC_VERSION", 0x1_0001, call(SMCCC_VERSION, 0));
        for (asked, answer) in [(SMCCC_VERSION, 0), (ARCH_FEATURES, 0), (SOC_ID, -1)] {
            self.equal("SMCCC_ARCH_FEATURES", answer, call(ARCH_FEATURES, asked));
        }
        self.equal("SMCCC_ARCH_SOC_ID", -1, call(SOC_ID, 0));
        let csv2 = read_sysreg!("ID_AA64PFR0_EL1") >> 56 & 0xf;
        let (needed, called) = if csv2 != 0 { (1, 0) } else { (-1, -1) };
        self.equal(
            "ARCH_WORKAROUND_1",
            needed,
            call(ARCH_FEATURES, WORKAROUND_1),
        );
        self.equal("ARCH_WORKAROUND_1", called, call(WORKAROUND_1, 0));
    }

    fn equal<T: PartialEq + fmt::Debug>(&mut self, name: &str, expected: T, found: T) {
        self.mismatches
            .equal(format_args!("{name}"), expected, found);
    }
}
