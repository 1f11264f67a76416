//! A core's virtual CPU interface, as the hardware runs it on list registers, and EL2 around it.

use super::super::{Effects, HARDWARE_INTID, Vgic};
use super::{ISACTIVER, read_bit};

const PENDING: u64 = 1 << 62;
const ACTIVE: u64 = 1 << 63;
const STATE: u64 = PENDING | ACTIVE;
const HW: u64 = 1 << 61;
const EOI: u64 = 1 << 41;

/// The lowest priority: nothing is running.
pub(super) const IDLE: u8 = 0xff;

/// One physical core with a vCPU loaded, in the guest or (between `exit` and `enter`) at EL2.
pub(super) struct Core {
    pub(super) lrs: Vec<u64>,
    pub(super) hcr: u64,
    pub(super) loaded: usize,
    /// The physical interrupt 27 is active.
    pub(super) physical_active: bool,
    /// The lines of the vCPUs' virtual timers, of which the loaded one's is in the core.
    pub(super) lines: Vec<bool>,
    /// Active priorities of each vCPU that it runs, the running one last.
    running: Vec<Vec<u8>>,
}

impl Core {
    /// A core with vCPU 0 loaded and in its guest.
    pub(super) fn new(vgic: &mut Vgic, list_registers: usize) -> Self {
        let mut core = Self::empty(vgic, list_registers);
        core.load(vgic, 0);
        core
    }

    /// A core that has run nothing.
    pub(super) fn empty(vgic: &Vgic, list_registers: usize) -> Self {
        Self {
            lrs: vec![0; list_registers],
            hcr: 0,
            loaded: 0,
            physical_active: false,
            lines: vec![false; vgic.vcpus()],
            running: vec![Vec::new(); vgic.vcpus()],
        }
    }

    /// At EL2: another vCPU's turn.
    pub(super) fn load(&mut self, vgic: &mut Vgic, vcpu: usize) {
        self.make_resident(vgic, vcpu);
        self.enter(vgic);
    }

    /// At EL2: puts a vCPU into the core, without entering it.
    pub(super) fn make_resident(&mut self, vgic: &mut Vgic, vcpu: usize) {
        self.loaded = vcpu;
        let count = self.lrs.len();
        self.lrs.copy_from_slice(&vgic.list(vcpu)[..count]);
        self.hcr = vgic.hcr(vcpu);
        self.physical_active = vgic.hardware_written(vcpu);
    }

    /// At EL2: `vcpu`, which ran here, runs on `other` next.
    pub(super) fn hand_over(&mut self, vcpu: usize, other: &mut Self) {
        other.running[vcpu] = std::mem::take(&mut self.running[vcpu]);
        other.lines[vcpu] = std::mem::take(&mut self.lines[vcpu]);
    }

    pub(super) fn enter(&mut self, vgic: &mut Vgic) {
        assert!(self.try_enter(vgic), "no access waits");
    }

    /// Enters the loaded vCPU unless it has to stay out.
    pub(super) fn try_enter(&mut self, vgic: &mut Vgic) -> bool {
        if vgic.needs_flush(self.loaded) {
            let Some(count) = vgic.flush(self.loaded, self.lrs.len()) else {
                return false;
            };
            self.lrs[..count].copy_from_slice(&vgic.list(self.loaded)[..count]);
            self.hcr = vgic.hcr(self.loaded);
            if vgic.hardware_is_stale(self.loaded) {
                self.physical_active = vgic.hardware_written(self.loaded);
            }
        }
        vgic.entered(self.loaded);
        self.check(vgic);
        true
    }

    /// The loaded vCPU exits, and EL2 looks at what it has to.
    pub(super) fn exit(&mut self, vgic: &mut Vgic) -> Effects {
        if vgic.looked_at(self.loaded) == 0 {
            return Effects::default();
        }
        let used = vgic.used(self.loaded);
        let mut effects = vgic.sync(self.loaded, |n| self.lrs[..used][n], || self.hcr);
        if vgic.hardware_is_watched(self.loaded) {
            effects |= vgic.hardware_seen(self.loaded, self.lines[self.loaded]);
        }
        self.apply(vgic, effects);
        effects
    }

    /// At EL2: what effects ask of this core for the loaded vCPU.
    pub(super) fn apply(&mut self, vgic: &mut Vgic, effects: Effects) {
        if effects.hardware.contains(self.loaded) {
            self.physical_active = vgic.hardware_written(self.loaded);
        }
    }

    /// Whether the physical interrupt 27 is about to fire.
    pub(super) fn can_fire(&self) -> bool {
        self.lines[self.loaded] && !self.physical_active
    }

    /// The physical interrupt 27 fires, with its vCPU out of the guest.
    pub(super) fn fire(&mut self, vgic: &mut Vgic) -> Effects {
        assert!(self.can_fire());
        self.physical_active = true;
        vgic.hardware_fired(self.loaded)
    }

    /// The timer's line moves, and the physical interrupt fires if it can; the vCPU is in its guest.
    pub(super) fn set_line(&mut self, vgic: &mut Vgic, high: bool) {
        self.lines[self.loaded] = high;
        self.fire_in_guest(vgic);
    }

    /// The physical interrupt fires, if it can, while the vCPU is in its guest.
    pub(super) fn fire_in_guest(&mut self, vgic: &mut Vgic) {
        if self.can_fire() {
            let _ = self.exit(vgic);
            let _ = self.fire(vgic);
            self.enter(vgic);
        }
    }

    /// What must hold at every entry.
    fn check(&self, vgic: &Vgic) {
        assert!(!self.maintenance(), "no maintenance interrupt at the entry");
        let valid: Vec<u64> = self.valid().collect();
        for (i, lr) in valid.iter().enumerate() {
            let same = |other: &&u64| **other as u32 == *lr as u32;
            assert_eq!(valid.iter().filter(same).count(), 1, "listed twice: {i}");
            assert!(lr & HW == 0 || lr & STATE != STATE, "HW pending and active");
        }
        // One that the guest made pending itself becomes active without the physical one, which may fire.
        let physical_active = vgic.hardware_active(self.loaded);
        let active = read_bit(vgic, self.loaded, ISACTIVER, HARDWARE_INTID);
        assert!(self.physical_active == physical_active || physical_active && active);
    }

    fn valid(&self) -> impl Iterator<Item = u64> {
        self.lrs.iter().copied().filter(|lr| lr & STATE != 0)
    }

    /// `ICH_MISR_EL2` is not 0.
    pub(super) fn maintenance(&self) -> bool {
        let enabled = |bit: u32| self.hcr >> bit & 1 != 0;
        let ended = |lr: &u64| lr & (STATE | HW) == 0 && lr & EOI != 0;
        self.lrs.iter().any(ended)
            || enabled(1) && self.valid().count() <= 1
            || enabled(2) && self.hcr >> 27 != 0
            || enabled(3) && !self.lrs.iter().any(|lr| lr & STATE == PENDING)
    }

    /// The guest reads `ICC_IAR1_EL1`.
    pub(super) fn acknowledge(&mut self) -> Option<u32> {
        let priority = |lr: u64| (lr >> 48) as u8;
        let running = *self.running[self.loaded].last().unwrap_or(&IDLE);
        let lr = self
            .lrs
            .iter_mut()
            .filter(|lr| **lr & STATE == PENDING && priority(**lr) < running)
            .min_by_key(|lr| (priority(**lr), **lr as u32))?;
        *lr ^= STATE;
        let (intid, priority) = (*lr as u32, priority(*lr));
        self.running[self.loaded].push(priority);
        Some(intid)
    }

    /// The guest writes `ICC_EOIR1_EL1` with `EOImode` = 0.
    pub(super) fn end(&mut self, intid: u32) {
        self.running[self.loaded].pop();
        self.deactivate(intid);
    }

    /// The guest writes `ICC_EOIR1_EL1` with `EOImode` = 1: the priority drops only.
    pub(super) fn drop_priority(&mut self) {
        self.running[self.loaded].pop();
    }

    /// The guest writes `ICC_DIR_EL1`, which traps if `TDIR` says so.
    pub(super) fn deactivate_or_trap(&mut self, vgic: &mut Vgic, intid: u32) {
        if self.hcr >> 14 & 1 == 0 {
            self.deactivate(intid);
            return;
        }
        let _ = self.exit(vgic);
        let effects = vgic.deactivate(self.loaded, intid);
        self.apply(vgic, effects);
        self.enter(vgic);
    }

    fn deactivate(&mut self, intid: u32) {
        let listed = |lr: &&mut u64| **lr as u32 == intid && **lr & ACTIVE != 0;
        match self.lrs.iter_mut().find(listed) {
            Some(lr) => {
                *lr &= !ACTIVE;
                if *lr & HW != 0 {
                    self.physical_active = false;
                }
            }
            None => self.hcr += 1 << 27,
        }
    }
}
