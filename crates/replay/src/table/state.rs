//! What a row stands for: one vCPU and its core, and what the state machine makes of what happens to them.

use trapcast_forecast::{Decision, Resume};
use trapcast_switch::{Class, Gate, GateRegister};

use super::{
    memory::{Heard, Memory},
    symbol::{FETCH, Owner, POWER_ON, SEAT, Seen, Symbol, WINDOW_SYMBOL, WINDOWS},
};
use crate::{
    counts::SchemeCounts,
    machine::{Place, Twin},
};

/// A vCPU and its core between two windows, nothing counted yet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct State<M> {
    pub(super) vcpu: Twin<Owner, M>,
    pub(super) core: Place<Owner>,
}

impl<M: Memory> State<M> {
    /// Returns the state after something has happened, what that counted, and what the forecaster heard.
    pub(super) fn after(mut self, symbol: Symbol) -> (Self, SchemeCounts, Heard) {
        let mut counts = SchemeCounts::default();
        match symbol {
            POWER_ON => self.core.power_on(&mut self.vcpu, |_, _| ()),
            FETCH.. => {
                let mut old = Seen::from_number(symbol - FETCH).place();
                Place::new(Owner::Elsewhere).fetch(&mut old, &mut self.vcpu);
                self.core = old;
            }
            SEAT.. => self.core = Seen::from_number(symbol - SEAT).place(),
            _ => {
                let window = symbol - WINDOW_SYMBOL;
                let answer = match window / WINDOWS {
                    2 => Decision::Load,
                    3 => Decision::Probe,
                    _ => Decision::Leave,
                };
                for forecaster in self.vcpu.forecasters() {
                    forecaster.answer(answer);
                }
                let flags = (window % WINDOWS) as u8;
                // Who has to know how the guest resumes is asked outside.
                let resume = Resume::default();
                let vcpu = &mut self.vcpu;
                let saved = self.core.window(vcpu, flags, resume, |_, _| ());
                let evicted = matches!(saved, Some(Owner::Me | Owner::Other | Owner::Nobody));
                counts.host_evictions += u64::from(evicted);
            }
        }
        self.core.count_moves(&mut counts);
        counts += self.vcpu.take_counts();
        let [heard, observed] = self.vcpu.forecasters().map(Memory::take);
        debug_assert_eq!(heard, observed, "the observer changed what is seen");
        (self, counts, heard)
    }

    /// Returns the core as the vCPU leaves it.
    pub(super) fn core(&self) -> Seen {
        Seen {
            owner: self.core.owner(),
            open: self.core.gate() == GateRegister::new(Gate::Open(Class::Fp)),
        }
    }
}
