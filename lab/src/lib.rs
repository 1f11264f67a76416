//! The lab: runs the Trapcast hypervisor and its guests under QEMU and measures what they do.

pub mod agreement;
pub mod analysis;
pub mod boot;
pub mod chart;
pub mod cli;
pub mod commands;
pub mod doctor;
pub mod fuzzing;
pub mod inspect;
pub mod judge;
pub mod plane;
pub mod profile_table;
pub mod record;
pub mod recording;
pub mod replaying;
pub mod report;
pub mod stored;
pub mod study;
pub mod table;
pub mod timeline;
pub mod top;
pub mod versions;
pub mod workload;
