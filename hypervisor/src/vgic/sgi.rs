//! Interrupts that one vCPU sends to others.

use super::{Effects, VcpuSet, Vgic};

impl Vgic {
    /// A write of `ICC_SGI1R_EL1` by vCPU `from`: Group 1 SGIs for other vCPUs (or for itself).
    ///
    /// As in a GIC with one Security state it reaches SGIs of either group.
    #[inline]
    pub fn send_sgi(&mut self, from: usize, value: u64) -> Effects {
        self.dispatch_sgi(from, value, u32::MAX)
    }

    /// A write of `ICC_SGI0R_EL1` by vCPU `from`: reaches only SGIs that are in Group 0.
    #[inline(never)]
    pub fn send_sgi_group0(&mut self, from: usize, value: u64) -> Effects {
        self.dispatch_sgi(from, value, 0)
    }

    #[inline(always)]
    fn dispatch_sgi(&mut self, from: usize, value: u64, groups: u32) -> Effects {
        let bit = 1 << (value >> 24 & 0xf);
        let targets = sgi_targets(from, self.vcpus, value);
        if targets == VcpuSet::only(from) {
            return self.receive_sgi(from, bit, groups);
        }
        self.multicast_sgi(targets, bit, groups)
    }

    #[inline(never)]
    fn multicast_sgi(&mut self, targets: VcpuSet, bit: u32, groups: u32) -> Effects {
        let mut effects = Effects::default();
        for vcpu in targets {
            effects |= self.receive_sgi(vcpu, bit, groups);
        }
        effects
    }

    #[inline(always)]
    fn receive_sgi(&mut self, vcpu: usize, bit: u32, groups: u32) -> Effects {
        if bit & (groups | !self.cpus[vcpu].private.group) == 0 {
            return Effects::default();
        }
        self.latch(vcpu, 0, bit)
    }
}

/// The vCPUs that a value of `ICC_SGI1R_EL1` or `ICC_SGI0R_EL1` names.
fn sgi_targets(from: usize, vcpus: usize, value: u64) -> VcpuSet {
    let all = VcpuSet::first(vcpus);
    if value >> 40 & 1 != 0 {
        return all.without(from);
    }
    // Aff3, RS (the range of Aff0 / 16), Aff2, Aff1: all zero for vCPUs 0.0.0.0 to 0.0.0.7.
    let elsewhere = 0xff << 48 | 0xf << 44 | 0xff << 32 | 0xff << 16;
    if value & elsewhere != 0 {
        return VcpuSet::EMPTY;
    }
    VcpuSet::from_bits((value & 0xff) as u8) & all
}
