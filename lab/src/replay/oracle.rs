//! The cheapest that hindsight could do: which sequence of decisions costs least over a record, if
//! it is known beforehand what every window does.
//!
//! At each entry the oracle loads the guest's registers or leaves them where they are, and leaves
//! the gate open or closed, open only if they are the guest's. At each exit it keeps them in the core
//! or gives them back. What is not a decision costs it what it costs a scheme: a use behind the
//! closed gate traps, the host's own use takes the registers, and a vCPU that is turned on anew gives
//! them back.
//!
//! To give registers back early hardly ever pays, as an exchange costs the same whoever's registers
//! it saves. The exception is a vCPU that is turned on anew later: its registers have to go then, and
//! the gate, which stood open at its exit, may be closed.
//!
//! All that matters of the past is whose registers a core holds and how its gate stands. So this is
//! a shortest path through few states per window, in memory that does not grow with the record.
//! After a window that used the registers two states are left, and which ones changes only when
//! another vCPU or the host comes.

use trapcast_forecast::Costs;

use super::{
    Event,
    batch::{self, Run},
    cost::Moves,
};

/// The cheapest way to one state of a core.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Whose registers it holds: the host's, or a vCPU's by its number.
    owner: Option<u16>,
    /// Whether the gate is open.
    open: bool,
    cost: u128,
    moves: Moves,
}

impl Way {
    const START: Self = Self {
        owner: None,
        open: false,
        cost: 0,
        moves: Moves {
            traps: 0,
            probes: 0,
            exchanges: 0,
            gate_writes: 0,
            isbs: 0,
        },
    };

    /// Opens the gate for the hypervisor.
    fn unlock(&mut self, costs: &Costs) {
        if !self.open {
            self.open = true;
            self.cost += u128::from(costs.unlock());
            self.moves.gate_writes += 1;
            self.moves.isbs += 1;
        }
    }

    /// Sets the gate for a guest.
    fn set(mut self, open: bool, costs: &Costs) -> Self {
        if self.open != open {
            self.open = open;
            self.cost += u128::from(costs.gate);
            self.moves.gate_writes += 1;
        }
        self
    }

    /// Sees to it that the registers are `owner`'s.
    fn give(mut self, owner: Option<u16>, costs: &Costs) -> Self {
        if self.owner != owner {
            self.unlock(costs);
            self.owner = owner;
            self.cost += u128::from(costs.exchange());
            self.moves.exchanges += 1;
        }
        self
    }

    /// The guest uses the registers.
    fn used(mut self, guest: Option<u16>, costs: &Costs) -> Self {
        if self.open {
            return self;
        }
        if self.owner == guest {
            self.cost += u128::from(costs.probe);
            self.moves.probes += 1;
        } else {
            self.cost += u128::from(costs.trap);
            self.moves.traps += 1;
        }
        self.unlock(costs);
        self.give(guest, costs)
    }

    /// The host uses the registers.
    fn host_used(mut self, costs: &Costs) -> Self {
        self.unlock(costs);
        self.give(None, costs)
    }
}

/// Which windows cannot change anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rest {
    /// None.
    Nothing,
    /// Those of this vCPU that do not use the registers.
    Unused(u16),
    /// All of this vCPU's.
    All(u16),
}

/// The ways to all states of one core that can still be part of the best.
#[derive(Clone, Debug)]
struct Core {
    ways: Vec<Way>,
    /// The ways before the last window, and room for those after the next one.
    next: Vec<Way>,
    rest: Rest,
}

impl Core {
    fn new() -> Self {
        Self {
            ways: vec![Way::START],
            next: Vec::new(),
            rest: Rest::Nothing,
        }
    }

    /// Goes through one window of `vcpu` if it can change anything. Which windows are left out does
    /// not hang on how they are cut up, and so neither does what is chosen of two ways that cost the
    /// same.
    fn go_on(&mut self, vcpu: u16, flags: u8, costs: &Costs) {
        let unimportant = match self.rest {
            Rest::Nothing => None,
            Rest::Unused(resting) => (resting == vcpu).then_some(Event::PUT),
            Rest::All(resting) => (resting == vcpu).then_some(Event::PUT | Event::USED),
        };
        if unimportant.is_none_or(|unimportant| flags & !unimportant != 0) {
            self.window(vcpu, flags, costs);
        }
    }

    /// Goes through one window of `vcpu`.
    fn window(&mut self, vcpu: u16, flags: u8, costs: &Costs) {
        let guest = Some(vcpu);
        self.next.clear();
        for &(mut way) in &self.ways {
            if flags & Event::POWERED_ON != 0 && way.owner == guest {
                way = way.give(None, costs);
            }
            // To load them and close the gate is never better than to leave it open until it has
            // to be closed.
            let entries = [
                way.set(false, costs),
                way.give(guest, costs).set(true, costs),
            ];
            for mut way in entries {
                if flags & Event::USED != 0 {
                    way = way.used(guest, costs);
                }
                if flags & Event::HOST != 0 {
                    way = way.host_used(costs);
                }
                offer(&mut self.next, way);
                if way.owner == guest {
                    offer(&mut self.next, way.give(None, costs));
                }
            }
        }
        prune(&mut self.next, costs);
        std::mem::swap(&mut self.ways, &mut self.next);
        self.rest = if self.is_at_rest(guest, costs) {
            Rest::All(vcpu)
        } else if flags & (Event::USED | Event::HOST | Event::POWERED_ON) == 0 && !self.changed() {
            Rest::Unused(vcpu)
        } else {
            Rest::Nothing
        };
    }

    /// Returns whether `guest` has the registers and an open gate on the cheapest way to anything,
    /// but for having given them back just now. Each window of it that follows comes to the same
    /// again, whether it uses them or not.
    fn is_at_rest(&self, guest: Option<u16>, costs: &Costs) -> bool {
        let ready = |way: &&Way| way.owner == guest && way.open;
        let Some(ready) = self.ways.iter().find(ready) else {
            return false;
        };
        let given_back = ready.give(None, costs).cost;
        self.ways.iter().all(|way| {
            way.open && (way.owner == guest || way.owner.is_none() && way.cost == given_back)
        })
    }

    /// Returns whether the last window has changed any state or its cost.
    fn changed(&self) -> bool {
        let known = |way: &Way| {
            let same =
                |old: &Way| (old.owner, old.open, old.cost) == (way.owner, way.open, way.cost);
            self.next.iter().any(same)
        };
        self.ways.len() != self.next.len() || !self.ways.iter().all(known)
    }

    fn best(&self) -> Way {
        let best = self.ways.iter().min_by_key(|way| way.cost);
        *best.expect("some way leads through every window")
    }
}

/// Keeps `way` if it is the cheapest to its state.
fn offer(ways: &mut Vec<Way>, way: Way) {
    let same = |other: &&mut Way| (other.owner, other.open) == (way.owner, way.open);
    match ways.iter_mut().find(same) {
        Some(other) if other.cost <= way.cost => {}
        Some(other) => *other = way,
        None => ways.push(way),
    }
}

/// Leaves out states that save nothing against the same with the gate the other way: an open gate
/// can be closed when that is of use, for one write, and a closed one be opened.
fn prune(ways: &mut Vec<Way>, costs: &Costs) {
    for index in (0..ways.len()).rev() {
        let Way {
            owner, open, cost, ..
        } = ways[index];
        let change = if open {
            costs.unlock()
        } else {
            u64::from(costs.gate)
        };
        let beats = |way: &Way| {
            way.owner == owner && way.open != open && way.cost + u128::from(change) <= cost
        };
        if ways.iter().any(beats) {
            ways.swap_remove(index);
        }
    }
}

/// The cheapest decisions under one profile, over the windows so far.
#[derive(Clone, Debug)]
pub(super) struct Oracle {
    costs: Costs,
    /// By number of the core.
    cores: Vec<Core>,
}

impl Oracle {
    /// Returns an oracle that has seen nothing yet.
    pub const fn new(costs: Costs) -> Self {
        Self {
            costs,
            cores: Vec::new(),
        }
    }

    /// Goes through the windows of a run, which `symbols` stand for.
    pub fn run(&mut self, run: &Run, symbols: &[u16]) {
        let index = usize::from(run.core);
        if self.cores.len() <= index {
            self.cores.resize_with(index + 1, Core::new);
        }
        let core = &mut self.cores[index];
        for &symbol in symbols {
            match core.rest {
                Rest::All(vcpu) if vcpu == run.vcpu && run.common => return,
                Rest::All(vcpu) if vcpu == run.vcpu && batch::is_group(symbol) => {}
                Rest::Unused(vcpu) if vcpu == run.vcpu && batch::is_unused(symbol) => {}
                _ => {
                    for flags in batch::flags(symbol) {
                        core.go_on(run.vcpu, flags, &self.costs);
                    }
                }
            }
        }
    }

    /// Returns the profile, and what the cheapest decisions move.
    pub fn finish(self) -> (Costs, Moves) {
        let mut moves = Moves::default();
        for best in self.cores.iter().map(Core::best) {
            debug_assert_eq!(best.cost, best.moves.exact_cost(&self.costs));
            moves += best.moves;
        }
        (self.costs, moves)
    }
}
