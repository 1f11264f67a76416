//! The GICv3: set-up, acknowledge, end of interrupt, and SGIs.
//!
//! Source: Arm IHI 0069, "GIC architecture specification, GICv3 and GICv4".

use core::arch::asm;
use core::sync::atomic::AtomicU64;

use super::{cpus, mmio};
use crate::{mask_irqs, read_sysreg, unmask_irqs, write_sysreg};

/// Address of the distributor.
pub const DISTRIBUTOR: usize = 0x0800_0000;
/// Address of GICD_IIDR, a register that every hypervisor emulates and that has no side effects.
pub const GICD_IIDR: usize = DISTRIBUTOR + 0x008;
/// INTID of the virtual timer.
pub const VIRTUAL_TIMER: u32 = 27;
/// INTID of the physical timer.
pub const PHYSICAL_TIMER: u32 = 30;
/// INTID of the SGI that a guest sends.
pub const SGI: u32 = 1;
/// INTIDs from here to 1023 are special; 1023 says that nothing is pending.
pub const FIRST_SPECIAL: u32 = 1020;

const GICD_CTLR: usize = DISTRIBUTOR;
/// GICD_CTLR: ARE and EnableGrp1.
const ARE_GRP1: u32 = 1 << 4 | 1 << 1;
/// GICD_CTLR: register write pending.
const RWP: u32 = 1 << 31;

const REDISTRIBUTOR: usize = 0x080a_0000;
/// Bytes from one CPU's redistributor to the next.
const REDISTRIBUTOR_BYTES: usize = 0x2_0000;
const GICR_WAKER: usize = 0x014;
const PROCESSOR_SLEEP: u32 = 1 << 1;
const CHILDREN_ASLEEP: u32 = 1 << 2;
const SGI_FRAME: usize = 0x1_0000;
const GICR_IGROUPR0: usize = SGI_FRAME + 0x080;
const GICR_ISENABLER0: usize = SGI_FRAME + 0x100;
const GICR_IPRIORITYR: usize = SGI_FRAME + 0x400;
/// Priority of each interrupt in use.
const PRIORITY: u32 = 0x80;

/// How often [`SGI`] has been handled.
pub static SGIS_HANDLED: AtomicU64 = AtomicU64::new(0);

fn read(register: usize) -> u32 {
    // SAFETY: callers name readable registers of the GIC, which are mapped as device memory.
    unsafe { mmio::read(register) }
}

fn write(register: usize, value: u32) {
    // SAFETY: callers name writable registers of the GIC, which are mapped as device memory; none
    // of them makes the GIC access memory.
    unsafe { mmio::write(register, value) };
}

/// Turns the GIC on, and the first CPU's part of it.
pub fn enable() {
    write(GICD_CTLR, ARE_GRP1);
    while read(GICD_CTLR) & RWP != 0 {}
    enable_cpu();
}

/// Lets Group 1 through the distributor, or nothing.
pub fn enable_groups(on: bool) {
    write(GICD_CTLR, if on { ARE_GRP1 } else { ARE_GRP1 & !0b10 });
    while read(GICD_CTLR) & RWP != 0 {}
}

/// Reads a register of the SGI frame of CPU `cpu`'s redistributor.
#[must_use]
pub fn read_private(cpu: usize, register: usize) -> u32 {
    read(REDISTRIBUTOR + cpu * REDISTRIBUTOR_BYTES + SGI_FRAME + register)
}

/// Writes a register of the SGI frame of CPU `cpu`'s redistributor.
pub fn write_private(cpu: usize, register: usize, value: u32) {
    write(
        REDISTRIBUTOR + cpu * REDISTRIBUTOR_BYTES + SGI_FRAME + register,
        value,
    );
}

/// Turns this CPU's part of the GIC on, with the timers' interrupts and the SGI in group 1, of which the
/// physical timer's stays disabled, and unmasks IRQs.
pub fn enable_cpu() {
    let redistributor = REDISTRIBUTOR + cpus::current() * REDISTRIBUTOR_BYTES;
    let read = |register| read(redistributor + register);
    let write = |register, value| write(redistributor + register, value);
    write(GICR_WAKER, read(GICR_WAKER) & !PROCESSOR_SLEEP);
    while read(GICR_WAKER) & CHILDREN_ASLEEP != 0 {}

    let interrupts = 1 << VIRTUAL_TIMER | 1 << SGI;
    write(
        GICR_IGROUPR0,
        read(GICR_IGROUPR0) | interrupts | 1 << PHYSICAL_TIMER,
    );
    for interrupt in [VIRTUAL_TIMER, PHYSICAL_TIMER, SGI] {
        let register = GICR_IPRIORITYR + (interrupt as usize & !3);
        let shift = interrupt % 4 * 8;
        let others = read(register) & !(0xff << shift);
        write(register, others | PRIORITY << shift);
    }
    write(GICR_ISENABLER0, interrupts);

    // SAFETY: system register access to the CPU interface; nothing is enabled before.
    unsafe { write_sysreg!("icc_sre_el1", 1) };
    // SAFETY: lets interrupts of every priority through.
    unsafe { write_sysreg!("icc_pmr_el1", 0xff) };
    // SAFETY: EOImode 0: the end of an interrupt also deactivates it.
    unsafe { write_sysreg!("icc_ctlr_el1", 0) };
    // SAFETY: the vectors are installed, so that an interrupt finds its handler.
    unsafe { write_sysreg!("icc_igrpen1_el1", 1) };
    unmask();
}

/// Unmasks IRQs at this CPU; a pending one is taken at once.
#[inline(always)]
pub fn unmask() {
    // SAFETY: the handler keeps all registers of the code that it interrupts.
    unsafe { asm!(unmask_irqs!(), "isb", options(nostack, preserves_flags)) };
}

/// Masks IRQs at this CPU.
#[inline(always)]
pub fn mask() {
    // SAFETY: an interrupt that waits does no harm.
    unsafe { asm!(mask_irqs!(), options(nostack, preserves_flags)) };
}

/// Reads GICD_IIDR.
#[inline(always)]
pub fn distributor_implementer() -> u32 {
    read(GICD_IIDR)
}

/// Acknowledges the pending interrupt of the highest priority and returns its INTID.
pub fn acknowledge() -> u32 {
    (read_sysreg!("icc_iar1_el1") & 0xff_ffff) as u32
}

/// Ends the interrupt `intid`, which [`acknowledge`] has returned.
pub fn end(intid: u32) {
    // SAFETY: ends an interrupt that was acknowledged; memory is not touched.
    unsafe { write_sysreg!("icc_eoir1_el1", u64::from(intid)) };
}

/// Sends [`SGI`] to CPU `cpu`, which has affinity 0.0.0.`cpu`.
#[inline(always)]
pub fn send_sgi(cpu: u32) {
    send_sgis(1 << cpu);
}

/// Sends [`SGI`] at once to each CPU whose bit is set.
#[inline(always)]
pub fn send_sgis(cpus: u16) {
    // SAFETY: the SGI's handler is installed.
    unsafe { write_sysreg!("icc_sgi1r_el1", u64::from(SGI) << 24 | u64::from(cpus)) };
}
