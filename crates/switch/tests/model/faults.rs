//! The calls of the state machine as the model makes them, with or without a deliberate fault.

use trapcast_forecast::Resume;
use trapcast_switch::{Class, Core, Exchange, Gate, GateRegister, Guest};

use crate::{place::Context, scheme::AnyScheme};

/// One mistake, of the state machine or of the caller that carries out its answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// An entry that is to load the registers loads nothing, and opens the gate.
    EnterForgetsToLoad,
    /// Every entry opens the gate.
    EnterAlwaysOpens,
    /// The trap loads the guest's registers over the owner's.
    TrapForgetsToSave,
    /// The trap loads the guest's registers, and the core still takes them for the owner's.
    TrapForgetsTheOwner,
    /// The guest's registers stay in the core at an exit that gives them back.
    ExitForgetsToRelease,
    /// The guest's registers stay in the core at a put that gives them back.
    PutForgetsToRelease,
    /// The put does not write down that the registers stay in the core.
    PutForgetsWhere,
    /// The host's own use saves the registers as the host's, whosever they are.
    HostBeginForgetsTheOwner,
    /// The host continues with what its own use left in the registers.
    HostEndForgetsToLoad,
    /// The gate is not opened before registers are moved.
    MovesBehindTheGate,
    /// What was saved and what was loaded are mistaken for each other.
    ExchangesTheWrongWay,
    /// A vCPU is loaded on a new core, which does not ask the old one.
    DoesNotAsk,
    /// A vCPU is loaded on a new core before the old one has answered.
    DoesNotWait,
    /// The old core gives the registers up, and does not save them.
    SurrenderForgetsToSave,
    /// The old core saves the registers, and still takes them for the guest's.
    SurrenderForgetsTheOwner,
    /// The old core saves what is in it for the guest, whosever it is.
    SurrenderSavesAnybodys,
    /// The registers came from the old core, and the guest counts no fetch.
    ArrivesUncounted,
    /// A vCPU is reset while a core holds its registers.
    ResetsWithoutEviction,
    /// A vCPU in streaming mode is entered with its registers in memory, and SVCR.SM = 0.
    EntersInAnotherMode,
    /// A vCPU becomes the current one, and another's streaming mode stays in the core.
    MakesNoWay,
    /// A put that is to load nobody's registers loads the host's, and the core does not know.
    DropLoadsTheHosts,
    /// Registers that are nobody's are saved as the host's.
    SavesNobodys,
}

impl Fault {
    pub const ALL: [Self; 22] = [
        Self::EnterForgetsToLoad,
        Self::EnterAlwaysOpens,
        Self::TrapForgetsToSave,
        Self::TrapForgetsTheOwner,
        Self::ExitForgetsToRelease,
        Self::PutForgetsToRelease,
        Self::PutForgetsWhere,
        Self::HostBeginForgetsTheOwner,
        Self::HostEndForgetsToLoad,
        Self::MovesBehindTheGate,
        Self::ExchangesTheWrongWay,
        Self::DoesNotAsk,
        Self::DoesNotWait,
        Self::SurrenderForgetsToSave,
        Self::SurrenderForgetsTheOwner,
        Self::SurrenderSavesAnybodys,
        Self::ArrivesUncounted,
        Self::ResetsWithoutEviction,
        Self::EntersInAnotherMode,
        Self::MakesNoWay,
        Self::DropLoadsTheHosts,
        Self::SavesNobodys,
    ];
}

/// What is carried out of an exchange: whose registers move, and up to which class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moves {
    pub save: Option<(Context, Class)>,
    pub load: Option<(Context, Class)>,
}

impl Moves {
    pub const NONE: Self = Self {
        save: None,
        load: None,
    };

    /// The gate has to be open so far for it.
    pub fn class(self) -> Class {
        let classes = [self.save, self.load].into_iter().flatten();
        classes.map(|(_, class)| class).max().unwrap_or(Class::Fp)
    }

    /// Whether registers of this user are loaded.
    pub fn loads(self, user: Context) -> bool {
        self.load.is_some_and(|(load, _)| load == user)
    }

    /// Whether registers of this user are saved.
    pub fn saves(self, user: Context) -> bool {
        self.save.is_some_and(|(save, _)| save == user)
    }
}

type ModelGuest = Guest<Context, AnyScheme>;

/// The state machine, called with one fault or none.
#[derive(Clone, Copy, Debug)]
pub struct Switch(pub Option<Fault>);

impl Switch {
    fn has(self, fault: Fault) -> bool {
        self.0 == Some(fault)
    }

    fn moves(self, core: &Core<Context>, exchange: Option<Exchange<Context>>) -> Moves {
        let Some(exchange) = exchange else {
            return Moves::NONE;
        };
        let (save, load) = (exchange.saves(), exchange.loads());
        if self.has(Fault::ExchangesTheWrongWay) {
            return Moves {
                save: load,
                load: save,
            };
        }
        if self.has(Fault::DropLoadsTheHosts) && load.is_none() {
            let host = self.host_end(core).load;
            return Moves { save, load: host };
        }
        if self.has(Fault::SavesNobodys) && save.is_none() {
            let save = self.host_end(core).load;
            return Moves { save, load };
        }
        Moves { save, load }
    }

    pub fn unlock(self, gate: &mut GateRegister, class: Class) -> bool {
        !self.has(Fault::MovesBehindTheGate) && gate.unlock(class)
    }

    pub fn enter(self, core: &mut Core<Context>, guest: &mut ModelGuest) -> (Moves, Gate) {
        let entry = core.enter(guest, Resume::default);
        let moves = if self.has(Fault::EnterForgetsToLoad) {
            Moves::NONE
        } else {
            self.moves(core, entry.exchange)
        };
        let gate = if self.has(Fault::EnterAlwaysOpens) {
            Gate::Open(guest.most())
        } else {
            entry.gate
        };
        (moves, gate)
    }

    pub fn load_streaming(
        self,
        core: &mut Core<Context>,
        guest: &mut ModelGuest,
        gate: Gate,
    ) -> (Moves, Gate) {
        if guest.most() < Class::Sme || self.has(Fault::EntersInAnotherMode) {
            return (Moves::NONE, gate);
        }
        let entry = core.load_streaming(guest, gate);
        (self.moves(core, entry.exchange), entry.gate)
    }

    pub fn make_way(self, core: &mut Core<Context>, guest: &ModelGuest, streams: bool) -> Moves {
        if self.has(Fault::MakesNoWay) {
            return Moves::NONE;
        }
        let way = core.make_way(guest, || streams);
        self.moves(core, way)
    }

    pub fn trap(
        self,
        core: &mut Core<Context>,
        guest: &mut ModelGuest,
        class: Class,
    ) -> (Moves, Gate) {
        let before = *core;
        let entry = core.trap(guest, class);
        let mut moves = self.moves(core, entry.exchange);
        if self.has(Fault::TrapForgetsToSave) {
            moves.save = None;
        }
        if self.has(Fault::TrapForgetsTheOwner) {
            *core = before;
        }
        (moves, entry.gate)
    }

    pub fn exit(self, core: &mut Core<Context>, guest: &mut ModelGuest) -> Moves {
        let exchange = core.exit(guest);
        let moves = self.moves(core, exchange);
        if self.has(Fault::ExitForgetsToRelease) {
            Moves::NONE
        } else {
            moves
        }
    }

    pub fn put(self, core: &mut Core<Context>, guest: &mut ModelGuest) -> Moves {
        let exchange = core.put(guest);
        let moves = self.moves(core, exchange);
        if self.has(Fault::PutForgetsWhere) {
            guest.arrived(false);
        }
        if self.has(Fault::PutForgetsToRelease) {
            Moves::NONE
        } else {
            moves
        }
    }

    pub fn evict(self, core: &mut Core<Context>, guest: &mut ModelGuest) -> Moves {
        if self.has(Fault::ResetsWithoutEviction) {
            Moves::NONE
        } else {
            let exchange = core.evict(guest);
            self.moves(core, exchange)
        }
    }

    pub fn host_begin(self, core: &mut Core<Context>) -> Moves {
        let mut save = core.host_begin();
        if self.has(Fault::HostBeginForgetsTheOwner) {
            save = save.map(|(_, held)| (core.host_end(), held));
        }
        Moves { save, load: None }
    }

    pub fn host_end(self, core: &Core<Context>) -> Moves {
        let load = (!self.has(Fault::HostEndForgetsToLoad)).then_some((core.host_end(), Class::Fp));
        Moves { save: None, load }
    }

    pub fn elsewhere(self, core: &Core<Context>, guest: &ModelGuest) -> Option<Context> {
        if self.has(Fault::DoesNotAsk) {
            None
        } else {
            core.elsewhere(guest)
        }
    }

    /// Whether a core that has asked waits for the answer.
    pub fn waits(self) -> bool {
        !self.has(Fault::DoesNotWait)
    }

    pub fn release(self, core: &mut Core<Context>, context: Context) -> Moves {
        let before = *core;
        let exchange = core.release(context);
        let mut moves = self.moves(core, exchange);
        if self.has(Fault::SurrenderForgetsToSave) {
            moves.save = None;
        }
        if self.has(Fault::SurrenderForgetsTheOwner) {
            *core = before;
        }
        if self.has(Fault::SurrenderSavesAnybodys) {
            moves.save = Some((context, before.held()));
        }
        moves
    }

    pub fn arrived(self, guest: &mut ModelGuest, moved: bool) {
        guest.arrived(moved && !self.has(Fault::ArrivesUncounted));
    }
}
