//! A guest's access to the frames: how it makes it, and what that changes in truth.

use proptest::prelude::*;

use super::super::super::{Frame, HARDWARE_INTID};
use super::super::{ICACTIVER, ICENABLER, ICPENDR, ISACTIVER, ISENABLER, ISPENDR, sgi_frame};
use super::vm::Vm;
use super::{INTIDS, SPIS, VCPUS};

#[derive(Clone, Debug)]
pub(super) struct Access {
    /// Whose frame it is to, if the interrupt is a vCPU's own.
    vcpu: usize,
    intid: u32,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    ReadPending,
    ReadActive,
    Enable(bool),
    Pend(bool),
    Activate(bool),
    Route(u32),
    Group(bool),
    Priority(u8),
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        2 => Just(Kind::ReadPending),
        2 => Just(Kind::ReadActive),
        2 => any::<bool>().prop_map(Kind::Enable),
        4 => any::<bool>().prop_map(Kind::Pend),
        3 => prop::bool::weighted(0.3).prop_map(Kind::Activate),
        3 => (0..=VCPUS as u32).prop_map(Kind::Route),
        1 => any::<bool>().prop_map(Kind::Group),
        1 => any::<u8>().prop_map(|p| Kind::Priority(p & 0x78)),
    ]
}

pub(super) fn access() -> impl Strategy<Value = Access> {
    let intid = prop::sample::select(&INTIDS[..]);
    (0..VCPUS, intid, kind()).prop_map(|(vcpu, intid, kind)| Access { vcpu, intid, kind })
}

impl Access {
    /// Whether active interrupts still end in the order of their priorities, which is how they are
    /// found when there are too few list registers.
    pub(super) fn keeps_order(&self) -> bool {
        !matches!(self.kind, Kind::Activate(_) | Kind::Priority(_))
    }

    /// The access as the guest makes it: frame, offset, size, and what is written.
    pub(super) fn encode(&self) -> (Frame, u64, usize, Option<u64>) {
        let bit = |register, write: bool| {
            let value = write.then_some(1 << (self.intid % 32));
            if self.intid < 32 {
                let offset = sgi_frame(self.vcpu, register);
                (Frame::Redistributors, offset, 4, value)
            } else {
                let offset = register + u64::from(self.intid / 32) * 4;
                (Frame::Distributor, offset, 4, value)
            }
        };
        let choose = |on: bool, set, clear| bit(if on { set } else { clear }, true);
        match self.kind {
            Kind::ReadPending => bit(ICPENDR, false),
            Kind::ReadActive => bit(ISACTIVER, false),
            Kind::Enable(on) => choose(on, ISENABLER, ICENABLER),
            Kind::Pend(on) => choose(on, ISPENDR, ICPENDR),
            Kind::Activate(on) => choose(on, ISACTIVER, ICACTIVER),
            Kind::Group(on) => (Frame::Distributor, 0, 4, Some(if on { 0b10 } else { 0b01 })),
            Kind::Route(to) => {
                let spi = self.spi();
                let offset = 0x6000 + 8 * u64::from(spi);
                (Frame::Distributor, offset, 8, Some(to.into()))
            }
            Kind::Priority(priority) => {
                let offset = 0x400 + u64::from(self.intid);
                let value = Some(priority.into());
                if self.intid < 32 {
                    (
                        Frame::Redistributors,
                        sgi_frame(self.vcpu, offset),
                        1,
                        value,
                    )
                } else {
                    (Frame::Distributor, offset, 1, value)
                }
            }
        }
    }

    /// The SPI that a route is written for.
    fn spi(&self) -> u32 {
        SPIS[self.intid as usize % SPIS.len()]
    }

    /// What a write changes in truth.
    pub(super) fn write(&self, vm: &mut Vm) {
        let (vcpu, intid) = (self.vcpu, self.intid);
        let interrupt = vm.truth.at_mut(vcpu, intid);
        match self.kind {
            Kind::ReadPending | Kind::ReadActive => {}
            Kind::Enable(on) => interrupt.enabled = on,
            Kind::Pend(true) if intid == HARDWARE_INTID => interrupt.latch = true,
            Kind::Pend(true) => vm.edge(vcpu, intid),
            Kind::Pend(false) => interrupt.latch = false,
            Kind::Activate(set) => {
                let target = interrupt.route as usize;
                let target = if target < VCPUS { target } else { 0 };
                let home = if intid < 32 { vcpu } else { target };
                vm.truth.write_active(vcpu, intid, set, home);
            }
            Kind::Priority(priority) => interrupt.priority = priority,
            Kind::Route(to) => vm.truth.at_mut(0, self.spi()).route = to,
            Kind::Group(on) => vm.truth.group1 = on,
        }
    }

    /// A read says what is so, also of interrupts in list registers elsewhere.
    pub(super) fn check_read(&self, vm: &Vm, value: u64) {
        let bank = INTIDS.iter().filter(|&&i| i / 32 == self.intid / 32);
        for &intid in bank {
            let expected = match self.kind {
                Kind::ReadPending => vm.truth.reads_pending(self.vcpu, intid),
                _ => vm.truth.at(self.vcpu, intid).active_on.is_some(),
            };
            assert_eq!(
                value >> (intid % 32) & 1 != 0,
                expected,
                "{self:?}: {intid}"
            );
        }
    }
}
