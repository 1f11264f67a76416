//! Checks the register moves and the gates at EL2 of QEMU's `virt` board: on bare metal, with nothing
//! else around. `tests/on_qemu.rs` links it, runs it and reads its console.
//!
//! Each check prints one line, `ok NAME` or `FAILED NAME: WHY`; the last line says how many of each.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[expect(unused_attributes, reason = "it is a crate, too")]
#[path = "../any_guest.rs"]
mod any_guest;
#[cfg(target_os = "none")]
mod board;
#[cfg(target_os = "none")]
mod check;
#[cfg(target_os = "none")]
mod fp;
#[cfg(target_os = "none")]
mod gates;
#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod pattern;
#[cfg(target_os = "none")]
mod registers;
#[cfg(target_os = "none")]
mod sme;
#[cfg(target_os = "none")]
mod sme_guest;
#[cfg(target_os = "none")]
mod sve;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("fpsimd_check boots on the bare board: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
