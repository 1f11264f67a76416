//! One core's run queue: round robin over its vCPUs, with a time slice where there is competition.

use ::core::ptr::NonNull;

use alloc::vec::Vec;
use trapcast_hypervisor::vgic::VcpuSet;

use super::vcpu::Vcpu;

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
}

/// A deadline that never comes.
pub const NEVER: u64 = u64::MAX;

/// The vCPUs of one core.
pub struct Scheduler {
    entries: Vec<Entry>,
    /// Time slice in ticks of the physical counter.
    slice: u64,
    /// When the current time slice ends, by the physical counter.
    slice_end: u64,
    /// One second in ticks.
    second: u64,
    /// Whether a vCPU began to be able to run since the deadline was set.
    changed: bool,
    /// Number of the vCPU that ran last.
    last: usize,
}

impl Scheduler {
    /// Returns an empty queue with a time slice of `slice` microseconds of a counter of `frequency`
    /// hertz.
    pub fn new(slice: u32, frequency: u64) -> Self {
        Self {
            entries: Vec::new(),
            slice: u64::from(slice) * frequency / 1_000_000,
            slice_end: 0,
            second: frequency,
            changed: false,
            last: 0,
        }
    }

    /// Adds a vCPU, which is off, and returns its number in this queue.
    pub fn add(&mut self, vcpu: NonNull<Vcpu>, vm: usize, index: usize) -> usize {
        self.entries.push(Entry {
            vcpu,
            vm,
            index,
            state: State::Off,
        });
        self.entries.len() - 1
    }

    /// Turns vCPU `index` of VM `vm` on.
    pub fn power_on(&mut self, vm: usize, index: usize) {
        for entry in &mut self.entries {
            if entry.vm == vm && entry.index == index {
                entry.state = State::Runnable;
                self.changed = true;
            }
        }
    }

    /// Turns vCPU `slot` off.
    pub fn power_off(&mut self, slot: usize) {
        self.entries[slot].state = State::Off;
    }

    /// Turns all vCPUs of VM `vm` off.
    pub fn power_off_vm(&mut self, vm: usize) {
        for entry in self.entries.iter_mut().filter(|entry| entry.vm == vm) {
            entry.state = State::Off;
        }
    }

    /// Lets vCPU `slot` wait for an interrupt, or for the counter to reach `deadline`.
    pub fn block(&mut self, slot: usize, deadline: u64) {
        self.entries[slot].state = State::Blocked(deadline);
    }

    /// Makes those vCPUs `set` of VM `vm` run that wait.
    pub fn wake(&mut self, vm: usize, set: VcpuSet) {
        if set.is_empty() {
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.vm == vm) {
            if set.contains(entry.index) && matches!(entry.state, State::Blocked(_)) {
                entry.state = State::Runnable;
                self.changed = true;
            }
        }
    }

    /// Makes vCPU `slot` run if it waits.
    pub fn wake_slot(&mut self, slot: usize) {
        let state = &mut self.entries[slot].state;
        if matches!(state, State::Blocked(_)) {
            *state = State::Runnable;
            self.changed = true;
        }
    }

    /// Makes those vCPUs run whose deadline has come.
    pub fn expire(&mut self, now: u64) {
        for entry in &mut self.entries {
            if matches!(entry.state, State::Blocked(deadline) if deadline <= now) {
                entry.state = State::Runnable;
            }
        }
    }

    /// Picks the vCPU whose turn it is, if any can run.
    pub fn next(&mut self) -> Option<NonNull<Vcpu>> {
        let count = self.entries.len();
        let slot = (1..=count)
            .map(|step| (self.last + step) % count)
            .find(|&slot| self.entries[slot].state == State::Runnable)?;
        self.last = slot;
        Some(self.entries[slot].vcpu)
    }

    /// Returns whether vCPU `slot` can run.
    pub fn is_runnable(&self, slot: usize) -> bool {
        self.entries[slot].state == State::Runnable
    }

    /// Returns whether every vCPU of VM `vm` is off.
    pub fn is_off(&self, vm: usize) -> bool {
        self.entries
            .iter()
            .all(|entry| entry.vm != vm || entry.state == State::Off)
    }

    /// Returns whether every vCPU is off.
    pub fn is_over(&self) -> bool {
        self.entries.iter().all(|entry| entry.state == State::Off)
    }

    /// Returns whether another vCPU than `slot` can run.
    pub fn has_other(&self, slot: usize) -> bool {
        self.entries
            .iter()
            .enumerate()
            .any(|(other, entry)| other != slot && entry.state == State::Runnable)
    }

    /// Begins a time slice.
    pub fn start_slice(&mut self, now: u64) {
        self.slice_end = now + self.slice;
    }

    /// Returns whether a vCPU began to be able to run since the last call, so that the deadline of
    /// the running one has to be set anew.
    #[inline]
    pub fn take_changed(&mut self) -> bool {
        ::core::mem::take(&mut self.changed)
    }

    /// Returns when the core has to look again while vCPU `running` runs: at the end of its time
    /// slice if others can run, at the first deadline of those that wait, and in a second at the
    /// latest, as the instruction counters are 32 bits wide.
    pub fn deadline(&mut self, now: u64, running: usize) -> u64 {
        self.changed = false;
        let slice_end = if self.has_other(running) {
            self.slice_end
        } else {
            NEVER
        };
        slice_end
            .min(self.first_wake(Some(running)))
            .min(now + self.second)
    }

    /// Returns when the core has to look again while nobody runs. A vCPU whose timer is in the core
    /// needs no deadline; `resident` names it.
    pub fn idle_deadline(&self, resident: Option<usize>) -> u64 {
        self.first_wake(resident)
    }

    fn first_wake(&self, except: Option<usize>) -> u64 {
        let deadlines = self
            .entries
            .iter()
            .enumerate()
            .map(|(slot, entry)| match entry.state {
                State::Blocked(deadline) if except != Some(slot) => deadline,
                _ => NEVER,
            });
        deadlines.min().unwrap_or(NEVER)
    }

    /// Returns every vCPU of this core.
    pub fn vcpus(&self) -> impl Iterator<Item = NonNull<Vcpu>> {
        self.entries.iter().map(|entry| entry.vcpu)
    }
}
