//! What a change of the virtual GIC asks of EL2.

use core::ops::BitOrAssign;

use super::VcpuSet;

/// What EL2 has to do after a call, before it releases the VM's lock or at once after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Effects {
    /// vCPUs with an interrupt to take: one that waits in WFI must be woken.
    pub wake: VcpuSet,
    /// vCPUs whose [`Vgic::hardware_active`](super::Vgic::hardware_active) may have changed. EL2 writes it
    /// at once, under the lock, for the one that is loaded on the core that makes the call; for others,
    /// before these are entered.
    pub hardware: VcpuSet,
    /// vCPUs whose live list registers are out of date: EL2 interrupts the cores that they are loaded
    /// on, so that they exit, are synced and flushed. It need not wait for that. A vCPU loaded on the
    /// core that makes the call is at EL2 already. A vCPU is named once between two flushes.
    pub kick: VcpuSet,
}

impl BitOrAssign for Effects {
    fn bitor_assign(&mut self, other: Self) {
        self.wake |= other.wake;
        self.hardware |= other.hardware;
        self.kick |= other.kick;
    }
}
