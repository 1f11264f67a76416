//! A VM on one core, for scenarios: what the guest does, and what EL2 does between exit and entry.

use super::super::{Effects, Vgic};
use super::core::Core;
use super::{ISACTIVER, read_bit, vgic_with};

/// One core and the VM that runs on it, with one of its vCPUs in the guest.
pub(super) struct Machine {
    pub(super) vgic: Vgic,
    pub(super) core: Core,
}

impl Machine {
    /// A VM with these interrupts enabled on all vCPUs, and vCPU 0 in the guest.
    pub(super) fn new(vcpus: usize, intids: &[u32], list_registers: usize) -> Self {
        let mut vgic = vgic_with(vcpus, intids);
        let core = Core::new(&mut vgic, list_registers);
        Self { vgic, core }
    }

    /// As [`Machine::new`], with `intid` alone, which EL2 has made pending by `act`, and which vCPU 0
    /// has acknowledged.
    pub(super) fn handling<T>(vcpus: usize, intid: u32, act: impl FnOnce(&mut Vgic) -> T) -> Self {
        let mut machine = Self::new(vcpus, &[intid], 4);
        let _ = machine.at_el2(act);
        assert_eq!(machine.acknowledge(), Some(intid));
        machine
    }

    /// The line of the loaded vCPU's virtual timer moves while that is in its guest.
    pub(super) fn set_line(&mut self, high: bool) {
        self.core.set_line(&mut self.vgic, high);
    }

    /// Does something at EL2, after an exit and before the same vCPU's entry.
    pub(super) fn at_el2<T>(&mut self, act: impl FnOnce(&mut Vgic) -> T) -> T {
        let _ = self.exit();
        let result = act(&mut self.vgic);
        self.core.enter(&mut self.vgic);
        result
    }

    /// Exits, and enters another vCPU.
    pub(super) fn switch_to(&mut self, vcpu: usize) {
        let _ = self.exit();
        self.core.load(&mut self.vgic, vcpu);
    }

    /// Exits, and takes a maintenance interrupt if there is one, before the entry.
    pub(super) fn maintain(&mut self) {
        if self.core.maintenance() {
            self.at_el2(|_| ());
        }
    }

    pub(super) fn exit(&mut self) -> Effects {
        let effects = self.core.exit(&mut self.vgic);
        self.vgic.left(self.core.loaded);
        effects
    }

    pub(super) fn acknowledge(&mut self) -> Option<u32> {
        self.core.acknowledge()
    }

    pub(super) fn end(&mut self, intid: u32) {
        self.core.end(intid);
    }

    /// What the loaded vCPU reads of an interrupt's active state; it is at EL2.
    pub(super) fn is_active(&self, intid: u32) -> bool {
        read_bit(&self.vgic, self.core.loaded, ISACTIVER, intid)
    }
}
