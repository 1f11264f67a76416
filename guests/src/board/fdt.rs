//! What a guest needs from its FDT: its bootargs, its CPUs, and memory that nobody has touched.

use dtoolkit::fdt::Fdt;
use dtoolkit::{Node, Property};

use super::cpus::MAX_CPUS;
use super::mmu;
use crate::memory::larger_part;

/// What the FDT says about this machine.
#[derive(Debug)]
pub struct Machine {
    /// `/chosen/bootargs`; empty if there are none.
    pub bootargs: &'static str,
    /// All of its memory, as a half-open range of addresses.
    pub ram: (u64, u64),
    /// Memory outside the image and the FDT, likewise.
    pub free: (u64, u64),
    /// CPUs, at most [`MAX_CPUS`]; those but the first are off.
    pub cpus: usize,
}

impl Machine {
    /// Reads the FDT at `address`.
    ///
    /// # Errors
    ///
    /// Says what the FDT lacks or has wrong.
    ///
    /// # Safety
    ///
    /// `address` is 0 or that of an FDT that nobody changes from now on.
    pub unsafe fn read(address: u64) -> Result<Self, &'static str> {
        if address == 0 {
            return Err("the boot protocol wants its address in X0");
        }
        let blob = core::ptr::with_exposed_provenance(address as usize);
        // SAFETY: the caller gives the address of an FDT.
        let fdt = unsafe { Fdt::from_raw(blob) }.map_err(|_| "it is not well formed")?;
        let chosen = fdt.find_node("/chosen");
        let bootargs = chosen.and_then(|chosen| chosen.property("bootargs"));
        let bootargs = bootargs.map_or(Ok(""), |bootargs| bootargs.value_as::<&'static str>());
        let end = address + fdt.data().len() as u64;
        let ram = memory(fdt).ok_or("it has no /memory with a reg")?;
        Ok(Self {
            bootargs: bootargs.map_err(|_| "/chosen/bootargs is not a string")?,
            ram,
            free: free_memory(ram, (address, end)),
            cpus: fdt
                .cpus()
                .map_or(1, |cpus| cpus.cpus().count().clamp(1, MAX_CPUS)),
        })
    }
}

fn memory(fdt: Fdt<'_>) -> Option<(u64, u64)> {
    let mut regions = fdt.memory().ok()?.reg().ok()??;
    let region = regions.next()?;
    let start: u64 = region.address().ok()?;
    let size: u64 = region.size().ok()?;
    Some((start, start.saturating_add(size)))
}

fn free_memory((start, end): (u64, u64), fdt_range: (u64, u64)) -> (u64, u64) {
    let first = start.max(mmu::image_end());
    let last = end.clamp(first, mmu::RAM.1.max(first));
    larger_part((first, last), fdt_range)
}
