//! Which vCPU runs on which core: one list of all vCPUs, from which each core takes the next one to run.
//!
//! A core takes turns among the vCPUs whose home it is or that never ran, and takes one that has
//! another home only when it has none of these: work moves to a core that would be idle. A vCPU that can
//! run again makes that core its home that is *called* for it: its home if that is idle, else an idle core,
//! else its home. A called core looks at the list ([`RunQueue::turn`] or [`RunQueue::has_other`]) and then
//! either has taken the vCPU or ends the time slice of the one that it runs.
//!
//! # Invariants
//! 1. **No idle core is called twice** before it has looked: as long as one is idle and was not called, no
//!    more vCPUs wait for a core than there are calls that were not answered.
//! 2. **No wake-up is lost.** The home of a vCPU that waits for a core was called, or has looked, since it
//!    waits.
//!
//! So a vCPU waits for one time slice at the most where a core is idle when it can run again.

extern crate alloc;

use core::{fmt, ops::Range};

use alloc::vec::Vec;
use trapcast_trace::report::MAX_CORES;

use crate::{
    slots::{Deadlines, NEVER, SlotSet},
    vgic::VcpuSet,
};

/// Whether a vCPU can run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// It can, and does or waits for its turn.
    Runnable,
    /// It waits in WFI.
    Blocked,
    /// It is off, by PSCI.
    Off,
}

#[derive(Debug)]
struct Entry<V> {
    vcpu: V,
    /// The core that is running it: from its load to its put.
    on: Option<u8>,
    /// The core that ran it last or was called for it, which looks after its deadline; [`NOWHERE`] if it
    /// never ran.
    home: u8,
    state: State,
    /// It was turned off since its load: it has to be put before it runs again.
    stopped: bool,
}

impl<V> Entry<V> {
    /// Whether some core could take it.
    #[inline]
    fn can_be_taken(&self) -> bool {
        self.state == State::Runnable && self.on.is_none()
    }

    /// Whether it can run some time, or runs still.
    fn is_alive(&self) -> bool {
        self.state != State::Off || self.on.is_some()
    }
}

/// Where a vCPU is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// On this core.
    Running(usize),
    /// It could run, and no core has taken it yet.
    Ready,
    /// In WFI.
    Waiting,
    /// Off; on this core still, if there is one.
    Off(Option<usize>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(core) => write!(f, "runs on core {core}"),
            Self::Ready => write!(f, "waits for a core"),
            Self::Waiting => write!(f, "waits for an interrupt"),
            Self::Off(None) => write!(f, "is off"),
            Self::Off(Some(core)) => write!(f, "is off, and on core {core} still"),
        }
    }
}

/// No core.
const NOWHERE: usize = MAX_CORES;

/// What one core looks after.
#[derive(Debug)]
struct Home {
    /// Those vCPUs whose home it is that wait for a core.
    ready: SlotSet,
    /// Until when those of them wait that wait in WFI.
    deadlines: Deadlines,
}

/// The vCPUs of all VMs, each of which is a `V` for the caller and a number in the list, its slot.
///
/// Where a method takes `call`, it passes the number of each core that has to look at the list; the
/// calling core may be among them. Times are of any unit.
#[derive(Debug)]
pub struct RunQueue<V> {
    entries: Vec<Entry<V>>,
    /// For each VM, the first of its vCPUs, which follow each other.
    first: Vec<usize>,
    /// By core; the last one has the vCPUs that never ran.
    homes: [Home; MAX_CORES + 1],
    /// How many vCPUs wait for a core.
    ready: usize,
    /// How many vCPUs are on, or on a core still.
    alive: usize,
    /// Cores that had nothing to run when they looked, and were not called since, a bit each.
    idle: u32,
}

impl<V: Copy> Default for RunQueue<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Copy> RunQueue<V> {
    /// Returns a list of no vCPU.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
            first: Vec::new(),
            homes: [const {
                Home {
                    ready: SlotSet::EMPTY,
                    deadlines: Deadlines::new(),
                }
            }; MAX_CORES + 1],
            ready: 0,
            alive: 0,
            idle: 0,
        }
    }

    /// Adds a vCPU, which is off, and returns its slot. Those of a VM are added one after the other, from
    /// its vCPU 0 on; `vm` is the VM's number.
    pub fn add(&mut self, vcpu: V, vm: usize) -> usize {
        let slot = self.entries.len();
        self.entries.push(Entry {
            vcpu,
            on: None,
            home: NOWHERE as u8,
            state: State::Off,
            stopped: false,
        });
        if self.first.len() == vm {
            self.first.push(slot);
        }
        for home in &mut self.homes {
            home.deadlines.grow(slot + 1);
        }
        slot
    }

    /// Turns vCPU `index` of VM `vm` on, which is off.
    pub fn power_on(&mut self, vm: usize, index: usize, call: impl FnMut(usize)) {
        let slot = self.first[vm] + index;
        let entry = &mut self.entries[slot];
        self.alive += usize::from(!entry.is_alive());
        entry.state = State::Runnable;
        self.offer(slot, call);
    }

    /// Turns vCPU `slot` off.
    pub fn power_off(&mut self, slot: usize) {
        let entry = &mut self.entries[slot];
        let home = &mut self.homes[usize::from(entry.home)];
        if entry.state == State::Blocked {
            home.deadlines.set(slot, NEVER);
        } else if entry.can_be_taken() {
            home.ready.remove(slot);
            self.ready -= 1;
        }
        let was_alive = entry.is_alive();
        entry.state = State::Off;
        entry.stopped = true;
        self.alive -= usize::from(was_alive && !entry.is_alive());
    }

    /// Turns all vCPUs of VM `vm` off. Those that run on other cores are called out of their guests.
    pub fn power_off_vm(&mut self, vm: usize, mut call: impl FnMut(usize)) {
        for slot in self.slots(vm) {
            self.power_off(slot);
            if let Some(core) = self.entries[slot].on {
                call(core.into());
            }
        }
    }

    /// Lets vCPU `slot`, which is on a core, wait for an interrupt, or until `deadline`.
    pub fn block(&mut self, slot: usize, deadline: u64) {
        let entry = &mut self.entries[slot];
        if entry.state == State::Runnable {
            entry.state = State::Blocked;
            self.homes[usize::from(entry.home)]
                .deadlines
                .set(slot, deadline);
        }
    }

    /// Makes those vCPUs `set` of VM `vm` run that wait in WFI.
    #[inline]
    pub fn wake(&mut self, vm: usize, set: VcpuSet, mut call: impl FnMut(usize)) {
        for index in set {
            self.wake_slot(self.first[vm] + index, &mut call);
        }
    }

    /// Calls those vCPUs `set` of VM `vm` out of their guests that are in them, on other cores than
    /// `core`.
    pub fn kick(&self, vm: usize, set: VcpuSet, core: usize, mut call: impl FnMut(usize)) {
        for index in set {
            if let Some(on) = self.entries[self.first[vm] + index].on
                && usize::from(on) != core
            {
                call(on.into());
            }
        }
    }

    /// Makes vCPU `slot` run if it waits in WFI.
    fn wake_slot(&mut self, slot: usize, call: impl FnMut(usize)) {
        let entry = &mut self.entries[slot];
        if entry.state == State::Blocked {
            entry.state = State::Runnable;
            self.homes[usize::from(entry.home)]
                .deadlines
                .set(slot, NEVER);
            self.offer(slot, call);
        }
    }

    /// Makes those vCPUs of `core` run whose deadline has come.
    #[inline]
    pub fn expire(&mut self, core: usize, now: u64, mut call: impl FnMut(usize)) {
        while let Some(slot) = self.homes[core].deadlines.due(now) {
            self.wake_slot(slot, &mut call);
        }
    }

    /// Lets a core take vCPU `slot`, which can run now, unless one is running it still, and calls the core
    /// that it then waits for.
    fn offer(&mut self, slot: usize, call: impl FnMut(usize)) {
        let entry = &self.entries[slot];
        if entry.on.is_none() {
            self.homes[usize::from(entry.home)].ready.insert(slot);
            self.ready += 1;
            self.call_for(slot, call);
        }
    }

    /// Calls a core to run vCPU `slot`, which waits for one: its home if that is idle or no core is, else
    /// one that is idle, which becomes its home.
    fn call_for(&mut self, slot: usize, mut call: impl FnMut(usize)) {
        let home = usize::from(self.entries[slot].home);
        let mut core = home;
        if self.idle >> home & 1 == 0 {
            if self.idle != 0 {
                core = self.idle.trailing_zeros() as usize;
                self.move_home(slot, core);
            } else if home == NOWHERE {
                // Every core counts it among its own.
                core = 0;
            }
        }
        self.idle &= !(1 << core);
        call(core);
    }

    /// Makes `core` the home of vCPU `slot`, which waits for a core.
    fn move_home(&mut self, slot: usize, core: usize) {
        let entry = &mut self.entries[slot];
        self.homes[usize::from(entry.home)].ready.remove(slot);
        self.homes[core].ready.insert(slot);
        entry.home = core as u8;
    }

    /// Takes the vCPU whose turn it is on `core` after slot `last`, if any can run there; if none can, the
    /// core counts as idle. `put` is the slot of the vCPU that was put
    /// there just now, if there is one.
    pub fn turn(
        &mut self,
        core: usize,
        put: Option<usize>,
        last: usize,
        now: u64,
        call: impl FnMut(usize),
    ) -> Option<V> {
        if let Some(slot) = put {
            let entry = &mut self.entries[slot];
            entry.on = None;
            entry.stopped = false;
            if entry.state == State::Runnable {
                self.homes[core].ready.insert(slot);
                self.ready += 1;
            }
            self.alive -= usize::from(!entry.is_alive());
        }
        // No call for it: no more vCPUs wait after this than before.
        self.expire(core, now, call);
        let next = self.next(core, last);
        if next.is_none() {
            self.idle |= 1 << core;
        }
        next
    }

    /// Takes the vCPU whose turn it is on `core` after slot `last`, if any can run there.
    fn next(&mut self, core: usize, last: usize) -> Option<V> {
        if self.ready == 0 {
            return None;
        }
        let own = self.homes[core]
            .ready
            .next_with(&self.homes[NOWHERE].ready, last);
        let slot = own.or_else(|| self.of_others(last))?;
        let entry = &mut self.entries[slot];
        self.homes[usize::from(entry.home)].ready.remove(slot);
        self.ready -= 1;
        self.idle &= !(1 << core);
        entry.home = core as u8;
        entry.on = Some(core as u8);
        Some(entry.vcpu)
    }

    /// The vCPU of any home whose turn it is after slot `last`.
    #[inline(never)]
    fn of_others(&self, last: usize) -> Option<usize> {
        let slots = self.entries.len();
        let next = |home: &Home| home.ready.next_with(&SlotSet::EMPTY, last);
        // How many slots a turn passes until it reaches a slot.
        let distance = |slot: &usize| (slot + slots - last - 1) % slots;
        self.homes.iter().filter_map(next).min_by_key(distance)
    }

    /// Lets any core take those vCPUs that wait for their turn, as if they had run nowhere yet. Returns
    /// how many vCPUs there are.
    pub fn scatter(&mut self) -> usize {
        for slot in 0..self.entries.len() {
            if self.entries[slot].can_be_taken() {
                self.move_home(slot, NOWHERE);
            }
        }
        self.entries.len()
    }

    /// Returns whether vCPU `slot`, which is loaded, may continue without a put.
    pub fn goes_on(&self, slot: usize) -> bool {
        let entry = &self.entries[slot];
        entry.state == State::Runnable && !entry.stopped
    }

    /// Returns whether no vCPU of VM `vm` can run.
    pub fn is_quiet(&self, vm: usize) -> bool {
        let mut entries = self.entries[self.slots(vm)].iter();
        entries.all(|entry| entry.state != State::Runnable)
    }

    /// Returns whether every vCPU of VM `vm` is off.
    pub fn is_off(&self, vm: usize) -> bool {
        let mut entries = self.entries[self.slots(vm)].iter();
        entries.all(|entry| entry.state == State::Off)
    }

    /// Returns whether no core runs a vCPU of VM `vm`, but for slot `except`.
    pub fn is_out(&self, vm: usize, except: Option<usize>) -> bool {
        let mut others = self.slots(vm).filter(|slot| Some(*slot) != except);
        others.all(|slot| self.entries[slot].on.is_none())
    }

    /// Returns whether every vCPU is off and none is on a core.
    pub fn is_over(&self) -> bool {
        self.alive == 0
    }

    /// Returns whether another vCPU than the running one waits for `core`.
    #[inline]
    pub fn has_other(&self, core: usize) -> bool {
        !(self.homes[core].ready.is_empty() && self.homes[NOWHERE].ready.is_empty())
    }

    /// Returns when the first vCPU of `core` that waits in WFI wants to run, but for slot `except`, if that
    /// waits too: its timer interrupts by itself.
    #[inline]
    pub fn first_wake(&self, core: usize, except: Option<usize>) -> u64 {
        let deadlines = &self.homes[core].deadlines;
        except.map_or_else(|| deadlines.first(), |slot| deadlines.first_but(slot))
    }

    /// The slots of VM `vm`'s vCPUs.
    #[inline]
    fn slots(&self, vm: usize) -> Range<usize> {
        let end = self.first.get(vm + 1).copied();
        self.first[vm]..end.unwrap_or(self.entries.len())
    }

    /// Returns vCPU 0 of VM `vm`, if there is such a VM.
    pub fn first_of(&self, vm: usize) -> Option<V> {
        Some(self.entries[*self.first.get(vm)?].vcpu)
    }

    /// Returns every vCPU, and where it is.
    pub fn places(&self) -> impl Iterator<Item = (V, Place)> {
        self.entries.iter().map(|entry| {
            let on = entry.on.map(usize::from);
            let place = match (entry.state, on) {
                (State::Off, on) => Place::Off(on),
                (State::Blocked, _) => Place::Waiting,
                (State::Runnable, Some(core)) => Place::Running(core),
                (State::Runnable, None) => Place::Ready,
            };
            (entry.vcpu, place)
        })
    }
}

#[cfg(test)]
mod tests;
