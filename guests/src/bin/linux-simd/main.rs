//! A static Linux program: several processes that keep all FP/SIMD registers busy, give the CPU
//! away to each other, and check that each finds its registers and its results as they must be.
//!
//! It has no C library, so that no FP/SIMD instruction runs but those in [`simd`].

#![no_std]
#![no_main]

mod process;
mod simd;
mod work;

trapcast_guests::linux_program!(process::run);
