//! Where a vCPU is in a table, in one word.

use trapcast_forecast::Evidence;

use super::memory::Heard;

/// A row that a vCPU is in, and what its forecaster is asked and told there: by its number in the lowest
/// sixteen bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct At(pub(super) u32);

impl At {
    /// No row: it is not in the table yet.
    pub(super) const UNKNOWN: Self = Self(u32::MAX);

    const ASKS: u32 = 1 << 16;
    const BEFORE: u32 = 17;
    const AFTER: u32 = 19;

    /// The row of this number, of whose next window a forecaster hears this.
    pub(super) const fn new(row: usize, heard: &Heard) -> Self {
        let asks = if heard.asked { Self::ASKS } else { 0 };
        Self(row as u32 | asks | code(heard.before) << Self::BEFORE)
    }

    #[inline(always)]
    pub(super) const fn row(self) -> usize {
        self.0 as usize & 0xffff
    }

    /// Whether the forecaster is asked at the next entry.
    #[inline(always)]
    pub const fn asks(self) -> bool {
        self.0 & Self::ASKS != 0
    }

    /// What the forecaster learns before it is asked.
    #[inline(always)]
    pub const fn learns_before(self) -> Option<Evidence> {
        evidence(self.0 >> Self::BEFORE)
    }

    /// What it learns of the window before that. It need not be told until it is asked the next time.
    #[inline(always)]
    pub const fn learns(self) -> Option<Evidence> {
        evidence(self.0 >> Self::AFTER)
    }

    /// This one, reached from `before`: what the forecaster was not told there is still to be told.
    #[inline(always)]
    pub const fn owing(self, before: Self) -> Self {
        Self(self.0 | before.0 & 3 << Self::AFTER)
    }

    pub(super) fn with(self, learns: Option<Evidence>) -> Self {
        Self(self.0 | code(learns) << Self::AFTER)
    }
}

const fn code(evidence: Option<Evidence>) -> u32 {
    match evidence {
        None => 0,
        Some(Evidence::Used) => 1,
        Some(Evidence::Unused) => 2,
        Some(Evidence::Blind) => 3,
    }
}

#[inline(always)]
const fn evidence(code: u32) -> Option<Evidence> {
    // Mostly there is none: what there is else is looked up, so that nothing has to be guessed.
    const KINDS: [Evidence; 4] = [
        Evidence::Blind,
        Evidence::Used,
        Evidence::Unused,
        Evidence::Blind,
    ];
    match code & 3 {
        0 => None,
        code => Some(KINDS[code as usize]),
    }
}
