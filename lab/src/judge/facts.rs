//! What a record knows of each window that a forecast could go by.

use std::collections::BTreeMap;

use trapcast_forecast::Resume;

use crate::{
    record::{RecordFile, Values},
    replay::Event,
};
use trapcast_tool::error::Result;

/// What stands for the reason of an exit before a vCPU's first window.
const FIRST: u8 = u8::MAX;

/// One window: what happened in it, and what a hypervisor could know at its entry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// What happened.
    pub event: Event,
    /// What the forecast is told.
    pub resume: Resume,
    /// Why the vCPU came out last, as a number; [`FIRST`] before that.
    pub exit: u8,
    /// The exception level at which the guest resumes.
    pub el: u8,
    /// The address space that was current when the vCPU came out last; zero before that.
    pub asid: u32,
    /// The guest's CPACR_EL1 then.
    pub cpacr: u32,
    /// Ticks since it came out last.
    pub away: u64,
    /// Whether the vCPU's last window that is over used the registers, seen or not.
    pub used_before: bool,
}

impl Facts {
    /// Reads the windows of a record.
    ///
    /// # Errors
    /// Where the file is damaged, or was made for replays and lacks a column.
    pub fn of(record: &RecordFile) -> Result<Vec<Self>> {
        let mut windows = Vec::new();
        let mut last: BTreeMap<u16, Last> = BTreeMap::new();
        let mut events = Vec::new();
        for group in 0..record.row_group_count() {
            record.read_events(group, &mut events)?;
            let resumes = record.read_resumes(group)?;
            let numbers = |name| -> Result<Vec<u32>> {
                match record.read_column(group, name)? {
                    Values::Numbers(numbers) => {
                        Ok(numbers.into_iter().map(Option::unwrap_or_default).collect())
                    }
                    _ => unreachable!("the schema says so"),
                }
            };
            let longs = |name| -> Result<Vec<u64>> {
                match record.read_column(group, name)? {
                    Values::Longs(longs) => Ok(longs),
                    _ => unreachable!("the schema says so"),
                }
            };
            let Values::Exits(exits) = record.read_column(group, "exit_before")? else {
                unreachable!("the schema says so");
            };
            let (el, asid, cpacr) = (numbers("el")?, numbers("asid")?, numbers("cpacr")?);
            let (start, end) = (longs("start_ticks")?, longs("end_ticks")?);
            for (row, (&event, resume)) in events.iter().zip(resumes).enumerate() {
                let last = last.entry(event.vcpu()).or_insert(Last {
                    end: start[row],
                    ..Last::default()
                });
                windows.push(Self {
                    event,
                    resume,
                    exit: exits[row].unwrap_or(FIRST),
                    el: el[row] as u8,
                    asid: last.asid,
                    cpacr: last.cpacr,
                    away: start[row].saturating_sub(last.end),
                    used_before: last.used,
                });
                *last = Last {
                    asid: asid[row],
                    cpacr: cpacr[row],
                    end: end[row],
                    used: event.flags() & Event::USED != 0,
                };
            }
        }
        Ok(windows)
    }

    /// Whether the window uses the registers.
    pub const fn uses(&self) -> bool {
        self.event.flags() & Event::USED != 0
    }
}

/// How a vCPU came out last.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    asid: u32,
    cpacr: u32,
    end: u64,
    used: bool,
}
