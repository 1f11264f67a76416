//! What needs EL2 itself: registers, tables, interrupts, guests.

mod boot;
mod console;
mod core;
mod cores;
mod exit;
mod gic;
mod host_simd;
mod inject;
mod memory;
mod meter;
mod mmio;
mod panic;
mod psci;
mod record;
mod registers;
mod report;
mod run;
mod scheduler;
mod stacks;
mod sysreg;
mod system_registers;
mod timer;
mod vcpu;
mod vectors;
mod vm;
