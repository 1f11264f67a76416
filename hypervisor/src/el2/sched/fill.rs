//! A VM's memory at its first use: filled from the modules, or with zeroes, and mapped.

use ::core::slice;

use crate::el2::{
    arch::{
        cpu_interface,
        page::{self, PAGE},
    },
    board::memory,
    state::{
        core::Core,
        vm::{Segment, Vm},
    },
};

/// What of a VM's RAM is filled and mapped at its first use: 64 KiB.
pub const CHUNK: u64 = 0x1_0000;

/// Fills and maps the chunk of RAM around `ipa`, for vCPU `index`; `false` if that is not RAM.
///
/// Stops early, between pages, when an interrupt is pending: the guest then runs into the same
/// fault again, and the rest follows.
///
/// The FP/SIMD registers stay whose they are: to free and bring back a guest's would cost more than they save.
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
    while done < CHUNK {
        fill_page(vm, chunk + done, physical + done);
        done += PAGE as u64;
        core.meter.looked_for_interrupt();
        if cpu_interface::interrupt_is_pending() {
            break;
        }
    }
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
fn fill_page(vm: &Vm, ipa: u64, physical: u64) {
    let start = memory::pointer::<u8>(physical).as_ptr();
    // A page that lies within one segment is copied; any other is zeroed, and then what
    // segments have of it laid over.
    let whole = vm.segments.iter().find_map(|segment| {
        let offset = usize::try_from(ipa.checked_sub(segment.ipa)?).ok()?;
        segment.bytes.get(offset..offset.checked_add(PAGE)?)
    });
    // SAFETY: the page is the VM's own RAM, which is not mapped for the guest yet and does not
    // overlap the modules.
    let page = unsafe {
        if whole.is_none() {
            page::zero(start);
        }
        slice::from_raw_parts_mut(start, PAGE)
    };
    match whole {
        Some(bytes) => page::copy(page, bytes),
        None => vm
            .segments
            .iter()
            .for_each(|segment| overlay(segment, ipa, page)),
    }
    memory::clean_to_coherency(start, PAGE);
}

/// Copies into `page`, which the guest sees at `ipa`, what it has of this segment.
fn overlay(segment: &Segment, ipa: u64, page: &mut [u8]) {
    let start = segment.ipa.max(ipa);
    let end = (segment.ipa + segment.bytes.len() as u64).min(ipa + page.len() as u64);
    if start < end {
        let (to, from) = ((start - ipa) as usize, (start - segment.ipa) as usize);
        let length = (end - start) as usize;
        page::copy(
            &mut page[to..to + length],
            &segment.bytes[from..from + length],
        );
    }
}
