//! What can happen to a vCPU in its core, as a number, and what it sees of that core.

use trapcast_forecast::Decision;
use trapcast_switch::{Class, Context, Gate, GateRegister};

use crate::{batch::WINDOW, machine::Place};

/// Whose registers a core holds, as one vCPU sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub(crate) enum Owner {
    /// The host's.
    Host,
    /// This vCPU's.
    Me,
    /// Another vCPU's.
    Other,
    /// Nobody's.
    Nobody,
    /// Another core's host's, which this core does not hold.
    Elsewhere,
}

impl Context for Owner {
    const NOBODY: Self = Self::Nobody;
}

/// What can happen to a vCPU in its core, as a number: it is turned on; a window by its flags, whose forecaster was
/// not asked or has decided; it finds its core in some state after others ran there; it leaves a
/// core in some state for another one. In this order, so that what is common to all windows lies together.
pub(crate) type Symbol = usize;

/// States of a core that a vCPU can find: four owners, and the gate.
const CORES: Symbol = 8;

/// The symbol of being turned on. Those before it are none, so that windows begin where a cache line does.
pub(crate) const POWER_ON: Symbol = 6;
pub(super) const WINDOW_SYMBOL: Symbol = POWER_ON + 1;
pub(super) const SEAT: Symbol = WINDOW_SYMBOL + 4 * WINDOWS;
pub(super) const FETCH: Symbol = SEAT + CORES;
pub(super) const SYMBOLS: Symbol = FETCH + CORES;

/// Windows by their flags.
pub(super) const WINDOWS: Symbol = WINDOW as usize + 1;

/// Returns the symbol of a window of these flags, below 8, in which nothing was asked.
#[inline(always)]
pub(crate) const fn window(flags: u8) -> Symbol {
    WINDOW_SYMBOL + flags as Symbol
}

/// Returns the symbol of a window of these flags, below 8, in which this was decided.
#[inline(always)]
pub(crate) const fn decided(flags: u8, decision: Decision) -> Symbol {
    window(flags)
        + WINDOWS
            * match decision {
                Decision::Leave => 1,
                Decision::Load => 2,
                Decision::Probe => 3,
            }
}

/// Returns the symbol of finding a core in this state.
#[inline(always)]
pub(crate) const fn seat(core: Seen) -> Symbol {
    SEAT + core.number()
}

/// Returns the symbol of leaving a core, which is in this state, for another one.
pub(crate) const fn fetch(core: Seen) -> Symbol {
    FETCH + core.number()
}

/// A core as one vCPU sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub(crate) struct Seen {
    /// Whose registers it holds.
    pub owner: Owner,
    /// Whether its gate is open.
    pub open: bool,
}

impl Seen {
    #[inline(always)]
    const fn number(self) -> Symbol {
        self.owner as Symbol * 2 + self.open as Symbol
    }

    pub(super) const fn from_number(number: Symbol) -> Self {
        Self {
            owner: match number / 2 {
                0 => Owner::Host,
                1 => Owner::Me,
                2 => Owner::Other,
                _ => Owner::Nobody,
            },
            open: number % 2 == 1,
        }
    }

    pub(super) const fn place(self) -> Place<Owner> {
        let gate = if self.open {
            Gate::Open(Class::Fp)
        } else {
            Gate::Closed
        };
        let gate = GateRegister::new(gate);
        match self.owner {
            Owner::Nobody => Place::of_nobody(Owner::Host, gate),
            owner => Place::with(Owner::Host, owner, gate),
        }
    }
}
