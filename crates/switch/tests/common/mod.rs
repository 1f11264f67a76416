//! What the tables of events have in common: a host, two guests, and a forecaster of any scheme.

#![allow(dead_code, reason = "each table takes what it needs")]

use trapcast_forecast::{Costs, Forecaster, Prices, Resume, Rule, Scheme};
use trapcast_switch::{Class, Core, Exchange, Gate, Guest};

/// Where a register file is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Context {
    Host,
    /// The host on a second core.
    OtherHost,
    A,
    B,
    Nobody,
}

impl trapcast_switch::Context for Context {
    const NOBODY: Self = Self::Nobody;
}

/// What moves at an event.
pub type Moved = Option<Exchange<Context>>;
/// What moves at an entry, the gate, what moves if the guest uses the registers.
pub type Answer = (Moved, Gate, Moved);

pub const OPEN: Gate = Gate::Open(Class::Fp);

pub const fn moved(save: Context, load: Context) -> Moved {
    Some(Exchange::of_fp(save, load))
}

/// A save alone, and a load alone: the other half is nobody's.
pub const fn saved(save: Context) -> Moved {
    Some(Exchange {
        loaded: Class::Sme,
        ..Exchange::of_fp(save, Context::Nobody)
    })
}

pub const fn loaded(load: Context) -> Moved {
    Some(Exchange {
        saved: Class::Sme,
        ..Exchange::of_fp(Context::Nobody, load)
    })
}

/// Returns a forecaster of any scheme, where a trap and an exchange cost the same.
pub fn forecaster(scheme: Scheme) -> Forecaster {
    let costs = Costs {
        trap: 4,
        probe: 4,
        save: 2,
        load: 2,
        ..Costs::FREE
    };
    Forecaster::new(scheme, Prices::new(&costs), 0)
}

/// One entry, with a use or without.
pub fn entry(core: &mut Core<Context>, guest: &mut Guest<Context, Rule>, uses: bool) -> Answer {
    let entry = core.enter(guest, Resume::default);
    let trap = if uses && entry.gate == Gate::Closed {
        core.trap(guest, Class::Fp).exchange
    } else {
        None
    };
    (entry.exchange, entry.gate, trap)
}
