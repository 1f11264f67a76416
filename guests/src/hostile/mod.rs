//! The hostile guest: random operations, each of which tries to stop EL2, to reach beyond its own VM,
//! or to be treated otherwise than the architecture says.
//!
//! One [`Kind`] of operation stands for each surface that EL2 shows to a guest. Everything that is
//! random comes from one seed. The guest takes all of its own exceptions and goes on with the next
//! operation; it checks what each of them may and may not do ([`attempt`]).

#[cfg(target_os = "none")]
pub mod accesses;
#[cfg(target_os = "none")]
pub mod attempt;
#[cfg(target_os = "none")]
pub mod code;
pub mod instructions;
#[cfg(target_os = "none")]
pub mod interrupts;
pub mod kinds;
#[cfg(target_os = "none")]
pub mod operations;
#[cfg(target_os = "none")]
pub mod regime;
pub mod settings;
#[cfg(target_os = "none")]
pub mod several;
#[cfg(target_os = "none")]
pub mod system;
pub mod tally;
#[cfg(target_os = "none")]
pub mod user;
pub mod values;

pub use kinds::{Kind, Kinds};
