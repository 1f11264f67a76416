//! The lab: runs the Trapcast hypervisor and its guests under QEMU and measures what they do.

pub mod boot;
pub mod cli;
pub mod commands;
pub mod doctor;
pub mod fuzzing;
pub mod import;
pub mod observe;
pub mod study;
pub mod timeline;
pub mod top;
