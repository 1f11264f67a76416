//! The guest `exceptions`: takes exceptions that a hypervisor may have to make for it, of loads, stores and
//! fetches where there is nothing and of an instruction that it has not, and checks that each is as the
//! architecture says: ESR_EL1, FAR_EL1, ELR_EL1, SPSR_EL1 and, with the word `flags` in its bootargs,
//! PSTATE.{N, Z, C, V} in the handler, which QEMU's own exceptions clear.
//!
//! Source: Arm ARM, "AArch64.TakeException", "ISS encoding for an exception from a Data Abort".

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
trapcast_guests::entry!(guest::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("exceptions boots on the bare board: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}

#[cfg(target_os = "none")]
mod guest {
    //! What runs on the board.

    use core::arch::global_asm;
    use core::fmt;

    use trapcast_guests::board::fdt::Machine;
    use trapcast_guests::board::gic;
    use trapcast_guests::hostile::attempt::{EL0, EL1_MASKED, Outcome, attempt, install};
    use trapcast_guests::hostile::regime;
    use trapcast_guests::println;

    /// Mismatches that are printed; the others are only counted.
    const PRINTED_MISMATCHES: u64 = 8;

    /// A physical address where the board has nothing.
    const NOWHERE: u64 = 0x7000_0000;

    /// Classes of aborts from EL0; one more is from EL1.
    const INSTRUCTION_ABORT: u64 = 0x20;
    const DATA_ABORT: u64 = 0x24;
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
        "#
    );

    unsafe extern "C" {
        static exceptions_loads: u8;
        static exceptions_stores: u8;
        static exceptions_pmcr: u8;
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
        let mut check = Check {
            flags: machine.bootargs == "flags",
            taken: 0,
            mismatches: 0,
        };
        for level in [EL1_MASKED, EL0] {
            for flags in FLAGS {
                for index in 0..FORMS {
                    let load = form(&raw const exceptions_loads, index);
                    check.abort("load", load, level | flags, DATA_ABORT, 0);
                    let store = form(&raw const exceptions_stores, index);
                    check.abort("store", store, level | flags, DATA_ABORT, WNR);
                }
                check.abort("fetch", NOWHERE, level | flags, INSTRUCTION_ABORT, 0);
                check.undefined(form(&raw const exceptions_pmcr, 0), level | flags);
            }
        }
        let Check {
            taken, mismatches, ..
        } = check;
        println!("done taken={taken} mismatches={mismatches}");
    }

    struct Check {
        /// Whether flags are to be looked at.
        flags: bool,
        taken: u64,
        mismatches: u64,
    }

    impl Check {
        /// Takes the abort of the instruction at `code`, which accesses [`NOWHERE`].
        fn abort(&mut self, name: &str, code: u64, spsr: u64, class: u64, wnr: u64) {
            let outcome = self.take(code, spsr);
            let same_level = u64::from(spsr & 0xf != EL0);
            let esr = (class + same_level) << 26 | IL | wnr | EXTERNAL;
            self.equal(name, "ESR_EL1", spsr, esr, outcome.esr & COMPARED);
            self.equal(name, "FAR_EL1", spsr, NOWHERE, outcome.far);
            self.taken(name, code, spsr, &outcome);
        }

        /// Takes the exception of an instruction, unless this machine has it.
        fn undefined(&mut self, code: u64, spsr: u64) {
            let outcome = self.take(code, spsr);
            if outcome.class() == Some(0) {
                self.equal("undefined", "ESR_EL1", spsr, IL, outcome.esr);
                self.taken("undefined", code, spsr, &outcome);
            }
        }

        fn take(&mut self, code: u64, spsr: u64) -> Outcome {
            let mut registers = [0; 31];
            registers[0] = NOWHERE;
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
            if expected != found {
                self.mismatches += 1;
                if self.mismatches <= PRINTED_MISMATCHES {
                    println!(
                        "MISMATCH {name} {what} in {spsr:#x} expected={expected:x?} found={found:x?}"
                    );
                }
            }
        }
    }
}
