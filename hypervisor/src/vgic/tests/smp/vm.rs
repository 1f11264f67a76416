//! One VM on several cores: the cores, and EL2's side of each exit, entry, kick and move.

use super::super::super::{Effects, HARDWARE_INTID, VcpuSet, Vgic};
use super::super::core::Core;
use super::super::{ISENABLER, enabled_vgic, write_bit, write_priority};
use super::access::Access;
use super::truth::Truth;
use super::{CORES, EDGES, INTIDS, OPEN, PENDING, VCPUS};

/// A physical core and what EL2 does there.
pub(super) struct Slot {
    pub(super) core: Core,
    pub(super) vcpu: Option<usize>,
    pub(super) in_guest: bool,
    /// Its vCPU waits in WFI, loaded.
    pub(super) waits: bool,
    /// An interrupt from another core has not been taken yet.
    pub(super) kicked: bool,
    /// The guest's access that waits for others to exit.
    pub(super) access: Option<Access>,
}

pub(super) struct Vm {
    pub(super) vgic: Vgic,
    pub(super) truth: Truth,
    pub(super) slots: Vec<Slot>,
    /// The timers of vCPUs that are on no core, and that have expired since.
    pub(super) due: [bool; VCPUS],
    /// The core that each vCPU ran on last.
    pub(super) home: [usize; VCPUS],
    /// Whether EL2 knows that a vCPU which is on no core has something to take.
    pub(super) woken: [bool; VCPUS],
    /// There are list registers for everything.
    pub(super) roomy: bool,
}

impl Vm {
    pub(super) fn new(list_registers: usize, priorities: &[u8]) -> Self {
        let mut vgic = enabled_vgic(VCPUS);
        let mut truth = Truth::new(VCPUS);
        for spi in EDGES {
            let offset = 0xc00 + u64::from(spi / 16) * 4;
            let _ = vgic.distributor_write(offset, 4, 2 << (spi % 16 * 2));
        }
        for (n, intid) in INTIDS.into_iter().enumerate() {
            let priority = priorities[n % priorities.len()];
            for vcpu in 0..VCPUS {
                let _ = write_priority(&mut vgic, vcpu, intid, priority);
                let _ = write_bit(&mut vgic, vcpu, ISENABLER, intid);
                let interrupt = truth.at_mut(vcpu, intid);
                interrupt.enabled = true;
                interrupt.edge = intid < 16 || EDGES.contains(&intid);
                interrupt.priority = priority;
            }
        }
        let slots = (0..CORES).map(|_| Slot {
            core: Core::empty(&vgic, list_registers),
            vcpu: None,
            in_guest: false,
            waits: false,
            kicked: false,
            access: None,
        });
        let mut vm = Self {
            slots: slots.collect(),
            vgic,
            truth,
            due: [false; VCPUS],
            home: [0; VCPUS],
            woken: [false; VCPUS],
            roomy: list_registers >= INTIDS.len(),
        };
        for k in 0..CORES {
            vm.run(k, k);
            vm.enter(k);
        }
        vm
    }

    pub(super) fn slot_of(&self, vcpu: usize) -> Option<usize> {
        self.slots.iter().position(|slot| slot.vcpu == Some(vcpu))
    }

    pub(super) fn guest(&self, k: usize) -> Option<usize> {
        self.slots[k].vcpu.filter(|_| self.slots[k].in_guest)
    }

    /// The vCPU on a core that is at EL2 and free to do something else.
    pub(super) fn at_el2(&self, k: usize) -> bool {
        let slot = &self.slots[k];
        !slot.in_guest && !slot.waits && slot.access.is_none()
    }

    /// Whether `intid` is pending in a list register of a guest that runs.
    pub(super) fn listed(&self, vcpu: usize, intid: u32) -> bool {
        self.slots.iter().any(|slot| {
            let mine = intid >= 32 || slot.vcpu == Some(vcpu);
            let pending = |lr: &u64| *lr as u32 == intid && lr & PENDING != 0;
            slot.in_guest && mine && slot.core.lrs.iter().any(pending)
        })
    }

    /// Sees to what a call asks for, that a device made, or the core `caller`.
    pub(super) fn apply(&mut self, caller: Option<usize>, effects: Effects) {
        for vcpu in effects.wake {
            self.woken[vcpu] = true;
            if let Some(k) = self.slot_of(vcpu) {
                self.slots[k].waits = false;
            }
        }
        if let Some(k) = caller {
            self.slots[k].core.apply(&mut self.vgic, effects);
        }
        self.kick(effects.kick);
    }

    pub(super) fn kick(&mut self, set: VcpuSet) {
        for vcpu in set {
            let k = self.slot_of(vcpu).expect("who is kicked is on a core");
            self.slots[k].kicked = true;
        }
    }

    pub(super) fn edge(&mut self, vcpu: usize, intid: u32) {
        let listed = self.listed(vcpu, intid);
        self.truth.edge(vcpu, intid, listed);
    }

    pub(super) fn line(&mut self, vcpu: usize, intid: u32, high: bool) {
        let interrupt = self.truth.at_mut(vcpu, intid);
        let rises = high && !interrupt.line;
        interrupt.line = high;
        if rises && interrupt.edge {
            self.edge(vcpu, intid);
        }
        let effects = self.vgic.set_level(vcpu, intid, high);
        self.apply(None, effects);
    }

    pub(super) fn exit(&mut self, k: usize) {
        let Some(vcpu) = self.guest(k) else { return };
        let effects = self.slots[k].core.exit(&mut self.vgic);
        self.slots[k].in_guest = false;
        self.truth.exit(vcpu);
        self.apply(Some(k), effects);
    }

    pub(super) fn enter(&mut self, k: usize) {
        let Some(vcpu) = self.slots[k].vcpu.filter(|_| self.at_el2(k)) else {
            return;
        };
        let entered = self.slots[k].core.try_enter(&mut self.vgic);
        self.slots[k].in_guest = entered;
        let somebody_waits = self.slots.iter().any(|slot| slot.access.is_some());
        assert!(entered || somebody_waits, "kept out without an access");
        let timer = self.truth.at(vcpu, HARDWARE_INTID);
        let pending = timer.line || timer.latch;
        let listed = |lr: &u64| *lr as u32 == HARDWARE_INTID && *lr & PENDING != 0;
        let listed = self.slots[k].core.lrs.iter().any(listed);
        assert!(!entered || !listed || pending, "the line of {vcpu} is low");
    }

    /// The guest executes WFI.
    pub(super) fn wait(&mut self, k: usize) {
        let Some(vcpu) = self.guest(k) else { return };
        self.exit(k);
        self.vgic.left(vcpu);
        self.slots[k].waits = !self.vgic.has_pending(vcpu, OPEN);
    }

    pub(super) fn park(&mut self, k: usize) {
        if (self.at_el2(k) || self.slots[k].waits)
            && let Some(vcpu) = self.slots[k].vcpu.take()
        {
            self.slots[k].waits = false;
            self.vgic.left(vcpu);
            self.woken[vcpu] = self.vgic.has_pending(vcpu, OPEN);
        }
    }

    pub(super) fn run(&mut self, k: usize, vcpu: usize) {
        let free = self.at_el2(k) || self.slots[k].waits;
        if !free || self.slot_of(vcpu).is_some() {
            return;
        }
        self.park(k);
        let home = std::mem::replace(&mut self.home[vcpu], k);
        if let Ok([old, new]) = self.slots.get_disjoint_mut([home, k]) {
            old.core.hand_over(vcpu, &mut new.core);
        }
        self.slots[k].core.make_resident(&mut self.vgic, vcpu);
        self.slots[k].vcpu = Some(vcpu);
        if std::mem::take(&mut self.due[vcpu]) {
            self.set_timer(k, vcpu, true);
        }
    }

    fn set_timer(&mut self, k: usize, vcpu: usize, high: bool) {
        self.slots[k].core.lines[vcpu] = high;
        self.truth.at_mut(vcpu, HARDWARE_INTID).line = high;
    }

    /// Time passes, or the guest of `vcpu` sets its timer: only then its line can fall.
    pub(super) fn timer(&mut self, vcpu: usize, high: bool) {
        match self.slot_of(vcpu) {
            Some(k) if high || self.slots[k].in_guest => self.set_timer(k, vcpu, high),
            None => self.due[vcpu] |= high,
            Some(_) => {}
        }
    }

    /// Timers fire whose line is high, unless their core is at EL2 for its vCPU.
    pub(super) fn fire_timers(&mut self) {
        for k in 0..CORES {
            let Slot {
                in_guest, waits, ..
            } = self.slots[k];
            let Some(vcpu) = self.slots[k].vcpu.filter(|_| in_guest || waits) else {
                continue;
            };
            if self.slots[k].core.can_fire() {
                self.exit(k);
                let effects = self.slots[k].core.fire(&mut self.vgic);
                self.truth.fire(vcpu);
                self.apply(Some(k), effects);
            }
        }
    }

    /// Makes the access that the vCPU on core `k` is at EL2 for, unless others have to exit.
    pub(super) fn try_access(&mut self, k: usize) {
        let (Some(vcpu), Some(access)) = (self.slots[k].vcpu, self.slots[k].access.clone()) else {
            return;
        };
        let (frame, offset, size, write) = access.encode();
        let done = match write {
            Some(value) => self
                .vgic
                .write(vcpu, frame, offset, size, value)
                .map(|effects| {
                    access.write(self);
                    self.apply(Some(k), effects);
                }),
            None => (self.vgic.read(vcpu, frame, offset, size))
                .map(|value| access.check_read(self, value)),
        };
        match done {
            Ok(()) => self.slots[k].access = None,
            Err(set) => {
                assert!(!set.is_empty() && !set.contains(vcpu));
                self.kick(set);
            }
        }
    }

    pub(super) fn acknowledge(&mut self, k: usize) -> Option<u32> {
        let vcpu = self.guest(k)?;
        let intid = self.slots[k].core.acknowledge()?;
        let kicked = self.slots[k].kicked;
        self.truth.acknowledge(vcpu, intid, kicked);
        Some(intid)
    }

    pub(super) fn end(&mut self, k: usize) -> Option<u32> {
        let intid = self.truth.end(self.guest(k)?)?;
        self.slots[k].core.end(intid);
        Some(intid)
    }

    /// A core takes the interrupt that another one sent, or a maintenance interrupt.
    pub(super) fn interrupt(&mut self, k: usize) {
        if std::mem::take(&mut self.slots[k].kicked) || self.slots[k].core.maintenance() {
            self.exit(k);
        }
    }

    /// Whether a guest is about to be interrupted.
    pub(super) fn is_unsettled(&self, k: usize) -> bool {
        self.slots[k].in_guest && (self.slots[k].kicked || self.slots[k].core.maintenance())
    }
}
