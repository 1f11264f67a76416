//! What the hypervisor leaves in memory for the lab to read: fixed, versioned layouts.
//!
//! The hypervisor and the lab share one region of physical memory, the *mailbox*, at a fixed place
//! in the board's RAM that no guest can reach. QEMU backs that RAM by a file, from which the lab
//! reads the mailbox. The hypervisor counts in place, so that a running hypervisor can be looked at
//! and a finished one needs no serializer: what lies there when the machine stops is the report.
//!
//! A hypervisor that records leaves one [`record`] per window in rings at another fixed place, which
//! the lab empties while the guests run.
//!
//! All fields are little-endian and naturally aligned, with no padding that is not named.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "serde")]
extern crate alloc;

pub mod bins;
#[cfg(feature = "serde")]
pub mod histogram;
pub mod observed;
pub mod random;
pub mod record;
pub mod report;

/// Physical address of the mailbox on QEMU's `virt` board: above the FDT (1 MiB at the start of
/// RAM), below the hypervisor's image.
pub const MAILBOX_ADDRESS: u64 = 0x4010_0000;

/// Offset of the mailbox from the start of the board's RAM, and so in the file that backs it.
pub const MAILBOX_OFFSET: u64 = 0x0010_0000;

/// Size of the mailbox in bytes.
pub const MAILBOX_SIZE: u64 = 0x0010_0000;

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
