//! The physical GIC: which interrupts EL2 takes, and the registers of the virtual CPU interface.

use ::core::ptr::NonNull;

use arm_gic::{
    IntId,
    gicv3::{
        GicV3,
        registers::{Gicd, GicrSgi},
    },
};
use safe_mmio::UniqueMmioPointer;
use trapcast_hypervisor::virt;

use crate::el2::{arch::cpu_interface, board::panic::fail};

/// The board's UART.
pub const UART: u32 = virt::UART_INTID;
/// Priorities: the EL2 timer's is the higher one, so that no storm of other interrupts, which a guest may
/// have a hand in, keeps it from ending a time slice.
const TIMER_PRIORITY: u8 = 0x40;
/// See [`TIMER_PRIORITY`].
const PRIORITY: u8 = 0x80;
/// From one core's redistributor to the next one's: its RD frame and its SGI frame.
const REDISTRIBUTOR_STRIDE: usize = 0x2_0000;
/// GICR_ISACTIVER0 and GICR_ICACTIVER0 of the first core, in its SGI frame.
const ISACTIVER0: usize = virt::GICR.start as usize + 0x1_0300;
const ICACTIVER0: usize = virt::GICR.start as usize + 0x1_0380;

/// Configures the interrupts of all `cores`, and this one's CPU interface.
///
/// # Safety
/// Called once, with the GIC's frames mapped as device memory.
pub unsafe fn init(cores: usize) {
    // SAFETY: nobody else has a pointer to the distributor.
    let distributor =
        unsafe { UniqueMmioPointer::new(NonNull::new_unchecked(virt::GICD.start as *mut Gicd)) };
    cpu_interface::enable_system_registers();
    // SAFETY: the redistributors' frames are mapped and nobody else uses them yet.
    let gic = unsafe {
        GicV3::new(
            distributor,
            NonNull::new_unchecked(virt::GICR.start as *mut GicrSgi),
            cores,
        )
    };
    let mut gic = gic.unwrap_or_else(|error| fail(format_args!("the GIC: {error}")));
    gic.setup(0);
    for core in 0..cores {
        // A core that is awake already is no error.
        let _ = gic.redistributor_mark_core_awake(core);
        for (intid, priority) in [
            (IntId::sgi(cpu_interface::CALL), PRIORITY),
            (IntId::ppi(cpu_interface::MAINTENANCE - 16), PRIORITY),
            (
                IntId::ppi(cpu_interface::HYPERVISOR_TIMER - 16),
                TIMER_PRIORITY,
            ),
            (IntId::ppi(cpu_interface::VIRTUAL_TIMER - 16), PRIORITY),
        ] {
            enable(&mut gic, intid, Some(core), priority);
        }
    }
    enable(&mut gic, IntId::spi(UART - 32), None, PRIORITY);
    cpu_interface::init();
}

fn enable(gic: &mut GicV3, intid: IntId, core: Option<usize>, priority: u8) {
    let done = gic
        .set_interrupt_priority(intid, core, priority)
        .and_then(|()| gic.enable_interrupt(intid, core, true));
    if let Err(error) = done {
        fail(format_args!("the GIC, interrupt {intid:?}: {error}"));
    }
}

/// Sets whether the physical interrupt of the virtual timer is active on core `number`, this one.
pub fn set_virtual_timer_active(number: usize, active: bool) {
    let first = if active { ISACTIVER0 } else { ICACTIVER0 };
    let register = first + number * REDISTRIBUTOR_STRIDE;
    // SAFETY: a register of this core's redistributor that only this function writes; one bit
    // concerns one interrupt.
    unsafe { (register as *mut u32).write_volatile(1 << cpu_interface::VIRTUAL_TIMER) }
}
