//! Follows the vCPUs of a KVM host through its events, and tells what each window did.
//!
//! `kvm_arch_vcpu_ctxsync_fp` runs after each exit and calls `fpsimd_bind_state_to_cpu` exactly if the guest owns the
//! registers then (Linux 4.18 and later, VHE and nVHE). KVM gives a guest the registers at its first use after a load
//! and leaves them to it until the put, or until the kernel takes them by `kernel_neon_begin`. So of a window the owner
//! at its entry and at its exit are known:
//!
//! | at the entry | at the exit | the window |
//! |---|---|---|
//! | the host | the host | used nothing |
//! | the host | the guest | used the registers |
//! | the guest | the guest | is *unseen*: no trap tells |
//!
//! A load whose events are not all there is left out as a whole, and counted.

use std::collections::{BTreeSet, HashMap, VecDeque};

use trapcast_record::Vcpu;
use trapcast_trace::report::Exit;

use crate::{
    event::Step,
    line::{Entry, Line},
};

/// CPUs of a record: a number has 8 bits there.
const CPUS: u32 = 1 << 8;

/// Windows that wait for the end of their load, at most: 64 MB of memory. A load that is longer is written before it
/// ends.
const WAITING: usize = 1 << 20;

/// A window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Nanoseconds at the entry.
    pub start: u64,
    /// Nanoseconds at the exit.
    pub end: u64,
    /// Where the guest resumed.
    pub pc: u64,
    /// Number of the vCPU.
    pub vcpu: u16,
    /// The CPU.
    pub core: u8,
    /// It is the first of its load.
    pub loaded: bool,
    /// The vCPU was put after it.
    pub put: bool,
    /// Whether it used the registers; `None` if that was not to be seen.
    pub used: Option<bool>,
    /// Times that the kernel took the registers after it.
    pub host_uses: u16,
    /// Why it ended.
    pub exit: Exit,
}

/// What of a trace was used, and what was not.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Tally {
    /// Lines.
    pub lines: u64,
    /// Lines that are no event and no comment.
    pub unknown_lines: u64,
    /// Events that the trace's writer lost, as far as it says how many.
    pub lost_events: u64,
    /// Places where events were lost.
    pub losses: u64,
    /// Entries outside of any load that was seen from its start: at the start of the trace, and after a loss.
    pub entries_without_load: u64,
    /// Loads without an entry, as ioctls make them.
    pub empty_loads: u64,
    /// Loads that were left out as events were lost in them, or they contradict each other.
    pub broken_loads: u64,
    /// Their windows.
    pub broken_windows: u64,
    /// Loads that went on at the end of the trace; they are left out.
    pub unfinished_loads: u64,
    /// Their windows.
    pub unfinished_windows: u64,
    /// Loads that were longer than what is kept in memory and then broke: what was written of them ends with a put.
    pub cut_loads: u64,
    /// Events of CPUs from 256 on, which no record has.
    pub high_cpus: u64,
    /// Windows.
    pub windows: u64,
    /// Of these, unseen.
    pub unseen_windows: u64,
    /// Loads.
    pub loads: u64,
    /// Events that the trace has none of.
    pub missing: Vec<&'static str>,
}

/// A KVM host.
#[derive(Debug)]
pub struct Host {
    /// How many windows may wait.
    room: usize,
    threads: HashMap<u32, Thread>,
    /// By vCPU and VM: another VM may get the memory of one that is gone.
    numbers: HashMap<(Key, Key), u16>,
    vms: HashMap<Key, (u16, u16)>,
    vcpus: Vec<Vcpu>,
    waiting: VecDeque<Slot>,
    /// Number of the first of those that wait.
    first: u64,
    /// When each CPU last entered a guest.
    entered: HashMap<u32, u64>,
    seen: BTreeSet<&'static str>,
    tally: Tally,
}

/// By what a vCPU or a VM is known.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Key {
    /// The host's address of it.
    Address(u64),
    /// The process.
    Process(u32),
    /// The thread.
    Thread(u32),
}

/// A thread that runs vCPUs.
#[derive(Debug, Default)]
struct Thread {
    /// The load under way, if it was seen from its start.
    load: Option<Load>,
    /// When its last event was.
    last: u64,
}

/// A load.
#[derive(Debug)]
struct Load {
    /// By what the vCPU and its VM are known.
    vcpu: (Key, Key),
    cpu: u32,
    /// Whether the guest owns the registers.
    guest_owns: bool,
    /// The window that the guest is in.
    open: Option<Open>,
    /// The numbers of its windows that wait.
    slots: Vec<u64>,
    /// Its windows, those that were written early included.
    windows: u64,
}

/// A window that has not ended.
#[derive(Debug)]
struct Open {
    slot: u64,
    /// KVM looked whose the registers are.
    synced: bool,
    /// They were the guest's.
    bound: bool,
    /// The kernel took them after that.
    taken: bool,
}

/// A window that waits until it is known what it was, and all before it.
#[derive(Debug)]
struct Slot {
    window: Window,
    thread: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Waiting,
    Done,
    Dropped,
}

impl Default for Host {
    fn default() -> Self {
        Self::with_room(WAITING)
    }
}

impl Host {
    /// A host of which nothing is known, and so many windows wait at most.
    pub fn with_room(room: usize) -> Self {
        Self {
            room,
            threads: HashMap::new(),
            numbers: HashMap::new(),
            vms: HashMap::new(),
            vcpus: Vec::new(),
            waiting: VecDeque::new(),
            first: 0,
            entered: HashMap::new(),
            seen: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    /// Takes the next line of a trace.
    pub fn take(&mut self, line: &Line<'_>) {
        self.tally.lines += 1;
        match line {
            Line::Event(entry) => {
                if let Some(step) = Step::of(entry) {
                    self.step(entry, step);
                }
            }
            Line::Lost { cpu, events } => {
                self.tally.losses += 1;
                self.tally.lost_events += events.unwrap_or(0);
                self.lose(*cpu);
            }
            Line::Unknown => self.tally.unknown_lines += 1,
            Line::About(..) | Line::Nothing => {}
        }
    }

    /// The next window, in the order of their starts, once all that belongs to it is known.
    pub fn next(&mut self) -> Option<Window> {
        loop {
            let front = self.waiting.front()?;
            if front.state == State::Waiting {
                if self.waiting.len() <= self.room {
                    return None;
                }
                let thread = front.thread;
                if !self.write_early(thread) {
                    return None;
                }
                continue;
            }
            let slot = self.waiting.pop_front()?;
            self.first += 1;
            if slot.state == State::Done {
                self.tally.windows += 1;
                self.tally.unseen_windows += u64::from(slot.window.used.is_none());
                return Some(slot.window);
            }
        }
    }

    /// The vCPUs so far, by their numbers: where each belongs.
    pub fn vcpus(&self) -> &[Vcpu] {
        &self.vcpus
    }

    /// Ends the trace: what is not known to be whole is left out. [`next`](Self::next) then has the last windows.
    pub fn end(&mut self) {
        let threads: Vec<u32> = self.threads.keys().copied().collect();
        for thread in threads {
            let Some((windows, _)) = self.abandon(thread) else {
                continue;
            };
            if windows != 0 {
                self.tally.unfinished_loads += 1;
                self.tally.unfinished_windows += windows;
            }
        }
    }

    /// What was used, and what was not.
    pub fn tally(&self) -> Tally {
        const NEEDED: [&str; 5] = ["load_fp", "put_fp", "ctxsync_fp", "kvm_entry", "kvm_exit"];
        let is_missing = |name: &&str| !self.seen.contains(*name);
        Tally {
            missing: NEEDED.into_iter().filter(is_missing).collect(),
            ..self.tally.clone()
        }
    }

    fn step(&mut self, entry: &Entry<'_>, step: Step) {
        let name = match step {
            Step::Load { .. } => "load_fp",
            Step::Put => "put_fp",
            Step::Sync => "ctxsync_fp",
            Step::Bind => "bind",
            Step::Neon => "neon",
            Step::Entry(_) => "kvm_entry",
            Step::Exit(_) => "kvm_exit",
        };
        self.seen.insert(name);
        if entry.cpu >= CPUS {
            self.tally.high_cpus += 1;
            self.broken(entry.thread);
            return;
        }
        let thread = self.threads.entry(entry.thread).or_default();
        let is_late = entry.time < thread.last;
        thread.last = thread.last.max(entry.time);
        let moved = thread
            .load
            .as_ref()
            .is_some_and(|load| load.cpu != entry.cpu);
        if is_late || (moved && !matches!(step, Step::Load { .. } | Step::Neon)) {
            self.broken(entry.thread);
        }
        match step {
            Step::Load { vcpu, vm } => self.load(entry, vcpu, vm),
            Step::Entry(pc) => self.enter(entry, pc),
            Step::Exit(exit) => self.exit(entry, exit),
            Step::Put => self.put(entry),
            Step::Sync | Step::Bind | Step::Neon => self.look(entry, step),
        }
    }

    fn load(&mut self, entry: &Entry<'_>, vcpu: Option<u64>, vm: Option<u64>) {
        // No put of the one before was seen.
        self.broken(entry.thread);
        let key = vcpu.map_or(Key::Thread(entry.thread), Key::Address);
        let process = entry.process.map(Key::Process);
        let vm = vm.map(Key::Address).or(process).unwrap_or(key);
        let load = Load {
            vcpu: (key, vm),
            cpu: entry.cpu,
            guest_owns: false,
            open: None,
            slots: Vec::new(),
            windows: 0,
        };
        self.threads.entry(entry.thread).or_default().load = Some(load);
    }

    /// The number of a vCPU of a VM, by the order of their first entries; `None` if there are more than a record has.
    fn number(&mut self, (key, vm): (Key, Key)) -> Option<u16> {
        if let Some(number) = self.numbers.get(&(key, vm)) {
            return Some(*number);
        }
        let number = u16::try_from(self.vcpus.len()).ok()?;
        let vms = u16::try_from(self.vms.len()).ok()?;
        self.numbers.insert((key, vm), number);
        let (vm, index) = self.vms.entry(vm).or_insert((vms, 0));
        self.vcpus.push(Vcpu {
            vm: *vm,
            index: *index,
        });
        *index += 1;
        Some(number)
    }

    fn enter(&mut self, entry: &Entry<'_>, pc: u64) {
        let entered = self.entered.entry(entry.cpu).or_default();
        let is_late = entry.time < *entered;
        *entered = entry.time.max(*entered);
        let next = self.first + self.waiting.len() as u64;
        let Some(vcpu) = load_of(&mut self.threads, entry.thread).map(|load| load.vcpu) else {
            self.tally.entries_without_load += 1;
            return;
        };
        let number = self.number(vcpu);
        let load =
            load_of(&mut self.threads, entry.thread).filter(|load| load.open.is_none() && !is_late);
        let (Some(number), Some(load)) = (number, load) else {
            // It is in the guest already, comes before what its CPU did last, or there are too many vCPUs.
            self.broken(entry.thread);
            self.tally.entries_without_load += 1;
            return;
        };
        let window = Window {
            start: entry.time,
            end: entry.time,
            pc,
            vcpu: number,
            core: entry.cpu as u8,
            loaded: load.windows == 0,
            put: false,
            used: None,
            host_uses: 0,
            exit: Exit::Other,
        };
        load.open = Some(Open {
            slot: next,
            synced: false,
            bound: false,
            taken: false,
        });
        load.slots.push(next);
        load.windows += 1;
        self.waiting.push_back(Slot {
            window,
            thread: entry.thread,
            state: State::Waiting,
        });
    }

    /// Notes whose the registers are after an exit, or that the kernel takes them.
    fn look(&mut self, entry: &Entry<'_>, step: Step) {
        let Some(load) = load_of(&mut self.threads, entry.thread) else {
            return;
        };
        match (step, &mut load.open) {
            (Step::Sync, Some(open)) => open.synced = true,
            (Step::Bind, Some(open)) => open.bound |= open.synced,
            (Step::Neon, _) => {
                load.guest_owns &= load.open.is_some();
                // The guest has been left already: interrupts are on, and the exit is traced next.
                if let Some(open) = &mut load.open {
                    open.taken = true;
                }
                let last = load
                    .slots
                    .last()
                    .and_then(|slot| slot.checked_sub(self.first));
                if let Some(slot) = last.and_then(|place| self.waiting.get_mut(place as usize)) {
                    slot.window.host_uses = slot.window.host_uses.saturating_add(1);
                }
            }
            _ => {}
        }
    }

    fn exit(&mut self, entry: &Entry<'_>, exit: Exit) {
        let Some(load) = load_of(&mut self.threads, entry.thread) else {
            return;
        };
        // What was not entered, or where KVM did not look whose the registers are, or where the guest lost them to
        // nobody. The window stays open, as what it was is not known.
        let guest_owns = load.guest_owns;
        let is_sound = |open: &mut Open| open.synced && (open.bound || !guest_owns);
        let Some(open) = load.open.take_if(is_sound) else {
            return self.broken(entry.thread);
        };
        let used = (!guest_owns).then_some(open.bound);
        load.guest_owns = open.bound && !open.taken;
        let slot = &mut self.waiting[(open.slot - self.first) as usize];
        slot.window.end = entry.time;
        slot.window.exit = exit;
        slot.window.used = used;
    }

    fn put(&mut self, entry: &Entry<'_>) {
        if load_of(&mut self.threads, entry.thread).is_some_and(|load| load.open.is_some()) {
            return self.broken(entry.thread);
        }
        let thread = self.threads.get_mut(&entry.thread);
        let Some(load) = thread.and_then(|thread| thread.load.take()) else {
            return;
        };
        if load.windows == 0 {
            self.tally.empty_loads += 1;
            return;
        }
        self.tally.loads += 1;
        self.settle(&load.slots, State::Done);
        self.put_after(&load.slots);
    }

    /// Says of the last of these windows that its vCPU was put.
    fn put_after(&mut self, slots: &[u64]) {
        if let Some(place) = slots.last().and_then(|slot| slot.checked_sub(self.first)) {
            self.waiting[place as usize].window.put = true;
        }
    }

    fn settle(&mut self, slots: &[u64], state: State) {
        for slot in slots {
            if let Some(place) = slot.checked_sub(self.first) {
                self.waiting[place as usize].state = state;
            }
        }
    }

    /// Leaves out what is under way on a CPU, or on all.
    fn lose(&mut self, cpu: Option<u32>) {
        let is_hit = |load: &Load| cpu.is_none_or(|cpu| cpu == load.cpu);
        let hit = |thread: &Thread| thread.load.as_ref().is_some_and(is_hit);
        let threads = self.threads.iter().filter(|(_, thread)| hit(thread));
        let threads: Vec<u32> = threads.map(|(number, _)| *number).collect();
        threads.into_iter().for_each(|thread| self.broken(thread));
    }

    /// Leaves out a thread's load, of which something is missing.
    fn broken(&mut self, thread: u32) {
        match self.abandon(thread) {
            None | Some((0, false)) => {}
            Some((windows, was_cut)) => {
                self.tally.cut_loads += u64::from(was_cut);
                self.tally.broken_loads += u64::from(!was_cut);
                self.tally.broken_windows += windows;
            }
        }
    }

    /// Ends a thread's load, if it has one: how many of its windows are left out, and whether some were written.
    fn abandon(&mut self, thread: u32) -> Option<(u64, bool)> {
        let mut load = self.threads.get_mut(&thread)?.load.take()?;
        let was_written = load.windows > load.slots.len() as u64;
        if !was_written {
            self.settle(&load.slots, State::Dropped);
            return Some((load.windows, false));
        }
        // The one that is left last closes what was written; the window under way is not known.
        let mut dropped = 0;
        if let Some(open) = load.open {
            load.slots.pop();
            self.settle(&[open.slot], State::Dropped);
            dropped = 1;
        }
        self.settle(&load.slots, State::Done);
        self.put_after(&load.slots);
        Some((dropped, true))
    }

    /// Lets a thread's windows be written but its last ended and its open one; whether there were any.
    fn write_early(&mut self, thread: u32) -> bool {
        let Some(load) = load_of(&mut self.threads, thread) else {
            return false;
        };
        let kept = 1 + usize::from(load.open.is_some());
        let Some(written) = load
            .slots
            .len()
            .checked_sub(kept)
            .filter(|count| *count != 0)
        else {
            return false;
        };
        let slots: Vec<u64> = load.slots.drain(..written).collect();
        self.settle(&slots, State::Done);
        true
    }
}

/// The load that a thread is in, if it was seen from its start.
fn load_of(threads: &mut HashMap<u32, Thread>, thread: u32) -> Option<&mut Load> {
    threads.get_mut(&thread)?.load.as_mut()
}
