//! The virtual timer's interrupt, the one that is mapped to a physical interrupt.
//!
//! It is level-sensitive, and its line is the physical timer's. EL2 is told when that rises: the physical
//! interrupt fires. It stays active then, so that it does not fire again, until the guest has deactivated
//! the virtual interrupt, or EL2 finds that the line is low. EL2 is not told when it falls, as the guest's
//! writes of its timer do not trap. So EL2 looks at the timer after each exit at which that may have
//! happened ([`Vgic::hardware_is_watched`]), whether the interrupt is in a list register or not.
//!
//! The calls here are made for a vCPU that is out of its guest.

use super::{Cpu, Effects, HARDWARE_BIT, VcpuSet, Vgic};

/// What is known of the line of [`HARDWARE_INTID`](super::HARDWARE_INTID), and what makes it pending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hardware {
    /// The line was high when EL2 last looked. Of use while the interrupt is pending or active.
    high: bool,
    /// The guest made it pending by `GICR_ISPENDR0`: it is so until the guest acknowledges it or clears
    /// that, whatever the line does. Of use while the interrupt is pending.
    latched: bool,
    /// The core that the vCPU is loaded on has yet to be told whether the physical interrupt is active.
    stale: bool,
}

impl Hardware {
    /// Nothing makes it pending.
    pub(super) const NONE: Self = Self {
        high: false,
        latched: false,
        stale: false,
    };
}

impl Cpu {
    fn hardware_is_pending(&self) -> bool {
        self.private.latch & HARDWARE_BIT != 0
    }

    fn hardware_is_active(&self) -> bool {
        self.active[0] & HARDWARE_BIT != 0
    }
}

impl Vgic {
    /// The physical interrupt behind [`HARDWARE_INTID`](super::HARDWARE_INTID) fired for `vcpu`, which is
    /// loaded. EL2 acknowledged it and dropped its priority only, so that it is active.
    ///
    /// No-op while the virtual interrupt is active: the physical one fires again after its deactivation.
    #[inline(always)]
    pub fn hardware_fired(&mut self, vcpu: usize) -> Effects {
        // It is out, so that an interrupt to itself kicks no core.
        self.left(vcpu);
        let cpu = &mut self.cpus[vcpu];
        if cpu.hardware_is_active() {
            return Effects::default();
        }
        cpu.hardware.high = true;
        cpu.hardware.latched &= cpu.hardware_is_pending();
        cpu.private.latch |= HARDWARE_BIT;
        self.touched(vcpu, 0, HARDWARE_BIT)
    }

    /// Whether EL2 has to look at `vcpu`'s timer after an exit, and to call [`Vgic::hardware_seen`].
    #[inline(always)]
    pub fn hardware_is_watched(&self, vcpu: usize) -> bool {
        let cpu = &self.cpus[vcpu];
        (cpu.private.latch | cpu.active[0]) & HARDWARE_BIT != 0
    }

    /// EL2 has looked at the line of `vcpu`'s [`HARDWARE_INTID`](super::HARDWARE_INTID), after the exit and
    /// [`Vgic::sync`], or knows that it is low as the vCPU's timer was reset.
    pub fn hardware_seen(&mut self, vcpu: usize, high: bool) -> Effects {
        let cpu = &mut self.cpus[vcpu];
        if cpu.hardware_is_active() {
            cpu.hardware.high = high;
            return Effects::default();
        }
        // A line that has risen since will make the physical interrupt fire.
        cpu.hardware.high &= high;
        if !cpu.hardware_is_pending() || cpu.hardware.high {
            return Effects::default();
        }
        let mut effects = Effects::default();
        if !cpu.hardware.latched {
            cpu.private.latch &= !HARDWARE_BIT;
            effects = self.touched(vcpu, 0, HARDWARE_BIT);
        }
        effects |= self.hardware_changed(vcpu);
        effects
    }

    /// Whether the physical interrupt behind [`HARDWARE_INTID`](super::HARDWARE_INTID) has to be active
    /// in the core that `vcpu` is loaded on.
    #[inline]
    pub fn hardware_active(&self, vcpu: usize) -> bool {
        let cpu = &self.cpus[vcpu];
        cpu.hardware_is_active() || cpu.hardware_is_pending() && cpu.hardware.high
    }

    /// Whether EL2 has to write [`Vgic::hardware_active`] again before it enters `vcpu`, which is loaded and
    /// was flushed.
    #[inline(always)]
    pub fn hardware_is_stale(&self, vcpu: usize) -> bool {
        self.cpus[vcpu].hardware.stale
    }

    /// EL2 makes the physical interrupt active in `vcpu`'s core (`GICR_ISACTIVER0` of that core), or
    /// inactive (`GICR_ICACTIVER0`), as this says: at each load, for each core has its own; when an effect
    /// asks for it; and when [`Vgic::hardware_is_stale`].
    #[inline]
    pub fn hardware_written(&mut self, vcpu: usize) -> bool {
        self.cpus[vcpu].hardware.stale = false;
        self.hardware_active(vcpu)
    }

    /// What [`Vgic::hardware_active`] says may have changed.
    fn hardware_changed(&mut self, vcpu: usize) -> Effects {
        self.cpus[vcpu].hardware.stale = true;
        Effects {
            hardware: VcpuSet::only(vcpu),
            ..Effects::default()
        }
    }

    /// Whether the line alone makes the interrupt pending, on top of active: it is not delivered then, but
    /// the guest can read it.
    pub(super) fn hardware_is_high_and_active(&self, vcpu: usize) -> bool {
        let cpu = &self.cpus[vcpu];
        cpu.hardware_is_active() && cpu.hardware.high
    }

    /// The guest writes `GICR_ISPENDR0` or `GICR_ICPENDR0`.
    pub(super) fn hardware_write_pending(&mut self, vcpu: usize, set: bool) -> Effects {
        let cpu = &mut self.cpus[vcpu];
        let pending = cpu.hardware_is_pending();
        if set {
            cpu.hardware.high &= pending || cpu.hardware_is_active();
            cpu.hardware.latched = true;
            cpu.private.latch |= HARDWARE_BIT;
        } else {
            cpu.hardware.latched = false;
            if cpu.hardware.high && !cpu.hardware_is_active() {
                // The line keeps it pending.
                return Effects::default();
            }
            cpu.private.latch &= !HARDWARE_BIT;
        }
        if pending == set {
            return Effects::default();
        }
        self.touched(vcpu, 0, HARDWARE_BIT)
    }

    /// The guest has changed whether it is active, by `GICR_ISACTIVER0` or `GICR_ICACTIVER0`.
    pub(super) fn hardware_write_active(&mut self, vcpu: usize, set: bool) -> Effects {
        if !set {
            return self.hardware_deactivated(vcpu);
        }
        let cpu = &mut self.cpus[vcpu];
        if !cpu.hardware_is_pending() {
            cpu.hardware.high = false;
        } else if !cpu.hardware.latched {
            // The line makes it pending again when it is deactivated.
            cpu.private.latch &= !HARDWARE_BIT;
        }
        self.hardware_changed(vcpu)
    }

    /// It is not active any more, by a register that EL2 emulates.
    pub(super) fn hardware_deactivated(&mut self, vcpu: usize) -> Effects {
        let cpu = &mut self.cpus[vcpu];
        if cpu.hardware.high {
            cpu.hardware.latched &= cpu.hardware_is_pending();
            cpu.private.latch |= HARDWARE_BIT;
            return Effects::default();
        }
        // The line may have risen while `vcpu` waits: the physical interrupt, which can fire as soon as its
        // core has made it inactive, will tell.
        let mut effects = self.hardware_changed(vcpu);
        effects.wake = VcpuSet::only(vcpu);
        effects
    }
}
