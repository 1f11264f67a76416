//! The GIC as this guest abuses it: put in order for what has to work, and into any state otherwise.
//!
//! Source: Arm IHI 0069, "GIC architecture specification, GICv3 and GICv4".

use super::values::Values;
use crate::board::mmio;
use crate::{read_sysreg, write_sysreg};

const GICD: usize = 0x0800_0000;
/// The SGI frame of vCPU 0's redistributor, and how far the next one's is.
const GICR_SGI: usize = 0x080b_0000;
const GICR_STRIDE: usize = 0x2_0000;

const CTLR: usize = 0x000;
const IGROUPR: usize = 0x080;
const ISENABLER: usize = 0x100;
const ICENABLER: usize = 0x180;
const ISPENDR: usize = 0x200;
const ICPENDR: usize = 0x280;
const ISACTIVER: usize = 0x300;
const ICACTIVER: usize = 0x380;
const IPRIORITYR: usize = 0x400;
const ICFGR: usize = 0xc00;
const IROUTER32: usize = 0x6100;
/// In the frame before the SGI frame.
const WAKER: usize = 0x014;
const SGI_FRAME: usize = 0x1_0000;

/// The virtual timer's interrupt.
const VIRTUAL_TIMER: u32 = 27;
/// Bitmaps of SPIs of this board's GIC.
const SPI_WORDS: usize = 2;
/// UARTIMSC: all interrupts of the UART enabled.
const UARTIMSC: usize = 0x0900_0038;

fn write(register: usize, value: u32) {
    // SAFETY: callers name registers of devices, which no value makes access memory.
    unsafe { mmio::write(register, value) };
}

/// Lets the console print: its UART sends, rather than to itself, and at the start of a line.
pub fn enable_console() {
    const UARTDR: usize = 0x0900_0000;
    const UARTCR: usize = 0x0900_0030;
    write(UARTCR, 0x301);
    write(UARTDR, u32::from(b'\n'));
}

/// Puts the GIC in order for vCPU `vcpu`: no interrupt active or pending, the virtual timer's and the
/// SGIs enabled in Group 1, nothing masked but by PSTATE.
pub fn put_in_order(vcpu: usize) {
    let frame = GICR_SGI + vcpu * GICR_STRIDE;
    stop_timer();
    write(GICD + CTLR, 0b11);
    for word in 1..=SPI_WORDS {
        write(GICD + ICENABLER + 4 * word, u32::MAX);
    }
    write(frame + ICACTIVER, u32::MAX);
    write(frame + ICPENDR, u32::MAX);
    write(frame + IGROUPR, u32::MAX);
    write(frame + IPRIORITYR + (VIRTUAL_TIMER as usize & !3), 0);
    write(frame + ISENABLER, 1 << VIRTUAL_TIMER | 0xffff);
    // SAFETY: the CPU interface of this vCPU, which takes interrupts in attempts only: ICC_AP0R0_EL1,
    // ICC_AP1R0_EL1, ICC_CTLR_EL1, ICC_BPR0_EL1, ICC_BPR1_EL1, ICC_PMR_EL1, ICC_IGRPEN0_EL1, ICC_IGRPEN1_EL1.
    unsafe {
        write_sysreg!("s3_0_c12_c8_4", 0);
        write_sysreg!("s3_0_c12_c9_0", 0);
        write_sysreg!("s3_0_c12_c12_4", 0);
        write_sysreg!("s3_0_c12_c8_3", 0);
        write_sysreg!("s3_0_c12_c12_3", 0);
        write_sysreg!("s3_0_c4_c6_0", 0xff);
        write_sysreg!("s3_0_c12_c12_6", 1);
        write_sysreg!("s3_0_c12_c12_7", 1);
    }
}

/// Lets the virtual timer fire in `ticks` from now.
pub fn set_timer(ticks: u64) {
    let now = read_sysreg!("cntvct_el0");
    // SAFETY: its interrupt is taken in attempts only, or is masked.
    unsafe {
        write_sysreg!("cntv_cval_el0", now + ticks);
        write_sysreg!("cntv_ctl_el0", 1);
    }
}

/// Stops both timers.
pub fn stop_timer() {
    // SAFETY: disables them.
    unsafe {
        write_sysreg!("cntv_ctl_el0", 0);
        write_sysreg!("cntp_ctl_el0", 0);
    }
}

/// Makes some interrupt pending for vCPU `vcpu`: the timer's in the past, SGIs, the UART's level, or
/// any that is written pending.
pub fn raise(vcpu: usize, values: &mut Values) {
    match values.below(4) {
        0 => {
            // SAFETY: as in `set_timer`.
            unsafe { write_sysreg!("cntv_cval_el0", 0) };
            // SAFETY: as above.
            unsafe { write_sysreg!("cntv_ctl_el0", 1) };
        }
        1 => {
            let intid = values.below(16);
            let targets = 1 << vcpu | values.below(1 << values.map().vcpus);
            // SAFETY: SGIs are taken in attempts only.
            unsafe { write_sysreg!("icc_sgi1r_el1", intid << 24 | targets) };
        }
        2 => {
            // The UART's SPI 1, whose line stays high until somebody clears its cause.
            write(UARTIMSC, 0x7ff);
            write(GICD + ISENABLER + 4, 1 << 1);
        }
        _ => {
            let pending = values.number() as u32;
            write(GICR_SGI + vcpu * GICR_STRIDE + ISPENDR, pending);
        }
    }
}

/// Answers an interrupt as a driver would that has lost its mind: not at all, by halves, or fully.
pub fn answer(values: &mut Values) {
    if values.once_in(4) {
        return;
    }
    // Group 1 or Group 0.
    let group1 = !values.once_in(4);
    let intid = if group1 {
        read_sysreg!("icc_iar1_el1")
    } else {
        read_sysreg!("icc_iar0_el1")
    };
    let intid = if values.once_in(8) {
        values.number()
    } else {
        intid
    };
    match values.below(4) {
        0 => {}
        // SAFETY: any value only confuses this vCPU's own CPU interface.
        1 => unsafe { write_sysreg!("icc_eoir0_el1", intid) },
        // SAFETY: as above.
        _ => unsafe { write_sysreg!("icc_eoir1_el1", intid) },
    }
    if values.once_in(4) {
        // SAFETY: as above.
        unsafe { write_sysreg!("icc_dir_el1", intid) };
    }
    if values.once_in(2) {
        stop_timer();
    }
}

/// Writes any value to any register that describes interrupts, in the distributor or a redistributor.
pub fn scribble(values: &mut Values) {
    const BITMAPS: [usize; 7] = [
        IGROUPR, ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER,
    ];
    let value = values.number() as u32;
    let bitmap = values.one_of(&BITMAPS);
    let word = 4 * values.below(1 + SPI_WORDS as u64) as usize;
    let vcpus = values.map().vcpus;
    let redistributor = GICR_SGI + values.below(vcpus) as usize * GICR_STRIDE;
    match values.below(8) {
        0 => write(GICD + CTLR, value),
        1 => write(GICD + ICFGR + 2 * word, value),
        2 => write(GICD + IROUTER32 + 8 * values.below(64) as usize, value % 9),
        3 => write(redistributor + ICFGR + word % 8, value),
        4 => write(redistributor - SGI_FRAME + WAKER, value),
        5 => write(redistributor + IPRIORITYR + 8 * word % 32, value),
        6 => write(redistributor + bitmap, value),
        _ => write(GICD + bitmap + word, value),
    }
}
