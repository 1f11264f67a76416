//! Runs workloads under the hypervisor: each under every scheme for a study, or one by one to record them.
//!
//! | part | what it does |
//! |---|---|
//! | [`workload`] | what can be run |
//! | `study` | each workload under each scheme, once to count and once to observe: [`study()`] |
//! | [`verify`] | whether a study that is run again repeats its results |
//! | [`recording`] | workloads recorded |
//! | [`observing`] | any hypervisor under the observer |
//! | [`comparing`] | hypervisors side by side |
//! | [`versions`] | what it all ran on |
//! | [`table`] | the main table of a study |

pub mod comparing;
pub mod observing;
pub mod recording;
mod study;
pub mod table;
pub mod versions;
pub mod workload;

pub use study::{Plan, finished, latency, study, verify};
