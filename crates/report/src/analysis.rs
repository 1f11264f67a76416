//! What a study's records say about the study's questions: shares, chances, distances, costs, each with
//! its uncertainty. `docs/report.md` has how each number is computed.
//!
//! | part | what it knows |
//! |---|---|
//! | `sample` | a window of a record, with what is asked of it |
//! | `estimate` | a number and its interval: bootstraps over windows and over workloads |
//! | `usage` | how often the registers are used, and after what |
//! | `modes` | whether tasks and resume points use them nearly always or nearly never |
//! | `machine` | the machines that costs are asked for, and their classes |
//! | `subject` | one workload: its windows looked at, its record replayed |
//! | `costs` | what schemes cost over several workloads |
//! | `verdict` | whether a forecast is worth it, by a rule |

pub mod costs;
pub mod estimate;
pub mod machine;
pub mod modes;
pub mod sample;
pub mod subject;
pub mod usage;
pub mod verdict;
