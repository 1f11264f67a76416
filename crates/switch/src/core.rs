//! One core: who owns its registers, and the answer to each event.

use trapcast_forecast::{Decision, Release};

use crate::{Forecast, Gate, Guest, guest::Trap};

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
///
/// An answer is carried out before the core is asked anything else. A core never touches a context
/// that another core owns.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Core<C> {
    host: C,
    owner: C,
}

impl<C: Copy + Eq> Core<C> {
    /// Returns a core whose registers hold the host's values, to be kept in `host` while they do not.
    /// No other core has the same `host`.
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

    /// Returns the core, by its host's context, that has to be asked to [`surrender`](Self::surrender)
    /// the registers of `guest`, which has been put, before this core does anything else with it.
    ///
    /// `None` if this core may go on with it: its registers are in memory or in this core.
    pub fn elsewhere<F>(&self, guest: &Guest<C, F>) -> Option<C> {
        guest.lingers.filter(|&core| core != self.host)
    }

    /// Another core is about to run the guest whose registers `context` keeps, and asks for them. If
    /// they are still here, they go to memory, and the host's come back.
    ///
    /// `None` if somebody else has taken them meanwhile: then they are in memory already. The guest
    /// is told on the other core, by [`Guest::arrived`].
    pub fn surrender(&mut self, context: C) -> Option<Exchange<C>> {
        (self.owner == context).then(|| self.hand_to(self.host))
    }

    /// The core is about to enter `guest`. The first entry after a window's end begins the next one
    /// and asks the scheme.
    #[inline(always)]
    pub fn enter<F: Forecast>(&mut self, guest: &mut Guest<C, F>) -> Entry<C> {
        let decision = guest.window_decision();
        let (exchange, open) = if self.is_ready_for(guest) {
            (None, true)
        } else if decision == Decision::Load {
            (Some(self.hand_to(guest.context)), true)
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
    pub fn trap<F: Forecast>(&mut self, guest: &mut Guest<C, F>) -> Option<Exchange<C>> {
        if self.is_ready_for(guest) {
            guest.trap = Some(guest.trap.unwrap_or(Trap::Observer));
            None
        } else {
            guest.trap = Some(Trap::Scheme);
            Some(self.hand_to(guest.context))
        }
    }

    /// The current `guest` came out, for another reason than the gate.
    #[inline]
    pub fn exit<F: Forecast>(&mut self, guest: &mut Guest<C, F>) -> Option<Exchange<C>> {
        guest.exited();
        if guest.forecaster.release() == Release::Exit {
            self.give_back(guest)
        } else {
            None
        }
    }

    /// The `guest` that exited stops being the core's current one, and may be loaded on any core next.
    /// Registers that its scheme does not give back linger here.
    #[inline]
    pub fn put<F: Forecast>(&mut self, guest: &mut Guest<C, F>) -> Option<Exchange<C>> {
        guest.was_put();
        let exchange = if guest.forecaster.release() == Release::Put {
            self.give_back(guest)
        } else {
            None
        };
        guest.lingers = (self.owner == guest.context).then_some(self.host);
        exchange
    }

    /// Gives the registers back to the host if they are `guest`'s, so that its context is current.
    ///
    /// That they are not [`elsewhere`](Self::elsewhere) is the caller's business.
    #[inline]
    pub fn evict<F>(&mut self, guest: &mut Guest<C, F>) -> Option<Exchange<C>> {
        let exchange = self.give_back(guest);
        if exchange.is_some() {
            guest.lingers = None;
        }
        exchange
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
    fn is_ready_for<F: Forecast>(&self, guest: &Guest<C, F>) -> bool {
        self.owner == guest.context || guest.forecaster.release() == Release::Unmanaged
    }

    #[inline]
    fn give_back<F>(&mut self, guest: &mut Guest<C, F>) -> Option<Exchange<C>> {
        if self.owner != guest.context {
            return None;
        }
        guest.counts.give_backs += 1;
        Some(self.hand_to(self.host))
    }

    /// Makes `next` the owner.
    #[inline]
    fn hand_to(&mut self, next: C) -> Exchange<C> {
        Exchange {
            save: core::mem::replace(&mut self.owner, next),
            load: next,
        }
    }
}
