//! A VM's memory at its first use: filled from the modules, or with zeroes, and mapped.

use ::core::slice;

use crate::el2::{
    arch::cpu_interface,
    board::memory,
    sched::host_simd,
    state::{
        core::Core,
        vm::{Segment, Vm},
    },
};

/// What of a VM's RAM is filled and mapped at its first use: 64 KiB.
pub const CHUNK: u64 = 0x1_0000;
/// What is filled between two looks for a pending interrupt.
const PAGE: u64 = 0x1000;

/// Fills and maps the chunk of RAM around `ipa`, for vCPU `index`; `false` if that is not RAM.
///
/// Stops early, between pages, when an interrupt is pending: the guest then runs into the same
/// fault again, and the rest follows.
pub fn fault_in(vm: &Vm, core: &mut Core, index: usize, ipa: u64) -> bool {
    let chunk = ipa & !(CHUNK - 1);
    let Some(physical) = vm.ram.to_physical(chunk, CHUNK) else {
        return false;
    };
    let mut state = vm.state.lock();
    if state.stage2.translate(ipa).is_some() {
        // Another vCPU was faster, or the fault is the echo of one that is dealt with.
        return true;
    }
    let mut done = match state.filling[index].take() {
        Some((filling, done)) if filling == chunk => done,
        _ => 0,
    };
    host_simd::with(core, |meter| {
        while done < CHUNK {
            fill_page(vm, chunk + done, physical + done);
            done += PAGE;
            meter.looked_for_interrupt();
            if cpu_interface::interrupt_is_pending() {
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
        panic!("vm{}: cannot map {chunk:#x}: {error}", vm.number);
    }
    // SAFETY: barriers, so that the walk of the guest's next access sees the new entries.
    unsafe { ::core::arch::asm!("dsb ishst", "isb", options(nostack, preserves_flags)) }
    true
}

/// Fills one page with what the VM begins with: part of an image, or zeroes.
///
/// To be called with the registers free for EL2's use.
fn fill_page(vm: &Vm, ipa: u64, physical: u64) {
    let page = memory::pointer::<u8>(physical).as_ptr();
    let size = PAGE as usize;
    // A page that lies within one segment is copied; any other is zeroed, and then what
    // segments have of it laid over.
    let whole = vm.segments.iter().find_map(|segment| {
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
                for segment in &vm.segments {
                    overlay(segment, ipa, page);
                }
            }
        }
    }
    memory::clean_to_coherency(page, size);
}

/// Copies into `page`, which the guest sees at `ipa`, what it has of this segment.
///
/// # Safety
/// The registers are free for EL2's use.
unsafe fn overlay(segment: &Segment, ipa: u64, page: &mut [u8]) {
    /// What `trapcast_fpsimd::copy` copies a multiple of.
    const STEP: usize = 64;
    let start = segment.ipa.max(ipa);
    let end = (segment.ipa + segment.bytes.len() as u64).min(ipa + page.len() as u64);
    if start < end {
        let length = (end - start) as usize;
        let (to, from) = ((start - ipa) as usize, (start - segment.ipa) as usize);
        let from = &segment.bytes[from..from + length];
        let (most, rest) = page[to..to + length].split_at_mut(length - length % STEP);
        // SAFETY: both are as long; the caller vouches for the registers.
        unsafe { trapcast_fpsimd::copy(most.as_mut_ptr(), from.as_ptr(), most.len()) }
        rest.copy_from_slice(&from[most.len()..]);
    }
}
