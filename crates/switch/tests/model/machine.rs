//! Cores with registers, gates and memory as an abstraction of finitely many states, and the moves
//! that a hypervisor carries out on them.

use trapcast_forecast::Evidence;
use trapcast_switch::{Class, Core, Gate, GateRegister, Guest};

use crate::{
    faults::{Moves, Switch},
    scheme::{AnyScheme, Kind},
};

pub const CORES: usize = 2;
pub const GUESTS: usize = 3;

/// Where a register file is kept: the hosts' places come first, one per core, then the guests'.
pub type Context = u8;

pub const fn host(core: usize) -> Context {
    core as Context
}

pub const fn vcpu(guest: usize) -> Context {
    (CORES + guest) as Context
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
    /// At EL2, until another core has surrendered the registers of this guest.
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
    /// The gate as it was last written, and as the hypervisor remembers it.
    pub gate: Gate,
    pub remembered_gate: GateRegister,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct GuestState {
    pub guest: Guest<Context, AnyScheme>,
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
    pub fn new(kinds: [Kind; GUESTS], observed: [bool; GUESTS]) -> Self {
        let memory = |context| {
            if context < CORES {
                Value::Stale
            } else {
                Value::LastOf(context as Context)
            }
        };
        Self {
            cores: std::array::from_fn(|core| CoreState {
                switch: Core::new(host(core)),
                phase: Phase::Idle,
                in_section: false,
                request: None,
                registers: Value::LastOf(host(core)),
                gate: Gate::Closed,
                remembered_gate: GateRegister::new(Gate::Closed),
            }),
            guests: std::array::from_fn(|guest| GuestState {
                guest: Guest::new(vcpu(guest), AnyScheme::new(kinds[guest]), observed[guest]),
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

    /// Lets EL2 at the registers of `core`.
    pub fn unlock(&mut self, switch: Switch, core: usize) {
        let core = &mut self.cores[core];
        if switch.unlock(&mut core.remembered_gate) {
            core.gate = Gate::Open(Class::Fp);
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
        if self.cores[core].gate == Gate::Closed {
            self.note(Wrong::LockedOut);
        }
        if let (Some(save), Some(load)) = (moves.save, moves.load)
            && save == load
        {
            self.note(Wrong::MovesNothing(save));
        }
        if let Some(save) = moves.save {
            self.memory[usize::from(save)] = self.cores[core].registers;
            self.count_move(save, false);
        }
        if let Some(load) = moves.load {
            let place = &mut self.memory[usize::from(load)];
            self.cores[core].registers = std::mem::replace(place, Value::Stale);
            self.count_move(load, true);
        }
    }

    fn count_move(&mut self, context: Context, held: bool) {
        let Some(guest) = usize::from(context).checked_sub(CORES) else {
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

    /// Zeroes the registers of `guest` in memory, as at its power-on. What it wrote before nobody may
    /// read any more.
    pub fn reset(&mut self, guest: usize) {
        let last = Value::LastOf(vcpu(guest));
        let registers = self.cores.iter_mut().map(|core| &mut core.registers);
        for value in registers.chain(&mut self.memory) {
            if *value == last {
                *value = Value::Stale;
            }
        }
        self.memory[usize::from(vcpu(guest))] = last;
    }

    /// Notes that a trap of the gate loaded the registers of `guest`.
    pub fn trap_loaded(&mut self, guest: usize) {
        self.guests[guest].trapped = true;
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
        // What it does between two windows is nobody's business.
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
