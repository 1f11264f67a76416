//! Runs the Trapcast hypervisor and its guests under QEMU, and takes what they leave.

pub mod arch;
pub mod board;
pub mod console;
pub mod host;
pub mod image;
pub mod initrd;
pub mod machine;
pub mod memory;
pub mod program;
pub mod qemu;
pub mod ring;
pub mod run;
pub mod toolchain;
pub mod unpack;
pub mod userland;
pub mod vectors;
