//! Sets and deadlines of numbered things, the scheduler's vCPUs: what would take a look at each of
//! them takes a look at a word for 64, or at one path through a tree.

extern crate alloc;

use alloc::vec::Vec;

use crate::{settings::MAX_VMS, vgic::MAX_VCPUS};

/// A deadline that never comes.
pub const NEVER: u64 = u64::MAX;

/// How many slots there can be.
pub const MAX_SLOTS: usize = MAX_VMS * MAX_VCPUS;
const WORDS: usize = MAX_SLOTS.div_ceil(64);

/// A set of slots, as bits.
#[derive(Clone, Debug)]
pub struct SlotSet {
    words: [u64; WORDS],
    /// Which words are not zero, a bit each.
    some: u32,
}

/// There is a bit for each word.
const _: () = assert!(WORDS <= u32::BITS as usize);

impl SlotSet {
    /// No slot.
    pub const EMPTY: Self = Self {
        words: [0; WORDS],
        some: 0,
    };

    /// Puts `slot` into the set.
    ///
    /// # Panics
    /// If there can be no such slot, as for all of the set.
    #[inline]
    pub fn insert(&mut self, slot: usize) {
        let (n, bit) = (slot / 64, slot % 64);
        self.words[n] |= 1 << bit;
        self.some |= 1 << n;
    }

    /// Takes `slot` out of the set.
    #[inline]
    pub fn remove(&mut self, slot: usize) {
        let (n, bit) = (slot / 64, slot % 64);
        let word = self.words[n] & !(1 << bit);
        self.words[n] = word;
        self.some &= !(u32::from(word == 0) << n);
    }

    /// Whether no slot is in the set.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.some == 0
    }

    /// Returns the slot in this set or in `other` that comes after slot `last`, in ascending order and
    /// then again from 0 on.
    #[inline]
    pub fn next_with(&self, other: &Self, last: usize) -> Option<usize> {
        let word = |n: usize| self.words[n] | other.words[n];
        let slot =
            |n: usize, bits: u64| (bits != 0).then(|| n * 64 + bits.trailing_zeros() as usize);
        let (n, bit) = (last / 64, last % 64);
        let (around, up_to_last) = (word(n), u64::MAX >> (63 - bit));
        let some = self.some | other.some;
        let from_n = u32::MAX << n;
        let (before, after) = (some & !from_n, some & from_n & !(1 << n));
        slot(n, around & !up_to_last)
            .or_else(|| {
                let mut others = bits(after).chain(bits(before));
                others.find_map(|n| slot(n, word(n)))
            })
            .or_else(|| slot(n, around & up_to_last))
    }
}

/// The positions of the bits that are set, from the lowest on.
#[inline(always)]
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let n = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (n < 32).then_some(n)
    })
}

/// When each slot's time comes, and when the first one does.
#[derive(Debug, Default)]
pub struct Deadlines {
    /// A binary tree in which each node is the earlier of its two children: node `n` has the children
    /// `2n` and `2n + 1`, the root is node 1, the slots are the second half.
    tree: Vec<u64>,
}

impl Deadlines {
    /// No deadline, and no slot.
    pub const fn new() -> Self {
        Self { tree: Vec::new() }
    }

    /// Adds slots 0 up to but not including `slots`. Deadlines that were set are kept.
    pub fn grow(&mut self, slots: usize) {
        let leaves = slots.next_power_of_two();
        let before = self.tree.len() / 2;
        if leaves <= before {
            return;
        }
        let old = core::mem::replace(&mut self.tree, alloc::vec![NEVER; 2 * leaves]);
        for (slot, deadline) in old.into_iter().skip(before).enumerate() {
            self.set(slot, deadline);
        }
    }

    /// Sets a slot's deadline; [`NEVER`] for none.
    ///
    /// # Panics
    /// If there is no such slot.
    #[inline]
    pub fn set(&mut self, slot: usize, deadline: u64) {
        let mut node = self.tree.len() / 2 + slot;
        self.tree[node] = deadline;
        while node > 1 {
            node /= 2;
            self.tree[node] = self.tree[2 * node].min(self.tree[2 * node + 1]);
        }
    }

    /// The first deadline of all; [`NEVER`] if there is none.
    #[inline]
    pub fn first(&self) -> u64 {
        self.tree.get(1).copied().unwrap_or(NEVER)
    }

    /// The first deadline but for that of `slot`.
    #[inline]
    pub fn first_but(&self, slot: usize) -> u64 {
        let mut node = self.tree.len() / 2 + slot;
        let mut first = NEVER;
        while node > 1 {
            first = first.min(self.tree[node ^ 1]);
            node /= 2;
        }
        first
    }

    /// A slot whose deadline has come at the time `now`: the lowest one.
    #[inline]
    pub fn due(&self, now: u64) -> Option<usize> {
        if self.first() > now {
            return None;
        }
        let leaves = self.tree.len() / 2;
        let mut node = 1;
        while node < leaves {
            node *= 2;
            if self.tree[node] > now {
                node += 1;
            }
        }
        Some(node - leaves)
    }
}

#[cfg(test)]
mod tests;
