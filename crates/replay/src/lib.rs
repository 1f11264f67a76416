//! Replays: every scheme over a record of what the guests did, with the code that runs at EL2.
//!
//! [`replay_record`] counts for each scheme what the state machine of `trapcast-switch` would have done with
//! the schemes of `trapcast-forecast`, over the windows of a record. A scheme sees of a window what that
//! state machine shows it, and nothing else. Beside them it counts what the windows did, and for each
//! cost profile the offline optimum. What it keeps does not grow with the number of windows.
//! [`replay_work`] counts only where all VMs are at work.
//!
//! | part | what it does |
//! |---|---|
//! | `machine` | one window by the state machine |
//! | `table` | the same as a table, filled as it is used |
//! | `batch` | windows cut up for the lanes |
//! | `lane` | one scheme over a record, by its table |
//! | `follow` | one scheme over a record, window by window, and what it does with the registers |
//! | `windows` | what the windows did |
//! | `oracle`, `walk` | the cheapest decisions, and the same as a table |
//! | `cost` | what counts cost |
//! | `replay` | all of it, on one thread or several |
//! | `unseen` | the same twice, where not all of a record was to be seen |
//!
//! No function here prints, and those that take long are told by their caller whether to go on.

mod batch;
mod cost;
mod counts;
mod error;
mod follow;
mod lane;
mod machine;
mod oracle;
mod outcome;
mod replay;
mod table;
#[cfg(test)]
mod tests;
mod unseen;
mod walk;
mod windows;

pub use cost::{Moves, ratio};
pub use counts::SchemeCounts;
pub use error::{Error, Result};
pub use follow::{Cause, Follower, Owner, Step};
pub use lane::Asked;
pub use outcome::{OracleOutcome, Outcome, SchemeOutcome, Standing};
pub use replay::{Counted, Replay, replay_record, replay_work};
pub use trapcast_record::{Cancel, Event};
pub use unseen::{Bounds, is_bounded, replay_bounds};
pub use windows::Windows;

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
