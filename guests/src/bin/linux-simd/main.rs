//! A static Linux program: several processes that keep all FP/SIMD registers busy, give the CPU
//! away to each other, and check that each finds its registers and its results as they must be.
//!
//! It has no C library, so that no FP/SIMD instruction runs but those in [`simd`].

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod process;
#[cfg(target_os = "none")]
mod simd;
#[cfg(target_os = "none")]
mod work;

#[cfg(target_os = "none")]
trapcast_guests::linux_program!(process::run);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("linux-simd runs on arm64 Linux: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
