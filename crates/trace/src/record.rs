//! The record of one window from an entry into a guest to its exit, and the ring that holds records
//! between EL2, which writes them, and the lab, which reads them while the guest runs.
//!
//! A window from the load of a vCPU to its put is a run of these: from one with [`Flags::LOADED`] to
//! the next with [`Flags::PUT`].
//!
//! There is one ring per core: a [`RingHeader`] and [`RING_CAPACITY`] slots. EL2 writes a record into the slot of
//! [`RingHeader::head`] while its window lasts, and moves `head` when nothing more can happen to
//! it: at the core's next entry, or at the end of everything. The reader moves
//! [`RingHeader::tail`] when it has copied a record. A full ring makes EL2 wait, and the guest with
//! it; [`RingHeader::waits`] counts how often, so that it is never silent.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::report::MAX_CORES;

/// First eight bytes of a ring that a hypervisor has set up.
pub const MAGIC: u64 = u64::from_le_bytes(*b"TRAPRING");

/// Version of the layout of rings and records. A reader refuses any other.
pub const VERSION: u32 = 2;

/// Physical address of the rings on QEMU's `virt` board: above the hypervisor's image, below the
/// guests' modules. The headers of all cores come first, then the slots of one core after the other.
pub const RINGS_ADDRESS: u64 = 0x43ff_f000;

/// Offset of the rings from the start of the board's RAM, and so in the file that backs it.
pub const RINGS_OFFSET: u64 = 0x03ff_f000;

/// Size of all rings in bytes.
pub const RINGS_SIZE: u64 = SLOTS_OFFSET + MAX_CORES as u64 * RING_CAPACITY * RECORD_SIZE;

/// Records that a ring holds: a power of two.
pub const RING_CAPACITY: u64 = 1 << 16;

const RECORD_SIZE: u64 = size_of::<Record>() as u64;

/// Bytes from one core's header to the next one's.
const HEADER_STRIDE: u64 = 0x100;

/// Bytes from the start of the rings to the first slot of all.
const SLOTS_OFFSET: u64 = 0x1000;

/// [`Record::first_use`] of a window that did not use the registers.
pub const NEVER: u32 = u32::MAX;

/// The start of a ring. What EL2 writes and what the reader writes lie in different cache lines.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct RingHeader {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// Size of one record in bytes.
    pub record_size: u32,
    /// Records that the ring holds.
    pub capacity: u64,
    /// Records that are complete, over all time. The next one goes to slot `head % capacity`.
    /// Written by EL2.
    pub head: u64,
    /// Times that EL2 found the ring full and waited. Written by EL2.
    pub waits: u64,
    reserved: [u64; 11],
    /// Records that the reader has taken, over all time. Written by the reader.
    pub tail: u64,
}

/// Offset in a ring of [`RingHeader::tail`].
pub const TAIL_OFFSET: u64 = core::mem::offset_of!(RingHeader, tail) as u64;

impl RingHeader {
    /// Returns the header of an empty ring.
    pub const fn new() -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            record_size: size_of::<Record>() as u32,
            capacity: RING_CAPACITY,
            head: 0,
            waits: 0,
            reserved: [0; 11],
            tail: 0,
        }
    }
}

impl Default for RingHeader {
    fn default() -> Self {
        Self::new()
    }
}

bitflags! {
    /// What was so of a window: [`Record::flags`].
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
    pub struct Flags: u8 {
        /// It is the first since the vCPU was loaded.
        const LOADED = 1 << 0;
        /// The vCPU was put after it, before the core's next window.
        const PUT = 1 << 1;
        /// It used the FP/SIMD registers.
        const FP = 1 << 2;
        /// It used SVE.
        const SVE = 1 << 3;
        /// It used SME.
        const ZA = 1 << 4;
        /// The vCPU was turned on right before it: its registers began as zeroes.
        const POWERED_ON = 1 << 5;
        /// The guest wrote [`MARK`] to its UART in it: its work begins with the next window.
        const MARK = 1 << 6;
        /// An interrupt was pending for the guest when it was entered.
        const INTERRUPT_PENDING = 1 << 7;
    }
}

/// The byte by which a guest says on its UART that its boot is over and its work begins: STX, "start
/// of text". It is not shown on the console.
pub const MARK: u8 = 0x02;

/// One window from an entry into a guest to its exit. One cache line.
///
/// Bytes of any content are a record to read; what only some values can mean ([`Record::exit`],
/// [`Record::flags`]) is for the reader to check.
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct Record {
    /// CNTPCT_EL0 at the entry, in ticks.
    pub start: u64,
    /// ELR_EL2 at the entry: where the guest resumes.
    pub pc: u64,
    /// TTBR0_EL1 at the exit.
    pub ttbr0: u64,
    /// Ticks from the entry to the exit.
    pub duration: u32,
    /// Instructions that the guest retired in the window; zero where the machine does not count.
    pub guest_instructions: u32,
    /// Instructions that the core retired at EL2 from the window before to this one.
    pub el2_instructions: u32,
    /// Instructions that the guest had retired in the window when it first used the registers, or
    /// [`NEVER`].
    pub first_use: u32,
    /// SPSR_EL2 at the entry, bits 31:0: the PSTATE in which the guest resumes.
    pub pstate: u32,
    /// ESR_EL2 at the exit, bits 31:0. Of an interrupt: zero.
    pub esr: u32,
    /// CONTEXTIDR_EL1 at the exit.
    pub contextidr: u32,
    /// Bits 31:16 of the guest's CPACR_EL1 at the exit, which hold FPEN, ZEN and SMEN.
    pub cpacr: u16,
    /// Times that the hypervisor used the registers itself after this window, before the put if one
    /// follows.
    pub host_uses: u16,
    /// Number of the vCPU over all VMs: its index in the report.
    pub vcpu: u16,
    /// The current ASID at the exit: of TTBR0_EL1 or TTBR1_EL1, as TCR_EL1.A1 chooses.
    pub asid: u16,
    /// The physical interrupt's INTID if one ended the window, else zero.
    pub intid: u16,
    /// Why the window ended: a [`report::Exit`](crate::report::Exit) as a number.
    pub exit: u8,
    /// [`Flags`].
    pub flags: u8,
}

const _: () = {
    assert!(size_of::<Record>() == 64);
    assert!(size_of::<RingHeader>() as u64 <= HEADER_STRIDE);
    assert!(MAX_CORES as u64 * HEADER_STRIDE <= SLOTS_OFFSET);
    assert!(RING_CAPACITY.is_power_of_two());
    assert!(TAIL_OFFSET == 128);
};

/// Why a ring cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RingError {
    /// The hypervisor never set the ring up.
    NoMagic,
    /// Set up by another version of the hypervisor, whose number this is.
    Version(u32),
    /// Sizes or positions that no hypervisor of this version writes.
    Damaged,
}

impl RingHeader {
    /// Returns how many records wait to be read.
    ///
    /// # Errors
    /// As [`RingError`] says; a header of any content is safe to ask.
    pub fn pending(&self) -> Result<u64, RingError> {
        if self.magic != MAGIC {
            return Err(RingError::NoMagic);
        }
        if self.version != VERSION {
            return Err(RingError::Version(self.version));
        }
        let sizes = (self.record_size as usize, self.capacity);
        if sizes != (size_of::<Record>(), RING_CAPACITY) {
            return Err(RingError::Damaged);
        }
        // No machine writes so many records that the numbers begin again.
        let pending = self.head.checked_sub(self.tail);
        pending
            .filter(|pending| *pending <= RING_CAPACITY)
            .ok_or(RingError::Damaged)
    }
}

/// Returns where the ring of core `core` begins, from the start of the rings: its header.
pub const fn header_offset(core: u64) -> u64 {
    core * HEADER_STRIDE
}

/// Returns the offset of record `number` of core `core`, counted over all time, from the start of the
/// rings.
#[inline]
pub const fn record_offset(core: u64, number: u64) -> u64 {
    SLOTS_OFFSET + (core * RING_CAPACITY + number % RING_CAPACITY) * RECORD_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_knows_how_many_records_wait() {
        let mut header = RingHeader::new();
        assert_eq!(header.pending(), Ok(0));
        header.head = RING_CAPACITY + 5;
        header.tail = 7;
        assert_eq!(header.pending(), Ok(RING_CAPACITY - 2));
    }

    #[test]
    fn what_is_no_ring_is_refused() {
        let good = RingHeader::new();
        let cases = [
            (RingHeader { magic: 0, ..good }, RingError::NoMagic),
            (RingHeader { version: 1, ..good }, RingError::Version(1)),
            (
                RingHeader {
                    record_size: 32,
                    ..good
                },
                RingError::Damaged,
            ),
            (
                RingHeader {
                    capacity: 1,
                    ..good
                },
                RingError::Damaged,
            ),
            (RingHeader { tail: 1, ..good }, RingError::Damaged),
            (
                RingHeader {
                    head: 5,
                    tail: u64::MAX - 3,
                    ..good
                },
                RingError::Damaged,
            ),
            (
                RingHeader {
                    head: RING_CAPACITY + 1,
                    ..good
                },
                RingError::Damaged,
            ),
        ];
        for (header, error) in cases {
            assert_eq!(header.pending(), Err(error), "{header:?}");
        }
    }

    #[test]
    fn slots_come_round_and_no_two_rings_meet() {
        assert_eq!(record_offset(3, 7), record_offset(3, RING_CAPACITY + 7));
        assert_eq!(
            record_offset(0, RING_CAPACITY - 1) + RECORD_SIZE,
            record_offset(1, 0)
        );
        let last_core = MAX_CORES as u64 - 1;
        assert!(header_offset(last_core) + HEADER_STRIDE <= record_offset(0, 0));
        assert_eq!(
            record_offset(last_core, RING_CAPACITY - 1) + RECORD_SIZE,
            RINGS_SIZE
        );
    }
}
