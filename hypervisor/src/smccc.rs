//! Arm Architecture Calls: which version of the calling convention there is, and which workarounds a guest has to
//! call for.
//!
//! Source: Arm DEN 0028 "SMC Calling Convention" 1.1, section 7 "Arm Architecture Calls".

/// Function identifiers.
pub const VERSION: u32 = 0x8000_0000;
/// See [`VERSION`].
pub const ARCH_FEATURES: u32 = 0x8000_0001;
/// Against branch target injection, CVE-2017-5715.
pub const ARCH_WORKAROUND_1: u32 = 0x8000_8000;
/// Against speculative store bypass, CVE-2018-3639.
pub const ARCH_WORKAROUND_2: u32 = 0x8000_7fff;
/// Against branch history injection, CVE-2022-23960.
pub const ARCH_WORKAROUND_3: u32 = 0x8000_3fff;

/// The function does not exist.
pub const NOT_SUPPORTED: i64 = -1;
/// The function exists. Of a workaround: it has to be called.
pub const SUCCESS: i64 = 0;
/// Of a workaround: this core needs none, and may call it.
pub const NOT_REQUIRED: i64 = 1;
/// Version 1.1.
pub const VERSION_1_1: i64 = 1 << 16 | 1;

/// Returns whether a function identifier is that of an Arm Architecture Call by the 32-bit convention.
#[inline(always)]
pub const fn is_architecture_call(function: u64) -> bool {
    function as u32 >> 16 == 0x8000
}

/// What SMCCC_ARCH_FEATURES answers of the workarounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workarounds {
    branch_target: i64,
    store_bypass: i64,
    branch_history: i64,
}

/// How a call is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returns this.
    Returns(i64),
    /// Firmware has to be called for it: ARCH_WORKAROUND_1 or 3, without arguments and results.
    Firmware(u32),
}

impl Workarounds {
    /// Works them out for a core with this `ID_AA64PFR0_EL1`, where `firmware` is what firmware answers of a function;
    /// negative if there is none.
    ///
    /// CSV2 says that branches trained in one context do not steer speculation in another; CSV2 = 3, that their history does not
    /// either. ARCH_WORKAROUND_2 has a state that would have to be switched: EL2 has firmware turn the mitigation on for good
    /// where it is one to be called for ([`turns_on_store_bypass`]), so that a guest needs nothing.
    pub fn new(pfr0: u64, firmware: impl Fn(u32) -> i64) -> Self {
        let csv2 = pfr0 >> 56 & 0xf;
        let known = |proven: bool, function| match firmware(function) {
            _ if proven => NOT_REQUIRED,
            SUCCESS => SUCCESS,
            answer if answer > 0 => NOT_REQUIRED,
            _ => NOT_SUPPORTED,
        };
        Self {
            branch_target: known(csv2 >= 1, ARCH_WORKAROUND_1),
            store_bypass: match firmware(ARCH_WORKAROUND_2) {
                answer if answer >= 0 => NOT_REQUIRED,
                _ => NOT_SUPPORTED,
            },
            branch_history: known(csv2 >= 3, ARCH_WORKAROUND_3),
        }
    }

    /// Does an Arm Architecture Call; `argument` is its first one.
    pub const fn call(self, function: u32, argument: u32) -> Outcome {
        let answer = match function {
            VERSION => VERSION_1_1,
            ARCH_FEATURES => self.features(argument),
            ARCH_WORKAROUND_1 | ARCH_WORKAROUND_2 | ARCH_WORKAROUND_3 => {
                match self.features(function) {
                    SUCCESS => return Outcome::Firmware(function),
                    NOT_REQUIRED => SUCCESS,
                    answer => answer,
                }
            }
            _ => NOT_SUPPORTED,
        };
        Outcome::Returns(answer)
    }

    const fn features(self, function: u32) -> i64 {
        match function {
            VERSION | ARCH_FEATURES => SUCCESS,
            ARCH_WORKAROUND_1 => self.branch_target,
            ARCH_WORKAROUND_2 => self.store_bypass,
            ARCH_WORKAROUND_3 => self.branch_history,
            _ => NOT_SUPPORTED,
        }
    }
}

/// Returns whether EL2 has to have firmware turn its mitigation of speculative store bypass on, where this is
/// what it answers of ARCH_WORKAROUND_2.
pub const fn turns_on_store_bypass(firmware: i64) -> bool {
    firmware == SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [u32; 3] = [ARCH_WORKAROUND_1, ARCH_WORKAROUND_2, ARCH_WORKAROUND_3];

    fn answers(csv2: u64, firmware: i64) -> [i64; 3] {
        let workarounds = Workarounds::new(csv2 << 56, |_| firmware);
        ALL.map(|function| match workarounds.call(ARCH_FEATURES, function) {
            Outcome::Returns(answer) => answer,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_core_that_says_so_needs_no_workaround() {
        assert_eq!(answers(0, -1), [-1, -1, -1]);
        assert_eq!(answers(1, -1), [1, -1, -1]);
        assert_eq!(answers(3, -1), [1, -1, 1]);
    }

    #[test]
    fn what_firmware_has_is_passed_on() {
        assert_eq!(answers(0, 0), [0, 1, 0]);
        assert_eq!(answers(1, 0), [1, 1, 0]);
        assert_eq!(answers(0, 1), [1, 1, 1]);
        assert!(turns_on_store_bypass(0) && !turns_on_store_bypass(1));
    }

    #[test]
    fn calls_go_to_firmware_where_they_are_needed() {
        let needed = Workarounds::new(0, |_| 0);
        assert_eq!(
            ALL.map(|function| needed.call(function, 1)),
            [
                Outcome::Firmware(ARCH_WORKAROUND_1),
                Outcome::Returns(0),
                Outcome::Firmware(ARCH_WORKAROUND_3)
            ]
        );
        let nothing = Workarounds::new(1 << 56, |_| -1);
        assert_eq!(
            ALL.map(|function| nothing.call(function, 1)),
            [0, -1, -1].map(Outcome::Returns)
        );
    }

    #[test]
    fn the_convention_itself_is_there() {
        let none = Workarounds::new(0, |_| -1);
        for (function, argument, answer) in [
            (VERSION, 0, 0x1_0001),
            (ARCH_FEATURES, VERSION, 0),
            (ARCH_FEATURES, ARCH_FEATURES, 0),
            (ARCH_FEATURES, 0x8000_0002, -1),
            (ARCH_FEATURES, 0xc600_0000, -1),
            (0x8000_0002, 0, -1),
            (0x8000_ffff, 0, -1),
        ] {
            assert!(is_architecture_call(function.into()));
            assert_eq!(none.call(function, argument), Outcome::Returns(answer));
        }
        for other in [0x8400_0000, 0xc000_0000, 0, 0x8001_0000] {
            assert!(!is_architecture_call(other));
        }
        assert!(is_architecture_call(0xffff_ffff_8000_0001));
    }
}
