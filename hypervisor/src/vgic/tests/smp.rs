//! Random histories of one VM on several cores: its vCPUs run at the same time, each call to the
//! virtual GIC is made while the others are in their guests, and kicks come late.

mod access;
mod truth;
mod vm;

use proptest::prelude::*;

use super::super::{HARDWARE_INTID, VcpuSet};
use super::cases;
use access::{Access, access};
use vm::Vm;

const CORES: usize = 3;
const VCPUS: usize = 4;
const INTIDS: [u32; 8] = [0, 3, 23, HARDWARE_INTID, 33, 40, 64, 95];
/// Those of [`INTIDS`] that are shared, and those of them that are edge-triggered.
const SPIS: [u32; 4] = [33, 40, 64, 95];
const EDGES: [u32; 2] = [40, 95];
const OPEN: u64 = 0xff00_0003;
const PENDING: u64 = 1 << 62;
const STATE: u64 = 0b11 << 62;

#[derive(Clone, Debug)]
enum Step {
    Line(usize, u32, bool),
    Edge(usize, u32),
    Timer(usize, bool),
    /// What the guest on a core does.
    Acknowledge(usize),
    End(usize),
    Sgi(usize, u8, u32),
    Access(usize, Access),
    Wait(usize),
    /// What happens to a core.
    Exit(usize),
    Interrupt(usize),
    Retry(usize),
    Enter(usize),
    Run(usize, usize),
    Park(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let core = || 0..CORES;
    let vcpu = || 0..VCPUS;
    let intid = || prop::sample::select(&INTIDS[..]);
    let sgi = prop::sample::select(&INTIDS[..2]);
    prop_oneof![
        4 => (vcpu(), intid(), any::<bool>()).prop_map(|(v, i, b)| Step::Line(v, i, b)),
        4 => (vcpu(), intid()).prop_map(|(v, i)| Step::Edge(v, i)),
        4 => (vcpu(), any::<bool>()).prop_map(|(v, b)| Step::Timer(v, b)),
        10 => core().prop_map(Step::Acknowledge),
        8 => core().prop_map(Step::End),
        4 => (core(), 0..16u8, sgi).prop_map(|(k, to, i)| Step::Sgi(k, to, i)),
        8 => (core(), access()).prop_map(|(k, access)| Step::Access(k, access)),
        2 => core().prop_map(Step::Wait),
        2 => core().prop_map(Step::Exit),
        6 => core().prop_map(Step::Interrupt),
        4 => core().prop_map(Step::Retry),
        12 => core().prop_map(Step::Enter),
        3 => (core(), vcpu()).prop_map(|(k, v)| Step::Run(k, v)),
        1 => core().prop_map(Step::Park),
    ]
}

impl Vm {
    fn step(&mut self, step: Step) {
        match step {
            Step::Line(_, HARDWARE_INTID, _) | Step::Edge(_, HARDWARE_INTID) => {}
            Step::Line(v, intid, high) => self.line(v, intid, high),
            Step::Edge(v, intid) => {
                self.edge(v, intid);
                let effects = self.vgic.set_pending(v, intid);
                self.apply(None, effects);
            }
            Step::Timer(v, high) => self.timer(v, high),
            Step::Acknowledge(k) => drop(self.acknowledge(k)),
            Step::End(k) => drop(self.end(k)),
            Step::Sgi(k, to, intid) => {
                let Some(vcpu) = self.guest(k) else { return };
                self.exit(k);
                for v in VcpuSet::from_bits(to) {
                    self.edge(v, intid);
                }
                let value = u64::from(intid) << 24 | u64::from(to);
                let effects = self.vgic.send_sgi(vcpu, value);
                self.apply(Some(k), effects);
            }
            Step::Access(k, access) => {
                if self.guest(k).is_some() && (self.roomy || access.keeps_order()) {
                    self.exit(k);
                    self.slots[k].access = Some(access);
                    self.try_access(k);
                }
            }
            Step::Wait(k) => self.wait(k),
            Step::Exit(k) => self.exit(k),
            Step::Interrupt(k) => self.interrupt(k),
            Step::Retry(k) => self.try_access(k),
            Step::Enter(k) => self.enter(k),
            Step::Run(k, v) => self.run(k, v),
            Step::Park(k) => self.park(k),
        }
        self.fire_timers();
        self.check();
    }

    /// What must hold at every moment: no list register is stale, unless its core is about to be
    /// interrupted; and with no core about to be, everything is where it belongs.
    fn check(&self) {
        let settled = !(0..CORES).any(|k| self.is_unsettled(k));
        for slot in self.slots.iter().filter(|slot| slot.in_guest) {
            let vcpu = slot.core.loaded;
            for intid in INTIDS {
                let listed = |lr: &&u64| **lr as u32 == intid && **lr & STATE == PENDING;
                let listed = slot.core.lrs.iter().find(listed);
                let deliverable = self.truth.deliverable(vcpu, intid);
                if settled && self.roomy {
                    assert_eq!(listed.is_some(), deliverable, "{intid} on vCPU {vcpu}");
                }
                let Some(lr) = listed else { continue };
                assert!(
                    self.truth.open(vcpu, intid),
                    "{intid} on vCPU {vcpu} is not open"
                );
                let fell = slot.kicked && self.truth.may_fall(vcpu, intid);
                assert!(fell || deliverable, "{intid} on vCPU {vcpu} is stale");
                let priority = (lr >> 48) as u8;
                assert!(slot.kicked || priority == self.truth.at(vcpu, intid).priority);
            }
        }
        for vcpu in self
            .slots
            .iter()
            .filter_map(|slot| slot.vcpu.filter(|_| slot.waits))
        {
            for intid in INTIDS {
                let missed = self.truth.ends_a_wait(vcpu, intid);
                assert!(!missed, "{intid} does not wake vCPU {vcpu}");
            }
        }
        for vcpu in (0..VCPUS).filter(|&vcpu| settled && self.slot_of(vcpu).is_none()) {
            let deliverable = INTIDS
                .iter()
                .any(|&intid| self.truth.deliverable(vcpu, intid));
            assert_eq!(self.vgic.has_pending(vcpu, OPEN), deliverable);
            assert!(self.woken[vcpu] || !deliverable, "vCPU {vcpu} is not woken");
        }
    }

    /// Lets accesses be made, kicks be taken and guests be entered, until there is no more of that.
    fn settle(&mut self) {
        for _ in 0..4 * CORES {
            for k in 0..CORES {
                // WFI may end for nothing.
                self.slots[k].waits = false;
                self.step(Step::Interrupt(k));
                self.step(Step::Retry(k));
                self.step(Step::Enter(k));
            }
            if (0..CORES).all(|k| self.slots[k].in_guest && !self.is_unsettled(k)) {
                return;
            }
        }
        panic!("an access or an entry waits for ever");
    }

    /// All vCPUs run, take each interrupt, serve their devices, and end it; then nothing may be left.
    fn drain(&mut self) {
        for k in 0..CORES {
            let parked = (0..VCPUS).find(|&vcpu| self.slot_of(vcpu).is_none());
            if let (None, Some(vcpu)) = (self.slots[k].vcpu, parked) {
                self.run(k, vcpu);
            }
        }
        let mut idle_rounds = 0;
        for round in 0..1000 {
            self.settle();
            let mut idle = true;
            for k in 0..CORES {
                let Some(vcpu) = self.guest(k) else { continue };
                if self.end(k).is_some() {
                    idle = false;
                } else if let Some(intid) = self.acknowledge(k) {
                    idle = false;
                    match intid {
                        HARDWARE_INTID => self.timer(vcpu, false),
                        _ => self.line(vcpu, intid, false),
                    }
                }
            }
            idle_rounds = if idle { idle_rounds + 1 } else { 0 };
            if idle_rounds > 2 * VCPUS {
                break;
            }
            if idle {
                let parked = (0..VCPUS).find(|&vcpu| self.slot_of(vcpu).is_none());
                let parked = parked.expect("there are more vCPUs than cores");
                self.settle();
                self.exit(round % CORES);
                self.run(round % CORES, parked);
            }
        }
        for vcpu in 0..VCPUS {
            for intid in INTIDS {
                assert!(
                    !self.truth.deliverable(vcpu, intid),
                    "{intid} is lost for vCPU {vcpu}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    /// No interrupt is lost, no edge is taken twice, a level is taken while it is high, no vCPU takes
    /// what is active, disabled, or another's; reads are true; and no access waits for ever.
    #[test]
    fn vcpus_on_several_cores(
        steps in prop::collection::vec(step(), 1..300),
        list_registers in prop_oneof![2..=4usize, Just(16)],
        priorities in prop::collection::vec(any::<u8>().prop_map(|p| p & 0x78), 1..9),
    ) {
        let mut vm = Vm::new(list_registers, &priorities);
        for step in steps {
            vm.step(step);
        }
        vm.drain();
    }
}
