//! What is so in a VM, whatever its virtual GIC knows: the state of each interrupt, kept at the moment
//! at which a guest or a device changes it.

use super::super::super::HARDWARE_INTID;

#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt {
    pub(super) enabled: bool,
    pub(super) edge: bool,
    pub(super) line: bool,
    /// Pending until it is acknowledged.
    pub(super) latch: bool,
    /// An edge came while a list register was pending, in a guest: it is one with that if the guest
    /// exits before its acknowledgement, and remains pending else.
    again: bool,
    /// Of the virtual timer: EL2 knows that the line is high, and the guest has not acknowledged it.
    fired: bool,
    /// Of the virtual timer: the line when EL2 last looked, while the interrupt is active.
    seen: bool,
    pub(super) priority: u8,
    pub(super) route: u32,
    pub(super) active_on: Option<usize>,
}

pub(super) struct Truth {
    /// By vCPU and INTID; of SPIs only vCPU 0's entry is used.
    interrupts: Vec<Vec<Interrupt>>,
    pub(super) group1: bool,
    /// What each vCPU handles, innermost last.
    pub(super) handling: Vec<Vec<u32>>,
}

impl Truth {
    pub(super) fn new(vcpus: usize) -> Self {
        Self {
            interrupts: vec![vec![Interrupt::default(); 96]; vcpus],
            group1: true,
            handling: vec![Vec::new(); vcpus],
        }
    }

    pub(super) fn at(&self, vcpu: usize, intid: u32) -> &Interrupt {
        let vcpu = if intid < 32 { vcpu } else { 0 };
        &self.interrupts[vcpu][intid as usize]
    }

    pub(super) fn at_mut(&mut self, vcpu: usize, intid: u32) -> &mut Interrupt {
        let vcpu = if intid < 32 { vcpu } else { 0 };
        &mut self.interrupts[vcpu][intid as usize]
    }

    pub(super) fn pending(&self, vcpu: usize, intid: u32) -> bool {
        let interrupt = self.at(vcpu, intid);
        let line = match intid {
            HARDWARE_INTID => interrupt.fired,
            _ => interrupt.line && !interrupt.edge,
        };
        interrupt.latch || interrupt.again || line
    }

    /// Whether a guest reads that it is pending.
    pub(super) fn reads_pending(&self, vcpu: usize, intid: u32) -> bool {
        let interrupt = self.at(vcpu, intid);
        self.pending(vcpu, intid) || interrupt.active_on.is_some() && interrupt.seen
    }

    /// Whether `vcpu`, which waits, should not: as [`Truth::deliverable`], but for the timer's line itself.
    pub(super) fn ends_a_wait(&self, vcpu: usize, intid: u32) -> bool {
        let line = intid == HARDWARE_INTID && self.at(vcpu, intid).line;
        self.open(vcpu, intid) && (line || self.pending(vcpu, intid))
    }

    /// The physical timer interrupt has fired.
    pub(super) fn fire(&mut self, vcpu: usize) {
        let interrupt = self.at_mut(vcpu, HARDWARE_INTID);
        interrupt.fired |= interrupt.active_on.is_none();
    }

    /// The guest writes the active state of an interrupt, which becomes active on `home`.
    pub(super) fn write_active(&mut self, vcpu: usize, intid: u32, set: bool, home: usize) {
        let interrupt = self.at_mut(vcpu, intid);
        if set == interrupt.active_on.is_some() {
            return;
        }
        interrupt.active_on = set.then_some(home);
        if intid == HARDWARE_INTID {
            core::mem::swap(&mut interrupt.fired, &mut interrupt.seen);
        }
    }

    /// Whether `vcpu` may take `intid` as soon as it is pending.
    pub(super) fn open(&self, vcpu: usize, intid: u32) -> bool {
        let interrupt = self.at(vcpu, intid);
        let here = intid < 32 || interrupt.route == vcpu as u32;
        self.group1 && interrupt.enabled && here && interrupt.active_on.is_none()
    }

    pub(super) fn deliverable(&self, vcpu: usize, intid: u32) -> bool {
        self.open(vcpu, intid) && self.pending(vcpu, intid)
    }

    /// Whether it stops being pending by itself, when its line falls.
    pub(super) fn may_fall(&self, vcpu: usize, intid: u32) -> bool {
        intid >= 16 && intid != HARDWARE_INTID && !self.at(vcpu, intid).edge
    }

    /// An edge; `listed` says whether it is pending in a list register of a guest that runs.
    pub(super) fn edge(&mut self, vcpu: usize, intid: u32, listed: bool) {
        let interrupt = self.at_mut(vcpu, intid);
        interrupt.latch |= !listed;
        interrupt.again |= listed;
    }

    /// `vcpu` exits.
    pub(super) fn exit(&mut self, vcpu: usize) {
        let timer = self.at_mut(vcpu, HARDWARE_INTID);
        timer.fired &= timer.line;
        timer.seen = timer.line && timer.active_on.is_some();
        for intid in 0..96 {
            let interrupt = self.at_mut(vcpu, intid);
            if interrupt.again && (intid < 32 || interrupt.route == vcpu as u32) {
                interrupt.again = false;
                interrupt.latch = true;
            }
        }
    }

    /// `vcpu` has got `intid` from its core. `stale` says whether EL2 has yet to bring it out for
    /// something, which may be that the line has fallen.
    pub(super) fn acknowledge(&mut self, vcpu: usize, intid: u32, stale: bool) {
        let fell = stale && self.may_fall(vcpu, intid);
        assert!(
            self.open(vcpu, intid),
            "vCPU {vcpu} takes {intid}, which it may not: {:?}",
            self.at(vcpu, intid)
        );
        assert!(
            self.pending(vcpu, intid) || fell,
            "vCPU {vcpu} takes {intid} for nothing"
        );
        self.handling[vcpu].push(intid);
        let interrupt = self.at_mut(vcpu, intid);
        interrupt.latch = interrupt.again;
        interrupt.again = false;
        interrupt.fired = false;
        interrupt.active_on = Some(vcpu);
    }

    pub(super) fn end(&mut self, vcpu: usize) -> Option<u32> {
        let intid = self.handling[vcpu].pop()?;
        let interrupt = self.at_mut(vcpu, intid);
        interrupt.active_on = interrupt.active_on.filter(|&on| on != vcpu);
        interrupt.seen = false;
        Some(intid)
    }
}
