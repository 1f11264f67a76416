//! The hostile guest: random operations, each of which tries to stop EL2, to reach beyond its own VM,
//! or to be treated otherwise than the architecture says.
//!
//! One [`Kind`] of operation stands for each surface that EL2 shows to a guest. Everything that is
//! random comes from one seed. The guest takes all of its own exceptions and goes on with the next
//! operation; it checks what each of them may and may not do (`attempt`).

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod accesses;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod attempt;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod code;
pub mod instructions;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod interrupts;
pub mod kinds;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod operations;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod regime;
pub mod settings;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod several;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod system;
pub mod tally;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod user;
pub mod values;

pub use kinds::{Kind, Kinds};
