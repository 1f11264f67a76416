//! One scheme over a record without tables, every window by the state machine: what it does with the
//! registers, told as it happens. What the tables count has to be what this counts.

use trapcast_forecast::{Costs, Forecaster, Prices, Resume, Scheme};
use trapcast_record::Event;
use trapcast_switch::{Context, Exchange};

use super::{
    batch::Batch,
    counts::SchemeCounts,
    error::Result,
    machine::{Place, Twin},
};

/// When the state machine could move registers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// The vCPU was turned on, right before its window.
    PowerOn,
    /// The guest was entered.
    Entry {
        /// Whether it found the gate open.
        open: bool,
    },
    /// The guest used the registers behind the closed gate.
    Trap,
    /// The guest came out.
    Exit,
    /// The hypervisor used the registers itself, after the window.
    Host,
    /// The vCPU was put, after that.
    Put,
    /// The vCPU is about to run on another core, which asked this one for its registers.
    Fetch,
}

/// Whose registers a core can hold.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Owner {
    /// The host's of this core.
    Host(u8),
    /// Those of this vCPU.
    Vcpu(u16),
    /// Nobody's: they are of no use.
    Nobody,
}

impl Context for Owner {
    const NOBODY: Self = Self::Nobody;
}

/// What became of a core's registers at one point of a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step {
    /// The core whose registers are meant.
    pub core: u8,
    /// When it was.
    pub cause: Cause,
    /// Whose registers were saved and whose were loaded, if any moved; nobody's are not.
    pub moved: Option<(Owner, Owner)>,
}

impl Step {
    fn new(core: usize, cause: Cause, exchange: Option<Exchange<Owner>>) -> Self {
        Self {
            core: core as u8,
            cause,
            moved: exchange.map(|exchange| (exchange.save, exchange.load)),
        }
    }
}

/// One scheme over a record.
#[derive(Debug)]
pub struct Follower {
    scheme: Scheme,
    prices: Prices,
    batch: Batch,
    /// By number of the vCPU, each with the core that it ran on last.
    vcpus: Vec<Option<(Twin<Owner, Forecaster>, usize)>>,
    /// By number of the core.
    cores: Vec<Place<Owner>>,
    counts: SchemeCounts,
}

impl Follower {
    /// Returns a replay of `scheme`, where switching costs this, that has seen nothing yet.
    pub fn new(scheme: Scheme, costs: &Costs) -> Self {
        Self {
            scheme,
            prices: Prices::new(costs),
            batch: Batch::default(),
            vcpus: Vec::new(),
            cores: Vec::new(),
            counts: SchemeCounts::default(),
        }
    }

    /// Replays the window that comes next, and tells each step in its order: first a fetch of the
    /// vCPU's registers from the core where it ran before, then what happens on its own core.
    ///
    /// # Errors
    /// [`NotPut`](crate::Error::NotPut) if the vCPU runs on another core without having been put on the
    /// one before.
    pub fn window(&mut self, event: Event, mut tell: impl FnMut(Step)) -> Result<()> {
        self.batch.fill(&[event])?;
        let (number, core) = (usize::from(event.vcpu), usize::from(event.core));
        for next in self.cores.len()..=core {
            self.cores.push(Place::new(Owner::Host(next as u8)));
        }
        if self.vcpus.len() <= number {
            self.vcpus.resize(number + 1, None);
        }
        let (scheme, prices) = (self.scheme, self.prices);
        let (vcpu, home) = self.vcpus[number].get_or_insert_with(|| {
            // The number is the seed at EL2, too.
            let forecaster = Forecaster::new(scheme, prices, event.vcpu.into());
            (Twin::new(Owner::Vcpu(event.vcpu), forecaster), core)
        });
        let old = std::mem::replace(home, core);
        if let Ok([here, there]) = self.cores.get_disjoint_mut([core, old]) {
            let fetched = here.fetch(there, vcpu);
            if fetched.is_some() {
                tell(Step::new(old, Cause::Fetch, fetched));
            }
            there.count_moves(&mut self.counts);
        }
        let here = &mut self.cores[core];
        let mut tell = |cause, exchange| tell(Step::new(core, cause, exchange));
        if event.has(Event::POWERED_ON) {
            here.power_on(vcpu, &mut tell);
        }
        let resume = resume(&event);
        let saved = here.window(vcpu, event.flags, resume, &mut tell);
        if let Some(Owner::Vcpu(_) | Owner::Nobody) = saved {
            self.counts.host_evictions += 1;
        }
        here.count_moves(&mut self.counts);
        Ok(())
    }

    /// Returns what was counted, over all vCPUs.
    pub fn finish(mut self) -> SchemeCounts {
        for core in &self.cores {
            self.counts.held += u64::from(matches!(core.owner(), Owner::Vcpu(_)));
        }
        for (vcpu, _) in self.vcpus.iter_mut().flatten() {
            self.counts += vcpu.take_counts();
        }
        self.counts
    }

    /// Returns what the state machine counted of a vCPU's windows when it watched them.
    #[cfg(test)]
    pub fn observed_counts(&self) -> impl Iterator<Item = &trapcast_switch::Counts> {
        let vcpus = self.vcpus.iter().flatten();
        vcpus.map(|(vcpu, _)| vcpu.observed_counts())
    }
}

/// Returns how the guest resumes at a window, as a forecast sees it.
#[inline]
pub(super) fn resume(event: &Event) -> Resume {
    Resume {
        pc: event.pc,
        pending: event.has(Event::PENDING),
    }
}
