//! Recording: one record per window of the core's guests, written to the core's ring.
//!
//! A record is begun at the entry, completed while the exit is dealt with, and shown to the reader
//! at the core's next entry, when nothing more can happen to it. Where the hypervisor does not
//! record, each of these is one test.

use ::core::{
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use trapcast_hypervisor::modules::Board;
use trapcast_trace::{
    record::{
        Flags, MAGIC, NEVER, RING_CAPACITY, RINGS_ADDRESS, RINGS_SIZE, Record, RingHeader,
        header_offset, record_offset,
    },
    report::Exit,
};

use crate::el2::{
    arch::{cpu_interface, meter, timer, wait::spin_loop},
    board::{memory, panic::fail},
    state::vcpu::Vcpu,
};
use crate::mrs;

/// TCR_EL1.A1: TTBR1_EL1 holds the current ASID.
const TCR_A1: u64 = 1 << 22;

/// What writes the records of one core.
pub struct Recorder {
    ring: Option<NonNull<RingHeader>>,
    /// The core's number.
    core: u64,
    /// Records that were begun so far: the last of them is not shown yet.
    begun: u64,
    /// Where the last one is.
    record: NonNull<Record>,
    /// What the next one begins with.
    next: Flags,
    /// The guest counter at the last entry.
    entered: u32,
    /// The EL2 counter at the last exit.
    left: u32,
}

impl Recorder {
    /// Returns a recorder that does nothing.
    pub const fn off() -> Self {
        Self {
            ring: None,
            core: 0,
            begun: 0,
            record: NonNull::dangling(),
            next: Flags::empty(),
            entered: 0,
            left: 0,
        }
    }

    /// Returns the recorder of core `core`, whose ring it sets up.
    pub fn on(core: usize) -> Self {
        let core = core as u64;
        let ring = memory::pointer::<RingHeader>(RINGS_ADDRESS + header_offset(core));
        let mut header = RingHeader::new();
        header.magic = 0;
        // SAFETY: RAM between the image and the modules that nobody else uses; the only other
        // reader and writer of the header is outside the machine and waits for the magic.
        unsafe { ring.write(header) }
        // SAFETY: as above.
        let magic = unsafe { AtomicU64::from_ptr(&raw mut (*ring.as_ptr()).magic) };
        magic.store(MAGIC, Ordering::Release);
        Self {
            ring: Some(ring),
            core,
            left: meter::instructions(),
            ..Self::off()
        }
    }

    /// A window of `vcpu` begins: its registers are those that it resumes with.
    #[inline]
    pub fn begin(&mut self, vcpu: &Vcpu) {
        if let Some(ring) = self.ring {
            self.begin_in(ring, vcpu);
        }
    }

    #[inline(never)]
    fn begin_in(&mut self, ring: NonNull<RingHeader>, vcpu: &Vcpu) {
        show(ring, self.begun);
        if self.begun - tail(ring) >= RING_CAPACITY {
            wait_for_room(ring, self.begun);
        }
        self.record = memory::pointer(RINGS_ADDRESS + record_offset(self.core, self.begun));
        self.begun += 1;
        let mut flags = ::core::mem::replace(&mut self.next, Flags::empty());
        flags.set(
            Flags::INTERRUPT_PENDING,
            cpu_interface::is_pending(vcpu.next.lists),
        );
        let el2_instructions = meter::instructions().wrapping_sub(self.left);
        // What is not set here is set at the exit.
        if let Some(record) = self.record() {
            record.start = timer::now();
            record.pc = mrs!("elr_el2");
            record.pstate = mrs!("spsr_el2") as u32;
            record.el2_instructions = el2_instructions;
            record.first_use = NEVER;
            record.vcpu = vcpu.number;
            record.host_uses = 0;
            record.flags = flags.bits();
        }
        self.entered = meter::guest_instructions();
    }

    /// The guest used the registers behind the closed gate.
    #[inline]
    pub fn used(&mut self) {
        let entered = self.entered;
        if let Some(record) = self.record() {
            record.first_use = meter::guest_instructions().wrapping_sub(entered);
        }
    }

    /// The window ended. EL1's registers are still the guest's.
    #[inline]
    pub fn end(&mut self, e2h: bool, used: bool) {
        if self.ring.is_some() {
            self.end_in(e2h, used);
        }
    }

    #[inline(never)]
    fn end_in(&mut self, e2h: bool, used: bool) {
        let retired = meter::guest_instructions().wrapping_sub(self.entered);
        self.left = meter::instructions();
        // SAFETY: as for `record`; an exit follows an entry, which began one.
        let record = unsafe { self.record.as_mut() };
        record.duration = timer::now().wrapping_sub(record.start) as u32;
        record.guest_instructions = retired;
        let space = AddressSpace::current(e2h);
        record.ttbr0 = space.ttbr0;
        record.asid = space.asid;
        record.contextidr = space.contextidr;
        record.cpacr = space.cpacr;
        if used {
            record.flags |= Flags::FP.bits();
        }
    }

    /// The exit was found to have this reason; `intid` is that of the interrupt, if it was one.
    #[inline]
    pub fn ended_by(&mut self, exit: Exit, intid: Option<u32>) {
        if let Some(record) = self.record() {
            record.exit = exit as u8;
            (record.esr, record.intid) = match intid {
                Some(intid) => (0, intid as u16),
                None => (mrs!("esr_el2") as u32, 0),
            };
        }
    }

    /// The hypervisor used the registers itself.
    pub fn host_used(&mut self) {
        if let Some(record) = self.record() {
            record.host_uses = record.host_uses.saturating_add(1);
        }
    }

    /// The guest said that its work begins.
    #[cold]
    pub fn marked(&mut self) {
        if let Some(record) = self.record() {
            record.flags |= Flags::MARK.bits();
        }
    }

    /// The vCPU was put.
    pub fn put(&mut self) {
        if let Some(record) = self.record() {
            record.flags |= Flags::PUT.bits();
        }
    }

    /// A vCPU was loaded, and before that turned on or not.
    pub fn loaded(&mut self, powered_on: bool) {
        self.next = if powered_on {
            Flags::LOADED.union(Flags::POWERED_ON)
        } else {
            Flags::LOADED
        };
    }

    /// No window follows: shows the last record.
    pub fn finish(&self) {
        if let Some(ring) = self.ring {
            show(ring, self.begun);
        }
    }

    /// Returns the record of the last window, if there is one.
    #[inline]
    fn record(&mut self) -> Option<&mut Record> {
        if self.begun == 0 {
            return None;
        }
        // SAFETY: it was begun, so it points to a slot of the ring, and it was not shown yet, so the
        // reader keeps away from it.
        Some(unsafe { self.record.as_mut() })
    }
}

/// The guest's registers that tell what it runs.
struct AddressSpace {
    ttbr0: u64,
    asid: u16,
    contextidr: u32,
    cpacr: u16,
}

impl AddressSpace {
    fn current(e2h: bool) -> Self {
        let [ttbr0, tcr, contextidr, cpacr] = if e2h {
            [
                mrs!("s3_5_c2_c0_0"),
                mrs!("s3_5_c2_c0_2"),
                mrs!("s3_5_c13_c0_1"),
                mrs!("s3_5_c1_c0_2"),
            ]
        } else {
            [
                mrs!("ttbr0_el1"),
                mrs!("tcr_el1"),
                mrs!("contextidr_el1"),
                mrs!("cpacr_el1"),
            ]
        };
        let asid_register = match (tcr & TCR_A1 != 0, e2h) {
            (false, _) => ttbr0,
            (true, false) => mrs!("ttbr1_el1"),
            (true, true) => mrs!("s3_5_c2_c0_1"),
        };
        Self {
            ttbr0,
            asid: (asid_register >> 48) as u16,
            contextidr: contextidr as u32,
            cpacr: (cpacr >> 16) as u16,
        }
    }
}

/// Refuses a board whose RAM has no place for the rings.
pub fn check_room(board: &Board) {
    let rings = RINGS_ADDRESS..RINGS_ADDRESS + RINGS_SIZE;
    if !board
        .memory
        .iter()
        .any(|ram| ram.start <= rings.start && rings.end <= ram.end)
    {
        fail(format_args!(
            "record=on needs RAM up to {:#x}: give the board more memory",
            rings.end
        ));
    }
    for guest in &board.guests {
        for module in ::core::iter::once(&guest.kernel).chain(&guest.ramdisk) {
            if module.start < rings.end && rings.start < module.end {
                fail(format_args!(
                    "record=on keeps its rings at {rings:#x?}, where there is a module at {:#x}: \
                     put it at {:#x} or above",
                    module.start, rings.end
                ));
            }
        }
    }
}

/// Shows all records before number `head` to the reader.
fn show(ring: NonNull<RingHeader>, head: u64) {
    // SAFETY: the ring's header, of which only EL2 writes this field.
    let place = unsafe { AtomicU64::from_ptr(&raw mut (*ring.as_ptr()).head) };
    place.store(head, Ordering::Release);
}

/// Returns how many records the reader has taken.
fn tail(ring: NonNull<RingHeader>) -> u64 {
    // SAFETY: the ring's header; the reader writes this field by single stores.
    let place = unsafe { AtomicU64::from_ptr(&raw mut (*ring.as_ptr()).tail) };
    place.load(Ordering::Acquire)
}

/// Waits until the reader has taken a record of a full ring, and counts that.
#[cold]
fn wait_for_room(ring: NonNull<RingHeader>, begun: u64) {
    // SAFETY: the ring's header, of which only EL2 writes this field.
    unsafe { (*ring.as_ptr()).waits += 1 }
    while begun - tail(ring) >= RING_CAPACITY {
        spin_loop();
    }
}
