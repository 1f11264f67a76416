//! Every event as one step of the model, in the order in which a hypervisor reports it, and when it
//! can happen.

use trapcast_forecast::Decision;
use trapcast_switch::{Class, Context as _};

use crate::{
    faults::{Moves, Switch},
    machine::{CORES, Expected, GUESTS, Machine, Phase, Request, Value, host, reaches, vcpu},
    place::Context,
};

/// One step of the core that is its first field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Makes a guest the current one, from wherever it ran before.
    Load(usize, usize),
    /// Surrenders what another core asks for.
    Release(usize, usize),
    /// Turns the current vCPU on: it starts with registers of zero.
    PowerOn(usize),
    /// Enters the current guest. If a window begins, this is what its scheme decides.
    Enter(usize, Option<Decision>),
    /// The guest uses the registers, or traps in the attempt.
    Use(usize),
    /// The guest sets or clears PSTATE.SM, or traps in the attempt.
    Stream(usize),
    Exit(usize),
    Put(usize),
    /// Brings a guest's registers to memory.
    Evict(usize, usize),
    HostBegin(usize),
    HostEnd(usize),
}

impl Machine {
    /// Lists the steps that can come next.
    pub fn steps(&self, steps: &mut Vec<Step>) {
        for core in 0..CORES {
            if self.cores[core].in_section {
                steps.push(Step::HostEnd(core));
            } else {
                self.steps_of(core, steps);
            }
            // In a guest, the request is an interrupt: an exit comes first.
            if !matches!(self.cores[core].phase, Phase::Running(_)) {
                let asks = |asker: &usize| {
                    self.cores[*asker]
                        .request
                        .is_some_and(|request| request.from == core)
                };
                let askers = (0..CORES).filter(asks);
                steps.extend(askers.map(|asker| Step::Release(core, asker)));
            }
        }
    }

    fn steps_of(&self, core: usize, steps: &mut Vec<Step>) {
        match self.cores[core].phase {
            Phase::Idle => {
                let free = (0..GUESTS).filter(|&guest| !self.is_taken(guest));
                steps.extend(free.map(|guest| Step::Load(core, guest)));
            }
            Phase::Waiting(_) => return,
            Phase::Loaded(guest) => {
                steps.extend([
                    Step::PowerOn(core),
                    Step::Put(core),
                    Step::Evict(core, guest),
                ]);
                if self.guests[guest]
                    .guest
                    .forecaster(Class::Fp)
                    .may_be_asked()
                {
                    let answers = [Decision::Load, Decision::Leave, Decision::Probe];
                    steps.extend(answers.map(|answer| Step::Enter(core, Some(answer))));
                } else {
                    steps.push(Step::Enter(core, None));
                }
            }
            Phase::Running(guest) => {
                steps.extend([Step::Use(core), Step::Exit(core)]);
                if self.guests[guest].guest.most() == Class::Sme {
                    steps.push(Step::Stream(core));
                }
                return;
            }
        }
        let loaded_elsewhere = (0..GUESTS).filter(|&guest| {
            !self.is_taken(guest) && self.guests[guest].guest.loaded_on() == Some(host(core))
        });
        steps.extend(loaded_elsewhere.map(|guest| Step::Evict(core, guest)));
        steps.push(Step::HostBegin(core));
    }

    /// Takes one step.
    pub fn take(&mut self, switch: Switch, step: Step) {
        self.publish();
        match step {
            Step::Load(core, guest) => self.load(switch, core, guest),
            Step::Release(core, asker) => self.release(switch, core, asker),
            Step::PowerOn(core) => {
                let guest = self.current(core);
                self.evict(switch, core, guest);
                self.reset(guest);
            }
            Step::Enter(core, answer) => self.enter(switch, core, answer),
            Step::Use(core) => self.use_registers(switch, core),
            Step::Stream(core) => self.stream(switch, core),
            Step::Exit(core) => self.exit(switch, core),
            Step::Put(core) => self.put(switch, core),
            Step::Evict(core, guest) => self.evict(switch, core, guest),
            Step::HostBegin(core) => self.host_begin(switch, core),
            Step::HostEnd(core) => self.host_end(switch, core),
        }
    }

    fn current(&self, core: usize) -> usize {
        match self.cores[core].phase {
            Phase::Waiting(guest) | Phase::Loaded(guest) | Phase::Running(guest) => guest,
            Phase::Idle => unreachable!("a step of a core without a vCPU"),
        }
    }

    fn exchange(&mut self, switch: Switch, core: usize, moves: Moves) {
        if moves != Moves::NONE {
            self.unlock(switch, core, moves.class());
            self.carry_out(core, moves);
        }
    }

    fn load(&mut self, switch: Switch, core: usize, guest: usize) {
        let home = switch.elsewhere(&self.cores[core].switch, &self.guests[guest].guest);
        let request = home.map(|home| Request {
            guest,
            from: usize::from(home.0),
        });
        self.cores[core].request = request;
        if request.is_some() && switch.waits() {
            self.cores[core].phase = Phase::Waiting(guest);
        } else {
            self.make_resident(switch, core, guest);
        }
    }

    /// `guest` becomes the current vCPU, in the place of the last one.
    fn make_resident(&mut self, switch: Switch, core: usize, guest: usize) {
        if self.cores[core].resident != Some(guest) {
            let state = &mut self.cores[core];
            let (streams, next) = (state.streaming, &self.guests[guest].guest);
            let moves = switch.make_way(&mut state.switch, next, streams);
            self.exchange(switch, core, moves);
        }
        for other in &mut self.cores {
            other.resident = other.resident.filter(|resident| *resident != guest);
        }
        let mut guests = self.guests.iter();
        let some_has_sme = guests.any(|state| state.guest.most() == Class::Sme);
        self.cores[core].resident = some_has_sme.then_some(guest);
        self.cores[core].phase = Phase::Loaded(guest);
    }

    fn release(&mut self, switch: Switch, core: usize, asker: usize) {
        let request = self.cores[asker].request.take();
        let Request { guest, .. } = request.expect("a release without a request");
        let moves = switch.release(&mut self.cores[core].switch, vcpu(guest));
        self.exchange(switch, core, moves);
        let moved = moves != Moves::NONE;
        switch.arrived(&mut self.guests[guest].guest, moved);
        let fetch = moved;
        self.check_counts(
            guest,
            Expected {
                fetch,
                ..Expected::default()
            },
        );
        if self.cores[asker].phase == Phase::Waiting(guest) {
            self.make_resident(switch, asker, guest);
        }
    }

    fn enter(&mut self, switch: Switch, core: usize, answer: Option<Decision>) {
        let guest = self.current(core);
        let state = &mut self.guests[guest].guest;
        state.forecaster_mut(Class::Fp).answer = answer;
        // What is above comes in with streaming mode alone.
        for class in [Class::Sve, Class::Sme] {
            state.forecaster_mut(class).answer = Some(Decision::Leave);
        }
        let (moves, gate) = switch.enter(&mut self.cores[core].switch, state);
        let mut begins = false;
        for class in Class::ALL {
            let scheme = state.forecaster_mut(class);
            scheme.answer = None;
            let asked = std::mem::take(&mut scheme.asked);
            begins |= asked && class == Class::Fp;
        }
        self.exchange(switch, core, moves);
        let state = &mut self.guests[guest].guest;
        let (streaming, gate) = switch.load_streaming(&mut self.cores[core].switch, state, gate);
        self.exchange(switch, core, streaming);
        self.set_gate(core, gate);
        self.cores[core].phase = Phase::Running(guest);
        let eager_load = moves.loads(vcpu(guest)) || streaming.loads(vcpu(guest));
        self.check_counts(
            guest,
            Expected {
                eager_load,
                ..Expected::default()
            },
        );
        if begins {
            self.guests[guest].begin_window(answer == Some(Decision::Probe));
        }
    }

    fn use_registers(&mut self, switch: Switch, core: usize) {
        let guest = self.current(core);
        if reaches(self.cores[core].gate, Class::Fp) {
            self.access(core, guest);
        } else {
            self.trap(switch, core, guest, Class::Fp);
        }
    }

    fn stream(&mut self, switch: Switch, core: usize) {
        let guest = self.current(core);
        if reaches(self.cores[core].gate, Class::Sme) {
            self.access(core, guest);
            let streams = &mut self.guests[guest].streams;
            *streams = !*streams;
            self.cores[core].streaming = *streams;
        } else {
            self.trap(switch, core, guest, Class::Sme);
        }
    }

    fn trap(&mut self, switch: Switch, core: usize, guest: usize, class: Class) {
        let fp_was_open = reaches(self.cores[core].gate, Class::Fp);
        let state = &mut self.guests[guest].guest;
        let (moves, gate) = switch.trap(&mut self.cores[core].switch, state, class);
        self.exchange(switch, core, moves);
        self.set_gate(core, gate);
        if moves.load.is_some() {
            self.trap_loaded(guest, fp_was_open);
        } else {
            self.trapped_in_place(guest);
        }
        self.check_counts(guest, Expected::default());
    }

    fn exit(&mut self, switch: Switch, core: usize) {
        let guest = self.current(core);
        let moves = switch.exit(&mut self.cores[core].switch, &mut self.guests[guest].guest);
        self.exchange(switch, core, moves);
        self.cores[core].phase = Phase::Loaded(guest);
        let (give_back, exit) = (moves.saves(vcpu(guest)), true);
        self.check_counts(
            guest,
            Expected {
                give_back,
                exit,
                ..Expected::default()
            },
        );
    }

    fn put(&mut self, switch: Switch, core: usize) {
        let guest = self.current(core);
        let moves = switch.put(&mut self.cores[core].switch, &mut self.guests[guest].guest);
        self.exchange(switch, core, moves);
        self.cores[core].phase = Phase::Idle;
        let give_back = moves.saves(vcpu(guest));
        self.check_counts(
            guest,
            Expected {
                give_back,
                ..Expected::default()
            },
        );
    }

    fn evict(&mut self, switch: Switch, core: usize, guest: usize) {
        let moves = switch.evict(&mut self.cores[core].switch, &mut self.guests[guest].guest);
        self.exchange(switch, core, moves);
        let give_back = moves.saves(vcpu(guest));
        self.check_counts(
            guest,
            Expected {
                give_back,
                ..Expected::default()
            },
        );
    }

    /// The host may leave anything in the registers.
    fn host_begin(&mut self, switch: Switch, core: usize) {
        let owner = self.cores[core].switch.owner();
        let held = match owner {
            Context::NOBODY => Class::Fp,
            _ => self.cores[core].switch.held(),
        };
        self.unlock(switch, core, held);
        let moves = switch.host_begin(&mut self.cores[core].switch);
        self.carry_out(core, moves);
        self.cores[core].in_section = true;
        self.cores[core].registers = Value::Stale;
    }

    fn host_end(&mut self, switch: Switch, core: usize) {
        let moves = switch.host_end(&self.cores[core].switch);
        self.carry_out(core, moves);
        self.cores[core].in_section = false;
    }
}
