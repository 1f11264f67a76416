//! Which vCPUs are in their guests, with list registers that the guests change, and which have to exit.

use super::{HARDWARE_BIT, MAX_VCPUS, VcpuSet, Vgic, list_register as lr, locate};

impl Vgic {
    /// `vcpu` is entered next. To be called under the lock under which [`Vgic::needs_flush`] said no,
    /// or [`Vgic::flush`] was done.
    #[inline(always)]
    pub fn entered(&mut self, vcpu: usize) {
        self.cpus[vcpu].live = true;
    }

    /// `vcpu` is out of its guest, and synced if [`Vgic::used`] was not 0; it is not entered again at
    /// once. [`Vgic::sync`] says as much of itself.
    ///
    /// Until then a vCPU that had nothing in its list registers counts as being in its guest, so that
    /// an exit without interrupts does not need the lock. Others then kick it needlessly.
    #[inline]
    pub fn left(&mut self, vcpu: usize) {
        self.cpus[vcpu].live = false;
    }

    /// Whether to kick `vcpu`, which is in its guest, as the interrupts `mask` of bank `b` have changed;
    /// `wanted` says that it is to take one of them.
    #[inline(never)]
    pub(super) fn kick(&mut self, vcpu: usize, b: usize, mask: u32, wanted: bool) -> bool {
        let kick = wanted || self.holds(vcpu, b) & mask != 0;
        self.cpus[vcpu].kicked = kick;
        kick
    }

    /// Interrupts of bank `b` whose state `vcpu` changes without a trace while it is in its guest.
    pub(super) fn holds(&self, vcpu: usize, b: usize) -> u32 {
        let watched = match b == 0 && self.hardware_is_watched(vcpu) {
            true => HARDWARE_BIT,
            false => 0,
        };
        self.listed(vcpu)
            .filter(|&(bank, _)| bank == b)
            .fold(self.cpus[vcpu].active[b] | watched, |held, (_, bit)| {
                held | bit
            })
    }

    /// Bank and bit of each interrupt in `vcpu`'s list registers.
    pub(super) fn listed(&self, vcpu: usize) -> impl Iterator<Item = (usize, u32)> {
        self.cpus[vcpu].list[..self.used(vcpu)]
            .iter()
            .filter(|&&value| value != 0)
            .filter_map(|&value| locate(lr::intid(value)))
    }

    /// Those of `set`, other than `except`, that are in their guests.
    pub(super) fn live(&self, set: VcpuSet, except: usize) -> VcpuSet {
        set.without(except)
            .filter(|&vcpu| self.cpus[vcpu].live)
            .collect()
    }

    /// Lets `vcpu`, which is at EL2, continue an access only if no vCPU of `obstacles` is in its guest;
    /// else they are not entered again until it is made.
    pub(super) fn wait_for(&mut self, vcpu: usize, obstacles: VcpuSet) -> Result<(), VcpuSet> {
        // Two that wait for each other are both at EL2.
        self.left(vcpu);
        if obstacles.is_empty() {
            if !self.waits_for[vcpu].is_empty() {
                self.waits_for[vcpu] = VcpuSet::EMPTY;
                self.count_held_out();
            }
            return Ok(());
        }
        self.waits_for[vcpu] |= obstacles;
        self.count_held_out();
        for obstacle in obstacles {
            // Its entry has to ask `flush`.
            self.cpus[obstacle].marked = true;
        }
        Err(obstacles)
    }

    fn count_held_out(&mut self) {
        self.held_out = VcpuSet::EMPTY;
        for vcpu in 0..MAX_VCPUS {
            self.held_out |= self.waits_for[vcpu];
        }
    }
}
