//! What needs EL2 itself: registers, tables, interrupts, guests. In layers, from the top: each may use those
//! behind it, and none in front of it.

mod arch;
mod board;
mod boot;
mod entry;
mod exits;
mod run;
mod sched;
mod state;
