//! Cores with registers, gates and memory as an abstraction of finitely many states, and the moves
//! that a hypervisor carries out on them.

use trapcast_forecast::Evidence;
use trapcast_switch::{Class, Core, Gate, GateRegister, Guest};

use crate::{
    faults::{Moves, Switch},
    place::{self, Context},
    scheme::{AnyScheme, Kind},
};

pub const CORES: usize = 2;
pub const GUESTS: usize = 3;

pub const fn host(core: usize) -> Context {
    Context(core as u8)
}

pub const fn vcpu(guest: usize) -> Context {
    Context((CORES + guest) as u8)
}

/// Whether a gate is open so far.
pub fn reaches(gate: Gate, class: Class) -> bool {
    matches!(gate, Gate::Open(open) if open >= class)
}

/// What a core's registers or a place in memory hold.
///
/// A user may write its registers at any time while they are in a core. So what is loaded counts as
/// changed at once, and the place in memory that it came from as of no use, until it is saved again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Value {
    /// The last value of this user: zero if it has written none since its start or reset.
    LastOf(Context),
    /// Of no use to anybody.
    Stale,
}

/// What a core does.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Phase {
    /// At EL2, with no current vCPU.
    Idle,
    /// At EL2, until another core has released the registers of this guest.
    Waiting(usize),
    /// At EL2, with this current vCPU.
    Loaded(usize),
    /// In this guest.
    Running(usize),
}

/// A core asks another one for the registers of a guest.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Request {
    pub guest: usize,
    /// The core that is asked.
    pub from: usize,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CoreState {
    pub switch: Core<Context>,
    pub phase: Phase,
    /// The host uses the registers itself.
    pub in_section: bool,
    /// What this core asks for.
    pub request: Option<Request>,
    pub registers: Value,
    /// PSTATE.SM.
    pub streaming: bool,
    /// The vCPU that was the current one last and has not gone elsewhere, where that matters to anybody.
    pub resident: Option<usize>,
    /// The gate as it was last written, and as the hypervisor remembers it.
    pub gate: Gate,
    pub remembered_gate: GateRegister,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct GuestState {
    pub guest: Guest<Context, AnyScheme>,
    /// Whether it is in streaming mode, as it knows itself.
    pub streams: bool,
    /// Its registers were loaded once more than they were saved.
    pub held: bool,
    /// What it did in its scheme's window.
    trapped: bool,
    used: bool,
    /// Its scheme probes in this window, and has seen nothing yet.
    pub probing: bool,
    /// Loads that the counts do not show yet: a trap is counted at the exit.
    uncounted: u64,
    /// Probes that the counts do not show yet.
    unseen: u64,
}

impl GuestState {
    /// Its scheme was asked, or its window has ended.
    pub fn begin_window(&mut self, probing: bool) {
        (self.trapped, self.used, self.probing) = (false, false, probing);
    }
}

/// What the machine itself found wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Wrong {
    /// This guest read a value that is not its own last one.
    Read { reader: usize, found: Value },
    /// A register file was to be moved from a place to itself.
    MovesNothing(Context),
    /// Registers were moved or used by EL2 behind the closed gate.
    LockedOut,
    /// The gate was left in another way than the switch said.
    GateForgotten,
    /// A guest's counts are not what happened.
    Counts(usize),
    /// A forecaster was told what is not so.
    Evidence(usize),
    /// Registers were moved with PSTATE.SM as it must not be then, or a part of those of a guest in
    /// streaming mode.
    Streaming(Context),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Machine {
    pub cores: [CoreState; CORES],
    pub guests: [GuestState; GUESTS],
    pub memory: [Value; CORES + GUESTS],
    pub wrong: Option<Wrong>,
}

impl Machine {
    /// Returns the machine before anything has run.
    pub fn new(kinds: [Kind; GUESTS], observed: [bool; GUESTS], most: [Class; GUESTS]) -> Self {
        let memory = |place| {
            if place < CORES {
                Value::Stale
            } else {
                Value::LastOf(Context(place as u8))
            }
        };
        Self {
            cores: std::array::from_fn(|core| CoreState {
                switch: Core::new(host(core)),
                phase: Phase::Idle,
                in_section: false,
                request: None,
                registers: Value::LastOf(host(core)),
                streaming: false,
                resident: None,
                gate: Gate::Closed,
                remembered_gate: GateRegister::new(Gate::Closed),
            }),
            guests: std::array::from_fn(|guest| GuestState {
                guest: Guest::new(vcpu(guest), AnyScheme::new(kinds[guest]), observed[guest])
                    .with_classes(most[guest]),
                streams: false,
                held: false,
                trapped: false,
                used: false,
                probing: false,
                uncounted: 0,
                unseen: 0,
            }),
            memory: std::array::from_fn(memory),
            wrong: None,
        }
    }

    /// Returns whether some core has `guest`, or waits for it.
    pub fn is_taken(&self, guest: usize) -> bool {
        self.cores.iter().any(|core| match core.phase {
            Phase::Idle => false,
            Phase::Waiting(current) | Phase::Loaded(current) | Phase::Running(current) => {
                current == guest
            }
        })
    }

    /// Returns the values that are somewhere.
    pub fn values(&self) -> impl Iterator<Item = Value> {
        let registers = self.cores.iter().map(|core| core.registers);
        registers.chain(self.memory)
    }

    fn note(&mut self, wrong: Wrong) {
        self.wrong.get_or_insert(wrong);
    }

    /// Makes known to the switch who is in streaming mode: memory says so of whose registers no core has.
    pub fn publish(&self) {
        let least = |guest: &GuestState| match guest.streams {
            true => Class::Sme,
            false => Class::Fp,
        };
        place::publish(
            [Class::Fp; CORES]
                .into_iter()
                .chain(self.guests.iter().map(least)),
        );
    }

    /// Lets EL2 at the registers of `core` up to `class`.
    pub fn unlock(&mut self, switch: Switch, core: usize, class: Class) {
        let core = &mut self.cores[core];
        if switch.unlock(&mut core.remembered_gate, class) {
            core.gate = Gate::Open(class);
        }
    }

    /// Sets the gate for an entry.
    pub fn set_gate(&mut self, core: usize, gate: Gate) {
        let state = &mut self.cores[core];
        if state.remembered_gate.set(gate) {
            state.gate = gate;
        }
        if state.gate != gate {
            self.note(Wrong::GateForgotten);
        }
    }

    /// Moves registers of `core` behind an open gate.
    pub fn carry_out(&mut self, core: usize, moves: Moves) {
        if moves == Moves::NONE {
            return;
        }
        if !reaches(self.cores[core].gate, moves.class()) {
            self.note(Wrong::LockedOut);
        }
        if let (Some((save, saved)), Some((load, loaded))) = (moves.save, moves.load)
            && save == load
        {
            // More of them come in beside those that are there.
            if saved >= loaded {
                self.note(Wrong::MovesNothing(save));
            }
            return;
        }
        if let Some((save, class)) = moves.save {
            // To save all ends streaming mode; to save less knows nothing of it.
            if std::mem::take(&mut self.cores[core].streaming) && class < Class::Sme {
                self.note(Wrong::Streaming(save));
            }
            self.memory[usize::from(save.0)] = self.cores[core].registers;
            self.count_move(save, false);
        }
        if let Some((load, class)) = moves.load {
            let streams = self.is_streaming(load);
            if self.cores[core].streaming || streams && class < Class::Sme {
                self.note(Wrong::Streaming(load));
            }
            self.cores[core].streaming = streams;
            let place = &mut self.memory[usize::from(load.0)];
            self.cores[core].registers = std::mem::replace(place, Value::Stale);
            self.count_move(load, true);
        }
    }

    /// Whether the registers of this user are those of streaming mode.
    fn is_streaming(&self, user: Context) -> bool {
        let guest = usize::from(user.0).checked_sub(CORES);
        guest.is_some_and(|guest| self.guests[guest].streams)
    }

    fn count_move(&mut self, context: Context, held: bool) {
        let Some(guest) = usize::from(context.0).checked_sub(CORES) else {
            return;
        };
        if self.guests[guest].held == held {
            self.note(Wrong::Counts(guest));
        }
        self.guests[guest].held = held;
    }

    /// `guest` reads the registers of `core`, and writes a new value to them.
    pub fn access(&mut self, core: usize, guest: usize) {
        let found = self.cores[core].registers;
        if found != Value::LastOf(vcpu(guest)) {
            self.note(Wrong::Read {
                reader: guest,
                found,
            });
        }
        self.guests[guest].used = true;
    }

    /// Zeroes the registers of `guest` in memory, as at its power-on. What it wrote before may not be
    /// read any more.
    pub fn reset(&mut self, guest: usize) {
        let last = Value::LastOf(vcpu(guest));
        let registers = self.cores.iter_mut().map(|core| &mut core.registers);
        for value in registers.chain(&mut self.memory) {
            if *value == last {
                *value = Value::Stale;
            }
        }
        self.memory[usize::from(vcpu(guest).0)] = last;
        self.guests[guest].streams = false;
    }

    /// Notes that a trap of the gate loaded registers of `guest`, all that it has or more than were there;
    /// `fp_was_open` says that its use of FP/SIMD did not trap.
    pub fn trap_loaded(&mut self, guest: usize, fp_was_open: bool) {
        self.guests[guest].trapped |= !fp_was_open;
        self.guests[guest].uncounted += 1;
    }

    /// Notes a trap of the gate that found the registers of `guest` in the core.
    pub fn trapped_in_place(&mut self, guest: usize) {
        let state = &mut self.guests[guest];
        if std::mem::take(&mut state.probing) {
            state.trapped = true;
            state.unseen += 1;
        }
    }

    /// Compares what `guest` has counted in a step with what happened in it, and begins anew, so that
    /// counts do not tell states apart.
    pub fn check_counts(&mut self, guest: usize, expected: Expected) {
        let state = &mut self.guests[guest];
        let counts = std::mem::take(&mut state.guest.counts);
        let mut is_right = counts.eager_loads == u64::from(expected.eager_load)
            && counts.give_backs == u64::from(expected.give_back)
            && counts.fetches == u64::from(expected.fetch);
        if expected.exit {
            is_right &= counts.traps == std::mem::take(&mut state.uncounted)
                && counts.probes == std::mem::take(&mut state.unseen);
        } else {
            is_right &= counts.traps + counts.probes == 0;
        }
        if !is_right {
            self.note(Wrong::Counts(guest));
        }
        self.check_evidence(guest);
    }

    fn check_evidence(&mut self, guest: usize) {
        let state = &mut self.guests[guest];
        // `tests/classes` checks what the forecasters of higher classes learn.
        for class in [Class::Sve, Class::Sme] {
            state.guest.forecaster_mut(class).evidence = None;
        }
        if let Some(evidence) = state.guest.forecaster_mut(Class::Fp).evidence.take() {
            let trapped = std::mem::take(&mut state.trapped);
            let used = std::mem::take(&mut state.used);
            let is_true = match evidence {
                Evidence::Used => trapped,
                Evidence::Unused => !trapped && !used,
                Evidence::Blind => !trapped,
            };
            if !is_true {
                self.note(Wrong::Evidence(guest));
            }
        }
        // What it does between two windows is not part of the state.
        let state = &mut self.guests[guest];
        if !state.guest.forecaster(Class::Fp).in_window {
            state.begin_window(false);
        }
    }
}

/// What one step has moved of a guest's registers, for its counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    pub eager_load: bool,
    pub give_back: bool,
    pub fetch: bool,
    /// It came out, so that its traps are counted.
    pub exit: bool,
}
