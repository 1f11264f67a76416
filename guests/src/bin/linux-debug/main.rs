//! A static Linux program that debugs a child of its own, as gdb does: by single steps, hardware breakpoints
//! and hardware watchpoints of ptrace; and itself by a uprobe of the kernel.
//!
//! `linux-debug [ROUNDS]` prints `done rounds=N stops=N mismatches=N`. Its exit status is 0 if everything stopped
//! where it should, 1 if not, 2 if it could not run.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod checks;
#[cfg(target_os = "none")]
mod child;
#[cfg(target_os = "none")]
mod trace;
#[cfg(target_os = "none")]
mod uprobe;

#[cfg(target_os = "none")]
trapcast_guests::linux_program!(checks::run);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("linux-debug runs on arm64 Linux: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
