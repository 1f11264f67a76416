//! A VM: its memory, its devices, its vCPUs, and how it begins and ends.

use ::core::{
    fmt, mem, slice,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use arrayvec::ArrayVec;
use trapcast_hypervisor::{
    guest_image::ExecutionState,
    settings::VmSettings,
    smccc::Workarounds,
    stage2::{Ram, Stage2},
    vgic::{MAX_VCPUS, Vgic},
    vpl011::Vpl011,
};
use trapcast_trace::report::{Ending, MAX_CORES, VmReport};

use crate::el2::{
    arch::{register_file::Vectors, sysreg::isb, wait::Lock},
    board::{
        console::{self, say},
        gic, memory,
    },
    exits::sysregs::IdRegisters,
    sched::{ipi, scheduler},
    state::core::Core,
};
use crate::{mrs, msr};

/// What of a VM's RAM is filled and mapped at its first use: 64 KiB.
pub const CHUNK: u64 = 0x1_0000;
/// What is filled between two looks for a pending interrupt.
const PAGE: u64 = 0x1000;

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
    /// Starts the VM, or starts it again: nothing in its memory, vCPU 0 on. vCPU `except` is the one
    /// that asked for it, on this core.
    pub fn reset(&self, core: &mut Core, except: Option<usize>) {
        if self.resetting.swap(true, Ordering::AcqRel) {
            // Another vCPU was first, and waits for this one to be put.
            return;
        }
        if except.is_some() {
            console::show_prompt(self.number);
            say!("vm{}: reset", self.number);
        }
        self.state.lock().ending = true;
        self.turn_off();
        core.wait_until_out(self.number, except);
        // What the core holds of the VM is of no use any more.
        // SAFETY: a resident vCPU lives as long as the hypervisor, and its VM never changes.
        core.resident = core
            .resident
            .filter(|vcpu| unsafe { (*vcpu.as_ptr()).vm.number } != self.number);
        let mut state = self.state.lock();
        state.stage2.unmap_all();
        self.invalidate_tlb();
        state.vgic = Vgic::new(self.settings.vcpus);
        state.uart = Vpl011::new();
        state.filling = [None; MAX_VCPUS];
        state.power_on = [None; MAX_VCPUS];
        state.on = [false; MAX_VCPUS];
        state.power_on[0] = Some(self.start);
        state.on[0] = true;
        state.ending = false;
        scheduler::lock().power_on(self.number, 0, ipi::call);
        self.resetting.store(false, Ordering::Release);
    }

    /// Ends the VM for good, unless it is about to end or to begin anew, and says how.
    pub fn end(&self, ending: Ending, how: fmt::Arguments) {
        let mut state = self.state.lock();
        let is_first = !mem::replace(&mut state.ending, true);
        if is_first {
            state.report.ended = ending as u32;
        }
        drop(state);
        if is_first {
            console::show_prompt(self.number);
            say!("vm{}: {how}", self.number);
        }
        self.turn_off();
    }

    /// Turns all of its vCPUs off. Those that run on other cores may be in their guests a little longer.
    fn turn_off(&self) {
        scheduler::lock().power_off_vm(self.number, ipi::call);
    }

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
    fn invalidate_tlb(&self) {
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

    /// Fills and maps the chunk of RAM around `ipa`, for vCPU `index`; `false` if that is not RAM.
    ///
    /// Stops early, between pages, when an interrupt is pending: the guest then runs into the same
    /// fault again, and the rest follows.
    pub fn fault_in(&self, core: &mut Core, index: usize, ipa: u64) -> bool {
        let chunk = ipa & !(CHUNK - 1);
        let Some(physical) = self.ram.to_physical(chunk, CHUNK) else {
            return false;
        };
        let mut state = self.state.lock();
        if state.stage2.translate(ipa).is_some() {
            // Another vCPU was faster, or the fault is the echo of one that is dealt with.
            return true;
        }
        let mut done = match state.filling[index].take() {
            Some((filling, done)) if filling == chunk => done,
            _ => 0,
        };
        core.with_host_simd(|meter| {
            while done < CHUNK {
                self.fill_page(chunk + done, physical + done);
                done += PAGE;
                meter.looked_for_interrupt();
                if gic::interrupt_is_pending() {
                    break;
                }
            }
        });
        if done < CHUNK {
            state.filling[index] = Some((chunk, done));
            return true;
        }
        memory::invalidate_instructions();
        if let Err(error) = state.stage2.map(chunk..chunk + CHUNK) {
            panic!("vm{}: cannot map {chunk:#x}: {error}", self.number);
        }
        // SAFETY: barriers, so that the walk of the guest's next access sees the new entries.
        unsafe { ::core::arch::asm!("dsb ishst", "isb", options(nostack, preserves_flags)) }
        true
    }

    /// Fills one page with what the VM begins with: part of an image, or zeroes.
    ///
    /// To be called with the registers free for EL2's use.
    fn fill_page(&self, ipa: u64, physical: u64) {
        let page = memory::pointer::<u8>(physical).as_ptr();
        let size = PAGE as usize;
        // A page that lies within one segment is copied; any other is zeroed, and then what
        // segments have of it laid over.
        let whole = self.segments.iter().find_map(|segment| {
            let offset = usize::try_from(ipa.checked_sub(segment.ipa)?).ok()?;
            segment.bytes.get(offset..offset.checked_add(size)?)
        });
        // SAFETY: the page is the VM's own RAM, which is not mapped for the guest yet and does not
        // overlap the modules; the switch has saved whoever's registers these were.
        unsafe {
            match whole {
                Some(bytes) => trapcast_fpsimd::copy(page, bytes.as_ptr(), size),
                None => {
                    trapcast_fpsimd::zero(page, size);
                    let page = slice::from_raw_parts_mut(page, size);
                    for segment in &self.segments {
                        segment.overlay(ipa, page);
                    }
                }
            }
        }
        memory::clean_to_coherency(page, size);
    }
}

impl Segment {
    /// Copies into `page`, which the guest sees at `ipa`, what it has of this segment.
    ///
    /// # Safety
    /// The registers are free for EL2's use.
    unsafe fn overlay(&self, ipa: u64, page: &mut [u8]) {
        /// What `trapcast_fpsimd::copy` copies a multiple of.
        const STEP: usize = 64;
        let start = self.ipa.max(ipa);
        let end = (self.ipa + self.bytes.len() as u64).min(ipa + page.len() as u64);
        if start < end {
            let length = (end - start) as usize;
            let (to, from) = ((start - ipa) as usize, (start - self.ipa) as usize);
            let from = &self.bytes[from..from + length];
            let (most, rest) = page[to..to + length].split_at_mut(length - length % STEP);
            // SAFETY: both are as long; the caller vouches for the registers.
            unsafe { trapcast_fpsimd::copy(most.as_mut_ptr(), from.as_ptr(), most.len()) }
            rest.copy_from_slice(&from[most.len()..]);
        }
    }
}
