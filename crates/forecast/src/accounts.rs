//! The scheme `forecast`: accounts of what leaving registers out would have cost more than loading
//! them, kept by where the guest resumes.

use crate::{
    Decision, Evidence, Prices, Resume,
    floor::Floor,
    prices::{CEILING, MOST},
};

/// Accounts of places.
pub(crate) const PLACES: usize = 64;

/// Set in [`Accounts::weight`] if the registers were left out, and are for the rest of the absence but where
/// a place's own account speaks for loading them.
const FIRM: u16 = 1 << 15;

/// Set there if the registers were left out whatever the account said.
const LEFT: u16 = 1 << 14;

/// Set there if no rule had a choice, so that the floor is not told.
const NO_CHOICE: u16 = MOST + 1;

/// The bits of [`Accounts::weight`] that count windows.
const COUNT: u16 = MOST;

/// Bits of what tells an account.
const AT_BITS: u32 = PLACES.ilog2() + 7;

/// The tag of an account that no place has.
const UNASSIGNED: u8 = u8::MAX;

/// The golden ratio's bits, which scatter numbers that are close to each other.
const GOLDEN: u32 = 0x9e37_79b9;

/// The accounts of one vCPU and class of registers.
///
/// A use adds the cost of a trap to an account; a window without one subtracts the cost of a wasted load.
/// What is seen of a probe counts for all the loads that it samples. From zero on, load: by the
/// account of the place where the guest resumes if it has one, else by that of all others.
///
/// Should that do worse than to load always or never, by more than a bound, the better of these two
/// decides until it does better again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Accounts {
    places: [i16; PLACES],
    /// Whose these are.
    tags: [u8; PLACES],
    /// The account of all places that have none.
    others: i16,
    floor: Floor,
    prices: Prices,
    /// State of the generator that chooses the probes.
    random: u32,
    /// How many windows the evidence of the current decision represents, with [`FIRM`], [`LEFT`] and
    /// [`NO_CHOICE`].
    weight: u16,
    /// Where the guest resumed at the last entry of the absence, until something is learnt of it.
    at: At,
    /// Where it did at the entry before, if there was one.
    before: At,
}

/// What tells the account of a place: its number in six bits, and above these its tag in seven.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct At(u16);

impl Accounts {
    /// Bytes of code that count as one place to resume at; a power of two.
    pub const PLACE_BYTES: u64 = 64;

    /// Returns the accounts of a vCPU that has not run yet. `seed` chooses the windows that are probed.
    pub const fn new(prices: Prices, seed: u32) -> Self {
        Self {
            places: [-1; PLACES],
            tags: [UNASSIGNED; PLACES],
            // To leave the registers out shows what a window does, to load them shows nothing.
            others: -1,
            floor: Floor::new(),
            prices,
            // Seeds that are close to each other begin far apart, and none at zero.
            random: seed.wrapping_mul(2).wrapping_add(1).wrapping_mul(GOLDEN),
            weight: 1,
            at: At::NONE,
            before: At::NONE,
        }
    }

    /// Decides at an entry that finds the registers elsewhere.
    #[inline]
    pub fn decide(&mut self, resume: Resume) -> Decision {
        let at = At::new(resume.pc);
        self.note(at);
        if resume.pending {
            return self.leave_for_interrupt();
        }
        if self.rests() && !self.speaks_at(at) {
            // Most of all decisions.
            self.weight = FIRM | 1;
            return Decision::Leave;
        }
        self.decide_by_balance()
    }

    /// Notes a further entry of an absence, and returns whether the registers stay out at it as they did
    /// at the one before. If not, or if it was not that, this does nothing, and [`decide`](Self::decide) is to be
    /// asked.
    ///
    /// Until the absence ends nothing is learnt, so that only the place can make the answer another one. An
    /// interrupt that is pending makes no difference to one that was left out by choice.
    #[inline(always)]
    pub fn stays_out(&mut self, pc: u64) -> bool {
        let at = At::new(pc);
        let stays = self.weight & FIRM != 0 && !self.speaks_at(at);
        if stays {
            self.note(at);
        }
        stays
    }

    #[inline(always)]
    fn note(&mut self, at: At) {
        self.before = self.at;
        self.at = at;
    }

    /// Whether a place without an account that speaks for loading is left out.
    #[inline(always)]
    fn rests(&self) -> bool {
        self.others < 0 && self.floor.decides().is_none()
    }

    /// Whether the account that the place would have speaks for loading, be it this place's or another's.
    #[inline(always)]
    fn speaks_at(&self, at: At) -> bool {
        self.places[at.number()] >= 0
    }

    #[inline(never)]
    fn decide_by_balance(&mut self) -> Decision {
        let balance = match self.floor.decides() {
            Some(balance) => balance,
            None if self.has_account(self.at) => self.places[self.at.number()],
            None => self.others,
        };
        if balance < 0 {
            self.weight = if self.rests() { FIRM | 1 } else { 1 };
            return Decision::Leave;
        }
        let spacing = self.prices.spacing(balance.into());
        self.weight = spacing;
        if self.one_in(spacing) {
            Decision::Probe
        } else {
            Decision::Load
        }
    }

    /// Leaves the registers out as an interrupt is pending. To load them was possible before, if another
    /// entry of the same absence was free to.
    #[inline(never)]
    fn leave_for_interrupt(&mut self) -> Decision {
        let had_choice = self.before != At::NONE && self.weight & NO_CHOICE == 0;
        self.weight = if had_choice { LEFT | 1 } else { NO_CHOICE | 1 };
        Decision::Leave
    }

    /// Learns what could be seen of the last decision, once it is known. A decision that another one
    /// takes the place of before that is not told of, but shares in that one's use.
    #[inline]
    pub fn learn(&mut self, evidence: Evidence) {
        let at = core::mem::replace(&mut self.at, At::NONE);
        match evidence {
            Evidence::Unused => self.was_unused(at),
            Evidence::Used => self.was_used(at),
            Evidence::Blind => {}
        }
    }

    #[inline]
    fn was_unused(&mut self, at: At) {
        let account = &mut self.places[at.number()];
        if self.tags[at.number()] != at.tag() || *account >= 0 || self.floor.decides().is_some() {
            return self.was_unused_elsewhere(at);
        }
        // Most of what is learnt: one window, which the place's own account left out.
        let waste = i32::from(self.prices.wasted);
        let lowest = i32::from(self.prices.lowest);
        *account = (i32::from(*account) - waste).max(lowest) as i16;
        if self.weight & NO_CHOICE == 0 {
            self.floor.fell(false, waste);
        }
    }

    #[inline(never)]
    fn was_unused_elsewhere(&mut self, at: At) {
        let waste = i32::from(self.prices.wasted) * self.represents();
        let load = self.book(at, -waste);
        if let Some(load) = self.chose(load) {
            self.floor.fell(load, waste);
            self.floor.consider(-waste);
        }
    }

    /// Not inlined, as it follows a trap: the path of an unused window stays short.
    #[inline(never)]
    fn was_used(&mut self, at: At) {
        let late = i32::from(self.prices.late);
        let seen = late * self.represents();
        let load = self.book(at, seen);
        if let Some(load) = self.chose(load) {
            self.floor.rose(load, seen);
            self.floor.consider(seen);
        }
        if self.before != At::NONE {
            self.book(self.before, late);
        }
    }

    /// Returns how many windows the evidence of the current decision represents.
    fn represents(&self) -> i32 {
        i32::from(self.weight & COUNT)
    }

    /// Returns whether the registers were to be loaded, given what the account said; nothing if there
    /// was no choice.
    fn chose(&self, load: bool) -> Option<bool> {
        (self.weight & NO_CHOICE == 0).then_some(load && self.weight & LEFT == 0)
    }

    /// Adds to the account that decides. Returns whether it was in favour of loading.
    ///
    /// A place without an account gets one while there are some, and later if that of all others was
    /// wrong about it.
    fn book(&mut self, at: At, change: i32) -> bool {
        let is_own = self.has_account(at);
        let own = &mut self.places[at.number()];
        let lowest = i32::from(self.prices.lowest);
        let changed = |balance: i16| (i32::from(balance) + change).min(CEILING).max(lowest) as i16;
        let account = if is_own { &mut *own } else { &mut self.others };
        let load = *account >= 0;
        *account = changed(*account);
        let tag = &mut self.tags[at.number()];
        if !is_own && (*tag == UNASSIGNED || load != (change > 0)) {
            *tag = at.tag();
            *own = changed(0);
        }
        load
    }

    /// Returns whether a place's own account decides.
    #[inline]
    fn has_account(&self, at: At) -> bool {
        self.tags[at.number()] == at.tag()
    }

    /// Returns true once in `spacing` times, by chance.
    #[inline]
    fn one_in(&mut self, spacing: u16) -> bool {
        // Marsaglia's xorshift, "Xorshift RNGs", 2003.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        (u64::from(self.random) * u64::from(spacing)) >> 32 == 0
    }
}

impl At {
    /// No decision's.
    const NONE: Self = Self(u16::MAX);

    #[inline]
    fn new(pc: u64) -> Self {
        // The highest bits are scattered best.
        Self(
            ((pc / Accounts::PLACE_BYTES) as u32)
                .wrapping_mul(GOLDEN)
                .wrapping_shr(32 - AT_BITS) as u16,
        )
    }

    const fn number(self) -> usize {
        self.0 as usize % PLACES
    }

    const fn tag(self) -> u8 {
        (self.0 as usize / PLACES) as u8
    }
}

#[cfg(test)]
mod tests;
