//! One window by the state machine of `trapcast-switch`: the only place here that runs it.

use std::hash::Hash;

use trapcast_forecast::{Decision, Evidence, Release, Resume, Window};
use trapcast_record::Event;
use trapcast_switch::{Class, Context, Core, Exchange, Forecast, Gate, GateRegister, Guest};

use super::{counts::SchemeCounts, follow::Cause};

/// The gate of one core, and what was carried out behind it since that was last asked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct GateState {
    register: GateRegister,
    writes: u64,
    isbs: u64,
    /// Exchanges of which one half was nobody's.
    without_save: u64,
    without_load: u64,
}

impl GateState {
    /// Returns a gate that stands as `register` says.
    const fn new(register: GateRegister) -> Self {
        Self {
            register,
            writes: 0,
            isbs: 0,
            without_save: 0,
            without_load: 0,
        }
    }

    /// The registers are about to be moved or used by the hypervisor.
    fn unlock(&mut self) {
        if self.register.unlock(Class::Fp) {
            self.writes += 1;
            self.isbs += 1;
        }
    }

    /// Carries out what the state machine answered.
    fn exchange<C: Context>(&mut self, exchange: Option<Exchange<C>>) {
        if let Some(exchange) = exchange {
            self.unlock();
            self.without_save += u64::from(exchange.saves().is_none());
            self.without_load += u64::from(exchange.loads().is_none());
        }
    }

    /// The guest is entered behind this gate.
    fn set(&mut self, gate: Gate) {
        self.writes += u64::from(self.register.set(gate));
    }
}

/// A forecaster, and how often it was asked and told since that was last taken.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Counted<F> {
    forecaster: F,
    asked: u64,
    told: u64,
}

impl<F: Forecast> Forecast for Counted<F> {
    fn decide(&mut self, resume: impl FnOnce() -> Resume) -> Decision {
        self.asked += 1;
        self.forecaster.decide(resume)
    }

    fn stays_out(&mut self, pc: impl FnOnce() -> u64) -> bool {
        let stays = self.forecaster.stays_out(pc);
        self.asked += u64::from(stays);
        stays
    }

    fn learn(&mut self, evidence: Evidence) {
        self.told += 1;
        self.forecaster.learn(evidence);
    }

    fn window(&self) -> Window {
        self.forecaster.window()
    }

    fn release(&self) -> Release {
        self.forecaster.release()
    }
}

/// A vCPU under one scheme, run twice: as it is, and with every window watched, which is where wasted
/// loads and right forecasts are seen. The scheme decides alike in both.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Twin<C, F> {
    plain: Guest<C, Counted<F>>,
    observed: Guest<C, Counted<F>>,
}

impl<C: Context, F: Forecast + Copy> Twin<C, F> {
    /// Returns a vCPU that has not run yet.
    pub fn new(context: C, forecaster: F) -> Self {
        let forecaster = Counted {
            forecaster,
            asked: 0,
            told: 0,
        };
        Self {
            plain: Guest::new(context, forecaster, false),
            observed: Guest::new(context, forecaster, true),
        }
    }

    /// Forgets what was counted of it and returns that.
    pub fn take_counts(&mut self) -> SchemeCounts {
        let plain = self.plain.counts.take();
        let observed = self.observed.counts.take();
        let [(asked, told), _] = [&mut self.plain, &mut self.observed].map(|guest| {
            let counted = guest.forecaster_mut(Class::Fp);
            let take = std::mem::take;
            (take(&mut counted.asked), take(&mut counted.told))
        });
        SchemeCounts {
            asked,
            told,
            ..SchemeCounts::of(&plain, &observed)
        }
    }

    /// Returns its forecasters.
    pub fn forecasters(&mut self) -> [&mut F; 2] {
        [&mut self.plain, &mut self.observed]
            .map(|guest| &mut guest.forecaster_mut(Class::Fp).forecaster)
    }

    /// Returns what the state machine counted of it when it was watched.
    #[cfg(test)]
    pub const fn observed_counts(&self) -> &trapcast_switch::Counts {
        &self.observed.counts
    }
}

/// A core that runs the vCPUs of one scheme.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Place<C> {
    core: Core<C>,
    gate: GateState,
}

impl<C: Context> Place<C> {
    /// Returns a core as it is when the hypervisor starts: the registers are the host's, the gate is
    /// closed.
    pub const fn new(host: C) -> Self {
        Self::with(host, host, GateRegister::new(Gate::Closed))
    }

    /// Returns a core whose registers are `owner`'s.
    pub const fn with(host: C, owner: C, gate: GateRegister) -> Self {
        Self {
            core: Core::with_owner(host, owner, Class::Fp),
            gate: GateState::new(gate),
        }
    }

    /// Returns a core whose registers are nobody's.
    pub const fn of_nobody(host: C, gate: GateRegister) -> Self {
        Self {
            core: Core::of_nobody(host),
            gate: GateState::new(gate),
        }
    }

    /// Returns whose the registers are.
    pub fn owner(&self) -> C {
        self.core.owner()
    }

    /// Returns how the gate stands.
    pub const fn gate(&self) -> GateRegister {
        self.gate.register
    }

    /// Runs one window of `vcpu` by its flags, and tells what becomes of the registers. What is counted
    /// stays in the vCPU and the core. Returns whose registers were in the core when the host used them
    /// itself, if it did; its own may have been, or nobody's.
    pub fn window<F: Forecast>(
        &mut self,
        vcpu: &mut Twin<C, F>,
        flags: u8,
        resume: Resume,
        mut tell: impl FnMut(Cause, Option<Exchange<C>>),
    ) -> Option<C> {
        let mut watched = Self {
            core: self.core,
            gate: GateState::new(GateRegister::new(Gate::Closed)),
        };
        let saved = self.run(&mut vcpu.plain, flags, resume, &mut tell);
        watched.run(&mut vcpu.observed, flags, resume, &mut |_, _| ());
        debug_assert!(watched.core == self.core, "the observer changed what moves");
        saved
    }

    fn run<F: Forecast>(
        &mut self,
        guest: &mut Guest<C, F>,
        flags: u8,
        resume: Resume,
        tell: &mut impl FnMut(Cause, Option<Exchange<C>>),
    ) -> Option<C> {
        let Self { core, gate } = self;
        let mut carry_out = |gate: &mut GateState, cause, exchange| {
            gate.exchange(exchange);
            tell(cause, exchange);
        };
        let entry = core.enter(guest, || resume);
        let open = entry.gate != Gate::Closed;
        carry_out(gate, Cause::Entry { open }, entry.exchange);
        gate.set(entry.gate);
        if flags & Event::USED != 0 && entry.gate == Gate::Closed {
            let trapped = core.trap(guest, Class::Fp);
            carry_out(gate, Cause::Trap, trapped.exchange);
            gate.set(trapped.gate);
        }
        carry_out(gate, Cause::Exit, core.exit(guest));
        let saved = (flags & Event::HOST != 0).then(|| {
            gate.unlock();
            let saved = core.host_begin().map_or(C::NOBODY, |(owner, _)| owner);
            let exchange = Exchange::of_fp(saved, core.host_end());
            carry_out(gate, Cause::Host, Some(exchange));
            saved
        });
        if flags & Event::PUT != 0 {
            carry_out(gate, Cause::Put, core.put(guest));
        }
        saved
    }

    /// `vcpu` is turned on anew.
    pub fn power_on<F>(
        &mut self,
        vcpu: &mut Twin<C, F>,
        mut tell: impl FnMut(Cause, Option<Exchange<C>>),
    ) {
        let mut watched = self.core;
        let exchange = self.core.evict(&mut vcpu.plain);
        let _ = watched.evict(&mut vcpu.observed);
        self.gate.exchange(exchange);
        tell(Cause::PowerOn, exchange);
    }

    /// `vcpu`, which was put on the core `old`, is to run here: if its registers may still be there, that
    /// core is asked for them, and saves them if they are. What is counted stays in both. Returns what the
    /// old core has moved.
    pub fn fetch<F>(&self, old: &mut Self, vcpu: &mut Twin<C, F>) -> Option<Exchange<C>> {
        self.core.elsewhere(&vcpu.plain)?;
        let released = old.core.release(vcpu.plain.context());
        old.gate.exchange(released);
        vcpu.plain.arrived(released.is_some());
        vcpu.observed.arrived(released.is_some());
        released
    }

    /// Forgets what was carried out and adds it to `counts`.
    pub fn count_moves(&mut self, counts: &mut SchemeCounts) {
        let GateState {
            register,
            writes,
            isbs,
            without_save,
            without_load,
        } = self.gate;
        counts.gate_writes += writes;
        counts.isbs += isbs;
        counts.without_save += without_save;
        counts.without_load += without_load;
        self.gate = GateState::new(register);
    }
}
