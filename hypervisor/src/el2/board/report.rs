//! The mailbox: where the counters of the run lie for the lab to read.

use ::core::sync::atomic::{AtomicU32, Ordering};

use trapcast_trace::{
    MAILBOX_ADDRESS, MAILBOX_SIZE,
    bins::Bins,
    report::{
        ASKED_OFFSET, CORES_OFFSET, CoreReport, Header, MAGIC, MASKED_OFFSET, MAX_CORES, MAX_VCPUS,
        MAX_VMS, State, VCPUS_OFFSET, VERSION, VMS_OFFSET, VcpuReport, VmReport,
    },
};
use zerocopy::FromBytes;

/// The mailbox in its parts.
pub struct Report {
    /// The header.
    pub header: &'static mut Header,
    /// One record per core.
    pub cores: &'static mut [CoreReport],
    /// One record per VM.
    pub vms: &'static mut [VmReport],
    /// One record per vCPU.
    pub vcpus: &'static mut [VcpuReport],
}

/// Lays the mailbox out, all zero but for its header. To be called once.
pub fn init() -> Report {
    // SAFETY: RAM between the FDT and the image that nobody else uses, and whose only other reader
    // is outside the machine.
    let mailbox = unsafe {
        ::core::slice::from_raw_parts_mut(MAILBOX_ADDRESS as *mut u8, MAILBOX_SIZE as usize)
    };
    mailbox.fill(0);
    let (header, rest) = mailbox.split_at_mut(CORES_OFFSET);
    let (rest, _) = rest.split_at_mut(MASKED_OFFSET - CORES_OFFSET);
    let (rest, vcpus) = rest.split_at_mut(VCPUS_OFFSET - CORES_OFFSET);
    let (cores, vms) = rest.split_at_mut(VMS_OFFSET - CORES_OFFSET);
    let (header, _) = Header::mut_from_prefix(header).expect("the mailbox has room for its header");
    let (cores, _) = <[CoreReport]>::mut_from_prefix_with_elems(cores, MAX_CORES)
        .expect("the mailbox has room for the cores");
    let (vms, _) = <[VmReport]>::mut_from_prefix_with_elems(vms, MAX_VMS)
        .expect("the mailbox has room for the VMs");
    let (vcpus, _) = <[VcpuReport]>::mut_from_prefix_with_elems(vcpus, MAX_VCPUS)
        .expect("the mailbox has room for the vCPUs");
    header.magic = MAGIC;
    header.version = VERSION;
    header.state = State::Booting as u32;
    header.cores = 1;
    Report {
        header,
        cores,
        vms,
        vcpus,
    }
}

/// Returns the place for the masked stretches of core `number`.
///
/// # Safety
/// Called once per core, after [`init`], with a number below [`MAX_CORES`].
pub unsafe fn masked(number: usize) -> &'static mut Bins {
    let first = (MAILBOX_ADDRESS as usize + MASKED_OFFSET) as *mut Bins;
    // SAFETY: in the mailbox, behind all that `init` gives away; zeroes there are bins.
    unsafe { &mut *first.add(number) }
}

/// Returns whether the lab has asked where each vCPU is since the last call.
pub fn asks_where() -> bool {
    let asked = (MAILBOX_ADDRESS as usize + ASKED_OFFSET) as *mut u32;
    // SAFETY: in the mailbox, where no reference that `init` gives covers it; a word that only the lab
    // sets and only this clears.
    let asked = unsafe { AtomicU32::from_ptr(asked) };
    asked.load(Ordering::Relaxed) != 0 && asked.swap(0, Ordering::Relaxed) != 0
}

/// Sets the state in the header, at the end of everything.
pub fn finish(state: State, now: u64) {
    let header = MAILBOX_ADDRESS as *mut Header;
    // SAFETY: nobody runs after this that would have a reference to the header.
    unsafe {
        (&raw mut (*header).finished).write_volatile(now);
        (&raw mut (*header).state).write_volatile(state as u32);
    }
}
