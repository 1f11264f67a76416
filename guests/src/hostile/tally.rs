//! What the operations came to: exceptions by class, and what must not be.

use core::fmt;
use core::ops::AddAssign;

/// The numbers of a run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Operations.
    pub operations: u64,
    /// Operations that ended without an exception.
    pub returned: u64,
    /// Exceptions of class 0: undefined instructions.
    pub undefined: u64,
    /// Data aborts.
    pub data_aborts: u64,
    /// Instruction aborts.
    pub instruction_aborts: u64,
    /// Misaligned PC or SP.
    pub alignment: u64,
    /// Supervisor calls.
    pub calls: u64,
    /// Synchronous exceptions of any other class.
    pub others: u64,
    /// IRQs and FIQs.
    pub interrupts: u64,
    /// SErrors.
    pub serrors: u64,
    /// Outcomes that neither the architecture nor an interface allows.
    pub violations: u64,
}

/// The vector of an exception, in units of 0x80 bytes, less its source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Vector {
    Synchronous,
    Interrupt,
    SError,
}

impl Tally {
    /// Counts the end of an operation: no exception, or one at vector number `vector` of 16, with
    /// `ESR_EL1`.
    pub const fn count(&mut self, vector: Option<u64>, esr: u64) {
        let Some(vector) = vector else {
            self.returned += 1;
            return;
        };
        let vector = match vector % 4 {
            0 => Vector::Synchronous,
            3 => Vector::SError,
            _ => Vector::Interrupt,
        };
        let counter = match (vector, esr >> 26 & 0x3f) {
            (Vector::Interrupt, _) => &mut self.interrupts,
            (Vector::SError, _) => &mut self.serrors,
            (Vector::Synchronous, 0x00) => &mut self.undefined,
            (Vector::Synchronous, 0x20 | 0x21) => &mut self.instruction_aborts,
            (Vector::Synchronous, 0x24 | 0x25) => &mut self.data_aborts,
            (Vector::Synchronous, 0x22 | 0x26) => &mut self.alignment,
            (Vector::Synchronous, 0x11 | 0x15) => &mut self.calls,
            (Vector::Synchronous, _) => &mut self.others,
        };
        *counter += 1;
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.returned += other.returned;
        self.undefined += other.undefined;
        self.data_aborts += other.data_aborts;
        self.instruction_aborts += other.instruction_aborts;
        self.alignment += other.alignment;
        self.calls += other.calls;
        self.others += other.others;
        self.interrupts += other.interrupts;
        self.serrors += other.serrors;
        self.violations += other.violations;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            operations,
            returned,
            undefined,
            data_aborts,
            instruction_aborts,
            alignment,
            calls,
            others,
            interrupts,
            serrors,
            violations,
        } = self;
        write!(
            f,
            "operations={operations} returned={returned} undefined={undefined} \
             data-aborts={data_aborts} instruction-aborts={instruction_aborts} \
             alignment={alignment} calls={calls} others={others} interrupts={interrupts} \
             serrors={serrors} violations={violations}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn each_exception_has_its_counter() {
        let mut tally = Tally::default();
        tally.count(None, u64::MAX);
        for class in [0x00, 0x15, 0x20, 0x21, 0x22, 0x24, 0x25, 0x07] {
            tally.count(Some(4), class << 26);
        }
        for vector in [5, 6, 9, 7] {
            tally.count(Some(vector), 0);
        }
        assert_eq!(
            format!("{tally}"),
            "operations=0 returned=1 undefined=1 data-aborts=2 instruction-aborts=2 alignment=1 \
             calls=1 others=1 interrupts=3 serrors=1 violations=0"
        );
    }
}
