//! Cores whose registers come in three parts, and the moves on them: what a class adds to the one below
//! it is a part. With PSTATE.SM, and what a guest's own `CPACR_EL1` makes of an access in its mode.

use trapcast_forecast::Evidence;
use trapcast_switch::{Class, Core, Exchange, Gate, GateRegister, Guest};

use crate::{
    place::{self, Context},
    scheme::{AnyScheme, Kind},
};

pub const CORES: usize = 2;
pub const GUESTS: usize = 2;
const USERS: usize = CORES + GUESTS;

pub const fn host(core: usize) -> Context {
    Context(core as u8)
}

pub const fn vcpu(guest: usize) -> Context {
    Context((CORES + guest) as u8)
}

/// Of what is in a part of the registers, or of memory: the last value of this user, or nothing that
/// matters. What a user has in a core it may change at any time, so that its memory is of no use.
pub type Value = Option<Context>;

/// V; the rest of Z, and P; ZA.
pub type Parts = [Value; 3];

/// What only the guest knows, until its registers are saved.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Shape {
    /// Z is zero above V.
    #[default]
    Narrow,
    /// Something does.
    Wide,
    /// Streaming mode.
    Streaming,
}

impl Shape {
    pub const ALL: [Self; 3] = [Self::Narrow, Self::Wide, Self::Streaming];

    /// Without this class in the core, such a guest cannot run.
    pub const fn least(self) -> Class {
        match self {
            Self::Narrow => Class::Fp,
            Self::Wide => Class::Sve,
            Self::Streaming => Class::Sme,
        }
    }
}

/// The result of the checks of an access at EL1 or EL0 before that of `CPTR_EL2`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// The guest's own `CPACR_EL1` traps it: the guest's kernel sees an exception of this class.
    TrapsAtEl1(Class),
    /// `CPTR_EL2` checks it next, as one of this class. A use of V in streaming mode, if
    /// the gate lets it through, is one of SME's to a guest without FEAT_SME_FA64.
    GoesOn(Class, bool),
}

/// The result of an access to registers of `class` with these fields of `CPACR_EL1` open, in streaming
/// mode or not. FPEN is open: it comes second in all modes.
pub fn outcome(class: Class, zen: bool, smen: bool, streaming: bool) -> Outcome {
    let checked = match class {
        Class::Sve if streaming => Class::Sme,
        class => class,
    };
    let open = match checked {
        Class::Fp => true,
        Class::Sve => zen,
        Class::Sme => smen,
    };
    if open {
        Outcome::GoesOn(checked, streaming)
    } else {
        Outcome::TrapsAtEl1(checked)
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Phase {
    Idle,
    Loaded(usize),
    Running(usize),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CoreState {
    pub switch: Core<Context>,
    pub phase: Phase,
    pub registers: Parts,
    /// PSTATE.SM.
    pub streaming: bool,
    /// The vCPU that ran here last and has not gone elsewhere.
    pub resident: Option<usize>,
    pub gate: Gate,
    pub remembered: GateRegister,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct GuestState {
    pub guest: Guest<Context, AnyScheme>,
    pub shape: Shape,
    /// Classes that it used in its scheme's window, as bits.
    pub used: u8,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Wrong {
    /// This guest found another value in a part than its own last one.
    Read(usize, usize, Value),
    /// It ran with part of what it had in the core behind the gate, or with less than it needs.
    TooLittle(usize),
    /// A load brought less than it had to.
    LoadedTooLittle(Context),
    /// Registers were moved behind a closed gate.
    LockedOut,
    /// An access of this guest was checked in another mode than its own.
    Mode(usize, Class),
    /// Registers were used by EL2 in streaming mode, or loaded or saved as if it were off.
    StreamingAtEl2,
    /// A forecaster was told what is not so.
    Evidence(usize, Class),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Machine {
    pub cores: [CoreState; CORES],
    pub guests: [GuestState; GUESTS],
    pub memory: [Parts; USERS],
    /// What the saves found out.
    pub least: [Class; USERS],
    pub wrong: Option<Wrong>,
}

/// A class and those below it.
pub fn and_below(class: Class) -> impl Iterator<Item = (usize, Class)> {
    Class::ALL
        .into_iter()
        .enumerate()
        .filter(move |(_, each)| *each <= class)
}

impl Machine {
    pub fn new(kinds: [Kind; GUESTS], most: [Class; GUESTS], observed: bool) -> Self {
        let user = |n: usize| Some(Context(n as u8));
        Self {
            cores: std::array::from_fn(|core| CoreState {
                switch: Core::new(host(core)),
                phase: Phase::Idle,
                registers: [user(core), None, None],
                streaming: false,
                resident: None,
                gate: Gate::Closed,
                remembered: GateRegister::new(Gate::Closed),
            }),
            guests: std::array::from_fn(|n| GuestState {
                guest: Guest::new(vcpu(n), AnyScheme::new(kinds[n]), observed)
                    .with_classes(most[n]),
                shape: Shape::Narrow,
                used: 0,
            }),
            memory: std::array::from_fn(|n| match n {
                0..CORES => [None; 3],
                _ => [user(n); 3],
            }),
            least: [Class::Fp; USERS],
            wrong: None,
        }
    }

    pub fn note(&mut self, wrong: Wrong) {
        self.wrong.get_or_insert(wrong);
    }

    /// Makes what memory says known to the switch.
    pub fn publish(&self) {
        place::publish(self.least);
    }

    pub fn carry_out(&mut self, core: usize, exchange: Option<Exchange<Context>>) {
        let Some(exchange) = exchange else { return };
        let state = &mut self.cores[core];
        if state.remembered.unlock(exchange.class()) {
            state.gate = Gate::Open(exchange.class());
        }
        if !reaches(state.gate, exchange.class()) {
            self.note(Wrong::LockedOut);
        }
        let Exchange {
            save,
            saved,
            load,
            loaded,
        } = exchange;
        if save == load {
            self.widen(core, load, saved, loaded);
        } else {
            match exchange.saves() {
                Some((save, saved)) => self.save(core, save, saved),
                None => self.cores[core].registers = [None; 3],
            }
            if let Some((load, loaded)) = exchange.loads() {
                self.load(core, load, loaded);
            }
        }
    }

    /// A save keeps what the class has, and finds out what the next load has to bring.
    pub fn save(&mut self, core: usize, to: Context, class: Class) {
        let place = usize::from(to.0);
        // All of SME's ends streaming mode behind itself; what is less knows nothing of it.
        if std::mem::take(&mut self.cores[core].streaming) && class < Class::Sme {
            self.note(Wrong::StreamingAtEl2);
        }
        for (part, _) in and_below(class) {
            self.memory[place][part] = self.cores[core].registers[part].take();
        }
        if let Some(guest) = place.checked_sub(CORES) {
            self.least[place] = self.guests[guest].shape.least();
        }
    }

    pub fn load(&mut self, core: usize, from: Context, class: Class) {
        let place = usize::from(from.0);
        if class < self.least[place] {
            self.note(Wrong::LoadedTooLittle(from));
        }
        if self.cores[core].streaming {
            self.note(Wrong::StreamingAtEl2);
        }
        self.cores[core].streaming = self.least[place] == Class::Sme;
        // A load of V zeroes the rest of Z; what it does not load belongs to no vCPU.
        self.cores[core].registers = [None; 3];
        for (part, _) in and_below(class) {
            self.cores[core].registers[part] = self.memory[place][part].take();
        }
    }

    fn widen(&mut self, core: usize, context: Context, held: Class, class: Class) {
        let parts = and_below(class).filter(|(_, each)| *each > held);
        for (part, _) in parts {
            self.cores[core].registers[part] = self.memory[usize::from(context.0)][part].take();
        }
    }

    /// `guest` runs: a part behind the gate may be lost while another part is accessible, but for ZA,
    /// which FP/SIMD and SVE do not touch.
    pub fn run(&mut self, core: usize, guest: usize) {
        let Gate::Open(open) = self.cores[core].gate else {
            return;
        };
        let switch = &self.cores[core].switch;
        if switch.owner() == vcpu(guest) && open < switch.held() {
            self.note(Wrong::TooLittle(guest));
        }
        let streaming = self.guests[guest].shape == Shape::Streaming;
        for (part, class) in Class::ALL.into_iter().enumerate() {
            let is_touched = class < Class::Sme || streaming;
            let value = &mut self.cores[core].registers[part];
            if class > open && is_touched && *value == Some(vcpu(guest)) {
                *value = None;
                self.note(Wrong::TooLittle(guest));
            }
        }
    }

    /// Whether this guest is in streaming mode, as it knows.
    pub fn streams(&self, guest: usize) -> bool {
        self.guests[guest].shape == Shape::Streaming
    }

    /// `guest` is about to use registers of `class`: holds what its own `CPACR_EL1` makes of that, whatever
    /// its fields, to what it would be without a hypervisor. Returns what the gate checks.
    pub fn check_mode(&mut self, core: usize, guest: usize, class: Class) -> Class {
        for (zen, smen) in [(false, false), (false, true), (true, false), (true, true)] {
            let of_core = outcome(class, zen, smen, self.cores[core].streaming);
            if of_core != outcome(class, zen, smen, self.streams(guest)) {
                self.note(Wrong::Mode(guest, class));
            }
        }
        match outcome(class, true, true, self.cores[core].streaming) {
            Outcome::GoesOn(class, _) | Outcome::TrapsAtEl1(class) => class,
        }
    }

    /// `guest` reads and writes its registers up to `class`, and leaves them in this shape.
    pub fn access(&mut self, core: usize, guest: usize, class: Class, shape: Shape) {
        let open = self.cores[core].gate;
        if !reaches(open, self.guests[guest].shape.least()) {
            self.note(Wrong::TooLittle(guest));
        }
        for (part, _) in and_below(class) {
            let found = self.cores[core].registers[part];
            if found != Some(vcpu(guest)) {
                self.note(Wrong::Read(guest, part, found));
            }
        }
        self.cores[core].streaming = shape == Shape::Streaming;
        let state = &mut self.guests[guest];
        state.shape = shape;
        state.used |= class as u8;
    }

    /// Compares what a guest's forecasters were told with what it did.
    pub fn check_evidence(&mut self, guest: usize) {
        let mut told = false;
        for class in Class::ALL {
            let state = &mut self.guests[guest];
            let used = state.used >= class as u8;
            let evidence = state.guest.forecaster_mut(class).evidence.take();
            told |= evidence.is_some();
            match evidence {
                Some(Evidence::Used) if !used => self.note(Wrong::Evidence(guest, class)),
                Some(Evidence::Unused) if used => self.note(Wrong::Evidence(guest, class)),
                _ => {}
            }
        }
        let state = &mut self.guests[guest];
        let in_window = |class: &Class| state.guest.forecaster(*class).in_window;
        if told || !Class::ALL.iter().any(in_window) {
            state.used = 0;
        }
        // Counts tell no states apart.
        state.guest.counts = Default::default();
    }
}

/// Whether a gate is open so far.
pub fn reaches(gate: Gate, class: Class) -> bool {
    matches!(gate, Gate::Open(open) if open >= class)
}
