//! One core: who owns its registers, and the answer to each event.

use trapcast_forecast::{Decision, Release};

use crate::{Gate, Guest, guest::Trap};

/// A register file to save, and then one to load, behind a gate that
/// [`GateRegister::unlock`](crate::GateRegister::unlock) has opened.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Exchange<C> {
    /// Where the CPU's registers go.
    pub save: C,
    /// Where their new values come from.
    pub load: C,
}

/// What to do before the guest is entered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Entry<C> {
    /// What to move.
    pub exchange: Option<Exchange<C>>,
    /// How the gate has to stand while the guest runs.
    pub gate: Gate,
}

/// Who owns the FP/SIMD registers of one physical core.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Core<C> {
    host: C,
    owner: C,
}

impl<C: Copy + Eq> Core<C> {
    /// Returns a core whose registers hold the host's values, to be kept in `host` while they do not.
    pub const fn new(host: C) -> Self {
        Self { host, owner: host }
    }

    /// Returns a core whose registers hold `owner`'s values; the host's are to be kept in `host`.
    pub const fn with_owner(host: C, owner: C) -> Self {
        Self { host, owner }
    }

    /// Returns whose values the registers hold.
    pub fn owner(&self) -> C {
        self.owner
    }

    /// The core is about to enter `guest`. The first entry after a window's end begins the next one
    /// and asks the scheme.
    #[inline]
    pub fn enter(&mut self, guest: &mut Guest<C>) -> Entry<C> {
        let decision = guest.window_decision();
        let (exchange, open) = if self.is_ready_for(guest) {
            (None, true)
        } else if decision == Decision::Load {
            (Some(self.take(guest)), true)
        } else {
            (None, false)
        };
        guest.entered(exchange.is_some(), !open);
        let gate = if open && !guest.observed {
            Gate::Open
        } else {
            Gate::Closed
        };
        Entry { exchange, gate }
    }

    /// The current `guest` hit the closed gate. The gate has to be opened, and the guest goes on
    /// where it was.
    #[inline]
    pub fn trap(&mut self, guest: &mut Guest<C>) -> Option<Exchange<C>> {
        if self.is_ready_for(guest) {
            guest.trap = Some(guest.trap.unwrap_or(Trap::Observer));
            None
        } else {
            guest.trap = Some(Trap::Scheme);
            Some(self.take(guest))
        }
    }

    /// The current `guest` came out, for another reason than the gate.
    #[inline]
    pub fn exit(&mut self, guest: &mut Guest<C>) -> Option<Exchange<C>> {
        guest.exited();
        if guest.scheme().release() == Release::Exit {
            self.evict(guest)
        } else {
            None
        }
    }

    /// The `guest` that exited stops being the core's current one.
    #[inline]
    pub fn put(&mut self, guest: &mut Guest<C>) -> Option<Exchange<C>> {
        guest.was_put();
        if guest.scheme().release() == Release::Put {
            self.evict(guest)
        } else {
            None
        }
    }

    /// Gives the registers back to the host if they are `guest`'s, so that its context is current.
    #[inline]
    pub fn evict(&mut self, guest: &mut Guest<C>) -> Option<Exchange<C>> {
        if self.owner != guest.context {
            return None;
        }
        guest.counts.give_backs += 1;
        self.owner = self.host;
        Some(Exchange {
            save: guest.context,
            load: self.host,
        })
    }

    /// The host is about to use the registers itself. Returns whose values to save first; after
    /// that the host's code may put anything into them.
    #[must_use = "the owner's registers have to be saved"]
    pub fn host_begin(&mut self) -> C {
        core::mem::replace(&mut self.owner, self.host)
    }

    /// The host has used the registers. Returns whose values to load: its own.
    #[must_use = "the host's registers have to be loaded"]
    pub fn host_end(&self) -> C {
        self.host
    }

    /// Returns whether `guest` can run with an open gate as things stand: the registers are its own,
    /// or its scheme does not care whose they are.
    #[inline]
    fn is_ready_for(&self, guest: &Guest<C>) -> bool {
        self.owner == guest.context || guest.scheme().release() == Release::Unmanaged
    }

    #[inline]
    fn take(&mut self, guest: &Guest<C>) -> Exchange<C> {
        Exchange {
            save: core::mem::replace(&mut self.owner, guest.context),
            load: guest.context,
        }
    }
}
