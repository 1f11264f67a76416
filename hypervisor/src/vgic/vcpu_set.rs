//! A set of vCPUs of one VM, as bits.

use core::ops::{BitAnd, BitOrAssign};

/// A set of vCPUs of one VM; iterates over their numbers in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VcpuSet(u8);

impl VcpuSet {
    /// No vCPU.
    pub const EMPTY: Self = Self(0);

    /// The set whose bit `n` says whether vCPU `n` is in it.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Bit `n` is set if vCPU `n` is in the set.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether there is no vCPU in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `vcpu` is in the set.
    pub const fn contains(self, vcpu: usize) -> bool {
        vcpu < 8 && self.0 >> vcpu & 1 != 0
    }

    /// Just `vcpu`.
    pub(super) const fn only(vcpu: usize) -> Self {
        Self(1 << vcpu)
    }

    /// Just `vcpu` if `condition` holds, else no vCPU.
    pub(super) const fn only_if(vcpu: usize, condition: bool) -> Self {
        Self((condition as u8) << vcpu)
    }

    /// vCPUs 0 up to but not including `n`; `n` is at most 8.
    pub(super) const fn first(n: usize) -> Self {
        Self(((1u16 << n) - 1) as u8)
    }

    /// Returns the set without `vcpu`.
    pub const fn without(self, vcpu: usize) -> Self {
        Self(self.0 & !(1 << vcpu))
    }
}

impl BitAnd for VcpuSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOrAssign for VcpuSet {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl FromIterator<usize> for VcpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(vcpus: I) -> Self {
        vcpus
            .into_iter()
            .fold(Self::EMPTY, |set, vcpu| Self(set.0 | 1 << vcpu))
    }
}

impl Iterator for VcpuSet {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let vcpu = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (vcpu < 8).then_some(vcpu)
    }
}
