//! The lab: runs the Trapcast hypervisor and its guests under QEMU and measures what they do.

pub mod bench;
pub mod board;
pub mod boot;
pub mod cli;
pub mod commands;
pub mod console;
pub mod doctor;
pub mod error;
pub mod figures;
pub mod fpcheck;
pub mod image;
pub mod initrd;
pub mod kvm;
pub mod machine;
pub mod memory;
pub mod paths;
pub mod progress;
pub mod qemu;
pub mod results;
pub mod run;
pub mod signals;
pub mod study;
pub mod table;
pub mod toolchain;
pub mod workload;
