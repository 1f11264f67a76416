//! The state machine against a simulated core: whatever the order of events, nobody reads a value
//! that is not its own last one, nothing is lost, and an open gate means ownership.

use proptest::prelude::*;
use trapcast_forecast::{Release, Scheme, Window};
use trapcast_switch::{Core, Exchange, Gate, Guest};

const HOST: usize = 0;
const GUESTS: usize = 3;

/// One core with a register that holds a value, and a place in memory for each context.
struct Machine {
    core: Core<usize>,
    guests: Vec<Guest<usize>>,
    /// The value in the registers.
    register: u64,
    /// The value that each context holds in memory.
    memory: [u64; GUESTS + 1],
    /// The value that each context wrote last, which it must read next.
    expected: [u64; GUESTS + 1],
    gate: Gate,
    /// The vCPU that is loaded, and whether the CPU is in the guest.
    current: Option<usize>,
    entered: bool,
    next_value: u64,
    faults: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Load this guest, putting the current one first, and enter it.
    Run(usize),
    /// The guest uses the registers.
    Use,
    /// Exit, handle something, enter the same guest again.
    Reenter,
    /// Exit and put, with nobody to follow.
    Idle,
    /// Exit; the host uses the registers for itself; enter again.
    HostUse,
    /// Exit; the host looks at its registers, if its scheme gave them back.
    HostLook,
    /// Exit and put; the registers of some guest are wanted in memory.
    Evict(usize),
}

impl Machine {
    fn new(schemes: &[Scheme], observed: bool) -> Self {
        Self {
            core: Core::new(HOST),
            guests: schemes
                .iter()
                .enumerate()
                .map(|(index, &scheme)| Guest::new(index + 1, scheme, observed))
                .collect(),
            register: 0,
            memory: [0; GUESTS + 1],
            expected: [0; GUESTS + 1],
            gate: Gate::Open,
            current: None,
            entered: false,
            next_value: 1,
            faults: Vec::new(),
        }
    }

    fn exchange(&mut self, exchange: Option<Exchange<usize>>) {
        if let Some(Exchange { save, load }) = exchange {
            assert_ne!(save, load, "a move that moves nothing");
            self.memory[save] = self.register;
            self.register = self.memory[load];
        }
    }

    /// `context` reads the registers, and writes a new value to them.
    fn access(&mut self, context: usize) {
        if self.register != self.expected[context] {
            self.faults.push(format!(
                "context {context} read {} for {}",
                self.register, self.expected[context]
            ));
        }
        self.register = self.next_value;
        self.expected[context] = self.next_value;
        self.next_value += 1;
    }

    fn enter(&mut self) {
        let Some(current) = self.current else { return };
        let entry = self.core.enter(&mut self.guests[current]);
        self.exchange(entry.exchange);
        self.gate = entry.gate;
        self.entered = true;
    }

    fn exit(&mut self) {
        if let Some(current) = self.current
            && self.entered
        {
            let exchange = self.core.exit(&mut self.guests[current]);
            self.exchange(exchange);
            self.entered = false;
        }
    }

    fn put(&mut self) {
        self.exit();
        if let Some(current) = self.current.take() {
            let exchange = self.core.put(&mut self.guests[current]);
            self.exchange(exchange);
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Run(guest) => {
                if self.current == Some(guest) {
                    self.exit();
                } else {
                    self.put();
                }
                self.current = Some(guest);
                self.enter();
            }
            Event::Use => {
                let Some(current) = self.current else { return };
                if self.gate == Gate::Closed {
                    let exchange = self.core.trap(&mut self.guests[current]);
                    self.exchange(exchange);
                    self.gate = Gate::Open;
                }
                self.access(current + 1);
            }
            Event::Reenter => {
                self.exit();
                self.enter();
            }
            Event::Idle => self.put(),
            Event::HostUse => {
                self.exit();
                let save = self.core.host_begin();
                self.memory[save] = self.register;
                self.register = u64::MAX;
                self.register = self.memory[self.core.host_end()];
                self.enter();
            }
            Event::HostLook => {
                self.exit();
                if self.core.owner() == HOST {
                    self.access(HOST);
                }
                self.enter();
            }
            Event::Evict(guest) => {
                self.put();
                let exchange = self.core.evict(&mut self.guests[guest]);
                self.exchange(exchange);
                assert_ne!(self.core.owner(), guest + 1);
                assert_eq!(self.memory[guest + 1], self.expected[guest + 1]);
            }
        }
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
        1 => (0..GUESTS).prop_map(Event::Evict),
    ]
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
        events in proptest::collection::vec(event(), 0..400),
    ) {
        let mut machine = Machine::new(&schemes, observed);
        for event in events {
            machine.apply(event);
            if machine.entered && machine.gate == Gate::Open {
                let current = machine.current.expect("an entered vCPU is current");
                prop_assert_eq!(machine.core.owner(), current + 1, "an open gate without ownership");
            }
        }
        prop_assert!(machine.faults.is_empty(), "{:?}", machine.faults);
    }

    #[test]
    fn the_registers_are_given_back_when_the_scheme_says(
        scheme in managed(),
        events in proptest::collection::vec(event(), 0..100),
    ) {
        let mut machine = Machine::new(&[scheme; GUESTS], false);
        for event in events {
            machine.apply(event);
        }
        machine.exit();
        if scheme.release() == Release::Exit {
            prop_assert_eq!(machine.core.owner(), HOST);
        }
        machine.put();
        if scheme.release() == Release::Put {
            prop_assert_eq!(machine.core.owner(), HOST);
        }
    }

    /// The observer changes nothing that the scheme does: the same moves, the same forecasts.
    #[test]
    fn the_observer_only_watches(
        schemes in proptest::collection::vec(managed(), GUESTS),
        events in proptest::collection::vec(event(), 0..400),
    ) {
        let mut plain = Machine::new(&schemes, false);
        let mut observed = Machine::new(&schemes, true);
        for event in events {
            plain.apply(event);
            observed.apply(event);
            prop_assert_eq!(plain.core, observed.core);
        }
        for (plain, observed) in plain.guests.iter().zip(&observed.guests) {
            prop_assert_eq!(plain.counts.traps, observed.counts.traps);
            prop_assert_eq!(plain.counts.eager_loads, observed.counts.eager_loads);
            prop_assert_eq!(plain.counts.give_backs, observed.counts.give_backs);
            prop_assert_eq!(plain.counts.observer_traps, 0);
        }
    }

    /// The tallies are the truth: they count each window once, and used where it was used.
    #[test]
    fn an_observed_guest_is_counted_right(
        scheme in proptest::sample::select(&Scheme::ALL[..]),
        uses in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..300),
    ) {
        let mut machine = Machine::new(&[scheme; GUESTS], true);
        let (mut used, mut used_loads, mut loads, mut in_load) = (0, 0, 0, false);
        for &(uses, put) in &uses {
            machine.apply(Event::Run(0));
            if uses {
                machine.apply(Event::Use);
                used += 1;
                in_load = true;
            }
            if put {
                machine.apply(Event::Idle);
                loads += 1;
                used_loads += u64::from(std::mem::take(&mut in_load));
            }
        }
        machine.exit();
        let counts = machine.guests[0].counts;
        prop_assert_eq!(counts.entry_windows.windows, uses.len() as u64);
        prop_assert_eq!(counts.entry_windows.used, used);
        prop_assert_eq!(counts.load_windows.windows, loads);
        prop_assert_eq!(counts.load_windows.used, used_loads);
        prop_assert_eq!(counts.entry_windows.pairs.as_flattened().iter().sum::<u64>(), uses.len() as u64 - 1);
        let forecasts: u64 = counts.forecast.as_flattened().iter().sum();
        prop_assert_eq!(forecasts, match scheme.window() {
            Window::Entry => uses.len() as u64,
            Window::Load => loads,
        });
    }
}

#[test]
fn the_negative_control_is_caught() {
    let mut machine = Machine::new(&[Scheme::None; GUESTS], false);
    for guest in [0, 1, 0] {
        machine.apply(Event::Run(guest));
        machine.apply(Event::Use);
    }
    assert_eq!(
        machine.faults,
        ["context 2 read 1 for 0", "context 1 read 2 for 1"]
    );
}
