//! One core of a trace: what began on it and has not ended, and what a window shows there.

use std::io::{Result, Write};

use serde::Serialize;
use serde_json::json;
use trapcast_trace::report::{EXIT_NAMES, Exit};

use super::{
    clock::Clock,
    trace::Trace,
    tracks::{Track, owner_name},
};
use trapcast_replay::{Cause, Owner, Step};
use trapcast_report::record::Window;

/// Where a core writes.
pub struct Here<'a, W> {
    /// Its number.
    pub core: u8,
    /// Names of the vCPUs, by their numbers.
    pub names: &'a [String],
    /// Times of ticks.
    pub clock: Clock,
    /// What is over before this time, in nanoseconds, is not shown.
    pub from: u64,
    /// The trace.
    pub trace: &'a mut Trace<W>,
}

impl<W: Write> Here<'_, W> {
    /// Something that lasts from one tick to another. Times before the trace are cut off.
    fn slice(
        &mut self,
        track: Track,
        name: &str,
        (start, end): (u64, u64),
        args: impl Serialize,
    ) -> Result<()> {
        let [start, end] = [start, end].map(|ticks| self.clock.nanoseconds(ticks));
        if end < self.from {
            return Ok(());
        }
        let place = track.place(self.core);
        let times = (start.max(self.from), end);
        self.trace.slice(place, (track.name(), name), times, args)
    }

    /// Something that happens at a tick.
    fn instant(&mut self, track: Track, name: &str, at: u64, args: impl Serialize) -> Result<()> {
        let time = self.clock.nanoseconds(at);
        if time < self.from {
            return Ok(());
        }
        let place = track.place(self.core);
        self.trace.instant(place, (track.name(), name), time, args)
    }
}

/// What viewers show of a window when it is chosen.
#[derive(Serialize)]
struct Details {
    window: u64,
    exit: &'static str,
    pc: String,
    el: Option<u8>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    aarch32: bool,
    gate: &'static str,
    used: Option<bool>,
    #[serde(rename = "first use", skip_serializing_if = "Option::is_none")]
    first_use: Option<u32>,
    instructions: u64,
}

/// A load window under way.
#[derive(Clone, Copy, Debug)]
struct Load {
    vcpu: u16,
    since: u64,
    windows: u64,
    used: u64,
}

/// A core, at the end of its last window. Times are ticks.
#[derive(Debug)]
pub struct Core {
    /// Its last window.
    last: Option<Window>,
    owner: Owner,
    owner_since: u64,
    load: Option<Load>,
}

impl Core {
    /// Returns a core that has not run: the registers are its host's.
    pub const fn new(number: u8) -> Self {
        Self {
            last: None,
            owner: Owner::Host(number),
            owner_since: 0,
            load: None,
        }
    }

    /// When its last window ended.
    pub fn end(&self) -> u64 {
        self.last.map_or(0, |window| window.end)
    }

    /// Shows a window, and what the scheme did in it.
    pub fn window<W: Write>(
        &mut self,
        number: u64,
        window: &Window,
        steps: &[Step],
        here: &mut Here<'_, W>,
    ) -> Result<()> {
        self.el2(window, here)?;
        let opened = |step: &Step| step.cause == Cause::Entry { open: true };
        let details = Details {
            window: number,
            exit: exit_name(window),
            pc: format!("{:#x}", window.pc),
            el: window.el,
            aarch32: window.aarch32,
            gate: if steps.iter().any(opened) {
                "open"
            } else {
                "closed"
            },
            used: window.used,
            first_use: window.first_use,
            instructions: window.instructions,
        };
        let name = &here.names[usize::from(window.vcpu)];
        here.slice(Track::Runs, name, (window.start, window.end), details)?;
        for step in steps {
            self.step(window, *step, here)?;
        }
        if is_interrupt(window) {
            let name = window
                .intid
                .map_or_else(|| "interrupt".to_string(), |intid| format!("INTID {intid}"));
            let args = json!({ "kind": exit_name(window) });
            here.instant(Track::Interrupts, &name, window.end, args)?;
        }
        self.count_load(window, here)?;
        self.last = Some(*window);
        Ok(())
    }

    /// Shows what EL2 did since the core's last window.
    fn el2<W: Write>(&self, window: &Window, here: &mut Here<'_, W>) -> Result<()> {
        let Some(last) = self.last.filter(|last| last.end < window.start) else {
            return Ok(());
        };
        let may_idle = last.put && !last.preempted;
        let name = if may_idle { "EL2 or idle" } else { "EL2" };
        let args = json!({ "after": exit_name(&last), "instructions": window.el2_instructions });
        here.slice(Track::Runs, name, (last.end, window.start), args)
    }

    /// Shows what became of the core's registers at a step; `window` is the one that led to it, of this
    /// core or, for a fetch, of another.
    pub fn step<W: Write>(
        &mut self,
        window: &Window,
        step: Step,
        here: &mut Here<'_, W>,
    ) -> Result<()> {
        let time = match step.cause {
            Cause::PowerOn | Cause::Entry { .. } | Cause::Fetch => window.start,
            Cause::Trap => first_use_at(window),
            Cause::Exit | Cause::Host | Cause::Put => window.end,
        };
        if step.cause == Cause::Trap {
            let name = if step.moved.is_some() {
                "trap"
            } else {
                "probe"
            };
            let vcpu = &here.names[usize::from(window.vcpu)];
            here.instant(Track::Traps, name, time, json!({ "vcpu": vcpu }))?;
        }
        let Some((saved, loaded)) = step.moved else {
            return Ok(());
        };
        let [save, load] = [saved, loaded].map(|owner| owner_name(owner, here.names));
        let args = json!({ "save": save, "load": load });
        here.instant(Track::Switches, switch_name(step.cause), time, args)?;
        if loaded != self.owner {
            self.own_until(time, here)?;
            (self.owner, self.owner_since) = (loaded, time);
        }
        Ok(())
    }

    /// Shows who has owned the registers until now.
    fn own_until<W: Write>(&self, time: u64, here: &mut Here<'_, W>) -> Result<()> {
        if time <= self.owner_since {
            return Ok(());
        }
        let name = owner_name(self.owner, here.names);
        let args = json!({});
        here.slice(Track::Registers, name, (self.owner_since, time), args)
    }

    /// Counts a window in its load window, and shows that if it ends.
    fn count_load<W: Write>(&mut self, window: &Window, here: &mut Here<'_, W>) -> Result<()> {
        let load = self.load.get_or_insert(Load {
            vcpu: window.vcpu,
            since: window.start,
            windows: 0,
            used: 0,
        });
        load.windows += 1;
        load.used += u64::from(window.used == Some(true));
        if !window.put {
            return Ok(());
        }
        let ended = if window.preempted {
            "preempted"
        } else {
            exit_name(window)
        };
        self.end_load(window.end, ended, here)
    }

    fn end_load<W: Write>(&mut self, end: u64, ended: &str, here: &mut Here<'_, W>) -> Result<()> {
        let Some(load) = self.load.take() else {
            return Ok(());
        };
        let name = &here.names[usize::from(load.vcpu)];
        let args = json!({ "windows": load.windows, "used": load.used, "put": ended });
        here.slice(Track::Loaded, name, (load.since, end), args)
    }

    /// Shows what is unfinished at the end of the trace.
    pub fn finish<W: Write>(&mut self, end: u64, here: &mut Here<'_, W>) -> Result<()> {
        self.end_load(self.end(), "not yet", here)?;
        self.own_until(end, here)
    }
}

/// When a window first used the registers, as far as the instructions tell: the record has no time of it.
fn first_use_at(window: &Window) -> u64 {
    let length = u128::from(window.end - window.start);
    let into = u128::from(window.first_use.unwrap_or(0));
    let share = (length * into).checked_div(u128::from(window.instructions));
    window.start + share.unwrap_or(0).min(length) as u64
}

/// What viewers call a move of the registers.
pub const fn switch_name(cause: Cause) -> &'static str {
    match cause {
        Cause::PowerOn => "give back at power-on",
        Cause::Entry { .. } => "load at entry",
        Cause::Trap => "load in trap",
        Cause::Exit => "give back at exit",
        Cause::Host => "host use",
        Cause::Put => "give back at put",
        Cause::Fetch => "fetch",
    }
}

fn exit_name(window: &Window) -> &'static str {
    EXIT_NAMES[usize::from(window.exit)]
}

fn is_interrupt(window: &Window) -> bool {
    let kinds = [
        Exit::VirtualTimer,
        Exit::HypervisorTimer,
        Exit::Maintenance,
        Exit::Interrupt,
    ];
    kinds.iter().any(|kind| *kind as u8 == window.exit)
}
