//! One window by the code that runs at EL2, and a whole record window by window: the plain way to
//! replay a scheme, which holds for schemes of any kind.

use std::hash::Hash;

use trapcast_forecast::{Costs, Forecaster, Prices, Resume, Rule, Scheme};
#[cfg(test)]
use trapcast_switch::Counts;
use trapcast_switch::{Class, Context, Core, Exchange, Forecast, Gate, GateRegister, Guest};

use super::{
    Event,
    counts::SchemeCounts,
    follow::{Cause, Step},
};

/// The gate of one core, and how often it was written since that was last asked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct GateState {
    register: GateRegister,
    writes: u64,
    isbs: u64,
}

impl GateState {
    /// Returns a gate that stands as `register` says.
    pub const fn new(register: GateRegister) -> Self {
        Self {
            register,
            writes: 0,
            isbs: 0,
        }
    }

    /// Returns how it stands.
    pub const fn register(&self) -> GateRegister {
        self.register
    }

    /// The registers are about to be moved or used by the hypervisor.
    fn unlock(&mut self) {
        if self.register.unlock(Class::Fp) {
            self.writes += 1;
            self.isbs += 1;
        }
    }

    /// Carries out what the state machine answered, as far as the gate goes.
    fn exchange<C>(&mut self, exchange: Option<Exchange<C>>) {
        if exchange.is_some() {
            self.unlock();
        }
    }

    /// The guest is entered behind this gate.
    fn set(&mut self, gate: Gate) {
        self.writes += u64::from(self.register.set(gate));
    }

    /// Forgets its counts and adds them to `counts`.
    fn count(&mut self, counts: &mut SchemeCounts) {
        counts.gate_writes += std::mem::take(&mut self.writes);
        counts.isbs += std::mem::take(&mut self.isbs);
    }
}

/// Runs one window of `guest`, with all that comes before and after it by `flags` of [`Event`], and
/// tells what became of the registers.
/// Returns whose registers were in the core when the host used them itself, if it did.
fn run<C: Context, F: Forecast>(
    core: &mut Core<C>,
    gate: &mut GateState,
    guest: &mut Guest<C, F>,
    (flags, resume): (u8, Resume),
    mut tell: impl FnMut(Cause, Option<Exchange<C>>),
) -> Option<C> {
    let mut carry_out = |gate: &mut GateState, cause, exchange| {
        gate.exchange(exchange);
        tell(cause, exchange);
    };
    if flags & Event::POWERED_ON != 0 {
        carry_out(gate, Cause::PowerOn, core.evict(guest));
    }
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
        let saved = core.host_begin().0;
        tell(Cause::Host, Some(Exchange::of_fp(saved, core.host_end())));
        saved
    });
    if flags & Event::PUT != 0 {
        let exchange = core.put(guest);
        gate.exchange(exchange);
        tell(Cause::Put, exchange);
    }
    saved
}

/// A vCPU under one scheme, run twice: as it is, and with every window watched. The scheme decides
/// alike in both.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Twin<C, F = Rule> {
    plain: Guest<C, F>,
    observed: Guest<C, F>,
}

impl<C: Context, F: Forecast + Copy> Twin<C, F> {
    /// Returns a vCPU that has not run yet.
    pub fn new(context: C, forecaster: F) -> Self {
        Self {
            plain: Guest::new(context, forecaster, false),
            observed: Guest::new(context, forecaster, true),
        }
    }

    /// Forgets what was counted of it and returns that.
    pub fn take_counts(&mut self) -> SchemeCounts {
        let plain = self.plain.counts.take();
        let observed = self.observed.counts.take();
        SchemeCounts::of(&plain, &observed)
    }

    /// Returns what the state machine counted of it when it was watched.
    #[cfg(test)]
    pub const fn observed_counts(&self) -> &Counts {
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

    /// Returns whose the registers are.
    pub fn owner(&self) -> C {
        self.core.owner()
    }

    /// Returns how the gate stands.
    pub const fn gate(&self) -> GateRegister {
        self.gate.register()
    }

    /// Runs one window of `vcpu`. What is counted stays in the vCPU and the core. Returns whose
    /// registers were in the core when the host used them itself, if it did.
    pub fn window<F: Forecast>(
        &mut self,
        vcpu: &mut Twin<C, F>,
        window: (u8, Resume),
    ) -> Option<C> {
        self.told_window(vcpu, window, |_, _| ())
    }

    /// As [`window`](Self::window), and tells what became of the registers.
    fn told_window<F: Forecast>(
        &mut self,
        vcpu: &mut Twin<C, F>,
        window: (u8, Resume),
        tell: impl FnMut(Cause, Option<Exchange<C>>),
    ) -> Option<C> {
        let mut watched = self.core;
        let mut watched_gate = GateState::new(GateRegister::new(Gate::Closed));
        let (core, gate) = (&mut self.core, &mut self.gate);
        let saved = run(core, gate, &mut vcpu.plain, window, tell);
        let (core, gate) = (&mut watched, &mut watched_gate);
        run(core, gate, &mut vcpu.observed, window, |_, _| ());
        debug_assert!(watched == self.core, "the observer changed what moves");
        saved
    }

    /// `vcpu`, which was put on the core `old`, is to run here: if its registers may still be there, that
    /// core is asked for them, and saves them if they are. What is counted stays in both. Returns what the
    /// old core has moved.
    pub fn fetch<F>(&self, old: &mut Self, vcpu: &mut Twin<C, F>) -> Option<Exchange<C>> {
        if self.core.elsewhere(&vcpu.plain).is_some() {
            let surrendered = old.core.surrender(vcpu.plain.context());
            old.gate.exchange(surrendered);
            vcpu.plain.arrived(surrendered.is_some());
            vcpu.observed.arrived(surrendered.is_some());
            surrendered
        } else {
            None
        }
    }

    /// Forgets the gate's counts and adds them to `counts`.
    pub fn count_gate(&mut self, counts: &mut SchemeCounts) {
        self.gate.count(counts);
    }
}

/// Whose registers a core can hold.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Owner {
    /// The host's of this core.
    Host(u8),
    /// Those of this vCPU.
    Vcpu(u16),
}

impl Context for Owner {}

/// A vCPU and what the state machine does not count of it itself.
#[derive(Debug)]
struct Vcpu<F> {
    number: u16,
    twin: Twin<Owner, F>,
    /// The core that it ran on last.
    home: usize,
    more: SchemeCounts,
}

/// Cores, and vCPUs under forecasters of one kind, every window by the state machine.
///
/// Slower than the tables, which rest on few states coming up again and again, but it serves any
/// scheme: one whose memory takes more values than windows visit twice, say.
#[derive(Debug)]
pub(super) struct Cores<F = Forecaster> {
    vcpus: Vec<Vcpu<F>>,
    /// By number of the vCPU: its place in `vcpus`.
    places: Vec<Option<usize>>,
    /// By number of the core.
    cores: Vec<Place<Owner>>,
}

impl<F: Forecast + Copy> Cores<F> {
    /// Returns a replay that has seen nothing yet.
    pub const fn new() -> Self {
        Self {
            vcpus: Vec::new(),
            places: Vec::new(),
            cores: Vec::new(),
        }
    }

    /// Returns the place of vCPU `number`, which is on core `home` and begins with the forecaster that
    /// `make` returns if it has not run yet.
    fn place(&mut self, number: u16, home: usize, make: impl Fn(u16) -> F) -> usize {
        let index = usize::from(number);
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        *self.places[index].get_or_insert_with(|| {
            self.vcpus.push(Vcpu {
                number,
                twin: Twin::new(Owner::Vcpu(number), make(number)),
                home,
                more: SchemeCounts::default(),
            });
            self.vcpus.len() - 1
        })
    }

    /// Replays windows of vCPU `number` on `core`, each by its flags and how the guest resumed, and
    /// tells what became of the registers of which core. A vCPU that has not run yet begins with the
    /// forecaster that `make` returns for its number.
    pub fn run(
        &mut self,
        (number, core): (u16, u8),
        windows: impl IntoIterator<Item = (u8, Resume)>,
        make: impl Fn(u16) -> F,
        tell: &mut impl FnMut(Step),
    ) {
        for next in self.cores.len()..=usize::from(core) {
            self.cores.push(Place::new(Owner::Host(next as u8)));
        }
        let core = usize::from(core);
        let index = self.place(number, core, &make);
        self.fetch(index, core, tell);
        for window in windows {
            let vcpu = &mut self.vcpus[index];
            let tell = |cause, exchange| tell(Step::new(core, cause, exchange));
            let saved = self.cores[core].told_window(&mut vcpu.twin, window, tell);
            self.cores[core].count_gate(&mut vcpu.more);
            if let Some(Owner::Vcpu(victim)) = saved {
                let victim = self.place(victim, core, &make);
                self.vcpus[victim].more.host_evictions += 1;
            }
        }
    }

    /// The vCPU in `index` is to run on `core`.
    fn fetch(&mut self, index: usize, core: usize, tell: &mut impl FnMut(Step)) {
        let vcpu = &mut self.vcpus[index];
        let home = std::mem::replace(&mut vcpu.home, core);
        if let Ok([here, old]) = self.cores.get_disjoint_mut([core, home]) {
            let fetched = here.fetch(old, &mut vcpu.twin);
            if fetched.is_some() {
                tell(Step::new(home, Cause::Fetch, fetched));
            }
            old.count_gate(&mut vcpu.more);
        }
    }

    /// Returns the counts of each vCPU with its number.
    pub fn finish(mut self) -> Vec<(u16, SchemeCounts)> {
        for core in &self.cores {
            if let Owner::Vcpu(owner) = core.owner()
                && let Some(index) = self.places[usize::from(owner)]
            {
                self.vcpus[index].more.held += 1;
            }
        }
        self.vcpus
            .iter_mut()
            .map(|vcpu| {
                let mut counts = vcpu.twin.take_counts();
                counts += vcpu.more;
                (vcpu.number, counts)
            })
            .collect()
    }

    /// Returns what the state machine counted of each vCPU's windows when it watched them.
    #[cfg(test)]
    pub fn observed_counts(&self) -> impl Iterator<Item = (u16, &Counts)> {
        self.vcpus
            .iter()
            .map(|vcpu| (vcpu.number, vcpu.twin.observed_counts()))
    }
}

/// Returns what all vCPUs of a record do whose forecasters `make` returns, each by its number.
pub fn count_with<F: Forecast + Copy>(
    windows: impl IntoIterator<Item = (Event, Resume)>,
    make: impl Fn(u16) -> F,
) -> SchemeCounts {
    let mut cores = Cores::new();
    for (event, resume) in windows {
        let window = [(event.flags(), resume)];
        cores.run((event.vcpu(), event.core()), window, &make, &mut |_| ());
    }
    let mut total = SchemeCounts::default();
    for (_, counts) in cores.finish() {
        total += counts;
    }
    total
}

/// One scheme over a record, window by window: the same, with what a scheme begins with.
#[derive(Debug)]
pub(super) struct Direct {
    scheme: Scheme,
    prices: Prices,
    cores: Cores,
}

impl Direct {
    /// Returns a replay of `scheme` that has seen nothing yet. What switching costs is for `forecast`
    /// alone.
    pub const fn new(scheme: Scheme, costs: &Costs) -> Self {
        Self {
            scheme,
            prices: Prices::new(costs),
            cores: Cores::new(),
        }
    }

    /// Returns the scheme.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Replays windows of vCPU `number` on `core`, each by its flags and how the guest resumed.
    pub fn run(&mut self, number: u16, core: u8, windows: impl IntoIterator<Item = (u8, Resume)>) {
        self.run_and_tell(number, core, windows, &mut |_| ());
    }

    /// As [`run`](Self::run), and tells what became of the registers of which core.
    pub fn run_and_tell(
        &mut self,
        number: u16,
        core: u8,
        windows: impl IntoIterator<Item = (u8, Resume)>,
        tell: &mut impl FnMut(Step),
    ) {
        let (scheme, prices) = (self.scheme, self.prices);
        // The number is the seed at EL2, too.
        let make = |number: u16| Forecaster::new(scheme, prices, number.into());
        self.cores.run((number, core), windows, make, tell);
    }

    /// Returns the counts of each vCPU with its number.
    pub fn finish(self) -> Vec<(u16, SchemeCounts)> {
        self.cores.finish()
    }

    /// Returns what the state machine counted of each vCPU's windows when it watched them.
    #[cfg(test)]
    pub fn observed_counts(&self) -> impl Iterator<Item = (u16, &Counts)> {
        self.cores.observed_counts()
    }
}
