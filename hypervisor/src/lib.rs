//! Pure parts of the hypervisor.
#![cfg_attr(not(test), no_std)]

pub mod aarch32;
pub mod debug;
pub mod disturbance;
pub mod guest_fdt;
pub mod guest_image;
pub mod modules;
pub mod physical_timer;
pub mod run_queue;
pub mod settings;
pub mod slots;
pub mod smccc;
pub mod stage2;
pub mod vgic;
pub mod virt;

pub mod id_registers;
pub mod syndrome;
pub mod terminal;
pub mod vpl011;
