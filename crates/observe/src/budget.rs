//! Limits on what exits may cost, as a TOML file has them: a check for somebody's CI.
//!
//! One line per kind of exit: `hypercall = 1100` allows 1,100 instructions outside of the guest from each hypercall
//! until the same vCPU goes on. `fp-trap` is a trap within a window. A kind that is seen and not listed breaks the
//! budget.

use std::collections::BTreeMap;

use trapcast_trace::report::EXIT_NAMES;

use crate::{
    summary::{gap, trap_cost},
    windows::{Observed, Window},
};

/// The name of a trap for FP/SIMD, SVE or SME within a window.
pub const FP_TRAP: &str = "fp-trap";

/// The most instructions by kind of exit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Budget {
    limits: BTreeMap<String, u64>,
}

impl Budget {
    /// Reads a budget from TOML.
    ///
    /// # Errors
    /// What is wrong and where, as the end of a sentence that begins with the file's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let limits: BTreeMap<String, u64> =
            toml::from_str(text).map_err(|error| format!("is no budget: {error}"))?;
        let is_known = |name: &str| name == FP_TRAP || EXIT_NAMES.contains(&name);
        if let Some(unknown) = limits.keys().find(|name| !is_known(name)) {
            return Err(format!(
                "has a limit for {unknown:?}, which is no kind of exit: there are {}, {FP_TRAP}",
                EXIT_NAMES.join(", ")
            ));
        }
        Ok(Self { limits })
    }

    /// Compares what was seen with the limits.
    ///
    /// # Errors
    /// The first window that breaks them, in a sentence.
    pub fn check(&self, observed: &Observed) -> Result<(), String> {
        let windows = &observed.windows;
        windows
            .iter()
            .enumerate()
            .try_for_each(|(number, window)| self.check_window(number, window, windows))
    }

    fn check_window(&self, number: usize, window: &Window, all: &[Window]) -> Result<(), String> {
        let about = || {
            let vcpu = window.vcpu;
            let core = window.seen.core;
            format!(
                "window {number} (core {core}, vCPU {vcpu}, entered at {:#x}, left at {:#x})",
                window.seen.pc, window.seen.exit_pc
            )
        };
        let check = |kind: &str, cost: Option<u64>| match (self.limits.get(kind), cost) {
            (None, _) => Err(format!(
                "the budget has no limit for {kind}, by which {} ended",
                about()
            )),
            (Some(limit), Some(cost)) if cost > *limit => Err(format!(
                "the budget allows {limit} instructions for {kind}, and {} took {cost}",
                about()
            )),
            _ => Ok(()),
        };
        if window.seen.fp_traps > 0 {
            check(FP_TRAP, trap_cost(window))?;
        }
        let next = window.next.map(|next| &all[next]);
        let returned = next.filter(|next| next.vcpu == window.vcpu);
        check(EXIT_NAMES[window.exit as usize], returned.map(gap))
    }
}

#[cfg(test)]
mod tests {
    use trapcast_trace::observed::ObservedWindow;

    use super::*;
    use crate::windows::tests::seen;

    fn observed() -> Observed {
        let hypercall = seen(0, 1, 0x1000, 0x1004, 0x16 << 26);
        let trapped = ObservedWindow {
            el2_instructions: 1044,
            traps: 1,
            fp_traps: 1,
            trap_instructions: 189,
            ..hypercall
        };
        let last = ObservedWindow {
            el2_instructions: 900,
            ..hypercall
        };
        Observed::of(vec![hypercall, trapped, last])
    }

    #[test]
    fn what_is_within_its_limits_passes() {
        let budget = Budget::parse("hypercall = 1044\nfp-trap = 189\nmmio = 1\n").unwrap();
        assert_eq!(budget.check(&observed()), Ok(()));
    }

    #[test]
    fn the_first_window_that_breaks_a_limit_is_named() {
        for (text, wanted) in [
            (
                "hypercall = 1043\nfp-trap = 189",
                "the budget allows 1043 instructions for hypercall, and window 0 (core 0, vCPU 0, entered at \
                 0x1000, left at 0x1004) took 1044",
            ),
            (
                "hypercall = 2000\nfp-trap = 188",
                "188 instructions for fp-trap, and window 1",
            ),
            ("fp-trap = 189", "no limit for hypercall, by which window 0"),
            (
                "hypercall = 2000",
                "no limit for fp-trap, by which window 1",
            ),
        ] {
            let broken = Budget::parse(text).unwrap().check(&observed());
            let told = broken.unwrap_err();
            assert!(told.contains(wanted), "{told}");
        }
    }

    #[test]
    fn what_is_no_budget_is_refused() {
        for (text, wanted) in [
            ("hypercall", "is no budget: "),
            ("hypercall = -1", "is no budget: "),
            (
                "vmexit = 5",
                "\"vmexit\", which is no kind of exit: there are virtual-timer,",
            ),
        ] {
            let told = Budget::parse(text).unwrap_err();
            assert!(told.contains(wanted), "{told}");
        }
    }
}
