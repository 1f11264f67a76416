//! Accesses to every system register there is, and to those that EL1 has over and over.

use super::code;
use super::instructions::{EverySystemAccess, SystemAccess};
use super::operations::Hostile;

/// Instructions that are made at a time.
const BATCH: usize = 64;

/// Encodings that are remembered because EL1 has them.
const REMEMBERED: usize = 1024;

/// Which accesses are tried, and those that are made.
#[derive(Debug)]
pub struct SystemAccesses {
    every: EverySystemAccess,
    made: [SystemAccess; BATCH],
    used: usize,
    remembered: [SystemAccess; REMEMBERED],
    found: usize,
}

impl SystemAccesses {
    /// Starts a round of all of them at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut every = EverySystemAccess::new(seed);
        let first = every.next_access();
        Self {
            every,
            made: [first; BATCH],
            used: BATCH,
            remembered: [first; REMEMBERED],
            found: 0,
        }
    }
}

impl Hostile {
    pub(super) fn system_access(&mut self) {
        if self.mmu {
            // What is in TTBR0_EL1 must not change now.
            self.set_mmu(false, 0);
        }
        if self.system.used == BATCH {
            for index in 0..BATCH {
                let access = self.next_access();
                self.system.made[index] = access;
                code::make(self.vcpu, index, access.instruction(0));
            }
            code::publish();
            self.system.used = 0;
        }
        let access = self.system.made[self.system.used];
        let code = code::address(self.vcpu, self.system.used);
        self.system.used += 1;
        let mut registers = self.registers();
        let value = if access.op0 == 1 {
            self.values.address()
        } else {
            self.values.number()
        };
        registers[0] = access.harmless(value);
        let outcome = self.attempt_at_el1(code, &registers);
        if outcome.vector.is_none() {
            let at = self.system.found % REMEMBERED;
            self.system.remembered[at] = access;
            self.system.found += 1;
        }
        self.expect(
            outcome.vector.is_some() || !access.is_above_el1(),
            || "EL1 has a register of EL2",
        );
        self.expect(
            outcome.registers[1..18] == registers[1..18],
            || "a system register access changed a register other than x0",
        );
    }

    /// One that has not been yet in this round, or one that EL1 has.
    fn next_access(&mut self) -> SystemAccess {
        if self.system.found == 0 || self.values.once_in(2) {
            return self.system.every.next_access();
        }
        let known = self.system.found.min(REMEMBERED) as u64;
        self.system.remembered[self.values.below(known) as usize]
    }
}
