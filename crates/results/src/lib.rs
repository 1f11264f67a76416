//! What a study leaves: the types of `results.json`.
//!
//! | part | what it holds |
//! |---|---|
//! | `results` | the file, and one row per workload and scheme |
//! | `counters` | what vCPUs did |
//! | `figures` | what the counters amount to |
//! | `integrity` | whether registers were kept apart |
//! | `agreement` | a run's counts beside those of its replays |
//! | [`plane`] | what the plane over all costs is made of |
//! | [`by_name`] | values that the file holds under their names |
//! | [`example`] | results for the tests of what reads them |

mod agreement;
pub mod by_name;
mod counters;
mod error;
pub mod example;
mod figures;
mod integrity;
pub mod plane;
mod results;
#[cfg(test)]
mod tests;

pub use agreement::{Agreement, Moved};
pub use counters::{Counters, ratio};
pub use error::{Error, Result};
pub use figures::{Figures, Latency, WindowFigures, WindowKind};
pub use integrity::{Integrity, Verdict};
pub use results::{
    CourseResult, FORMAT, NOT_PROMPT, ProfileCosts, Replay, Results, RunCounters, RunTiming, Scale,
    SchemeResult, Timing, VcpuCounters, Versions,
};
