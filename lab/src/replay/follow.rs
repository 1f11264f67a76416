//! One scheme over a record, window by window: what the state machine does with the registers, told as
//! it happens.

use trapcast_forecast::{Costs, Resume, Scheme};
use trapcast_switch::Exchange;

use super::{
    Event,
    batch::{self, Batch},
    counts::SchemeCounts,
    machine::{Direct, Owner},
};
use trapcast_tool::error::Result;

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

/// What became of a core's registers at one point of a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step {
    /// The core whose registers are meant.
    pub core: u8,
    /// When it was.
    pub cause: Cause,
    /// Whose registers were saved and whose were loaded, if any moved.
    pub moved: Option<(Owner, Owner)>,
}

impl Step {
    /// Returns a step of `core`.
    pub(super) fn new(core: usize, cause: Cause, exchange: Option<Exchange<Owner>>) -> Self {
        Self {
            core: core as u8,
            cause,
            moved: exchange.map(|exchange| (exchange.save, exchange.load)),
        }
    }
}

/// One scheme over a record, every window by the state machine, which tells what it does.
#[derive(Debug)]
pub struct Follower {
    direct: Direct,
    batch: Batch,
}

impl Follower {
    /// Returns a replay of `scheme`, where switching costs this, that has seen nothing yet.
    pub fn new(scheme: Scheme, costs: &Costs) -> Self {
        Self {
            direct: Direct::new(scheme, costs),
            batch: Batch::default(),
        }
    }

    /// Replays the window that comes next, and tells each step in its order: first a fetch of the
    /// vCPU's registers from the core where it ran before, then what happens on its own core.
    ///
    /// # Errors
    /// If the vCPU runs on another core without having been put on the one before.
    pub fn window(
        &mut self,
        event: Event,
        resume: Resume,
        mut tell: impl FnMut(Step),
    ) -> Result<()> {
        self.batch.fill(&[event])?;
        for (run, symbols) in self.batch.runs() {
            let flags = symbols.iter().flat_map(|&symbol| batch::flags(symbol));
            let windows = flags.map(|flags| (flags, resume));
            self.direct
                .run_and_tell(run.vcpu, run.core, windows, &mut tell);
        }
        Ok(())
    }

    /// Returns what was counted, over all vCPUs.
    pub fn finish(self) -> SchemeCounts {
        let mut total = SchemeCounts::default();
        for (_, counts) in self.direct.finish() {
            total += counts;
        }
        total
    }
}
