//! The state machine against simulated cores: whatever the order of events and wherever a vCPU runs,
//! no guest reads a value that is not its own last one, nothing is lost, an open gate means ownership,
//! and the counts are what happened.

use proptest::prelude::*;
use trapcast_forecast::{Costs, Forecaster, Prices, Release, Resume, Scheme, Window};
use trapcast_switch::{Class, Context as _, Core, Exchange, Gate, Guest};

const CORES: usize = 2;
const GUESTS: usize = 3;

/// A core's host keeps its registers in the place of the core's number; the guests' follow.
const fn context(guest: usize) -> usize {
    CORES + guest
}

/// One core with a register that holds a value.
struct Cpu {
    switch: Core<usize>,
    register: u64,
    gate: Gate,
    /// The vCPU that is loaded, and whether the CPU is in the guest.
    current: Option<usize>,
    entered: bool,
}

/// Cores, and a place in memory for each context.
struct Machine {
    cpus: [Cpu; CORES],
    guests: Vec<Guest<usize>>,
    /// The value that each context holds in memory.
    memory: [u64; CORES + GUESTS],
    /// The value that each context wrote last, which it must read next.
    expected: [u64; CORES + GUESTS],
    /// How often each context was saved and loaded.
    saves: [u64; CORES + GUESTS],
    loads: [u64; CORES + GUESTS],
    next_value: u64,
    faults: Vec<String>,
}

/// What happens on a core.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Load this guest, putting the current one first, and enter it. If it is another core's current
    /// one, it is put there before.
    Run(usize),
    /// The guest uses the registers.
    Use,
    /// Exit, handle something, enter the same guest again.
    Reenter,
    /// Exit and put; no vCPU is loaded next.
    Idle,
    /// Exit; the host uses the registers for itself; enter again.
    HostUse,
    /// Exit; the host looks at its registers, if they are its own; enter again.
    HostLook,
    /// Exit and put; load this guest and turn it on: its registers begin as zeroes.
    PowerOn(usize),
}

/// Costs under which all three decisions come up.
const COSTS: Costs = Costs {
    trap: 100,
    probe: 10,
    save: 20,
    load: 20,
    gate: 1,
    isb: 1,
};

fn forecaster(scheme: Scheme, guest: usize) -> Forecaster {
    Forecaster::new(scheme, Prices::new(&COSTS), guest as u32)
}

impl Machine {
    fn new(schemes: &[Scheme], observed: bool) -> Self {
        Self {
            cpus: std::array::from_fn(|core| Cpu {
                switch: Core::new(core),
                register: 0,
                gate: Gate::Open(Class::Fp),
                current: None,
                entered: false,
            }),
            guests: schemes
                .iter()
                .enumerate()
                .map(|(guest, &scheme)| {
                    Guest::new(context(guest), forecaster(scheme, guest), observed)
                })
                .collect(),
            memory: [0; CORES + GUESTS],
            expected: [0; CORES + GUESTS],
            saves: [0; CORES + GUESTS],
            loads: [0; CORES + GUESTS],
            next_value: 1,
            faults: Vec::new(),
        }
    }

    fn save(&mut self, core: usize, context: usize) {
        self.memory[context] = self.cpus[core].register;
        self.saves[context] += 1;
    }

    fn load(&mut self, core: usize, context: usize) {
        self.cpus[core].register = self.memory[context];
        self.loads[context] += 1;
    }

    fn exchange(&mut self, core: usize, exchange: Option<Exchange<usize>>) {
        if let Some(exchange) = exchange {
            assert_ne!(exchange.save, exchange.load, "a move that moves nothing");
            if let Some((save, _)) = exchange.saves() {
                self.save(core, save);
            }
            // What is nobody's may be lost.
            self.cpus[core].register = u64::MAX;
            if let Some((load, _)) = exchange.loads() {
                self.load(core, load);
            }
        }
    }

    /// `context` reads the registers of `core`, and writes a new value to them.
    fn access(&mut self, core: usize, context: usize) {
        let register = &mut self.cpus[core].register;
        if *register != self.expected[context] {
            self.faults.push(format!(
                "context {context} read {register} for {}",
                self.expected[context]
            ));
        }
        *register = self.next_value;
        self.expected[context] = self.next_value;
        self.next_value += 1;
    }

    /// Makes `guest` the current one of `core`, after it was put wherever it was that before.
    fn make_current(&mut self, core: usize, guest: usize) {
        for other in 0..CORES {
            if other == core || self.cpus[other].current == Some(guest) {
                self.put(other);
            }
        }
        if let Some(home) = self.cpus[core].switch.elsewhere(&self.guests[guest]) {
            let entered = self.cpus[home].entered;
            self.exit(home);
            let released = self.cpus[home].switch.release(context(guest));
            self.exchange(home, released);
            self.guests[guest].arrived(released.is_some());
            if entered {
                self.enter(home);
            }
        }
        self.cpus[core].current = Some(guest);
    }

    fn enter(&mut self, core: usize) {
        let Some(current) = self.cpus[core].current else {
            return;
        };
        let cpu = &mut self.cpus[core];
        let entry = cpu.switch.enter(&mut self.guests[current], Resume::default);
        cpu.gate = entry.gate;
        cpu.entered = true;
        self.exchange(core, entry.exchange);
    }

    fn exit(&mut self, core: usize) {
        let cpu = &mut self.cpus[core];
        if let Some(current) = cpu.current
            && std::mem::take(&mut cpu.entered)
        {
            let exchange = cpu.switch.exit(&mut self.guests[current]);
            self.exchange(core, exchange);
        }
    }

    fn put(&mut self, core: usize) {
        self.exit(core);
        let cpu = &mut self.cpus[core];
        if let Some(current) = cpu.current.take() {
            let exchange = cpu.switch.put(&mut self.guests[current]);
            self.exchange(core, exchange);
        }
    }

    fn apply(&mut self, core: usize, event: Event) {
        match event {
            Event::Run(guest) => {
                if self.cpus[core].current == Some(guest) {
                    self.exit(core);
                } else {
                    self.make_current(core, guest);
                }
                self.enter(core);
            }
            Event::Use => self.use_registers(core),
            Event::Reenter => {
                self.exit(core);
                self.enter(core);
            }
            Event::Idle => self.put(core),
            Event::HostUse => {
                self.exit(core);
                if let Some((owner, _)) = self.cpus[core].switch.host_begin() {
                    self.save(core, owner);
                }
                self.cpus[core].register = u64::MAX;
                let host = self.cpus[core].switch.host_end();
                self.load(core, host);
                self.enter(core);
            }
            Event::HostLook => {
                self.exit(core);
                if self.cpus[core].switch.owner() == core {
                    self.access(core, core);
                }
                self.enter(core);
            }
            Event::PowerOn(guest) => {
                self.make_current(core, guest);
                let evicted = self.cpus[core].switch.evict(&mut self.guests[guest]);
                self.exchange(core, evicted);
                assert_eq!(
                    self.memory[context(guest)],
                    self.expected[context(guest)],
                    "an evicted guest's memory is current"
                );
                self.memory[context(guest)] = 0;
                self.expected[context(guest)] = 0;
                self.enter(core);
            }
        }
    }

    fn use_registers(&mut self, core: usize) {
        let cpu = &mut self.cpus[core];
        let Some(current) = cpu.current else { return };
        if cpu.gate == Gate::Closed {
            let exchange = cpu
                .switch
                .trap(&mut self.guests[current], Class::Fp)
                .exchange;
            cpu.gate = Gate::Open(Class::Fp);
            self.exchange(core, exchange);
        }
        self.access(core, context(current));
    }

    /// Returns whether some core has the registers of `guest`.
    fn is_live(&self, guest: usize) -> bool {
        let mut cpus = self.cpus.iter();
        cpus.any(|cpu| cpu.switch.owner() == context(guest))
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..GUESTS).prop_map(Event::Run),
        4 => Just(Event::Use),
        4 => Just(Event::Reenter),
        1 => Just(Event::Idle),
        1 => Just(Event::HostUse),
        1 => Just(Event::HostLook),
        1 => (0..GUESTS).prop_map(Event::PowerOn),
    ]
}

/// Events, each with the core on which it happens.
fn events(most: usize) -> impl Strategy<Value = Vec<(usize, Event)>> {
    proptest::collection::vec((0..CORES, event()), 0..most)
}

fn managed() -> impl Strategy<Value = Scheme> {
    proptest::sample::select(&Scheme::ALL[1..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn everybody_reads_what_it_wrote(
        schemes in proptest::collection::vec(managed(), GUESTS),
        observed in any::<bool>(),
        events in events(400),
    ) {
        let mut machine = Machine::new(&schemes, observed);
        for (core, event) in events {
            machine.apply(core, event);
            for cpu in &machine.cpus {
                if cpu.entered && cpu.gate == Gate::Open(Class::Fp) {
                    let current = cpu.current.expect("an entered vCPU is current");
                    let owner = cpu.switch.owner();
                    prop_assert_eq!(owner, context(current), "an open gate without ownership");
                }
            }
        }
        prop_assert!(machine.faults.is_empty(), "{:?}", machine.faults);
    }

    #[test]
    fn the_registers_are_given_back_when_the_scheme_says(
        scheme in managed(),
        events in events(100),
    ) {
        let mut machine = Machine::new(&[scheme; GUESTS], false);
        for (core, event) in events {
            machine.apply(core, event);
        }
        for core in 0..CORES {
            machine.exit(core);
            if scheme.release() == Release::Exit {
                prop_assert_eq!(machine.cpus[core].switch.owner(), core);
            }
            machine.put(core);
            if scheme.release() == Release::Put {
                prop_assert_eq!(machine.cpus[core].switch.owner(), core);
            }
            if scheme.release() == Release::Drop {
                prop_assert!([core, usize::NOBODY].contains(&machine.cpus[core].switch.owner()));
            }
        }
        for guest in &machine.guests {
            let may_stay_loaded = scheme.release() == Release::OnDemand;
            prop_assert!(may_stay_loaded || guest.loaded_on().is_none());
        }
    }

    /// The counts say how often a guest's registers were loaded, and saved: as often, or once less
    /// while a core has them.
    #[test]
    fn the_counts_are_exact(
        schemes in proptest::collection::vec(managed(), GUESTS),
        observed in any::<bool>(),
        events in events(400),
    ) {
        let mut machine = Machine::new(&schemes, observed);
        for (core, event) in events {
            machine.apply(core, event);
        }
        (0..CORES).for_each(|core| machine.put(core));
        for guest in 0..GUESTS {
            let counts = machine.guests[guest].counts;
            let loads = counts.traps + counts.eager_loads;
            prop_assert_eq!(machine.loads[context(guest)], loads);
            let live = u64::from(machine.is_live(guest));
            prop_assert_eq!(machine.saves[context(guest)], loads - live);
            prop_assert!(counts.fetches + counts.give_backs <= loads);
        }
    }

    /// The observer changes nothing that the scheme does: the same moves, the same forecasts.
    #[test]
    fn the_observer_only_watches(
        schemes in proptest::collection::vec(managed(), GUESTS),
        events in events(400),
    ) {
        let mut plain = Machine::new(&schemes, false);
        let mut observed = Machine::new(&schemes, true);
        for (core, event) in events {
            plain.apply(core, event);
            observed.apply(core, event);
            for (plain, observed) in plain.cpus.iter().zip(&observed.cpus) {
                prop_assert_eq!(plain.switch, observed.switch);
            }
        }
        for (plain, observed) in plain.guests.iter().zip(&observed.guests) {
            prop_assert_eq!(plain.loaded_on(), observed.loaded_on());
            prop_assert_eq!(plain.counts.traps, observed.counts.traps);
            prop_assert_eq!(plain.counts.eager_loads, observed.counts.eager_loads);
            prop_assert_eq!(plain.counts.give_backs, observed.counts.give_backs);
            prop_assert_eq!(plain.counts.fetches, observed.counts.fetches);
            prop_assert_eq!(plain.counts.observer_traps, 0);
        }
    }

    /// The tallies are the truth: they count each window once, and used where it was used.
    #[test]
    fn an_observed_guest_is_counted_right(
        scheme in proptest::sample::select(&Scheme::ALL[..]),
        uses in proptest::collection::vec((0..CORES, any::<bool>(), any::<bool>()), 1..300),
    ) {
        let mut machine = Machine::new(&[scheme; GUESTS], true);
        let (mut used, mut used_loads, mut loads, mut in_load) = (0, 0, 0, false);
        let mut last = None;
        for &(core, uses, put) in &uses {
            if last.is_some_and(|last| last != core) {
                // It moves without having been put by the end of its last window.
                loads += 1;
                used_loads += u64::from(std::mem::take(&mut in_load));
            }
            machine.apply(core, Event::Run(0));
            if uses {
                machine.apply(core, Event::Use);
                used += 1;
                in_load = true;
            }
            last = (!put).then_some(core);
            if put {
                machine.apply(core, Event::Idle);
                loads += 1;
                used_loads += u64::from(std::mem::take(&mut in_load));
            }
        }
        (0..CORES).for_each(|core| machine.exit(core));
        let counts = machine.guests[0].counts;
        prop_assert_eq!(counts.entry_windows.windows, uses.len() as u64);
        prop_assert_eq!(counts.entry_windows.used, used);
        prop_assert_eq!(counts.load_windows.windows, loads);
        prop_assert_eq!(counts.load_windows.used, used_loads);
        prop_assert_eq!(counts.entry_windows.pairs.as_flattened().iter().sum::<u64>(), uses.len() as u64 - 1);
        let forecasts: u64 = counts.forecast.as_flattened().iter().sum();
        prop_assert_eq!(forecasts, match scheme.window() {
            Window::Entry => uses.len() as u64,
            Window::Load | Window::Absence => loads,
        });
    }
}

#[test]
fn the_negative_control_is_caught() {
    let mut machine = Machine::new(&[Scheme::None; GUESTS], false);
    for guest in [0, 1, 0] {
        machine.apply(0, Event::Run(guest));
        machine.apply(0, Event::Use);
    }
    assert_eq!(
        machine.faults,
        ["context 3 read 1 for 0", "context 2 read 2 for 1"]
    );
}
