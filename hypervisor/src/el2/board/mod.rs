//! The machine around the CPU: memory, GIC, console, firmware, and the mailbox.

pub mod console;
pub mod gic;
pub mod memory;
pub mod panic;
pub mod report;
pub mod stacks;
pub mod vector_lengths;
pub mod workarounds;
