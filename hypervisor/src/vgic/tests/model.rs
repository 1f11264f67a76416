//! Random histories against an ideal GIC, which knows no list registers.

use proptest::prelude::*;

use super::super::{Effects, HARDWARE_INTID, Vgic};
use super::core::{Core, IDLE};
use super::{
    ICACTIVER, ICENABLER, ICPENDR, ISACTIVER, ISENABLER, ISPENDR, cases, enabled_vgic, read_bit,
    write_bit, write_priority,
};

/// SGIs, PPIs and SPIs, more than list registers; the ends of each range among them.
const INTIDS: [u32; 11] = [0, 3, 15, 23, HARDWARE_INTID, 31, 32, 33, 63, 64, 95];
const OPEN: u64 = 0xff00_0003;

#[derive(Clone, Debug)]
enum Step {
    Line(usize, u32, bool),
    Edge(usize, u32),
    Sgi(usize, u8, u32),
    Enable(usize, u32, bool),
    Pend(usize, u32, bool),
    Groups(u8),
    Route(u32, u32),
    EdgeTriggered(u32, bool),
    /// The line of a vCPU's virtual timer; that of one that is not loaded can only rise, which shows when
    /// it is.
    Timer(usize, bool),
    /// A write of the active state of the virtual timer's interrupt.
    ActivateTimer(usize, bool),
    Run(usize),
    Exit,
    Acknowledge,
    End,
}

fn step() -> impl Strategy<Value = Step> {
    let vcpu = 0..3usize;
    let intid = || prop::sample::select(&INTIDS[..]);
    let spi = || prop::sample::select(&INTIDS[6..]);
    prop_oneof![
        2 => (vcpu.clone(), intid(), any::<bool>()).prop_map(|(v, i, b)| Step::Line(v, i, b)),
        2 => (vcpu.clone(), intid()).prop_map(|(v, i)| Step::Edge(v, i)),
        2 => (vcpu.clone(), 0..8u8, 0..16u32).prop_map(|(v, to, i)| Step::Sgi(v, to, i)),
        1 => (vcpu.clone(), intid(), any::<bool>()).prop_map(|(v, i, b)| Step::Enable(v, i, b)),
        1 => (vcpu.clone(), intid(), any::<bool>()).prop_map(|(v, i, b)| Step::Pend(v, i, b)),
        1 => (0..8u8).prop_map(|groups| Step::Groups(groups | 2)),
        1 => (spi(), 0..4u32).prop_map(|(i, to)| Step::Route(i, to)),
        1 => (spi(), any::<bool>()).prop_map(|(i, b)| Step::EdgeTriggered(i, b)),
        4 => (vcpu.clone(), any::<bool>()).prop_map(|(v, b)| Step::Timer(v, b)),
        1 => (vcpu.clone(), any::<bool>()).prop_map(|(v, b)| Step::ActivateTimer(v, b)),
        2 => vcpu.prop_map(Step::Run),
        1 => Just(Step::Exit),
        8 => Just(Step::Acknowledge),
        6 => Just(Step::End),
    ]
}

#[derive(Clone, Debug, Default)]
struct Interrupt {
    enabled: bool,
    latch: bool,
    line: bool,
    edge: bool,
    priority: u8,
    route: u32,
    active_on: Option<usize>,
}

/// A GIC that does at once what the architecture says.
struct Ideal {
    /// By vCPU and INTID; of SPIs only vCPU 0's entry is used.
    interrupts: Vec<Vec<Interrupt>>,
    group1: bool,
    /// What each vCPU handles, innermost last.
    handling: Vec<Vec<u32>>,
}

impl Ideal {
    fn at(&mut self, vcpu: usize, intid: u32) -> &mut Interrupt {
        let vcpu = if intid < 32 { vcpu } else { 0 };
        &mut self.interrupts[vcpu][intid as usize]
    }

    fn pending(&mut self, vcpu: usize, intid: u32) -> bool {
        let interrupt = self.at(vcpu, intid);
        interrupt.latch || !interrupt.edge && interrupt.line
    }

    fn next(&mut self, vcpu: usize) -> Option<u32> {
        let mut best = None;
        for intid in INTIDS.into_iter().chain(0..16) {
            let pending = self.pending(vcpu, intid) && self.group1;
            let interrupt = self.at(vcpu, intid);
            let mine = intid < 32 || interrupt.route == vcpu as u32;
            let free = interrupt.active_on.is_none();
            let key = (interrupt.priority, intid);
            if pending && interrupt.enabled && mine && free && best.is_none_or(|b| key < b) {
                best = Some(key);
            }
        }
        best.map(|(_, intid)| intid)
    }

    fn acknowledge(&mut self, vcpu: usize) -> Option<u32> {
        let running = self.handling[vcpu].last().copied();
        let running = running.map_or(IDLE, |intid| self.at(vcpu, intid).priority);
        let intid = self.next(vcpu)?;
        let interrupt = self.at(vcpu, intid);
        if interrupt.priority >= running {
            return None;
        }
        interrupt.latch = false;
        interrupt.active_on = Some(vcpu);
        self.handling[vcpu].push(intid);
        Some(intid)
    }

    fn end(&mut self, vcpu: usize) -> Option<u32> {
        let intid = self.handling[vcpu].pop()?;
        self.at(vcpu, intid).active_on = None;
        Some(intid)
    }
}

struct Bench {
    vgic: Vgic,
    core: Core,
    ideal: Ideal,
    /// Timers of vCPUs that are not loaded, and that have expired since.
    due: [bool; 3],
}

impl Bench {
    fn new(list_registers: usize, priorities: &[u8]) -> Self {
        let mut vgic = enabled_vgic(3);
        let mut interrupts = vec![vec![Interrupt::default(); 96]; 3];
        for (n, intid) in (0..16).chain(INTIDS).enumerate() {
            let priority = priorities[n % priorities.len()] & 0xf8;
            for (vcpu, interrupts) in interrupts.iter_mut().enumerate() {
                let _ = write_priority(&mut vgic, vcpu, intid, priority);
                let _ = write_bit(&mut vgic, vcpu, ISENABLER, intid);
                interrupts[intid as usize] = Interrupt {
                    enabled: true,
                    edge: intid < 16,
                    priority,
                    ..Interrupt::default()
                };
            }
        }
        let core = Core::new(&mut vgic, list_registers);
        let ideal = Ideal {
            interrupts,
            group1: true,
            handling: vec![Vec::new(); 3],
        };
        Self {
            vgic,
            core,
            ideal,
            due: [false; 3],
        }
    }

    /// Does at EL2 what a step asks for, between an exit and an entry.
    fn at_el2(&mut self, act: impl FnOnce(&mut Vgic, &mut Ideal) -> Effects) {
        let _ = self.core.exit(&mut self.vgic);
        self.compare();
        let before: Vec<bool> = (0..3).map(|v| self.vgic.has_pending(v, OPEN)).collect();
        let effects = act(&mut self.vgic, &mut self.ideal);
        for (v, before) in before.into_iter().enumerate() {
            let woken = before || effects.wake.contains(v);
            assert!(
                woken || !self.vgic.has_pending(v, OPEN),
                "vCPU {v} is not woken"
            );
        }
        self.core.apply(&mut self.vgic, effects);
        self.compare();
        self.core.enter(&mut self.vgic);
    }

    /// What the guest reads of each interrupt, and what WFI sees.
    fn compare(&mut self) {
        for vcpu in 0..3 {
            for intid in INTIDS {
                let pending = self.ideal.pending(vcpu, intid);
                let active = self.ideal.at(vcpu, intid).active_on.is_some();
                assert_eq!(
                    read_bit(&self.vgic, vcpu, ISPENDR, intid),
                    pending,
                    "{intid} pending"
                );
                assert_eq!(
                    read_bit(&self.vgic, vcpu, ISACTIVER, intid),
                    active,
                    "{intid} active"
                );
            }
            let waiting = self.ideal.next(vcpu).is_some();
            assert_eq!(self.vgic.has_pending(vcpu, OPEN), waiting);
        }
    }

    fn set_timer(&mut self, high: bool) {
        let v = self.core.loaded;
        self.ideal.at(v, HARDWARE_INTID).line = high;
        self.core.set_line(&mut self.vgic, high);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Line(_, HARDWARE_INTID, _) => {}
            Step::Line(v, intid, high) => self.at_el2(|vgic, ideal| {
                let interrupt = ideal.at(v, intid);
                interrupt.latch |= interrupt.edge && high && !interrupt.line;
                interrupt.line = high;
                vgic.set_level(v, intid, high)
            }),
            Step::Edge(v, intid) => self.at_el2(|vgic, ideal| {
                ideal.at(v, intid).latch = true;
                vgic.set_pending(v, intid)
            }),
            Step::Sgi(from, to, intid) => self.at_el2(|vgic, ideal| {
                for v in (0..3).filter(|v| to >> v & 1 != 0) {
                    ideal.at(v, intid).latch = true;
                }
                vgic.send_sgi(from, u64::from(intid) << 24 | u64::from(to))
            }),
            Step::Enable(v, intid, on) => self.at_el2(|vgic, ideal| {
                ideal.at(v, intid).enabled = on;
                write_bit(vgic, v, if on { ISENABLER } else { ICENABLER }, intid)
            }),
            Step::Pend(v, intid, on) => self.at_el2(|vgic, ideal| {
                ideal.at(v, intid).latch = on;
                write_bit(vgic, v, if on { ISPENDR } else { ICPENDR }, intid)
            }),
            Step::Groups(groups) => self.at_el2(|vgic, ideal| {
                ideal.group1 = groups & 4 == 0;
                vgic.distributor_write(0, 4, if ideal.group1 { 0b10 } else { 0b01 })
            }),
            Step::Route(intid, to) => self.at_el2(|vgic, ideal| {
                ideal.at(0, intid).route = to;
                vgic.distributor_write(0x6000 + 8 * u64::from(intid), 8, to.into())
            }),
            Step::EdgeTriggered(intid, on) => self.at_el2(|vgic, ideal| {
                ideal.at(0, intid).edge = on;
                let offset = 0xc00 + u64::from(intid / 16) * 4;
                let bit = 2 << (intid % 16 * 2);
                let others = vgic.distributor_read(offset, 4) & !bit;
                vgic.distributor_write(offset, 4, others | if on { bit } else { 0 })
            }),
            Step::Timer(v, high) if v == self.core.loaded => self.set_timer(high),
            Step::Timer(v, high) => self.due[v] |= high,
            Step::ActivateTimer(v, _) if self.ideal.handling[v].contains(&HARDWARE_INTID) => {}
            Step::ActivateTimer(v, on) => self.at_el2(|vgic, ideal| {
                ideal.at(v, HARDWARE_INTID).active_on = on.then_some(v);
                let register = if on { ISACTIVER } else { ICACTIVER };
                write_bit(vgic, v, register, HARDWARE_INTID)
            }),
            Step::Run(v) => {
                let _ = self.core.exit(&mut self.vgic);
                self.vgic.left(self.core.loaded);
                self.compare();
                self.core.load(&mut self.vgic, v);
                if std::mem::take(&mut self.due[v]) {
                    self.set_timer(true);
                }
            }
            Step::Exit => self.at_el2(|_, _| Effects::default()),
            Step::Acknowledge => {
                let v = self.core.loaded;
                if !self.ideal.at(v, HARDWARE_INTID).line {
                    // A line that has fallen is seen at an exit.
                    self.at_el2(|_, _| Effects::default());
                }
                let expected = self.ideal.acknowledge(v);
                assert_eq!(
                    self.core.acknowledge(),
                    expected,
                    "acknowledged by vCPU {v}"
                );
            }
            Step::End => {
                let v = self.core.loaded;
                if let Some(intid) = self.ideal.end(v) {
                    self.core.end(intid);
                }
            }
        }
        while self.core.maintenance() {
            let _ = self.core.exit(&mut self.vgic);
            self.core.enter(&mut self.vgic);
        }
        self.core.fire_in_guest(&mut self.vgic);
    }
}

proptest! {
    #![proptest_config(cases(200))]

    /// The guest acknowledges just what it would on an ideal GIC: nothing is lost, nothing comes
    /// twice, lines assert again, and each entry obeys the rules of list registers.
    #[test]
    fn guest_sees_an_ideal_gic(
        steps in prop::collection::vec(step(), 1..200),
        list_registers in 2..=5usize,
        priorities in prop::collection::vec(any::<u8>().prop_map(|p| p & 0x7f), 1..12),
    ) {
        let mut bench = Bench::new(list_registers, &priorities);
        for step in steps {
            bench.step(step);
        }
    }
}
