//! Whose FP/SIMD registers are in the CPU, and what has to move at each event.
//!
//! A [`Core`] knows who owns the registers of one physical core: the host or a guest. A [`Guest`] is
//! one vCPU with its forecaster. The hypervisor reports events and carries out what they answer:
//!
//! | event | reported by | answer |
//! |---|---|---|
//! | the vCPU becomes the core's current one | [`Core::elsewhere`] | which core to ask for its registers first |
//! | another core asks for a guest's registers | [`Core::release`] | what to move |
//! | the core that was asked has done so | [`Guest::arrived`] | |
//! | another vCPU than the last becomes the current one | [`Core::make_way`] | what to move |
//! | the vCPU is about to enter the guest | [`Core::enter`] | what to move, how to set the gate |
//! | the guest has SME, and that was done but for the gate | [`Core::load_streaming`] | the same |
//! | the guest hit the armed trap | [`Core::trap`] | what to move, how to set the gate |
//! | the guest exited, for any other reason | [`Core::exit`] | what to move |
//! | the vCPU stops being the current one | [`Core::put`] | what to move |
//! | the host is about to use the registers itself | [`Core::host_begin`] | whose to save |
//! | it has done so | [`Core::host_end`] | whose to load |
//! | a guest's registers are wanted in memory, as for its reset | [`Core::evict`] | what to move |
//! | a vCPU is never to run again, and its context may be another's | [`Core::retire`] | what to move |
//!
//! A [`GateRegister`] remembers the state of the core's gate, and says when it has to be written.
//!
//! The crate decides nothing: that is `trapcast-forecast`. It touches no hardware: a context `C`
//! identifies memory that holds one register file, such as a pointer or an index, and an
//! [`Exchange`] is carried out by the caller. So the code that runs at EL2 is the code that tests,
//! replays and model checkers run.
//!
//! # Classes
//! Registers come in classes ([`Class`]): FP/SIMD, SVE above it, SME above that. A core holds an owner's
//! registers up to some class, and the gate may be open so far and no further: a guest that adds
//! numbers need not pay for vectors of 2048 bits. Each class has a forecaster of its own, under the
//! same scheme, and the entry loads up to the highest class that one of them wants. A guest has the
//! class that it was made with ([`Guest::with_classes`]) at most; without more, FP/SIMD alone.
//!
//! The register file decides how little may be loaded ([`Context::least`]): with something in the
//! upper part of Z, V cannot be loaded without it.
//!
//! **Streaming mode** is state that no gate protects: SVCR.SM decides which field of the guest's own
//! `CPACR_EL1` an access is checked by, and that comes before `CPTR_EL2`. So a guest in streaming mode is
//! loaded at its entry whatever its scheme says ([`Core::load_streaming`]), and another's streaming mode
//! leaves the core before it is entered ([`Core::make_way`]): SVCR.SM is a guest's own whenever it runs.
//! Both cost nothing where no guest has SME.
//!
//! # Several cores
//! A vCPU may run next on any core once it was put. A scheme that gives the registers back on demand
//! leaves them in the old one ([`Guest::loaded_on`]), and only that core can save them. So the new core
//! asks it, by an interrupt, and does nothing else with the vCPU until it was answered. The old core
//! needs no [`Guest`] for its part, which is the new one's already: the context says whose registers
//! are meant. The answer says whether it still had them, so that the guest can count.
//!
//! A core that waits for an answer has to serve requests itself: two cores may wait for each other.
//! What the old core wrote to the context has to be visible to the new one before the answer is: a
//! release by the one and an acquire by the other. Both are the hypervisor's; nothing in this crate is
//! shared between cores.
//!
//! # Invariants
//! 1. The registers up to [`Core::held`] hold the values of [`Core::owner`]'s context, whose memory is
//!    stale so far; above it, and of every context that owns no core's registers, memory is current.
//! 2. The gate is open only for a guest that owns the registers, and no further than they are held.
//! 3. The host owns the registers whenever its own code may use them.
//! 4. One core at most has a guest's registers: the one that runs it, or the one that its put left them in.
//! 5. While a guest runs, SVCR.SM is its own.
//!
//! [`Scheme::None`](trapcast_forecast::Scheme::None) breaks the first two on purpose. `tests/model`
//! holds all others to these in every state that two cores and three vCPUs can reach, one of them with
//! streaming mode or none, and `tests/classes` two vCPUs with SVE and SME, class by class.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod class;
mod context;
mod core;
mod counts;
mod forecast;
mod gate;
mod guest;

pub use self::core::{Core, Entry, Exchange};
pub use class::Class;
pub use context::Context;
pub use counts::{ClassCounts, Counts, Tally};
pub use forecast::{Forecast, Resuming};
pub use gate::{Gate, GateRegister};
pub use guest::Guest;

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
