//! The tracks of a trace: one process per core, and what a window of the record puts on its tracks.

use std::io::{Result as IoResult, Write};

use serde_json::json;
use trapcast_forecast::Scheme;

use super::{
    Stopped,
    clock::Clock,
    core::{Core, Here},
    trace::{Place, Trace},
};
use trapcast_replay::{Follower, Owner, Step};
use trapcast_report::record::{Vcpu, Window};

/// A track of a core.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Track {
    /// Who runs, and EL2 in between.
    Runs = 1,
    /// Which vCPU is loaded.
    Loaded,
    /// Who owns the registers.
    Registers,
    /// What moves.
    Switches,
    /// Uses of the registers that EL2 noticed.
    Traps,
    /// Physical interrupts that ended a window.
    Interrupts,
}

impl Track {
    /// All tracks, from the top.
    pub const ALL: [Self; 6] = [
        Self::Runs,
        Self::Loaded,
        Self::Registers,
        Self::Switches,
        Self::Traps,
        Self::Interrupts,
    ];

    /// What viewers call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Loaded => "loaded",
            Self::Registers => "registers",
            Self::Switches => "switches",
            Self::Traps => "traps",
            Self::Interrupts => "interrupts",
        }
    }

    /// Its place. Process 0 has a meaning of its own in viewers, as has a thread with its process's
    /// number.
    pub const fn place(self, core: u8) -> Place {
        Place {
            pid: core as u32 + 1,
            tid: (core as u32 + 1) * 100 + self as u32,
        }
    }
}

/// All tracks, and what is known of each core and vCPU so far.
pub struct Tracks {
    names: Vec<String>,
    clock: Clock,
    from: u64,
    follower: Follower,
    /// By number of the vCPU: why it came out last.
    cores: Vec<Option<Core>>,
    /// The steps of the window under way.
    steps: Vec<Step>,
}

impl Tracks {
    /// Returns the tracks of a record of these vCPUs, replayed under `scheme`, of which what happens before
    /// `from` nanoseconds is not shown.
    pub fn new(vcpus: &[Vcpu], clock: Clock, scheme: Scheme, from: u64) -> Self {
        let name = |vcpu: &Vcpu| format!("vm{} vcpu{}", vcpu.vm, vcpu.index);
        Self {
            names: vcpus.iter().map(name).collect(),
            clock,
            from,
            follower: Follower::new(scheme, &trapcast_profile::of_this_machine().fp),
            cores: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Whether the window ends after it begins, and begins after the one before it on its core.
    pub fn in_order(&self, window: &Window) -> bool {
        let core = self
            .cores
            .get(usize::from(window.core))
            .and_then(Option::as_ref);
        let before = core.map_or(0, Core::end);
        before <= window.start && window.start <= window.end
    }

    /// Shows window `number` of the record.
    pub(super) fn window<W: Write>(
        &mut self,
        number: u64,
        window: &Window,
        trace: &mut Trace<W>,
    ) -> Result<(), Stopped> {
        let mut steps = std::mem::take(&mut self.steps);
        steps.clear();
        self.follower
            .window(window.event(), |step| steps.push(step))?;
        self.introduce(window.core, trace)?;
        // A fetch comes first, and concerns the core that the vCPU has left.
        let (fetches, own) =
            steps.split_at(steps.iter().take_while(|s| s.core != window.core).count());
        for fetch in fetches {
            self.on(fetch.core, trace, |core, here| {
                core.step(window, *fetch, here)
            })?;
        }
        self.on(window.core, trace, |core, here| {
            core.window(number, window, own, here)
        })?;
        self.steps = steps;
        Ok(())
    }

    /// Shows what is unfinished at the end.
    pub(super) fn finish<W: Write>(mut self, trace: &mut Trace<W>) -> IoResult<()> {
        let end = self.cores.iter().flatten().map(Core::end).max();
        for core in 0..self.cores.len() {
            self.on(core as u8, trace, |core, here| {
                core.finish(end.unwrap_or(0), here)
            })?;
        }
        Ok(())
    }

    /// Does something with a core that has run.
    fn on<W: Write>(
        &mut self,
        core: u8,
        trace: &mut Trace<W>,
        act: impl FnOnce(&mut Core, &mut Here<'_, W>) -> IoResult<()>,
    ) -> IoResult<()> {
        let Some(Some(known)) = self.cores.get_mut(usize::from(core)) else {
            return Ok(());
        };
        let mut here = Here {
            core,
            names: &self.names,
            clock: self.clock,
            from: self.from,
            trace,
        };
        act(known, &mut here)
    }

    /// Names the tracks of a core that has not run yet.
    fn introduce<W: Write>(&mut self, core: u8, trace: &mut Trace<W>) -> IoResult<()> {
        let index = usize::from(core);
        if self.cores.len() <= index {
            self.cores.resize_with(index + 1, || None);
        }
        if self.cores[index].is_some() {
            return Ok(());
        }
        self.cores[index] = Some(Core::new(core));
        let process = Track::Runs.place(core);
        trace.describe(
            process,
            "process_name",
            json!({ "name": format!("core {core}") }),
        )?;
        trace.describe(process, "process_sort_index", json!({ "sort_index": core }))?;
        for track in Track::ALL {
            let place = track.place(core);
            trace.describe(place, "thread_name", json!({ "name": track.name() }))?;
            let order = json!({ "sort_index": track as u32 });
            trace.describe(place, "thread_sort_index", order)?;
        }
        Ok(())
    }
}

/// What viewers call an owner of registers.
pub fn owner_name(owner: Owner, names: &[String]) -> &str {
    match owner {
        Owner::Host(_) => "host",
        Owner::Vcpu(vcpu) => &names[usize::from(vcpu)],
        Owner::Nobody => "nobody",
    }
}
