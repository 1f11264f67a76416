//! Identification registers: a table of all fields that a guest may be shown, each with a use by which it is known
//! to be true, and what comes of trying them all.

use core::fmt;

/// What has to work if a field shows this value, or a higher one.
pub type Level = (u8, fn() -> bool);

/// How a field is known to be true.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// What has to work. No other value but 0 may be shown.
    Uses(&'static [Level]),
    /// Whether a value, 0 too, is true.
    Tells(fn(u8) -> bool),
    /// No use can tell. These values may be shown besides 0, or any if none stands here; and how a wrong one would
    /// be noticed.
    Untold(&'static [u8], &'static str),
}

/// A field: its name, lowest bit, width in bits, and rule.
pub type Field = (&'static str, u32, u32, Rule);

/// A register.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// Its name.
    pub name: &'static str,
    /// Reads it.
    pub read: fn() -> u64,
    /// Its fields, from bit 0 on.
    pub fields: &'static [Field],
}

/// What came of trying them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Fields that show something.
    pub shown: u64,
    /// Of these, those that no use can tell.
    pub untold: u64,
    /// Fields that are not true, or that nobody knows.
    pub mismatches: u64,
}

impl Tally {
    /// Tries all fields of a register. `report` gets a sentence of each that is not true, and of what no field
    /// stands for. A `bare` CPU may show more than is known, as no hypervisor hides it.
    pub fn register(
        &mut self,
        register: &Register,
        bare: bool,
        report: &mut dyn FnMut(fmt::Arguments<'_>),
    ) {
        let Register { name, fields, .. } = *register;
        let value = (register.read)();
        let mut unknown = value;
        for &(field, shift, width, rule) in fields {
            let mask = u64::MAX >> (64 - width);
            unknown &= !(mask << shift);
            let shown = value >> shift & mask;
            self.shown += u64::from(shown != 0);
            let is = |known: u8| u64::from(known) == shown;
            let (is_true, why) = match rule {
                Rule::Uses(uses) => {
                    let known = bare || shown == 0 || uses.iter().any(|&(from, _)| is(from));
                    let mut asked = uses.iter().filter(|(from, _)| u64::from(*from) <= shown);
                    (
                        known && asked.all(|(_, works)| works()),
                        "no use of it works",
                    )
                }
                Rule::Tells(tells) => (tells(shown as u8), "no use of it works"),
                Rule::Untold(values, why) => {
                    self.untold += u64::from(shown != 0);
                    let known = values.is_empty() || values.iter().any(|&known| is(known));
                    (bare || shown == 0 || known, why)
                }
            };
            if !is_true {
                self.mismatches += 1;
                report(format_args!("{name}.{field}={shown:#x}: {why}"));
            }
        }
        if unknown != 0 && !bare {
            self.mismatches += 1;
            report(format_args!("{name} & {unknown:#x}: nobody knows it"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::String, vec::Vec};

    const fn of(read: fn() -> u64) -> Register {
        Register {
            name: "ID",
            read,
            fields: &[
                ("Works", 0, 4, Rule::Uses(&[(1, || true), (3, || true)])),
                ("Fails", 4, 4, Rule::Uses(&[(1, || true), (2, || false)])),
                ("Tells", 8, 4, Rule::Tells(|value| value == 0)),
                ("Untold", 12, 4, Rule::Untold(&[2], "of chance")),
            ],
        }
    }

    fn tried(read: fn() -> u64, bare: bool) -> (Tally, Vec<String>) {
        let (mut tally, mut said) = (Tally::default(), Vec::new());
        tally.register(&of(read), bare, &mut |what| said.push(format!("{what}")));
        (tally, said)
    }

    #[test]
    fn what_works_and_what_is_hidden_is_true() {
        let (tally, said) = tried(|| 0x2013, false);
        let expected = Tally {
            shown: 3,
            untold: 1,
            mismatches: 0,
        };
        assert_eq!((tally, said), (expected, [""; 0].map(String::from).into()));
        assert_eq!(tried(|| 0, false).0, Tally::default());
    }

    #[test]
    fn what_does_nothing_or_is_not_known_is_told() {
        for (read, told) in [
            ((|| 0x20) as fn() -> u64, "ID.Fails=0x2: no use of it works"),
            (|| 0x2, "ID.Works=0x2: no use of it works"),
            (|| 0x100, "ID.Tells=0x1: no use of it works"),
            (|| 0x1000, "ID.Untold=0x1: of chance"),
            (|| 1 << 40, "ID & 0x10000000000: nobody knows it"),
        ] {
            let (tally, said) = tried(read, false);
            assert_eq!((tally.mismatches, said), (1, [told.into()].into()));
        }
    }

    #[test]
    fn a_bare_cpu_may_show_more_but_nothing_that_does_not_work() {
        assert_eq!(tried(|| 1 << 40 | 0x1002, true).0.mismatches, 0);
        assert_eq!(tried(|| 0x23, true).0.mismatches, 1);
    }
}
