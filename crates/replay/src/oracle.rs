//! The offline optimum: which sequence of decisions costs least over a record, if
//! it is known beforehand what every window does.
//!
//! At each entry the oracle loads the guest's registers or leaves them where they are, and leaves
//! the gate open or closed, open only if they are the guest's. At each exit it keeps them in the core
//! or saves them and loads nobody's. What is not a decision costs it what it costs a scheme: a use behind the
//! closed gate traps, the host's own use takes the registers, and a vCPU that is turned on anew gives
//! them back to the host.
//!
//! To save registers early hardly ever pays, as the save is due anyway when somebody else needs the core. The
//! exception is a vCPU that is turned on anew or moves to another core later: its registers have to go then, and
//! nobody need have the host's back. To give them to the host never pays more than to leave them to nobody: its own
//! use may load them then.
//!
//! A vCPU that moves to another core finds its registers in memory: if the old core has them still, it
//! saves them, which costs an exchange there. So what a core does best does not depend on the others.
//!
//! All that matters of the past is whose registers a core holds and how its gate stands. So this is
//! a shortest path through few states per window, in memory that does not grow with the record. How
//! much the ways to these states differ in cost takes few values, too: the steps are kept in a table
//! that fills as it is used (`walk`), as those of the schemes are.

use trapcast_forecast::Costs;
use trapcast_record::Event;

use super::{batch::Batch, cost::Moves, walk::Walk};

/// The cheapest way to one state of a core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// What it leads to.
    pub place: Place,
    /// What it costs more than another one; more than which, is for the caller to know.
    pub cost: u64,
    /// Which of the ways at the start of the step it goes on.
    pub from: usize,
    /// What it has moved since then.
    pub moves: Moves,
}

/// A state of a core.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Place {
    /// Whose registers it holds.
    pub owner: Owner,
    /// Whether the gate is open.
    pub open: bool,
}

/// Whose registers a core holds.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Owner {
    Host,
    /// They were saved, and none were loaded.
    Nobody,
    /// By its number.
    Vcpu(u16),
}

impl Place {
    /// A core where nobody has run.
    pub const START: Self = Self {
        owner: Owner::Host,
        open: false,
    };
}

impl Way {
    /// Opens the gate for the hypervisor.
    fn unlock(&mut self, costs: &Costs) {
        if !self.place.open {
            self.place.open = true;
            self.cost += costs.unlock();
            self.moves.gate_writes += 1;
            self.moves.isbs += 1;
        }
    }

    /// Sets the gate for a guest.
    fn set(mut self, open: bool, costs: &Costs) -> Self {
        if self.place.open != open {
            self.place.open = open;
            self.cost += u64::from(costs.gate);
            self.moves.gate_writes += 1;
        }
        self
    }

    /// Sees to it that the registers are `owner`'s.
    fn give(mut self, owner: Owner, costs: &Costs) -> Self {
        if self.place.owner != owner {
            self.unlock(costs);
            if self.place.owner != Owner::Nobody {
                self.cost += u64::from(costs.save);
                self.moves.saves += 1;
            }
            if owner != Owner::Nobody {
                self.cost += u64::from(costs.load);
                self.moves.loads += 1;
            }
            self.place.owner = owner;
        }
        self
    }

    /// The guest uses the registers.
    fn used(mut self, guest: Owner, costs: &Costs) -> Self {
        if self.place.open {
            return self;
        }
        if self.place.owner == guest {
            self.cost += u64::from(costs.probe);
            self.moves.probes += 1;
        } else {
            self.cost += u64::from(costs.trap);
            self.moves.traps += 1;
        }
        self.unlock(costs);
        self.give(guest, costs)
    }

    /// The host uses the registers.
    fn host_used(mut self, costs: &Costs) -> Self {
        self.unlock(costs);
        self.give(Owner::Host, costs)
    }
}

/// Goes through one window of `vcpu` on all `ways`. Returns those to all states that can still be part
/// of the best.
pub(super) fn window(ways: Vec<Way>, vcpu: u16, flags: u8, costs: &Costs) -> Vec<Way> {
    let guest = Owner::Vcpu(vcpu);
    if flags & !(Event::USED | Event::PUT) == 0 && is_at_rest(&ways, vcpu, costs) {
        return ways;
    }
    let mut next = Vec::new();
    for mut way in ways {
        if flags & Event::POWERED_ON != 0 && way.place.owner == guest {
            way = way.give(Owner::Host, costs);
        }
        // To load them and close the gate is never better than to leave it open until it has to be
        // closed.
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
            offer(&mut next, way);
            if way.place.owner == guest {
                offer(&mut next, way.give(Owner::Nobody, costs));
            }
        }
    }
    prune(&mut next, costs);
    next
}

/// `vcpu` leaves the core for another one on all `ways`, and its registers with it if the core has them.
pub(super) fn leave(ways: Vec<Way>, vcpu: u16, costs: &Costs) -> Vec<Way> {
    let mut next = Vec::new();
    for way in ways {
        let keeps = way.place.owner != Owner::Vcpu(vcpu);
        let left = if keeps {
            way
        } else {
            way.give(Owner::Host, costs)
        };
        offer(&mut next, left);
    }
    prune(&mut next, costs);
    next
}

/// Returns whether the vCPU has the registers and an open gate on the cheapest way to anything, but
/// for having saved them just now, for nobody's. Each window of it that follows comes to the same again,
/// whether it uses them or not, unless it is turned on anew or the host uses them.
fn is_at_rest(ways: &[Way], vcpu: u16, costs: &Costs) -> bool {
    let guest = Owner::Vcpu(vcpu);
    let ready = |way: &&Way| way.place.owner == guest && way.place.open;
    let Some(ready) = ways.iter().find(ready) else {
        return false;
    };
    let given_back = ready.give(Owner::Nobody, costs).cost;
    ways.iter().all(|way| {
        let Place { owner, open } = way.place;
        open && (owner == guest || owner == Owner::Nobody && way.cost == given_back)
    })
}

/// Keeps `way` if it is the cheapest to its state.
fn offer(ways: &mut Vec<Way>, way: Way) {
    let same = |other: &&mut Way| other.place == way.place;
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
        let Way { place, cost, .. } = ways[index];
        let Place { owner, open } = place;
        let change = if open {
            costs.unlock()
        } else {
            u64::from(costs.gate)
        };
        let beats = |way: &Way| {
            way.place.owner == owner && way.place.open != open && way.cost + change <= cost
        };
        if ways.iter().any(beats) {
            ways.swap_remove(index);
        }
    }
}

/// The cheapest decisions under one profile, over the windows so far.
#[derive(Debug)]
pub(super) struct Oracle {
    costs: Costs,
    /// By number of the core, those that have run vCPUs.
    cores: Vec<Option<Walk>>,
}

impl Oracle {
    /// Returns an oracle that has seen nothing yet.
    pub const fn new(costs: Costs) -> Self {
        Self {
            costs,
            cores: Vec::new(),
        }
    }

    /// Goes through the windows of a batch.
    pub fn run(&mut self, batch: &Batch) {
        for (run, flags) in batch.runs() {
            let index = usize::from(run.core);
            if self.cores.len() <= index {
                self.cores.resize_with(index + 1, || None);
            }
            if let Some(old) = run.moved_from
                && let Some(walk) = &mut self.cores[usize::from(old)]
            {
                walk.leave(run.vcpu);
            }
            let walk = self.cores[index].get_or_insert_with(|| Walk::new(self.costs));
            walk.run(run, flags);
        }
    }

    /// Forgets what came before. From here on each core that has run vCPUs may be in any state that it can be in,
    /// whatever it took to come there: it holds the host's registers, nobody's, or those of a vCPU that was there last. `homes`
    /// says of each vCPU which core that was.
    pub fn forget(&mut self, homes: impl Iterator<Item = (u16, u8)>) {
        let mut owners = vec![vec![Owner::Host, Owner::Nobody]; self.cores.len()];
        for (vcpu, core) in homes {
            owners[usize::from(core)].push(Owner::Vcpu(vcpu));
        }
        for (core, owners) in self.cores.iter_mut().zip(owners) {
            if let Some(walk) = core {
                walk.begin_anew(owners);
            }
        }
    }

    /// Returns the profile, and what the cheapest decisions move.
    pub fn finish(self) -> (Costs, Moves) {
        let mut moves = Moves::default();
        for walk in self.cores.into_iter().flatten() {
            moves += walk.finish();
        }
        (self.costs, moves)
    }
}
