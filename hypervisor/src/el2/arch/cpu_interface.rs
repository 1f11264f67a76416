//! The GIC's CPU interface, by its system registers: the physical one, which is EL2's, and the virtual one of the
//! guest that is in the core.

use trapcast_hypervisor::vgic::list_register::{MAX_LIST_REGISTERS, PENDING};

use crate::el2::arch::sysreg::isb;
use crate::{mrs, msr};

/// The SGI by which one core calls another.
pub const CALL: u32 = 0;
/// The maintenance interrupt of the virtual CPU interface (PPI 9).
pub const MAINTENANCE: u32 = 25;
/// The EL2 physical timer (PPI 10).
pub const HYPERVISOR_TIMER: u32 = 26;
/// The EL1 virtual timer (PPI 11).
pub const VIRTUAL_TIMER: u32 = 27;
/// No interrupt is pending, and other answers that name none.
pub const FIRST_SPECIAL: u32 = 1020;

/// ICC_CTLR_EL1.EOImode: an end of interrupt drops the priority; deactivation is apart, and for the
/// virtual timer the guest's.
const EOI_MODE: u64 = 1 << 1;

/// ICC_SRE_EL2: system registers for EL2 and below. A guest's accesses to ICC_SRE_EL1, which is the
/// core's and no vCPU's, trap (Enable 0).
pub fn enable_system_registers() {
    // SAFETY: this core's CPU interface is EL2's own; guests have the virtual one.
    unsafe { msr!("s3_4_c12_c9_5", 0b0111) }
    isb();
}

/// Sets up the CPU interface of the core that calls it.
pub fn init() {
    enable_system_registers();
    // SAFETY: as above. ICC_CTLR_EL1, ICC_PMR_EL1, ICC_IGRPEN1_EL1.
    unsafe {
        msr!("s3_0_c12_c12_4", EOI_MODE);
        msr!("s3_0_c4_c6_0", 0xff);
        msr!("s3_0_c12_c12_7", 1);
    }
}

/// Interrupts core `number`, another one (ICC_SGI1R_EL1, one bit of TargetList for its affinity 0).
pub fn send_call(number: usize) {
    // SAFETY: an interrupt that every core takes at any time. What it is to see comes before it.
    unsafe {
        ::core::arch::asm!("dsb ishst", options(nostack, preserves_flags));
        msr!("s3_0_c12_c11_5", u64::from(CALL) << 24 | 1 << number);
    }
    isb();
}

/// Returns whether a physical interrupt waits for this core (ISR_EL1.I).
pub fn interrupt_is_pending() -> bool {
    mrs!("isr_el1") & (1 << 7) != 0
}

/// Acknowledges the pending interrupt of the highest priority (ICC_IAR1_EL1).
#[inline]
pub fn acknowledge() -> u32 {
    let intid = mrs!("s3_0_c12_c12_0") as u32;
    isb();
    intid
}

/// Drops the running priority (ICC_EOIR1_EL1). The interrupt stays active.
#[inline]
pub fn drop_priority(intid: u32) {
    // SAFETY: ends what `acknowledge` began.
    unsafe { msr!("s3_0_c12_c12_1", u64::from(intid)) }
}

/// Deactivates an interrupt (ICC_DIR_EL1).
#[inline]
pub fn deactivate(intid: u32) {
    // SAFETY: as above.
    unsafe { msr!("s3_0_c12_c11_1", u64::from(intid)) }
}

/// Returns the number of list registers (ICH_VTR_EL2.ListRegs).
pub fn list_registers() -> usize {
    (mrs!("s3_4_c12_c11_1") & 0x1f) as usize + 1
}

/// Returns whether an interrupt is pending in one of the first `used` list registers.
#[inline]
pub fn is_pending(used: usize) -> bool {
    let in_first = || read_list_register(0) & PENDING != 0;
    used != 0 && (in_first() || used > 1 && is_pending_behind_first(used))
}

#[inline(never)]
fn is_pending_behind_first(used: usize) -> bool {
    (1..used).any(|n| read_list_register(n) & PENDING != 0)
}

/// Declares the accessors of ICH_LR<n>_EL2, which are 16 registers of different names.
macro_rules! list_registers {
    ($first:literal, $($n:literal = $name:literal,)*) => {
        /// Reads ICH_LR<n>_EL2.
        #[inline(always)]
        pub fn read_list_register(n: usize) -> u64 {
            if n == 0 {
                // The one that is in use most often.
                return mrs!($first);
            }
            match n {
                $($n => mrs!($name),)*
                _ => 0,
            }
        }

        /// Writes ICH_LR<n>_EL2 from n = 0 on.
        ///
        /// # Safety
        /// The core has that many; the values are what the virtual GIC of the next guest says.
        #[inline(always)]
        pub unsafe fn write_list_registers(values: &[u64]) {
            // SAFETY: the caller's; list registers concern the guest alone.
            unsafe {
                let Some(&value) = values.first() else { return };
                msr!($first, value);
                $(
                    let Some(&value) = values.get($n) else { return };
                    msr!($name, value);
                )*
            }
        }
    };
}

list_registers! {
    "s3_4_c12_c12_0", 1 = "s3_4_c12_c12_1", 2 = "s3_4_c12_c12_2", 3 = "s3_4_c12_c12_3",
    4 = "s3_4_c12_c12_4", 5 = "s3_4_c12_c12_5", 6 = "s3_4_c12_c12_6", 7 = "s3_4_c12_c12_7",
    8 = "s3_4_c12_c13_0", 9 = "s3_4_c12_c13_1", 10 = "s3_4_c12_c13_2", 11 = "s3_4_c12_c13_3",
    12 = "s3_4_c12_c13_4", 13 = "s3_4_c12_c13_5", 14 = "s3_4_c12_c13_6", 15 = "s3_4_c12_c13_7",
}

/// Reads ICH_HCR_EL2.
#[inline]
pub fn read_ich_hcr() -> u64 {
    mrs!("s3_4_c12_c11_0")
}

/// Writes ICH_HCR_EL2.
///
/// # Safety
/// The value is what the virtual GIC of the next guest says.
#[inline]
pub unsafe fn write_ich_hcr(value: u64) {
    // SAFETY: the caller's.
    unsafe { msr!("s3_4_c12_c11_0", value) }
}

/// Reads ICH_VMCR_EL2, the guest's priority mask and group enables.
#[inline]
pub fn read_vmcr() -> u64 {
    mrs!("s3_4_c12_c11_7")
}

/// Writes ICH_VMCR_EL2 back, before a list register is to be pending. QEMU (7.2 and later) takes 8 for a
/// binary point that a guest writes to ICC_BPR1_EL1, keeps three bits of it, 0, and ends at an assertion when
/// it next compares priorities (`icv_bpr_write`, `icv_gprio_mask`); a write here has it set the least one.
#[inline(always)]
pub fn repair_vmcr() {
    // SAFETY: the value that is there; a binary point below the least one is the least one.
    unsafe { msr!("s3_4_c12_c11_7", read_vmcr()) }
}

/// The state of the virtual CPU interface that is not in list registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuInterface {
    vmcr: u64,
    ap0r0: u64,
    ap1r0: u64,
}

impl CpuInterface {
    /// Saves it. With five bits of priority, ICH_AP0R0_EL2 and ICH_AP1R0_EL2 hold all of it.
    pub fn save(&mut self) {
        self.vmcr = read_vmcr();
        self.ap0r0 = mrs!("s3_4_c12_c8_0");
        self.ap1r0 = mrs!("s3_4_c12_c9_0");
    }

    /// Loads it.
    ///
    /// # Safety
    /// The vCPU that it was saved from is entered next.
    pub unsafe fn load(&self) {
        // SAFETY: the caller's.
        unsafe {
            msr!("s3_4_c12_c11_7", self.vmcr);
            msr!("s3_4_c12_c8_0", self.ap0r0);
            msr!("s3_4_c12_c9_0", self.ap1r0);
        }
    }
}

const _: () = assert!(MAX_LIST_REGISTERS == 16);
