//! A static Linux program that debugs a child of its own, as gdb does: by single steps, hardware breakpoints
//! and hardware watchpoints of ptrace; and itself by a uprobe of the kernel.
//!
//! `linux-debug [ROUNDS]` prints `done rounds=N stops=N mismatches=N`. Its exit status is 0 if everything stopped
//! where it should, 1 if not, 2 if it could not run.

#![no_std]
#![no_main]

mod checks;
mod child;
mod trace;
mod uprobe;

trapcast_guests::linux_program!(checks::run);
