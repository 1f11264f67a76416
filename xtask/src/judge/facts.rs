//! What a record knows of each window that a forecast could go by.

use std::collections::BTreeMap;

use trapcast_replay::Event;
use trapcast_report::record::{self, NULL, RecordFile};
use trapcast_tool::{error::Result, signals};

/// What stands for the reason of an exit before a vCPU's first window.
const FIRST: u8 = u8::MAX;

/// Windows that are looked at at a time.
const BATCH: usize = 1 << 16;

/// Some windows that follow one another.
#[derive(Debug, Default)]
pub struct Batch {
    /// What happened in each.
    pub events: Vec<Event>,
    /// What a hypervisor could know at each one's entry.
    pub facts: Vec<Facts>,
}

/// What a hypervisor could know at the entry of a window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Facts {
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

/// Goes through the windows of a record, some at a time, so that memory does not grow with it.
///
/// # Errors
/// Where the file is damaged, or was made for replays and lacks a column;
/// [`Stopped`](trapcast_tool::error::Error::Stopped) on Ctrl-C; what `look` gives.
pub fn each(record: &RecordFile, look: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()> {
    const NAMES: [&str; 6] = [
        "exit_before",
        "el",
        "asid",
        "cpacr",
        "start_ticks",
        "end_ticks",
    ];
    let mut last: BTreeMap<u16, Last> = BTreeMap::new();
    let mut events = Vec::new();
    let mut batch = Batch::default();
    for group in 0..record.row_group_count() {
        signals::check()?;
        let read = record.read_events(group, &mut events);
        read.map_err(record::told)?;
        let mut events = events.iter();
        let columns = record.columns(group..group + 1, NAMES);
        let mut columns = columns.map_err(record::told)?;
        while let Some(columns) = columns.next().map_err(record::told)? {
            let rows = (0..columns[0].len()).map(|row| columns.map(|column| column[row]));
            for ([exit, el, asid, cpacr, start, end], &event) in rows.zip(events.by_ref()) {
                let last = last.entry(event.vcpu).or_insert(Last {
                    end: start,
                    ..Last::default()
                });
                batch.events.push(event);
                batch.facts.push(Facts {
                    exit: if exit == NULL { FIRST } else { exit as u8 },
                    el: el as u8,
                    asid: last.asid,
                    cpacr: last.cpacr,
                    away: start.saturating_sub(last.end),
                    used_before: last.used,
                });
                *last = Last {
                    asid: asid as u32,
                    cpacr: cpacr as u32,
                    end,
                    used: event.has(Event::USED),
                };
            }
            if batch.events.len() >= BATCH {
                look(&batch)?;
                batch.events.clear();
                batch.facts.clear();
            }
        }
    }
    look(&batch)
}

/// How a vCPU came out last.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    asid: u32,
    cpacr: u32,
    end: u64,
    used: bool,
}
