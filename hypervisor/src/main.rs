//! The EL2 program. It runs on QEMU's `virt` board, and nowhere else: built for any other target it
//! only says so.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod el2;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("trapcast-el2 runs at EL2: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
