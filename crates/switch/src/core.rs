//! One core: who owns its registers, and the answer to each event.

use trapcast_forecast::Release;

use crate::{Class, Context, Forecast, Gate, Guest, Resuming, class::is_less};

/// Registers to save, and then some to load, behind a gate that
/// [`GateRegister::unlock`](crate::GateRegister::unlock) has opened for both.
///
/// Where both are of one context, its registers of more classes come in: what is in the core already
/// may stay there. Where one is [`NOBODY`](Context::NOBODY)'s, that half does not take place, and the other one may
/// be of FP/SIMD alone although [`is_fp_alone`](Self::is_fp_alone) says no.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Exchange<C> {
    /// Where the CPU's registers go.
    pub save: C,
    /// Up to which class.
    pub saved: Class,
    /// Where their new values come from.
    pub load: C,
    /// Up to which class.
    pub loaded: Class,
}

impl<C> Exchange<C> {
    /// Returns an exchange of the FP/SIMD registers alone.
    pub const fn of_fp(save: C, load: C) -> Self {
        Self {
            save,
            saved: Class::Fp,
            load,
            loaded: Class::Fp,
        }
    }

    /// Whether the FP/SIMD registers of two owners are exchanged, and no others.
    #[inline]
    pub fn is_fp_alone(&self) -> bool {
        !self.saved.is_above_fp() & !self.loaded.is_above_fp()
    }
}

impl<C: Context> Exchange<C> {
    /// Where the CPU's registers go and up to which class, unless they are nobody's.
    #[inline]
    pub fn saves(&self) -> Option<(C, Class)> {
        (self.save != C::NOBODY).then_some((self.save, self.saved))
    }

    /// Where their new values come from and up to which class, unless there are none.
    #[inline]
    pub fn loads(&self) -> Option<(C, Class)> {
        (self.load != C::NOBODY).then_some((self.load, self.loaded))
    }

    /// The gate has to be open so far for it.
    #[inline]
    pub fn class(&self) -> Class {
        let halves = [self.saves(), self.loads()].into_iter().flatten();
        halves.map(|(_, class)| class).max().unwrap_or(Class::Fp)
    }
}

/// Up to which class nobody's registers are held. With the highest, an exchange that is not of two owners is never
/// taken for one of FP/SIMD alone, and nothing has to be looked at for that where there is none.
const NOBODYS: Class = Class::Sme;

/// What to do before the guest is entered, or resumes after a trap.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Entry<C> {
    /// What to move.
    pub exchange: Option<Exchange<C>>,
    /// The gate while the guest runs.
    pub gate: Gate,
}

/// Who owns the registers of one physical core.
///
/// An answer is carried out before the core is asked anything else. A core never touches a context
/// that another core owns.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Core<C> {
    host: C,
    owner: C,
    held: Class,
}

impl<C: Context> Core<C> {
    /// Returns a core whose registers hold the host's values, to be kept in `host` while they do not.
    /// No other core has the same `host`. Of the host there are the FP/SIMD registers alone.
    pub const fn new(host: C) -> Self {
        Self::with_owner(host, host, Class::Fp)
    }

    /// Returns a core whose registers hold `owner`'s values up to `held`; the host's are to be kept in
    /// `host`.
    pub const fn with_owner(host: C, owner: C, held: Class) -> Self {
        Self { host, owner, held }
    }

    /// Returns a core whose registers are of use to nobody; the host's are kept in `host`.
    pub const fn of_nobody(host: C) -> Self {
        Self::with_owner(host, C::NOBODY, NOBODYS)
    }

    /// Returns whose values the registers hold, [`NOBODY`](Context::NOBODY)'s if they are of no use.
    pub fn owner(&self) -> C {
        self.owner
    }

    /// Returns up to which class they do; of no use if they are nobody's.
    pub fn held(&self) -> Class {
        self.held
    }

    /// Returns the core, by its host's context, that has to be asked to [`release`](Self::release)
    /// the registers of `guest`, which has been put, before this core does anything else with it.
    ///
    /// `None` if this core may run it: its registers are in memory or in this core.
    #[must_use = "that core has to be asked"]
    pub fn elsewhere<F>(&self, guest: &Guest<C, F>) -> Option<C> {
        guest.loaded_on.filter(|&core| core != self.host)
    }

    /// Another core is about to run the guest whose registers `context` keeps, and asks for them. If
    /// they are still here, they go to memory, and the host's come back.
    ///
    /// `None` if another owner has taken them meanwhile: then they are in memory already. The guest
    /// is told on the other core, by [`Guest::arrived`].
    #[must_use = "the registers have to be moved"]
    pub fn release(&mut self, context: C) -> Option<Exchange<C>> {
        (self.owner == context).then(|| self.hand_to(self.host, Class::Fp))
    }

    /// The core is about to enter `guest`. The first entry after a window's end begins the next one
    /// and asks the scheme, which may want to know how the guest resumes.
    #[must_use = "what is answered has to be moved, and the gate set"]
    #[inline(always)]
    pub fn enter<F: Forecast>(
        &mut self,
        guest: &mut Guest<C, F>,
        resume: impl Resuming,
    ) -> Entry<C> {
        let ready = self.ready(guest);
        match guest.early(ready, resume) {
            Some(class) if is_less(ready, class) => {
                let exchange = self.bring(guest, class);
                guest.count_eager_load(exchange.loaded);
                Entry {
                    gate: guest.entered(true, Some(exchange.loaded)),
                    exchange: Some(exchange),
                }
            }
            _ => Entry {
                gate: guest.entered(false, ready),
                exchange: None,
            },
        }
    }

    /// What [`enter`](Self::enter) has answered for `guest`, which has SME, was carried out but for the `gate`:
    /// comes after each. If the guest is in streaming mode and its registers are still in memory, all of them
    /// are loaded whatever its scheme says, and that counts as an eager load.
    ///
    /// With SVCR.SM = 0 in the core, its accesses would be checked by another field of its own `CPACR_EL1`,
    /// before `CPTR_EL2` is looked at.
    #[must_use = "the guest would run in another mode than its own"]
    pub fn load_streaming<F: Forecast>(&mut self, guest: &mut Guest<C, F>, gate: Gate) -> Entry<C> {
        let context = guest.context;
        if self.owner == context || context.least() != Class::Sme {
            return Entry {
                exchange: None,
                gate,
            };
        }
        Entry {
            exchange: Some(self.hand_to(context, Class::Sme)),
            gate: guest.loaded_streaming(),
        }
    }

    /// The current `guest` hit the closed gate with an access to registers of `class`. It resumes where
    /// it was.
    ///
    /// # Panics
    /// If the guest has no registers of this class: it is to find an undefined instruction.
    #[must_use = "what is answered has to be moved, and the gate set"]
    #[inline(always)]
    pub fn trap<F: Forecast>(&mut self, guest: &mut Guest<C, F>, class: Class) -> Entry<C> {
        assert!(
            class as u8 <= guest.most as u8,
            "the guest has no such class"
        );
        // A guest whose scheme does not care whose the registers are finds a closed gate only if it is
        // observed.
        let ready = if guest.observed() {
            self.ready(guest)
        } else {
            (self.owner == guest.context).then_some(self.held)
        };
        let exchange = if is_less(ready, class) {
            guest.traps.armed_by_scheme(class);
            Some(self.bring(guest, class))
        } else {
            guest.trapped_in_place(class);
            None
        };
        // Even for an observer the gate opens for all that is held: with part of it behind the gate,
        // that part may be lost.
        let gate = self.ready(guest).into();
        Entry { exchange, gate }
    }

    /// The current `guest` came out, for another reason than the gate.
    #[must_use = "the registers have to be moved"]
    #[inline(always)]
    pub fn exit<F: Forecast>(&mut self, guest: &mut Guest<C, F>) -> Option<Exchange<C>> {
        if guest.observed() || !guest.traps.of_scheme().is_empty() {
            guest.note_traps(self.ready(guest));
        }
        guest.exited();
        if guest.release == Release::Exit {
            self.give_back(guest)
        } else {
            None
        }
    }

    /// The `guest` that exited stops being the core's current one, and may be loaded on any core next.
    /// Registers that its scheme does not give back stay loaded here.
    #[must_use = "the registers have to be moved"]
    #[inline]
    pub fn put<F: Forecast>(&mut self, guest: &mut Guest<C, F>) -> Option<Exchange<C>> {
        if !guest.is_put_plainly() {
            let saved = self.put_apart(guest)?;
            return Some(Exchange {
                save: guest.context,
                saved,
                load: self.owner,
                loaded: self.held,
            });
        }
        guest.was_put();
        let exchange = if guest.release.gives_back_at_put() {
            self.give_back(guest)
        } else {
            None
        };
        guest.loaded_on = (self.owner == guest.context).then_some(self.host);
        exchange
    }

    /// The put of a guest that is observed, or whose registers are nobody's then. Returns up to which class they are
    /// to be saved, if they are: what fits into a register, so that the puts of all others need no stack for it.
    #[cold]
    #[inline(never)]
    fn put_apart<F: Forecast>(&mut self, guest: &mut Guest<C, F>) -> Option<Class> {
        guest.watch_put();
        guest.was_put();
        let is_owner = self.owner == guest.context;
        let next = match guest.release {
            Release::Put => Some((self.host, Class::Fp)),
            Release::Drop => Some((C::NOBODY, NOBODYS)),
            Release::Exit | Release::OnDemand | Release::Unmanaged => None,
        };
        let next = next.filter(|_| is_owner);
        guest.loaded_on = (is_owner && next.is_none()).then_some(self.host);
        let (next, class) = next?;
        guest.counts.give_backs += 1;
        Some(self.hand_to(next, class).saved)
    }

    /// `guest` is about to become the core's current one, and another vCPU ran here before. If the registers
    /// in the core are another guest's, in streaming mode, they go to that one's memory, and the host's come
    /// back: `guest` runs with SVCR.SM = 0. `streams` reads SVCR.SM; it is asked if SME's registers are held.
    ///
    /// So a vCPU never runs in another one's streaming mode: that comes on only while its vCPU is the current
    /// one. The exchange is not counted, like that of the host's own use.
    #[must_use = "the registers have to be moved"]
    #[inline]
    pub fn make_way<F>(
        &mut self,
        guest: &Guest<C, F>,
        streams: impl FnOnce() -> bool,
    ) -> Option<Exchange<C>> {
        if self.held == Class::Sme
            && self.owner != guest.context
            && self.owner != C::NOBODY
            && streams()
        {
            Some(self.hand_to(self.host, Class::Fp))
        } else {
            None
        }
    }

    /// Gives the registers back to the host if they are `guest`'s, so that its context is current.
    ///
    /// The caller has checked that they are not [`elsewhere`](Self::elsewhere).
    #[must_use = "the registers have to be moved"]
    #[inline]
    pub fn evict<F>(&mut self, guest: &mut Guest<C, F>) -> Option<Exchange<C>> {
        let exchange = self.give_back(guest);
        if exchange.is_some() {
            guest.loaded_on = None;
        }
        exchange
    }

    /// `guest`, which has been put, is never to run again, and its context may become another guest's. If its
    /// registers are still here, the host's come back.
    ///
    /// # Panics
    /// If another core may have them: [`elsewhere`](Self::elsewhere) says which one has to be asked first.
    #[must_use = "the registers have to be moved"]
    pub fn retire<F>(&mut self, mut guest: Guest<C, F>) -> Option<Exchange<C>> {
        assert!(
            self.elsewhere(&guest).is_none(),
            "the guest's registers may be in another core"
        );
        self.evict(&mut guest)
    }

    /// The host is about to use the registers itself. Returns whose values to save first, and up to
    /// which class, unless they are nobody's; after that the host's code may put anything into them.
    #[must_use = "the owner's registers have to be saved"]
    pub fn host_begin(&mut self) -> Option<(C, Class)> {
        self.hand_to(self.host, Class::Fp).saves()
    }

    /// The host has used the registers. Returns whose values to load: its own.
    #[must_use = "the host's registers have to be loaded"]
    pub fn host_end(&self) -> C {
        self.host
    }

    /// Returns up to which class `guest` can run with an open gate now: its own registers
    /// are in the core, or its scheme does not care whose they are.
    #[inline]
    fn ready<F>(&self, guest: &Guest<C, F>) -> Option<Class> {
        if self.owner == guest.context {
            Some(self.held)
        } else {
            guest.regardless
        }
    }

    /// Brings the guest's registers in up to `class`, which are not all here, or further if that cannot
    /// be.
    #[inline]
    fn bring<F>(&mut self, guest: &Guest<C, F>, class: Class) -> Exchange<C> {
        let context = guest.context;
        if self.owner == context {
            self.hand_to(context, class)
        } else {
            self.hand_to(context, class.max(context.least()))
        }
    }

    #[inline]
    fn give_back<F>(&mut self, guest: &mut Guest<C, F>) -> Option<Exchange<C>> {
        if self.owner != guest.context {
            return None;
        }
        guest.counts.give_backs += 1;
        Some(self.hand_to(self.host, Class::Fp))
    }

    /// Makes `next` the owner.
    #[inline]
    fn hand_to(&mut self, next: C, class: Class) -> Exchange<C> {
        Exchange {
            save: core::mem::replace(&mut self.owner, next),
            saved: core::mem::replace(&mut self.held, class),
            load: next,
            loaded: class,
        }
    }
}
