//! A model of guests with FP/SIMD, SVE and SME, in and out of streaming mode: every state is visited that
//! two cores, two such guests and their hosts can reach, under any forecasts for each class.
//!
//! `tests/model` has more guests, all mixtures of schemes, and each guest's registers as one.
//! `cargo test -p trapcast-switch --test classes -- --nocapture` prints how many states there are.

mod machine;
#[path = "../common/place.rs"]
mod place;
#[allow(dead_code, reason = "the other model has more kinds")]
#[path = "../model/scheme.rs"]
mod scheme;

use machine::{CORES, GUESTS, Machine, Phase, Shape, host, reaches, vcpu};
use place::Context;
use scheme::Kind;
use stateright::{Checker, HasDiscoveries, Model, Property};
use trapcast_forecast::{Decision, Resume};
use trapcast_switch::{Class, Gate, GateRegister};

/// One step of the core that is its first field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// Makes a guest the current one; another core that has its registers releases them.
    Load(usize, usize),
    /// Enters the current guest. If a window begins, each class has been forecast so.
    Enter(usize, [Decision; 3]),
    /// The guest uses registers of a class, or traps in the attempt, and leaves them in a shape.
    Use(usize, Class, Shape),
    Exit(usize),
    Put(usize),
    /// The host uses the registers itself.
    Host(usize),
    /// The current vCPU starts with registers of zero.
    PowerOn(usize),
}

/// One mistake of the hypervisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    /// The save of the owner's registers forgets all but FP/SIMD.
    SavesFpAlone,
    /// A load brings no more than was asked for.
    LoadsAsAsked,
    /// The trap opens the gate for its own class and no further.
    OpensAsTrapped,
    /// What comes in beside what is there is not loaded.
    ForgetsToWiden,
    /// The gate opens for all at an entry that opens it for some.
    OpensForAll,
    /// A guest in streaming mode is entered without its registers, as if it were not.
    EntersInAnotherMode,
    /// A guest's streaming mode stays in the core when another vCPU becomes the current one.
    LeavesStreamingMode,
}

#[derive(Clone, Debug)]
struct Classes {
    kinds: [Kind; GUESTS],
    /// Cores that take part, and what each guest has at most.
    cores: usize,
    most: [Class; GUESTS],
    observed: bool,
    fault: Option<Fault>,
}

impl Classes {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn exchange(
        &self,
        exchange: Option<trapcast_switch::Exchange<Context>>,
    ) -> Option<trapcast_switch::Exchange<Context>> {
        let mut exchange = exchange?;
        if self.has(Fault::SavesFpAlone) && exchange.saves().is_some() {
            exchange.saved = Class::Fp;
        }
        if self.has(Fault::ForgetsToWiden) && exchange.save == exchange.load {
            return None;
        }
        Some(exchange)
    }

    fn step(&self, m: &mut Machine, step: Step) {
        let current = |core: usize| match m.cores[core].phase {
            Phase::Loaded(guest) | Phase::Running(guest) => guest,
            Phase::Idle => unreachable!("a core without a vCPU"),
        };
        if self.has(Fault::LoadsAsAsked) {
            Machine::new(self.kinds, self.most, false).publish();
        } else {
            m.publish();
        }
        if self.has(Fault::EntersInAnotherMode) && matches!(step, Step::Enter(..)) {
            // So that nothing is seen of its streaming mode.
            Machine::new(self.kinds, self.most, false).publish();
        }
        match step {
            Step::Load(core, guest) => {
                if let Some(home) = m.cores[core].switch.elsewhere(&m.guests[guest].guest) {
                    let home = usize::from(home.0);
                    let released = m.cores[home].switch.release(vcpu(guest));
                    m.carry_out(home, self.exchange(released));
                    m.guests[guest].guest.arrived(released.is_some());
                }
                self.make_resident(m, core, guest);
                m.cores[core].phase = Phase::Loaded(guest);
            }
            Step::Enter(core, answers) => {
                let guest = current(core);
                let state = &mut m.guests[guest].guest;
                for (class, answer) in Class::ALL.into_iter().zip(answers) {
                    state.forecaster_mut(class).answer = Some(answer);
                }
                let entry = m.cores[core].switch.enter(state, Resume::default);
                let mut begins = false;
                for class in Class::ALL {
                    let scheme = state.forecaster_mut(class);
                    scheme.answer = None;
                    begins |= std::mem::take(&mut scheme.asked);
                }
                m.check_evidence(guest);
                if begins {
                    m.guests[guest].used = 0;
                }
                m.carry_out(core, self.exchange(entry.exchange));
                let mut gate = entry.gate;
                if self.most[guest] == Class::Sme {
                    let (switch, state) = (&mut m.cores[core].switch, &mut m.guests[guest].guest);
                    let entry = switch.load_streaming(state, gate);
                    m.carry_out(core, self.exchange(entry.exchange));
                    gate = entry.gate;
                }
                self.set_gate(m, core, gate);
                m.cores[core].phase = Phase::Running(guest);
                m.run(core, guest);
            }
            Step::Use(core, class, shape) => {
                let guest = current(core);
                // In streaming mode a use of SVE is one of SME.
                let class = m.check_mode(core, guest, class);
                if !reaches(m.cores[core].gate, class) {
                    self.trap(m, core, guest, class);
                }
                m.access(core, guest, class, shape);
                m.run(core, guest);
            }
            Step::Exit(core) => {
                let guest = current(core);
                let exchange = m.cores[core].switch.exit(&mut m.guests[guest].guest);
                m.carry_out(core, self.exchange(exchange));
                m.cores[core].phase = Phase::Loaded(guest);
                m.check_evidence(guest);
            }
            Step::Put(core) => {
                let guest = current(core);
                let exchange = m.cores[core].switch.put(&mut m.guests[guest].guest);
                m.carry_out(core, self.exchange(exchange));
                m.cores[core].phase = Phase::Idle;
                m.check_evidence(guest);
            }
            Step::Host(core) => {
                let saved = m.cores[core].switch.host_begin();
                let held = saved.map_or(Class::Fp, |(_, held)| held);
                if m.cores[core].remembered.unlock(held) {
                    m.cores[core].gate = Gate::Open(held);
                }
                if let Some((owner, held)) = saved {
                    let saves_fp_alone = self.has(Fault::SavesFpAlone);
                    m.save(core, owner, if saves_fp_alone { Class::Fp } else { held });
                }
                let host = m.cores[core].switch.host_end();
                m.load(core, host, Class::Fp);
            }
            Step::PowerOn(core) => {
                let guest = current(core);
                let exchange = m.cores[core].switch.evict(&mut m.guests[guest].guest);
                m.carry_out(core, self.exchange(exchange));
                let place = usize::from(vcpu(guest).0);
                m.memory[place] = [Some(vcpu(guest)); 3];
                m.least[place] = Class::Fp;
                m.guests[guest].shape = Shape::Narrow;
                m.check_evidence(guest);
            }
        }
    }

    /// `guest` takes the place of the guest that ran on the core last.
    fn make_resident(&self, m: &mut Machine, core: usize, guest: usize) {
        let state = &mut m.cores[core];
        if state.resident != Some(guest) && !self.has(Fault::LeavesStreamingMode) {
            let streaming = state.streaming;
            let way = state.switch.make_way(&m.guests[guest].guest, || streaming);
            m.carry_out(core, self.exchange(way));
        }
        for other in &mut m.cores {
            other.resident = other.resident.filter(|resident| *resident != guest);
        }
        // It matters to no other.
        let some_has_sme = self.most.contains(&Class::Sme);
        m.cores[core].resident = some_has_sme.then_some(guest);
    }

    fn trap(&self, m: &mut Machine, core: usize, guest: usize, class: Class) {
        let entry = m.cores[core].switch.trap(&mut m.guests[guest].guest, class);
        m.carry_out(core, self.exchange(entry.exchange));
        let gate = if self.has(Fault::OpensAsTrapped) {
            Gate::Open(class)
        } else {
            entry.gate
        };
        self.set_gate(m, core, gate);
    }

    fn set_gate(&self, m: &mut Machine, core: usize, gate: Gate) {
        let all = self.has(Fault::OpensForAll) && gate != Gate::Closed;
        let gate = if all { Gate::Open(Class::Sme) } else { gate };
        m.cores[core].gate = gate;
        m.cores[core].remembered = GateRegister::new(gate);
    }
}

/// Every forecast for the classes that there are.
fn answers(most: Class) -> impl Iterator<Item = [Decision; 3]> {
    let loads = (0..=most as u8).map(|bits| {
        [0, 1, 2].map(|class| {
            if bits >> class & 1 == 1 {
                Decision::Load
            } else {
                Decision::Leave
            }
        })
    });
    // Above FP/SIMD a probe is as good as leaving the registers out.
    let [_, above @ ..] = [Decision::Leave; 3];
    let probes = [above, [Decision::Load, above[1]]].map(|[sve, sme]| [Decision::Probe, sve, sme]);
    loads.chain(probes)
}

/// What a guest may leave its registers in after using a class: only what brings it all can widen them,
/// and SME instructions enter and leave streaming mode.
fn shapes(before: Shape, class: Class) -> impl Iterator<Item = Shape> {
    let is_possible = move |shape: &Shape| match (before, class) {
        (_, Class::Sme) => true,
        (Shape::Streaming, _) | (_, Class::Fp) => *shape == before,
        _ => *shape != Shape::Streaming,
    };
    Shape::ALL.into_iter().filter(is_possible)
}

/// What makes it worth the while.
const SOMETIMES: &str = "SVE is closed while FP/SIMD is open";

impl Model for Classes {
    type State = Machine;
    type Action = Step;

    fn init_states(&self) -> Vec<Machine> {
        vec![Machine::new(self.kinds, self.most, self.observed)]
    }

    fn actions(&self, m: &Machine, steps: &mut Vec<Step>) {
        if m.wrong.is_some() {
            return;
        }
        for core in 0..self.cores {
            match m.cores[core].phase {
                Phase::Idle => {
                    let is_free = |guest: &usize| {
                        !m.cores.iter().any(|each| {
                            each.phase == Phase::Loaded(*guest)
                                || each.phase == Phase::Running(*guest)
                        })
                    };
                    // The core that is asked answers between an exit and an entry.
                    let can = |guest: &usize| {
                        let home = m.cores[core].switch.elsewhere(&m.guests[*guest].guest);
                        home.is_none_or(|home| {
                            !matches!(m.cores[usize::from(home.0)].phase, Phase::Running(_))
                        })
                    };
                    let free = (0..GUESTS).filter(is_free).filter(can);
                    steps.extend(free.map(|guest| Step::Load(core, guest)));
                    steps.push(Step::Host(core));
                }
                Phase::Loaded(guest) => {
                    if m.guests[guest].guest.forecaster(Class::Fp).may_be_asked() {
                        steps.extend(
                            answers(self.most[guest]).map(|answers| Step::Enter(core, answers)),
                        );
                    } else {
                        steps.push(Step::Enter(core, [Decision::Leave; 3]));
                    }
                    steps.extend([Step::Put(core), Step::Host(core), Step::PowerOn(core)]);
                }
                Phase::Running(guest) => {
                    let most = self.most[guest];
                    for class in Class::ALL.into_iter().filter(|class| *class <= most) {
                        let shapes = shapes(m.guests[guest].shape, class);
                        steps.extend(shapes.map(|shape| Step::Use(core, class, shape)));
                    }
                    steps.push(Step::Exit(core));
                }
            }
        }
    }

    fn next_state(&self, m: &Machine, step: Step) -> Option<Machine> {
        let mut next = m.clone();
        self.step(&mut next, step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing went wrong", |_, m: &Machine| m.wrong.is_none()),
            Property::always("nothing is lost", nothing_is_lost),
            Property::always("an open gate means ownership so far", gates_mean_ownership),
            Property::always("a guest runs in its own mode", modes_are_the_guests_own),
            Property::sometimes(SOMETIMES, |_, m: &Machine| {
                m.cores
                    .iter()
                    .any(|core| core.gate == Gate::Open(Class::Fp))
            }),
        ]
    }
}

/// Every part of every user is somewhere, the hosts' FP/SIMD at least.
fn nothing_is_lost(_: &Classes, m: &Machine) -> bool {
    let is_somewhere = |user: Context, part: usize| {
        let mut cores = m.cores.iter();
        m.memory[usize::from(user.0)][part] == Some(user)
            || cores.any(|core| core.registers[part] == Some(user))
    };
    (0..CORES).all(|core| is_somewhere(host(core), 0))
        && (0..GUESTS).all(|guest| (0..3).all(|part| is_somewhere(vcpu(guest), part)))
}

fn gates_mean_ownership(_: &Classes, m: &Machine) -> bool {
    m.cores.iter().all(|core| match (core.phase, core.gate) {
        (Phase::Running(guest), Gate::Open(open)) => {
            core.switch.owner() == vcpu(guest) && core.switch.held() == open
        }
        _ => true,
    })
}

fn modes_are_the_guests_own(_: &Classes, m: &Machine) -> bool {
    m.cores.iter().all(|core| match core.phase {
        Phase::Running(guest) => core.streaming == m.streams(guest),
        _ => true,
    })
}

fn explore(model: Classes) -> impl Checker<Classes> {
    model
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join()
}

/// Kinds that differ in when registers go back: at the exit, at the put, to nobody then, on demand.
const KINDS: [[Kind; GUESTS]; 6] = [
    [Kind::EXIT, Kind::EXIT],
    [Kind::PUT, Kind::PUT],
    [Kind::KVM, Kind::KVM],
    [Kind::OWNER, Kind::OWNER],
    [Kind::OWNER, Kind::EXIT],
    [Kind::FORECAST, Kind::FORECAST],
];

/// Cores, and what each guest has: two cores without SME or with a small neighbour, and one with it; more
/// would take hours.
const SIZES: [(usize, [Class; GUESTS]); 5] = [
    (2, [Class::Sve, Class::Sve]),
    (1, [Class::Sme, Class::Sme]),
    (1, [Class::Sme, Class::Sve]),
    (1, [Class::Sve, Class::Sme]),
    (2, [Class::Sme, Class::Fp]),
];

/// Kinds in which each deliberate fault shows.
const TELLING: [Kind; GUESTS] = KINDS[4];

/// Visits every state of guests of these kinds on so many cores, with what each guest has.
fn check(kinds: [Kind; GUESTS], (cores, most): (usize, [Class; GUESTS])) {
    let checker = explore(Classes {
        kinds,
        cores,
        most,
        observed: false,
        fault: None,
    });
    checker.assert_properties();
    let releases = kinds.map(|kind| kind.release);
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    println!("{cores} cores, up to {most:?}, {releases:?}: {states} states, {steps} steps");
}

#[test]
fn every_state_of_guests_of_a_few_kinds_is_good() {
    SIZES.into_iter().for_each(|size| check(TELLING, size));
    KINDS.into_iter().for_each(|kinds| check(kinds, SIZES[2]));
}

#[test]
#[ignore = "takes minutes"]
fn every_state_of_guests_with_classes_is_good() {
    for size in SIZES {
        KINDS.into_iter().for_each(|kinds| check(kinds, size));
    }
}

#[test]
fn every_state_is_good_under_the_observer() {
    let checker = explore(Classes {
        kinds: TELLING,
        cores: 1,
        most: [Class::Sme; GUESTS],
        observed: true,
        fault: None,
    });
    checker.assert_properties();
}

#[test]
fn every_deliberate_fault_is_caught() {
    for fault in [
        Fault::SavesFpAlone,
        Fault::LoadsAsAsked,
        Fault::OpensAsTrapped,
        Fault::ForgetsToWiden,
        Fault::OpensForAll,
        Fault::EntersInAnotherMode,
        Fault::LeavesStreamingMode,
    ] {
        let checker = explore(Classes {
            kinds: TELLING,
            cores: 1,
            most: [Class::Sme; GUESTS],
            observed: false,
            fault: Some(fault),
        });
        let mut found: Vec<_> = checker.discoveries().into_keys().collect();
        found.retain(|name| *name != SOMETIMES);
        assert!(!found.is_empty(), "{fault:?} is not noticed");
        println!("{fault:?}: {found:?}");
    }
}
