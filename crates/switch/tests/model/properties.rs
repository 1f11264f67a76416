//! The model as the checker takes it: its initial state, its steps, and what has to hold in every
//! state.

use stateright::{Model, Property};
use trapcast_forecast::Release;
use trapcast_switch::{Class, Context as _, Gate};

use crate::{
    faults::{Fault, Switch},
    machine::{CORES, GUESTS, Machine, Phase, Value, Wrong, host, vcpu},
    place::Context,
    scheme::Kind,
    steps::Step,
};

/// The name of the property that matters to a guest.
pub const READS_ITS_OWN: &str = "everybody reads its own last value";

/// Cores and vCPUs, each under a scheme of this kind, watched or not.
#[derive(Clone, Debug)]
pub struct Switching {
    pub kinds: [Kind; GUESTS],
    pub observed: [bool; GUESTS],
    /// What each vCPU has at most: FP/SIMD alone, or all with streaming mode.
    pub most: [Class; GUESTS],
    pub fault: Option<Fault>,
}

impl Switching {
    /// Returns the model of guests with FP/SIMD alone, without an observer and without a fault.
    pub fn new(kinds: [Kind; GUESTS]) -> Self {
        Self {
            kinds,
            observed: [false; GUESTS],
            most: [Class::Fp; GUESTS],
            fault: None,
        }
    }

    /// The same with these vCPUs watched.
    pub fn with_observer(self, observed: [bool; GUESTS]) -> Self {
        Self { observed, ..self }
    }

    /// The same with vCPUs that have this much.
    pub fn with_most(self, most: [Class; GUESTS]) -> Self {
        Self { most, ..self }
    }

    /// Returns how many vCPUs may leave their registers in a core.
    fn loaded_elsewhere(&self) -> usize {
        let loaded_on = |kind: &&Kind| kind.release == Release::OnDemand;
        self.kinds.iter().filter(loaded_on).count()
    }
}

impl Model for Switching {
    type State = Machine;
    type Action = Step;

    fn init_states(&self) -> Vec<Machine> {
        vec![Machine::new(self.kinds, self.observed, self.most)]
    }

    fn actions(&self, machine: &Machine, steps: &mut Vec<Step>) {
        if machine.wrong.is_none() {
            machine.steps(steps);
        }
    }

    fn next_state(&self, machine: &Machine, step: Step) -> Option<Machine> {
        let mut next = machine.clone();
        next.take(Switch(self.fault), step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(READS_ITS_OWN, everybody_reads_its_own),
            Property::always("nothing else went wrong", nothing_else_went_wrong),
            Property::always("no value is lost", no_value_is_lost),
            Property::always("an open gate means ownership", an_open_gate_means_ownership),
            Property::always(
                "the registers hold the owner's value",
                registers_are_the_owners,
            ),
            Property::always(
                "the memory of all others is current",
                other_memory_is_current,
            ),
            Property::always("one core at most has a guest's registers", one_core_at_most),
            Property::always("a guest's registers can be found", registers_can_be_found),
            Property::always("the registers are given back in time", given_back_in_time),
            Property::always("loads and saves agree", loads_and_saves_agree),
            Property::always("a vCPU runs in its own mode", modes_are_their_own),
        ];
        if self.most.contains(&Class::Sme) {
            properties.push(Property::sometimes(
                "a vCPU in streaming mode is in memory",
                streams_in_memory,
            ));
        }
        if self.kinds.iter().any(|kind| kind.release == Release::Drop) {
            properties.push(Property::sometimes(
                "a core's registers are nobody's",
                is_nobodys,
            ));
        }
        if self.loaded_elsewhere() > 0 {
            properties.extend([
                Property::sometimes("a core asks for what is there", |_, m| asks(m, true)),
                Property::sometimes("a core asks for what is gone", |_, m| asks(m, false)),
            ]);
        }
        if self.loaded_elsewhere() > 1 {
            properties.push(Property::sometimes("two cores ask each other", all_wait));
        }
        properties
    }
}

/// Returns the core that has the registers of `guest`.
fn holder(machine: &Machine, guest: usize) -> Option<usize> {
    (0..CORES).find(|&core| machine.cores[core].switch.owner() == vcpu(guest))
}

fn contexts() -> impl Iterator<Item = Context> {
    (0..CORES).map(host).chain((0..GUESTS).map(vcpu))
}

fn everybody_reads_its_own(_: &Switching, machine: &Machine) -> bool {
    !matches!(machine.wrong, Some(Wrong::Read { .. }))
}

fn nothing_else_went_wrong(_: &Switching, machine: &Machine) -> bool {
    matches!(machine.wrong, None | Some(Wrong::Read { .. }))
}

fn no_value_is_lost(_: &Switching, machine: &Machine) -> bool {
    contexts().all(|user| machine.values().any(|value| value == Value::LastOf(user)))
}

fn an_open_gate_means_ownership(_: &Switching, machine: &Machine) -> bool {
    machine.cores.iter().all(|core| match core.phase {
        Phase::Running(guest) => match core.gate {
            Gate::Open(open) => core.switch.owner() == vcpu(guest) && core.switch.held() == open,
            Gate::Closed => true,
        },
        _ => true,
    })
}

fn modes_are_their_own(_: &Switching, machine: &Machine) -> bool {
    machine.cores.iter().all(|core| match core.phase {
        Phase::Running(guest) => core.streaming == machine.guests[guest].streams,
        _ => true,
    })
}

fn streams_in_memory(_: &Switching, machine: &Machine) -> bool {
    let mut cores = machine.cores.iter();
    cores.any(|core| match core.phase {
        Phase::Loaded(guest) => machine.guests[guest].streams && holder(machine, guest).is_none(),
        _ => false,
    })
}

fn registers_are_the_owners(_: &Switching, machine: &Machine) -> bool {
    machine
        .cores
        .iter()
        .filter(|core| !core.in_section && core.switch.owner() != Context::NOBODY)
        .all(|core| core.registers == Value::LastOf(core.switch.owner()))
}

fn other_memory_is_current(_: &Switching, machine: &Machine) -> bool {
    let owned = |context| {
        let mut cores = machine.cores.iter();
        cores.any(|core| core.switch.owner() == context && !core.in_section)
    };
    contexts()
        .filter(|&context| !owned(context))
        .all(|context| machine.memory[usize::from(context.0)] == Value::LastOf(context))
}

fn one_core_at_most(_: &Switching, machine: &Machine) -> bool {
    let owner = |core: usize| machine.cores[core].switch.owner();
    (0..CORES).all(|core| {
        owner(core) == host(core)
            || owner(core) == Context::NOBODY
            || (usize::from(owner(core).0) >= CORES
                && (0..CORES).all(|other| other == core || owner(other) != owner(core)))
    })
}

/// The registers of a vCPU that a core has are there or in memory; of any other one, the vCPU knows
/// which core may have them.
fn registers_can_be_found(_: &Switching, machine: &Machine) -> bool {
    (0..GUESTS).all(|guest| {
        let Some(holder) = holder(machine, guest) else {
            return true;
        };
        let current = (0..CORES).find(|&core| {
            let phase = machine.cores[core].phase;
            phase == Phase::Loaded(guest) || phase == Phase::Running(guest)
        });
        match current {
            Some(core) => core == holder,
            None => machine.guests[guest].guest.loaded_on() == Some(host(holder)),
        }
    })
}

/// Once more if a core has the registers.
fn loads_and_saves_agree(_: &Switching, machine: &Machine) -> bool {
    (0..GUESTS).all(|guest| machine.guests[guest].held == holder(machine, guest).is_some())
}

fn given_back_in_time(model: &Switching, machine: &Machine) -> bool {
    let is_in = |guest: usize, phase: fn(usize) -> Phase| {
        machine.cores.iter().any(|core| core.phase == phase(guest))
    };
    (0..GUESTS).all(|guest| {
        let may_hold = match model.kinds[guest].release {
            Release::Exit => is_in(guest, Phase::Running),
            Release::Put | Release::Drop => {
                is_in(guest, Phase::Running) || is_in(guest, Phase::Loaded)
            }
            Release::OnDemand => true,
            Release::Unmanaged => false,
        };
        may_hold || holder(machine, guest).is_none()
    })
}

/// Returns whether a core asks another one for registers that are, or are not, still there.
fn asks(machine: &Machine, there: bool) -> bool {
    machine.cores.iter().any(|core| {
        core.request.is_some_and(|request| {
            let owner = machine.cores[request.from].switch.owner();
            (owner == vcpu(request.guest)) == there
        })
    })
}

fn is_nobodys(_: &Switching, machine: &Machine) -> bool {
    let mut cores = machine.cores.iter();
    cores.any(|core| core.switch.owner() == Context::NOBODY)
}

fn all_wait(_: &Switching, machine: &Machine) -> bool {
    let mut cores = machine.cores.iter();
    cores.all(|core| matches!(core.phase, Phase::Waiting(_)))
}
