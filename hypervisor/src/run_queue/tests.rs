//! Random cores: what is called is answered at any later time, and no vCPU that can run is forgotten.

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

/// vCPUs of each VM.
const VCPUS: [usize; 3] = [3, 1, 4];

/// What happens next. Numbers are taken modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    /// A core wakes those vCPUs of a VM.
    Wake(usize, u8),
    /// The vCPU on this core waits in WFI, so many units of time from now at the most; it is not put yet.
    Block(usize, u64),
    /// This core does what it has to: it looks because it was called, or because time has passed, or puts.
    Act(usize),
    /// So much time passes.
    Pass(u64),
    /// A vCPU of a VM is turned on, if it is off.
    PowerOn(usize, usize),
    /// A vCPU that runs, or waits, is turned off.
    PowerOff(usize),
    /// All vCPUs of a VM are turned off.
    PowerOffVm(usize),
    /// A test's disturbance: those that wait have no home any more, and this core looks.
    Scatter(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize, any::<u8>()).prop_map(|(vm, set)| Step::Wake(vm, set)),
        4 => (0..8usize, 0..40u64).prop_map(|(core, time)| Step::Block(core, time)),
        8 => (0..8usize).prop_map(Step::Act),
        2 => (0..20u64).prop_map(Step::Pass),
        2 => (0..3usize, 0..4usize).prop_map(|(vm, index)| Step::PowerOn(vm, index)),
        1 => (0..8usize).prop_map(Step::PowerOff),
        1 => (0..3usize).prop_map(Step::PowerOffVm),
        1 => (0..8usize).prop_map(Step::Scatter),
    ]
}

/// What a core does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Doing {
    /// It waits for an interrupt.
    Idle,
    /// It runs this vCPU; until then, if others wait for it.
    Running(usize, Option<u64>),
    /// It is about to put this vCPU.
    Leaving(usize),
}

#[derive(Debug)]
struct Core {
    doing: Doing,
    called: bool,
    last: usize,
}

#[derive(Debug)]
struct Machine {
    queue: RunQueue<usize>,
    cores: Vec<Core>,
    now: u64,
}

/// Every run draws the same cases.
fn seeded() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Units of time of a slice.
const SLICE: u64 = 10;

impl Machine {
    /// VMs with their first vCPUs on, and cores that have not looked yet.
    fn new(cores: usize) -> Self {
        let mut queue = RunQueue::new();
        for (vm, vcpus) in VCPUS.into_iter().enumerate() {
            for _ in 0..vcpus {
                let slot = queue.entries.len();
                assert_eq!(queue.add(slot, vm), slot);
            }
            queue.power_on(vm, 0, |_| {});
        }
        let core = || Core {
            doing: Doing::Idle,
            called: true,
            last: 0,
        };
        Self {
            queue,
            cores: (0..cores).map(|_| core()).collect(),
            now: 0,
        }
    }

    /// Does something with the list, and notes which cores it calls.
    fn with<T>(
        &mut self,
        change: impl FnOnce(&mut RunQueue<usize>, &mut dyn FnMut(usize)) -> T,
    ) -> T {
        let cores = &mut self.cores;
        change(&mut self.queue, &mut |core| cores[core].called = true)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wake(vm, set) => {
                let set = VcpuSet::from_bits(set % (1 << VCPUS[vm]));
                self.with(|queue, call| queue.wake(vm, set, call));
            }
            Step::Block(core, time) => {
                let core = core % self.cores.len();
                if let Doing::Running(slot, _) = self.cores[core].doing {
                    self.queue.block(slot, self.now + time);
                    self.cores[core].doing = Doing::Leaving(slot);
                }
            }
            Step::Act(core) => self.act(core % self.cores.len()),
            Step::Pass(time) => self.now += time,
            Step::PowerOn(vm, index) => {
                let index = index % VCPUS[vm];
                if self.queue.entries[self.queue.first[vm] + index].state == State::Off {
                    self.with(|queue, call| queue.power_on(vm, index, call));
                }
            }
            Step::PowerOff(core) => {
                let core = core % self.cores.len();
                if let Doing::Running(slot, _) = self.cores[core].doing {
                    self.queue.power_off(slot);
                    self.cores[core].doing = Doing::Leaving(slot);
                }
            }
            Step::PowerOffVm(vm) => self.with(|queue, call| queue.power_off_vm(vm, call)),
            Step::Scatter(core) => {
                let core = core % self.cores.len();
                self.queue.scatter();
                if let Doing::Running(slot, _) = self.cores[core].doing {
                    self.cores[core].doing = Doing::Leaving(slot);
                }
                self.act(core);
            }
        }
    }

    /// What a core does where it has a reason to.
    fn act(&mut self, core: usize) {
        let (now, called) = (self.now, self.cores[core].called);
        match self.cores[core].doing {
            Doing::Leaving(slot) => self.turn(core, Some(slot)),
            Doing::Idle if called || self.queue.first_wake(core, None) <= now => {
                self.turn(core, None);
            }
            Doing::Running(slot, end) => {
                self.cores[core].called = false;
                let deadline = end.unwrap_or(NEVER);
                if deadline.min(self.queue.first_wake(core, None)) <= now {
                    self.with(|queue, call| queue.expire(core, now, call));
                    if !self.queue.goes_on(slot) || self.queue.has_other(core) {
                        return self.turn(core, Some(slot));
                    }
                } else if !self.queue.goes_on(slot) {
                    return self.turn(core, Some(slot));
                }
                self.run(core, slot, end);
            }
            Doing::Idle => {}
        }
    }

    fn turn(&mut self, core: usize, put: Option<usize>) {
        self.cores[core].called = false;
        let (last, now) = (self.cores[core].last, self.now);
        let next = self.with(|queue, call| queue.turn(core, put, last, now, call));
        match next {
            Some(slot) => {
                self.cores[core].last = slot;
                self.run(core, slot, Some(now + SLICE));
            }
            None => self.cores[core].doing = Doing::Idle,
        }
    }

    /// A core keeps running a vCPU, whose slice ends if others wait.
    fn run(&mut self, core: usize, slot: usize, end: Option<u64>) {
        let end = end.unwrap_or(self.now);
        let shared = self.queue.has_other(core).then_some(end);
        self.cores[core].doing = Doing::Running(slot, shared);
    }

    /// What holds at any time.
    fn check(&self) -> Result<(), TestCaseError> {
        let ready = (self.queue.places()).filter(|(_, place)| *place == Place::Ready);
        let ready: Vec<usize> = ready.map(|(slot, _)| slot).collect();
        prop_assert_eq!(self.queue.ready, ready.len());
        for (slot, entry) in self.queue.entries.iter().enumerate() {
            for (core, home) in self.queue.homes.iter().enumerate() {
                let listed = entry.can_be_taken() && usize::from(entry.home) == core;
                let alone = &SlotSet::EMPTY;
                let before = (slot + self.queue.entries.len() - 1) % self.queue.entries.len();
                prop_assert_eq!(home.ready.next_with(alone, before) == Some(slot), listed);
            }
            let ran = self.cores.iter().filter(|core| {
                matches!(core.doing, Doing::Running(it, _) | Doing::Leaving(it) if it == slot)
            });
            prop_assert_eq!(ran.count(), usize::from(entry.on.is_some()));
        }
        // Invariant 1.
        let idle = |core: &&Core| core.doing == Doing::Idle;
        let (called, uncalled): (Vec<_>, Vec<_>) =
            self.cores.iter().filter(idle).partition(|core| core.called);
        prop_assert!(
            uncalled.is_empty() || ready.len() <= called.len(),
            "a core is idle and was not called, and {ready:?} wait for {}",
            called.len()
        );
        // Invariant 2.
        let looks = |core: &Core| {
            core.called || matches!(core.doing, Doing::Leaving(_) | Doing::Running(_, Some(_)))
        };
        for slot in ready {
            let seen = match usize::from(self.queue.entries[slot].home) {
                NOWHERE => self.cores.iter().any(looks),
                home => looks(&self.cores[home]),
            };
            prop_assert!(seen, "no core looks at {slot}");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn no_runnable_vcpu_is_forgotten(
        cores in 1..6usize,
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut machine = Machine::new(cores);
        for step in steps {
            machine.step(step);
            machine.check()?;
        }
        // Everybody who can run then does: a slice for each that may be before it.
        let places = machine.queue.places();
        let mut left: Vec<usize> = places
            .filter(|(_, place)| *place == Place::Ready)
            .map(|(slot, _)| slot)
            .collect();
        for _ in 0..=VCPUS.iter().sum() {
            for core in 0..cores {
                machine.act(core);
                machine.check()?;
            }
            left.retain(|slot| machine.queue.entries[*slot].on.is_none());
            machine.now += SLICE;
        }
        prop_assert_eq!(left, [0; 0]);
    }

    #[test]
    fn the_end_is_when_all_are_off_and_put(
        cores in 1..4usize,
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut machine = Machine::new(cores);
        for step in steps {
            machine.step(step);
            let mut places = machine.queue.places();
            prop_assert_eq!(
                places.all(|(_, place)| place == Place::Off(None)),
                machine.queue.is_over()
            );
        }
        for vm in 0..VCPUS.len() {
            machine.step(Step::PowerOffVm(vm));
            prop_assert!(machine.queue.is_off(vm) && machine.queue.is_quiet(vm));
        }
        (0..cores).for_each(|core| machine.act(core));
        prop_assert!(machine.queue.is_over());
        prop_assert!((0..VCPUS.len()).all(|vm| machine.queue.is_out(vm, None)));
    }
}

/// Three vCPUs that wait, two idle cores: two are called, each once, and the third waits for its home.
#[test]
fn each_wake_up_calls_another_idle_core() {
    let mut queue = RunQueue::new();
    for slot in 0..4 {
        queue.add(slot, 0);
    }
    // All of them have core 0 as their home, and the others are idle.
    for slot in 0..4 {
        queue.power_on(0, slot, |_| {});
        assert_eq!(queue.turn(0, None, slot, 0, |_| {}), Some(slot));
        queue.block(slot, NEVER);
        assert_eq!(queue.turn(0, Some(slot), slot, 0, |_| {}), None);
    }
    for core in [1, 2] {
        assert_eq!(queue.turn(core, None, 0, 0, |_| {}), None);
    }
    queue.wake(0, VcpuSet::from_bits(1), |core| assert_eq!(core, 0));
    assert_eq!(queue.turn(0, None, 0, 0, |_| {}), Some(0));
    let mut called = Vec::new();
    queue.wake(0, VcpuSet::from_bits(0b1110), |core| called.push(core));
    assert_eq!(called, [1, 2, 0]);
    // The first core that comes takes the one that it was called for.
    assert_eq!(queue.turn(2, None, 0, 0, |_| {}), Some(2));
    assert_eq!(queue.turn(1, None, 0, 0, |_| {}), Some(1));
    assert!(queue.has_other(0) && !queue.has_other(1));
}
