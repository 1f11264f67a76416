//! Who runs where: one list of all vCPUs, from which each core takes the next one to run.
//!
//! A core takes turns among the vCPUs that ran on it last or never ran, and takes one that ran
//! elsewhere only when it has none of these: work moves to a core that would be idle. What a moving
//! vCPU left in its old core is fetched from there ([`cores`](super::cores)).

use ::core::{ops::Range, ptr::NonNull};

use alloc::vec::Vec;
pub use trapcast_hypervisor::slots::NEVER;
use trapcast_hypervisor::{
    slots::{Deadlines, SlotSet},
    vgic::VcpuSet,
};
use trapcast_trace::report::MAX_CORES;

use super::{
    cores,
    vcpu::Vcpu,
    vm::Vm,
    wait::{Guard, Lock},
};

/// Whether a vCPU can run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// It can, and does or waits for its turn.
    Runnable,
    /// It waits in WFI, at most until the physical counter reaches this value.
    Blocked(u64),
    /// It is off, by PSCI.
    Off,
}

struct Entry {
    vcpu: NonNull<Vcpu>,
    state: State,
    /// The core that is running it: from its load to its put.
    on: Option<usize>,
    /// The core that ran it last, and looks after its deadline; [`NOWHERE`] if it never ran.
    home: usize,
    /// It was turned off since its load: it has to be put before it runs again.
    stopped: bool,
}

impl Entry {
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

/// Stands for a core where there is none.
const NOWHERE: usize = MAX_CORES;

/// What one core looks after.
struct Home {
    /// The vCPUs whose home it is.
    vcpus: SlotSet,
    /// Until when those of them wait that wait in WFI.
    deadlines: Deadlines,
}

/// The vCPUs of all VMs.
pub struct Scheduler {
    entries: Vec<Entry>,
    /// For each VM, the first of its vCPUs, which follow each other.
    first: Vec<usize>,
    /// vCPUs that a core can take.
    waiting: SlotSet,
    /// By core; the last one has the vCPUs that never ran.
    homes: [Home; MAX_CORES + 1],
    /// How many vCPUs are on, or on a core still.
    alive: usize,
    /// Cores that have nothing to run and wait, a bit each.
    idle: u32,
}

// SAFETY: a vCPU is touched by the core that it is `on`, or by one that this list gives it to.
unsafe impl Send for Scheduler {}

static SCHEDULER: Lock<Scheduler> = Lock::new(Scheduler {
    entries: Vec::new(),
    first: Vec::new(),
    waiting: SlotSet::EMPTY,
    homes: [const {
        Home {
            vcpus: SlotSet::EMPTY,
            deadlines: Deadlines::new(),
        }
    }; MAX_CORES + 1],
    alive: 0,
    idle: 0,
});

/// Returns the list. A VM's lock is taken before it, never while it is held.
pub fn lock() -> Guard<Scheduler> {
    SCHEDULER.lock()
}

/// Makes those vCPUs `set` of VM `vm` run that wait.
#[inline]
pub fn wake(vm: usize, set: VcpuSet) {
    if !set.is_empty() {
        lock().wake(vm, set);
    }
}

/// Calls those vCPUs `set` of VM `vm` out of their guests that are in them.
#[inline]
pub fn kick(vm: usize, set: VcpuSet) {
    if !set.is_empty() {
        lock().kick(vm, set);
    }
}

impl Scheduler {
    /// Adds a vCPU, which is off, and returns its number in the list. Those of a VM are added one
    /// after the other, from its vCPU 0 on.
    pub fn add(&mut self, vcpu: NonNull<Vcpu>, vm: usize) -> usize {
        let slot = self.entries.len();
        self.entries.push(Entry {
            vcpu,
            state: State::Off,
            on: None,
            home: NOWHERE,
            stopped: false,
        });
        if self.first.len() == vm {
            self.first.push(slot);
        }
        for home in &mut self.homes {
            home.deadlines.grow(slot + 1);
        }
        self.homes[NOWHERE].vcpus.set(slot, true);
        slot
    }

    /// Turns vCPU `index` of VM `vm` on, which is off.
    pub fn power_on(&mut self, vm: usize, index: usize) {
        let slot = self.first[vm] + index;
        let entry = &mut self.entries[slot];
        self.alive += usize::from(!entry.is_alive());
        entry.state = State::Runnable;
        self.waiting.set(slot, entry.on.is_none());
        self.call_for(slot);
    }

    /// Turns vCPU `slot` off.
    pub fn power_off(&mut self, slot: usize) {
        let entry = &mut self.entries[slot];
        if let State::Blocked(_) = entry.state {
            self.homes[entry.home].deadlines.set(slot, NEVER);
        }
        let was_alive = entry.is_alive();
        entry.state = State::Off;
        entry.stopped = true;
        self.alive -= usize::from(was_alive && !entry.is_alive());
        self.waiting.set(slot, false);
    }

    /// Turns all vCPUs of VM `vm` off. Those that run on other cores are called out of their guests.
    pub fn power_off_vm(&mut self, vm: usize) {
        for slot in self.slots(vm) {
            self.power_off(slot);
            if let Some(core) = self.entries[slot].on {
                cores::call(core);
            }
        }
    }

    /// Lets vCPU `slot`, which is on a core, wait for an interrupt, or for the counter to reach
    /// `deadline`.
    pub fn block(&mut self, slot: usize, deadline: u64) {
        let entry = &mut self.entries[slot];
        if entry.state == State::Runnable {
            entry.state = State::Blocked(deadline);
            self.homes[entry.home].deadlines.set(slot, deadline);
        }
    }

    /// See [`wake`].
    fn wake(&mut self, vm: usize, set: VcpuSet) {
        for index in set {
            self.wake_slot(self.first[vm] + index);
        }
    }

    /// See [`kick`].
    fn kick(&self, vm: usize, set: VcpuSet) {
        for index in set {
            if let Some(core) = self.entries[self.first[vm] + index].on
                && !cores::is_current(core)
            {
                cores::call(core);
            }
        }
    }

    /// Makes vCPU `slot` run if it waits.
    fn wake_slot(&mut self, slot: usize) {
        let entry = &mut self.entries[slot];
        if let State::Blocked(_) = entry.state {
            entry.state = State::Runnable;
            self.homes[entry.home].deadlines.set(slot, NEVER);
            self.waiting.set(slot, entry.on.is_none());
            self.call_for(slot);
        }
    }

    /// Makes those vCPUs of `core` run whose deadline has come.
    #[inline]
    pub fn expire(&mut self, core: usize, now: u64) {
        while let Some(slot) = self.homes[core].deadlines.due(now) {
            self.wake_slot(slot);
        }
    }

    /// Calls a core to run vCPU `slot`, which can run now: its home if that is idle or no core is,
    /// else one that is idle.
    fn call_for(&self, slot: usize) {
        let entry = &self.entries[slot];
        if entry.on.is_some() {
            return;
        }
        let is_idle = |core: usize| self.idle >> core & 1 != 0;
        let core = match entry.home {
            NOWHERE if self.idle == 0 => 0,
            home if home != NOWHERE && (is_idle(home) || self.idle == 0) => home,
            _ => self.idle.trailing_zeros() as usize,
        };
        cores::call(core);
    }

    /// Takes the vCPU whose turn it is on `core` after vCPU `last`, if any can run there; if none can,
    /// the core counts as idle. `put` is the vCPU that was put there just now, if there is one.
    pub fn turn(
        &mut self,
        core: usize,
        put: Option<usize>,
        last: usize,
        now: u64,
    ) -> Option<NonNull<Vcpu>> {
        if let Some(slot) = put {
            let entry = &mut self.entries[slot];
            entry.on = None;
            entry.stopped = false;
            self.waiting.set(slot, entry.can_be_taken());
            self.alive -= usize::from(!entry.is_alive());
        }
        self.expire(core, now);
        let next = self.next(core, last);
        if let Some(slot) = put
            && self.idle != 0
            && self.entries[slot].can_be_taken()
        {
            self.call_for(slot);
        }
        if next.is_none() {
            self.idle |= 1 << core;
        }
        next
    }

    /// Takes the vCPU whose turn it is on `core` after vCPU `last`, if any can run there.
    fn next(&mut self, core: usize, last: usize) -> Option<NonNull<Vcpu>> {
        let own = [&self.homes[core].vcpus, &self.homes[NOWHERE].vcpus];
        let next = self.waiting.next_in(own, last);
        let slot = next.or_else(|| self.waiting.next(last))?;
        self.waiting.set(slot, false);
        let entry = &mut self.entries[slot];
        entry.on = Some(core);
        if entry.home != core {
            self.homes[entry.home].vcpus.set(slot, false);
            self.homes[core].vcpus.set(slot, true);
            entry.home = core;
        }
        self.idle &= !(1 << core);
        Some(entry.vcpu)
    }

    /// Lets any core take those vCPUs that wait for their turn, as if they had run nowhere yet. Returns
    /// how many vCPUs there are.
    pub fn scatter(&mut self) -> usize {
        for (slot, entry) in self.entries.iter_mut().enumerate() {
            if entry.can_be_taken() {
                self.homes[entry.home].vcpus.set(slot, false);
                self.homes[NOWHERE].vcpus.set(slot, true);
                entry.home = NOWHERE;
            }
        }
        self.entries.len()
    }

    /// Returns whether vCPU `slot`, which is loaded, may go on without a put.
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

    /// Returns whether no core runs a vCPU of VM `vm`, but for vCPU `except`.
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
        let own = [&self.homes[core].vcpus, &self.homes[NOWHERE].vcpus];
        self.waiting.meets(own)
    }

    /// Returns when the first vCPU of `core` that waits wants to run, but for vCPU `except`, if that
    /// waits too: its timer interrupts by itself.
    #[inline]
    pub fn first_wake(&self, core: usize, except: Option<usize>) -> u64 {
        let deadlines = &self.homes[core].deadlines;
        except.map_or_else(|| deadlines.first(), |slot| deadlines.first_but(slot))
    }

    /// The numbers in the list of VM `vm`'s vCPUs.
    #[inline]
    fn slots(&self, vm: usize) -> Range<usize> {
        let end = self.first.get(vm + 1).copied();
        self.first[vm]..end.unwrap_or(self.entries.len())
    }

    /// Returns VM `number`.
    pub fn vm(&self, number: usize) -> Option<&'static Vm> {
        let entry = &self.entries[*self.first.get(number)?];
        // SAFETY: a vCPU lives as long as the hypervisor, and its VM never changes.
        Some(unsafe { (*entry.vcpu.as_ptr()).vm })
    }

    /// Returns every vCPU.
    pub fn vcpus(&self) -> impl Iterator<Item = NonNull<Vcpu>> {
        self.entries.iter().map(|entry| entry.vcpu)
    }
}
