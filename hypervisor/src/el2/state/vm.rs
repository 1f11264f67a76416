//! A VM: its memory, its devices, its vCPUs, and how it begins and ends.

use ::core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrayvec::ArrayVec;
use trapcast_hypervisor::{
    guest_image::ExecutionState,
    settings::VmSettings,
    smccc::Workarounds,
    stage2::{Ram, Stage2},
    vgic::{MAX_VCPUS, Vgic},
    vpl011::Vpl011,
};
use trapcast_trace::report::{MAX_CORES, VmReport};

use crate::el2::{
    arch::{register_file::Vectors, sysreg::isb, wait::Lock},
    state::id_registers::IdRegisters,
};
use crate::{mrs, msr};

/// What a VM's vCPUs share and change.
pub struct VmState {
    /// Its interrupt controller.
    pub vgic: Vgic,
    /// Its UART.
    pub uart: Vpl011,
    /// Whether something that was typed to it may wait for room in its UART.
    pub typed: bool,
    /// Which devices of [`ABSENT`](trapcast_hypervisor::virt::ABSENT) its guest has looked for, a bit each.
    pub looked_for: u32,
    /// Its tables.
    pub stage2: Stage2<'static>,
    /// For each vCPU, how it begins if it was turned on and has not begun.
    pub power_on: [Option<Start>; MAX_VCPUS],
    /// Which vCPUs are on.
    pub on: [bool; MAX_VCPUS],
    /// It is about to be off, or to begin anew: none of its vCPUs can turn another one on.
    pub ending: bool,
    /// What the lab reads of it.
    pub report: &'static mut VmReport,
    /// For each vCPU, the chunk that an interrupt kept from being filled: its address, and how far
    /// it is.
    pub filling: [Option<(u64, u64)>; MAX_VCPUS],
}

/// How a vCPU begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Where.
    pub entry: u64,
    /// What it finds in x0 to x2.
    pub arguments: [u64; 3],
}

/// Part of a VM's first memory image: where the guest sees it, and its bytes.
pub struct Segment {
    /// Where the guest sees it.
    pub ipa: u64,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// One VM.
pub struct Vm {
    /// Its number.
    pub number: usize,
    /// Its settings.
    pub settings: VmSettings,
    /// What its vCPUs have besides FP/SIMD.
    pub vectors: Vectors,
    /// MDCR_EL2.
    pub mdcr: u64,
    /// What its guest reads from the identification registers.
    pub id_registers: IdRegisters,
    /// What its guest is told of workarounds.
    pub workarounds: Workarounds,
    /// What EL1 runs in.
    pub execution_state: ExecutionState,
    /// VTCR_EL2.
    pub vtcr: u64,
    /// VTTBR_EL2: its tables and its VMID.
    pub vttbr: u64,
    /// What its vCPUs share.
    pub state: Lock<VmState>,
    /// Its RAM.
    pub ram: Ram,
    /// Its first memory image.
    pub segments: ArrayVec<Segment, 3>,
    /// How vCPU 0 begins.
    pub start: Start,
    /// Whether a vCPU is resetting it.
    pub resetting: AtomicBool,
    /// For each core, which of its vCPUs ran there last.
    pub last: [AtomicUsize; MAX_CORES],
}

impl Vm {
    /// vCPU `index` is loaded on core `core`, with the VM's VTTBR_EL2. If another of the VM's vCPUs
    /// ran there last, the core's TLB may hold translations of its own tables, which may use the same
    /// ASIDs: they are removed.
    pub fn loaded(&self, core: usize, index: usize) {
        if self.last[core].swap(index, Ordering::Relaxed) != index {
            // SAFETY: only costs walks.
            unsafe { ::core::arch::asm!("isb", "tlbi vmalle1", "dsb nsh", "isb", options(nostack)) }
        }
    }

    /// Removes what any TLB holds of this VM's tables.
    pub fn invalidate_tlb(&self) {
        let previous = mrs!("vttbr_el2");
        // SAFETY: no guest runs until its own VTTBR_EL2 is back: the one before, or that of the
        // vCPU that is loaded next.
        unsafe {
            msr!("vttbr_el2", self.vttbr);
            isb();
            ::core::arch::asm!("dsb ishst", "tlbi vmalls12e1is", "dsb ish", "isb");
            msr!("vttbr_el2", previous);
            isb();
        }
    }
}
