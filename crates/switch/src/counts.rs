//! What is counted of a guest's windows and of its registers' moves.

use crate::Class;

/// The windows of one kind, each known to have used the registers or not.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Tally {
    /// Windows that used the registers.
    pub used: u64,
    /// Windows by what the one before did and what they did: `[used before][used]`. The first window
    /// has none before and is not counted here.
    pub pairs: [[u64; 2]; 2],
    /// Windows in all.
    pub windows: u64,
    previous: Option<bool>,
}

impl Tally {
    /// Counts one more window.
    pub fn add(&mut self, used: bool) {
        self.windows += 1;
        self.used += u64::from(used);
        if let Some(previous) = self.previous.replace(used) {
            self.pairs[usize::from(previous)][usize::from(used)] += 1;
        }
    }

    /// Forgets what was counted, but not what the window before did.
    pub fn forget(&mut self) {
        *self = Self {
            previous: self.previous,
            ..Self::default()
        };
    }
}

/// What happened to the registers of one class above FP/SIMD.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ClassCounts {
    /// Those of [`Counts::traps`] that were of this class.
    pub traps: u64,
    /// Those of [`Counts::eager_loads`] that went up to this class.
    pub eager_loads: u64,
    /// Windows from an entry to its exit of which is known whether they used the class; counted when
    /// observed.
    pub windows: Tally,
    /// Windows of which that is not known: registers of this class had to be loaded at a trap of a
    /// class below, which opened its gate; counted when observed.
    pub unseen: u64,
}

/// What happened to one guest, counted by the state machine.
///
/// Every load of a guest's registers comes with the save of the previous owner's, and every
/// return to the host with the save of the guest's: so each of [`eager_loads`](Self::eager_loads),
/// [`traps`](Self::traps), [`give_backs`](Self::give_backs) and [`fetches`](Self::fetches) is one save
/// and one load of a register file, up to some class. Where the registers are [nobody's](crate::Context::NOBODY), one
/// half of it is left out, which is not counted here: whoever carries out an [`Exchange`](crate::Exchange) sees it.
///
/// The guest's registers were loaded `eager_loads + traps` times, and saved as often, or once less
/// while a core holds them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Counts {
    /// Entries into the guest.
    pub entries: u64,
    /// Puts of the vCPU.
    pub puts: u64,
    /// Traps that the scheme armed, of any class; each loaded the guest's registers.
    pub traps: u64,
    /// Traps that the scheme armed to see whether the registers, which were there, are used.
    pub probes: u64,
    /// Traps that only the observer armed; the registers were there.
    pub observer_traps: u64,
    /// Loads of the guest's registers at an entry.
    pub eager_loads: u64,
    /// Times that the registers went from this guest back to the host, or to nobody: at an exit, a put or an
    /// eviction. Not those that another guest or the host's own use took.
    pub give_backs: u64,
    /// Times that another core still had the registers when the vCPU had moved, and gave them up.
    pub fetches: u64,
    /// Windows from an entry to its exit; counted when observed.
    pub entry_windows: Tally,
    /// Windows from load to put; counted when observed.
    pub load_windows: Tally,
    /// Windows of the scheme's own kind: `[forecast to use the registers][used]`; counted when
    /// observed. A window counts as forecast to use them if its first entry left the gate open.
    pub forecast: [[u64; 2]; 2],
    /// Eager loads in windows that then did not use the registers; counted when observed.
    pub wasted_loads: u64,
    /// What of it concerns SVE.
    pub sve: ClassCounts,
    /// What of it concerns SME.
    pub sme: ClassCounts,
    /// Eager loads in the current window, if observed.
    pub(crate) window_loads: u64,
}

impl Counts {
    /// The counts of a class, if it has some of its own.
    #[inline]
    pub(crate) fn of(&mut self, class: Class) -> Option<&mut ClassCounts> {
        match class {
            Class::Fp => None,
            Class::Sve => Some(&mut self.sve),
            Class::Sme => Some(&mut self.sme),
        }
    }

    /// Returns what was counted so far, and starts over. The current windows do so.
    pub fn take(&mut self) -> Self {
        let rest = Self {
            window_loads: self.window_loads,
            ..Self::default()
        };
        core::mem::replace(self, rest)
    }
}
