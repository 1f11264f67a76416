//! Who runs where: one list of all vCPUs, from which each core takes the next one to run.
//!
//! A core takes turns among the vCPUs that ran on it last or never ran, and takes one that ran
//! elsewhere only when it has none of these: work moves to a core that would be idle. What a moving
//! vCPU left in its old core is fetched from there ([`cores`](super::cores)).

use ::core::ptr::NonNull;

use alloc::vec::Vec;
use trapcast_hypervisor::vgic::VcpuSet;

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
    vm: usize,
    index: usize,
    state: State,
    /// The core that is running it: from its load to its put.
    on: Option<usize>,
    /// The core that ran it last, and looks after its deadline.
    home: Option<usize>,
    /// It was turned off since its load: it has to be put before it runs again.
    stopped: bool,
}

/// A deadline that never comes.
pub const NEVER: u64 = u64::MAX;

/// The vCPUs of all VMs.
pub struct Scheduler {
    entries: Vec<Entry>,
    /// Cores that have nothing to run and wait, a bit each.
    idle: u32,
}

// SAFETY: a vCPU is touched by the core that it is `on`, or by one that this list gives it to.
unsafe impl Send for Scheduler {}

static SCHEDULER: Lock<Scheduler> = Lock::new(Scheduler {
    entries: Vec::new(),
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
    /// Adds a vCPU, which is off, and returns its number in the list.
    pub fn add(&mut self, vcpu: NonNull<Vcpu>, vm: usize, index: usize) -> usize {
        self.entries.push(Entry {
            vcpu,
            vm,
            index,
            state: State::Off,
            on: None,
            home: None,
            stopped: false,
        });
        self.entries.len() - 1
    }

    /// Turns vCPU `index` of VM `vm` on.
    pub fn power_on(&mut self, vm: usize, index: usize) {
        let slot = self.slot(vm, index);
        self.entries[slot].state = State::Runnable;
        self.call_for(slot);
    }

    /// Turns vCPU `slot` off.
    pub fn power_off(&mut self, slot: usize) {
        let entry = &mut self.entries[slot];
        entry.state = State::Off;
        entry.stopped = true;
    }

    /// Turns all vCPUs of VM `vm` off. Those that run on other cores are called out of their guests.
    pub fn power_off_vm(&mut self, vm: usize) {
        for slot in 0..self.entries.len() {
            if self.entries[slot].vm == vm {
                self.power_off(slot);
                if let Some(core) = self.entries[slot].on {
                    cores::call(core);
                }
            }
        }
    }

    /// Lets vCPU `slot` wait for an interrupt, or for the counter to reach `deadline`.
    pub fn block(&mut self, slot: usize, deadline: u64) {
        if self.entries[slot].state == State::Runnable {
            self.entries[slot].state = State::Blocked(deadline);
        }
    }

    /// See [`wake`].
    fn wake(&mut self, vm: usize, set: VcpuSet) {
        for slot in 0..self.entries.len() {
            let entry = &self.entries[slot];
            if entry.vm == vm && set.contains(entry.index) {
                self.wake_slot(slot);
            }
        }
    }

    /// See [`kick`].
    fn kick(&self, vm: usize, set: VcpuSet) {
        for entry in &self.entries {
            if let Some(core) = entry.on
                && entry.vm == vm
                && set.contains(entry.index)
                && !cores::is_current(core)
            {
                cores::call(core);
            }
        }
    }

    /// Makes vCPU `slot` run if it waits.
    pub fn wake_slot(&mut self, slot: usize) {
        if matches!(self.entries[slot].state, State::Blocked(_)) {
            self.entries[slot].state = State::Runnable;
            self.call_for(slot);
        }
    }

    /// Makes those vCPUs run whose deadline has come.
    pub fn expire(&mut self, now: u64) {
        for slot in 0..self.entries.len() {
            if matches!(self.entries[slot].state, State::Blocked(deadline) if deadline <= now) {
                self.wake_slot(slot);
            }
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
            Some(home) if is_idle(home) || self.idle == 0 => home,
            _ if self.idle != 0 => self.idle.trailing_zeros() as usize,
            _ => 0,
        };
        cores::call(core);
    }

    /// Takes the vCPU whose turn it is on `core` after vCPU `last`, if any can run there.
    pub fn next(&mut self, core: usize, last: usize) -> Option<NonNull<Vcpu>> {
        let count = self.entries.len();
        let turn = |step: usize| (last + step) % count;
        let own = |slot: &usize| self.can_take(*slot) && self.is_home(core, *slot);
        let slot = (1..=count)
            .map(turn)
            .find(own)
            .or_else(|| (1..=count).map(turn).find(|slot| self.can_take(*slot)))?;
        let entry = &mut self.entries[slot];
        entry.on = Some(core);
        entry.home = Some(core);
        self.idle &= !(1 << core);
        Some(entry.vcpu)
    }

    /// Whether some core could take vCPU `slot`.
    fn can_take(&self, slot: usize) -> bool {
        let entry = &self.entries[slot];
        entry.state == State::Runnable && entry.on.is_none()
    }

    /// Whether vCPU `slot` ran on `core` last, or nowhere yet.
    fn is_home(&self, core: usize, slot: usize) -> bool {
        self.entries[slot].home.is_none_or(|home| home == core)
    }

    /// Lets any core take those vCPUs that wait for their turn, as if they had run nowhere yet.
    pub fn scatter(&mut self) {
        for entry in &mut self.entries {
            if entry.state == State::Runnable && entry.on.is_none() {
                entry.home = None;
            }
        }
    }

    /// vCPU `slot` was put: other cores may take it.
    pub fn put(&mut self, slot: usize) {
        let entry = &mut self.entries[slot];
        entry.on = None;
        entry.stopped = false;
        if self.idle != 0 && self.can_take(slot) {
            self.call_for(slot);
        }
    }

    /// Notes that `core` has nothing to run. Returns whether that is so still.
    pub fn go_idle(&mut self, core: usize) -> bool {
        self.idle |= 1 << core;
        !(0..self.entries.len()).any(|slot| self.can_take(slot))
    }

    /// Returns whether vCPU `slot`, which is loaded, may go on without a put.
    pub fn goes_on(&self, slot: usize) -> bool {
        let entry = &self.entries[slot];
        entry.state == State::Runnable && !entry.stopped
    }

    /// Returns whether no vCPU of VM `vm` can run.
    pub fn is_quiet(&self, vm: usize) -> bool {
        let mut entries = self.entries.iter().filter(|entry| entry.vm == vm);
        entries.all(|entry| entry.state != State::Runnable)
    }

    /// Returns whether every vCPU of VM `vm` is off.
    pub fn is_off(&self, vm: usize) -> bool {
        let mut entries = self.entries.iter().filter(|entry| entry.vm == vm);
        entries.all(|entry| entry.state == State::Off)
    }

    /// Returns whether no core runs a vCPU of VM `vm`, but for vCPU `except`.
    pub fn is_out(&self, vm: usize, except: Option<usize>) -> bool {
        let entries = self.entries.iter().enumerate();
        let mut others = entries.filter(|(slot, entry)| entry.vm == vm && Some(*slot) != except);
        others.all(|(_, entry)| entry.on.is_none())
    }

    /// Returns whether every vCPU is off and none is on a core.
    pub fn is_over(&self) -> bool {
        let mut entries = self.entries.iter();
        entries.all(|entry| entry.state == State::Off && entry.on.is_none())
    }

    /// Returns whether another vCPU than the running one waits for `core`.
    pub fn has_other(&self, core: usize) -> bool {
        (0..self.entries.len()).any(|slot| self.can_take(slot) && self.is_home(core, slot))
    }

    /// Returns when the first vCPU of `core` that waits wants to run, but for vCPU `except`, whose
    /// timer interrupts by itself.
    pub fn first_wake(&self, core: usize, except: Option<usize>) -> u64 {
        let entries = self.entries.iter().enumerate();
        let deadlines = entries.map(|(slot, entry)| match entry.state {
            State::Blocked(deadline) if except != Some(slot) && entry.home == Some(core) => {
                deadline
            }
            _ => NEVER,
        });
        deadlines.min().unwrap_or(NEVER)
    }

    /// Returns VM `number`.
    pub fn vm(&self, number: usize) -> Option<&'static Vm> {
        let entry = self.entries.iter().find(|entry| entry.vm == number)?;
        // SAFETY: a vCPU lives as long as the hypervisor, and its VM never changes.
        Some(unsafe { (*entry.vcpu.as_ptr()).vm })
    }

    /// Returns every vCPU.
    pub fn vcpus(&self) -> impl Iterator<Item = NonNull<Vcpu>> {
        self.entries.iter().map(|entry| entry.vcpu)
    }

    fn slot(&self, vm: usize, index: usize) -> usize {
        let is_it = |entry: &Entry| entry.vm == vm && entry.index == index;
        let slot = self.entries.iter().position(is_it);
        slot.expect("PSCI names vCPUs that exist")
    }
}
