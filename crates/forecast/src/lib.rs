//! Forecasts whether a guest is about to use its FP/SIMD registers.
//!
//! A *window* is what one decision covers: guest execution from an entry to its exit, or
//! from the load of a vCPU to its put ([`Window`]). At its start a [`Forecaster`] is asked once
//! whether to load the guest's registers now ([`Decision`]); at its end it learns what could be seen
//! of it ([`Evidence`]). Arm has no dirty bit for these registers, so a window that ran with the gate
//! open leaves no evidence at all, and a forecaster is never given any.
//!
//! Every scheme that hypervisors and kernels have used implements this one interface, rule for
//! rule, weaknesses included ([`Scheme`]). Nothing here knows what a register is: integers only, no
//! allocation, no `unsafe`. The same code runs at EL2 and wherever a scheme is judged.
//!
//! ```
//! use trapcast_forecast::{Decision, Evidence, Rule, Scheme};
//!
//! let mut forecaster = Rule::new(Scheme::LastTrap);
//! assert_eq!(forecaster.decide(), Decision::Leave);
//! forecaster.learn(Evidence::Used);
//! assert_eq!(forecaster.decide(), Decision::Load);
//! ```

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod accounts;
mod costs;
mod decision;
mod floor;
mod forecaster;
mod prices;
mod rule;
mod scheme;

pub use accounts::Accounts;
pub use costs::Costs;
pub use decision::{Decision, Evidence, Resume};
pub use forecaster::Forecaster;
pub use prices::Prices;
pub use rule::{COUNTER_THRESHOLD, CREDIT, Rule};
pub use scheme::{Release, Scheme, UnknownScheme, Window};

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
