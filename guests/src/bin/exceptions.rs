//! The guest `exceptions`: takes exceptions that a hypervisor may have to make for it, of loads, stores and
//! fetches where there is nothing and of an instruction that it has not, and checks that each is as the
//! architecture says: ESR_EL1, FAR_EL1, ELR_EL1 and SPSR_EL1. It reads the physical counter at EL0, too.
//!
//! | word of its bootargs | what it does besides |
//! |---|---|
//! | `flags` | looks at PSTATE.{N, Z, C, V} in the handler, which QEMU's own exceptions clear |
//! | `devices` | loads and stores where QEMU's board has a device that a VM has not: zero, and no exception |
//! | `cpu-off` | turns its CPU off at the end, which is the only one that is on, and not the machine |
//!
//! Source: Arm ARM, "AArch64.TakeException", "ISS encoding for an exception from a Data Abort".

#![no_std]
#![no_main]

use core::arch::global_asm;
use core::fmt;

use trapcast_guests::board::fdt::Machine;
use trapcast_guests::board::mismatches::Mismatches;
use trapcast_guests::board::{gic, psci};
use trapcast_guests::hostile::attempt::{EL0, EL1_MASKED, Outcome, attempt, install};
use trapcast_guests::hostile::regime;
use trapcast_guests::{println, read_sysreg, write_sysreg};

trapcast_guests::entry!(main);

/// A physical address where the board has nothing.
const NOWHERE: u64 = 0x7000_0000;

/// Devices of QEMU's board that a VM has not, each by its first and its last word.
const DEVICES: [(u64, u64); 12] = [
    (0x0000_0000, 0x07ff_fff8),
    (0x0802_0000, 0x0802_0ff8),
    (0x0808_0000, 0x0809_fff8),
    (0x0901_0000, 0x0901_0ff8),
    (0x0902_0000, 0x0902_0010),
    (0x0903_0000, 0x0903_0ff8),
    (0x0904_0000, 0x0904_0ff8),
    (0x0905_0000, 0x0906_fff8),
    (0x0a00_0000, 0x0a00_3ff8),
    (0x1000_0000, 0x3efe_fff8),
    (0x3eff_0000, 0x3eff_fff8),
    (0x3f00_0000, 0x3fff_fff8),
];
/// Beside them, where the board has nothing.
const BESIDE: [u64; 4] = [0x0807_fff8, 0x0902_0018, 0x0a00_4000, 0x0fff_fff8];

/// Classes of aborts from EL0; one more is from EL1.
const INSTRUCTION_ABORT: u64 = 0x20;
const DATA_ABORT: u64 = 0x24;
/// Classes of an SVC, and of an access to a System register that traps.
const SVC: u64 = 0x15;
const SYSTEM_REGISTER: u64 = 0x18;
/// CNTKCTL_EL1.EL0PCTEN: EL0 may read CNTPCT_EL0.
const EL0PCTEN: u64 = 1;
/// ESR_EL1.IL, ISS.WnR, and DFSC or IFSC of a synchronous External abort.
const IL: u64 = 1 << 25;
const WNR: u64 = 1 << 6;
const EXTERNAL: u64 = 0x10;
/// Of an abort's syndrome: class, IL, WnR and status; the rest is up to the machine.
const COMPARED: u64 = 0x3f << 26 | IL | WNR | 0x3f;

/// PSTATE.{N, Z, C, V}, in each of which the exceptions are taken.
const FLAGS: [u64; 4] = [0, 0xf << 28, 0b0101 << 28, 0b1010 << 28];

global_asm!(
    r#"
    .section .text.exceptions, "ax"
    .macro form code:vararg
        \code
        ret
    .endm
    exceptions_loads:
        form ldr  x1, [x0]
        form ldr  w1, [x0]
        form ldrh w1, [x0]
        form ldrsb x1, [x0]
        form ldar x1, [x0]
    exceptions_stores:
        form str  x1, [x0]
        form str  w1, [x0]
        form strh w1, [x0]
        form strb w1, [x0]
        form stlr x1, [x0]
    exceptions_pmcr:                    // undefined where a guest has no PMU
        form mrs  x1, pmcr_el0
    .purgem form
    exceptions_pair:
        ldp     x1, x2, [x0]
        ret
    exceptions_counter:
        mrs     x1, cntpct_el0
        svc     #0
    "#
);

unsafe extern "C" {
    static exceptions_loads: u8;
    static exceptions_stores: u8;
    static exceptions_pmcr: u8;
    static exceptions_pair: u8;
    static exceptions_counter: u8;
}

/// Instructions of each kind, of 8 bytes with its RET.
const FORMS: u64 = 5;

fn form(first: *const u8, index: u64) -> u64 {
    first.expose_provenance() as u64 + 8 * index
}

/// Takes all of them.
pub fn main(machine: &Machine) {
    gic::mask();
    install();
    // EL1 and EL0 reach all addresses, of which none is executable less than another.
    regime::off();
    let told = |word| (machine.bootargs.split(' ')).any(|told| told == word);
    let mut check = Check {
        flags: told("flags"),
        taken: 0,
        mismatches: Mismatches::default(),
    };
    for level in [EL1_MASKED, EL0] {
        for flags in FLAGS {
            for index in 0..FORMS {
                let load = form(&raw const exceptions_loads, index);
                check.abort("load", load, NOWHERE, level | flags, DATA_ABORT, 0);
                let store = form(&raw const exceptions_stores, index);
                check.abort("store", store, NOWHERE, level | flags, DATA_ABORT, WNR);
            }
            let fetch = INSTRUCTION_ABORT;
            check.abort("fetch", NOWHERE, NOWHERE, level | flags, fetch, 0);
            check.undefined(form(&raw const exceptions_pmcr, 0), level | flags);
        }
    }
    check.counter();
    if told("devices") {
        check.devices();
    }
    let Check {
        taken, mismatches, ..
    } = check;
    println!("done taken={taken} mismatches={mismatches}");
    if told("cpu-off") {
        psci::cpu_off();
    }
}

struct Check {
    /// Whether flags are to be looked at.
    flags: bool,
    taken: u64,
    mismatches: Mismatches,
}

impl Check {
    /// Takes the abort of the instruction at `code`, which accesses `address`.
    fn abort(&mut self, name: &str, code: u64, address: u64, spsr: u64, class: u64, wnr: u64) {
        let outcome = self.take(code, address, spsr);
        let same_level = u64::from(spsr & 0xf != EL0);
        let esr = (class + same_level) << 26 | IL | wnr | EXTERNAL;
        self.equal(name, "ESR_EL1", spsr, esr, outcome.esr & COMPARED);
        self.equal(name, "FAR_EL1", spsr, address, outcome.far);
        self.taken(name, code, spsr, &outcome);
    }

    /// Takes the exception of an instruction, unless this machine has it.
    fn undefined(&mut self, code: u64, spsr: u64) {
        let outcome = self.take(code, NOWHERE, spsr);
        if outcome.class() == Some(0) {
            self.equal("undefined", "ESR_EL1", spsr, IL, outcome.esr);
            self.taken("undefined", code, spsr, &outcome);
        }
    }

    /// EL0 reads the physical counter where EL1 lets it, and only there.
    fn counter(&mut self) {
        let before = read_sysreg!("cntpct_el0");
        // SAFETY: no EL0 runs but what follows.
        unsafe { write_sysreg!("cntkctl_el1", EL0PCTEN) };
        let read = self.take(form(&raw const exceptions_counter, 0), 0, EL0);
        let after = read_sysreg!("cntpct_el0");
        self.equal("CNTPCT_EL0", "class", EL0, Some(SVC), read.class());
        let between = (before..=after).contains(&read.registers[1]);
        self.equal("CNTPCT_EL0", "value", EL0, true, between);
        // SAFETY: as above.
        unsafe { write_sysreg!("cntkctl_el1", 0) };
        let trapped = self.take(form(&raw const exceptions_counter, 0), 0, EL0);
        let class = Some(SYSTEM_REGISTER);
        self.equal("CNTPCT_EL0, closed,", "class", EL0, class, trapped.class());
    }

    /// Looks for devices that are not there.
    fn devices(&mut self) {
        let pair = form(&raw const exceptions_pair, 0);
        for (first, last) in DEVICES {
            for address in [first, (first + last) / 16 * 8, last] {
                for index in 0..FORMS {
                    let load = form(&raw const exceptions_loads, index);
                    let outcome = self.take(load, address, EL1_MASKED);
                    self.equal("device", "vector", address, None, outcome.vector);
                    self.equal("device", "value", address, 0, outcome.registers[1]);
                    let store = form(&raw const exceptions_stores, index);
                    let outcome = self.take(store, address, EL1_MASKED);
                    self.equal("device", "store", address, None, outcome.vector);
                }
                self.abort("pair", pair, address, EL1_MASKED, DATA_ABORT, 0);
            }
        }
        let load = form(&raw const exceptions_loads, 0);
        for address in BESIDE {
            self.abort("beside", load, address, EL1_MASKED, DATA_ABORT, 0);
        }
    }

    fn take(&mut self, code: u64, address: u64, spsr: u64) -> Outcome {
        let mut registers = [u64::MAX; 31];
        registers[0] = address;
        self.taken += 1;
        // SAFETY: this is vCPU 0, with the vectors installed; the code accesses nothing else, and
        // ends by an exception or by RET.
        unsafe { attempt(0, code, spsr, &registers) }
    }

    /// What all exceptions have in common.
    fn taken(&mut self, name: &str, code: u64, spsr: u64, outcome: &Outcome) {
        // From EL1 by its own stack pointer, or from EL0 in AArch64 state: synchronous.
        let vector = if spsr & 0xf == EL0 { 8 } else { 4 };
        self.equal(name, "vector", spsr, Some(vector), outcome.vector);
        self.equal(name, "ELR_EL1", spsr, code, outcome.elr);
        self.equal(name, "SPSR_EL1", spsr, spsr, outcome.spsr);
        if self.flags {
            self.equal(name, "NZCV", spsr, spsr & 0xf << 28, outcome.flags);
        }
    }

    fn equal<T: PartialEq + fmt::Debug>(
        &mut self,
        name: &str,
        what: &str,
        spsr: u64,
        expected: T,
        found: T,
    ) {
        self.mismatches
            .equal(format_args!("{name} {what} in {spsr:#x}"), expected, found);
    }
}
