//! The virtual timer's interrupt, the one that is mapped to a physical interrupt.
//!
//! The calls here are made for a vCPU that is out of its guest: by the core that it is loaded on, after
//! the exit and [`Vgic::sync`], or while it is not loaded.

use super::{Effects, HARDWARE_BIT, VcpuSet, Vgic};

impl Vgic {
    /// The physical interrupt behind [`HARDWARE_INTID`](super::HARDWARE_INTID) fired for `vcpu`.
    ///
    /// Either EL2 acknowledged it while `vcpu` was loaded and dropped its priority only, so that it
    /// is active; or the timer of a vCPU that is not loaded expired, and EL2 makes the physical
    /// interrupt active when it loads `vcpu` (see [`Vgic::hardware_active`]). No-op while the
    /// interrupt is active: a level-sensitive one fires again by itself after its deactivation.
    pub fn hardware_pending(&mut self, vcpu: usize) -> Effects {
        let cpu = &mut self.cpus[vcpu];
        if cpu.active[0] & HARDWARE_BIT != 0 {
            return Effects::default();
        }
        let hardware = VcpuSet::only_if(vcpu, cpu.private.latch & HARDWARE_BIT == 0);
        cpu.private.latch |= HARDWARE_BIT;
        let mut effects = self.touched(vcpu, 0, HARDWARE_BIT);
        effects.hardware = hardware;
        effects
    }

    /// The physical line of [`HARDWARE_INTID`](super::HARDWARE_INTID) fell before the guest
    /// acknowledged the interrupt (it reprogrammed or masked its timer), so that it is no longer
    /// pending.
    pub fn hardware_retract(&mut self, vcpu: usize) -> Effects {
        let cpu = &mut self.cpus[vcpu];
        if cpu.private.latch & HARDWARE_BIT == 0 {
            return Effects::default();
        }
        cpu.private.latch &= !HARDWARE_BIT;
        let mut effects = self.touched(vcpu, 0, HARDWARE_BIT);
        effects.hardware = VcpuSet::only(vcpu);
        effects
    }

    /// Whether [`HARDWARE_INTID`](super::HARDWARE_INTID) waits for `vcpu`'s acknowledgement.
    #[inline]
    pub fn hardware_is_pending(&self, vcpu: usize) -> bool {
        self.cpus[vcpu].private.latch & HARDWARE_BIT != 0
    }

    /// Whether the physical interrupt behind [`HARDWARE_INTID`](super::HARDWARE_INTID) has to be active
    /// in the core that `vcpu` is loaded on (`GICR_ISACTIVER0` of that core), or inactive
    /// (`GICR_ICACTIVER0`). To be written at each load, for each core has its own.
    #[inline]
    pub fn hardware_active(&self, vcpu: usize) -> bool {
        let cpu = &self.cpus[vcpu];
        (cpu.private.latch | cpu.active[0]) & HARDWARE_BIT != 0
    }
}
