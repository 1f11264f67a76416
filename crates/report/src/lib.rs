//! What records and results say: tables, charts, and the page that answers a study's questions.
//!
//! | part | what it does |
//! |---|---|
//! | [`record`], [`stored`] | records and results as commands read them, with errors that say what to do |
//! | [`inspect`] | what is in a record |
//! | [`replaying`], [`agreement`] | replays as tables, and beside the runs that they replay |
//! | [`plane`], [`profile_table`] | the cheapest scheme for any costs, and the costs of known machines |
//! | [`analysis`] | figures of a whole study with their uncertainty, and verdicts |
//! | [`hypervisors`] | hypervisors side by side, as an observer saw them |
//! | [`others`] | KVM and Xen, as the study asks them |
//! | [`chart`] | SVG of them |
//! | `report` | the page and the data behind it: [`write()`] |

pub mod agreement;
pub mod analysis;
pub mod chart;
pub mod hypervisors;
pub mod inspect;
pub mod others;
pub mod plane;
pub mod profile_table;
pub mod record;
pub mod replaying;
mod report;
pub mod stored;

pub use report::{ANSWERS, Answered, DATA, PAGE, Written, write};
