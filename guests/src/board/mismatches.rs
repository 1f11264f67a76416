//! What a guest finds that is not as it must be: all of it is counted, and the first is printed.

use core::fmt;

use crate::println;

/// As many are printed.
const PRINTED: u64 = 16;

/// How many there were; shown as that number.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Mismatches(pub u64);

impl Mismatches {
    /// Counts one.
    pub fn add(&mut self, what: fmt::Arguments<'_>) {
        self.0 += 1;
        if self.0 <= PRINTED {
            println!("MISMATCH {what}");
        }
    }

    /// Counts one unless both are equal.
    pub fn equal<T: PartialEq + fmt::Debug>(
        &mut self,
        what: fmt::Arguments<'_>,
        expected: T,
        found: T,
    ) {
        if expected != found {
            self.add(format_args!(
                "{what} expected={expected:x?} found={found:x?}"
            ));
        }
    }
}

impl fmt::Display for Mismatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
