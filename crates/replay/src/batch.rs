//! Windows cut up for the lanes: runs of one vCPU on one core.

use std::ops::Range;

use trapcast_record::Event;

use super::error::{Error, Result};

/// Bits of [`Event::flags`] that a window of a run can have.
pub(super) const WINDOW: u8 = Event::USED | Event::PUT | Event::HOST;
const _: () = assert!(WINDOW == 0b111);

/// Windows of one vCPU on one core, none of any other between them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Run {
    /// Number of the vCPU.
    pub vcpu: u16,
    /// Number of the core.
    pub core: u8,
    /// The other core that the vCPU ran on before, if it did.
    pub moved_from: Option<u8>,
    /// Whether it was turned on right before.
    pub powered_on: bool,
    /// Where its windows stand in the batch.
    pub windows: Range<usize>,
}

/// Some windows of a record, cut up. Made once and filled again and again.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The flags of each window, below 8.
    flags: Vec<u8>,
    runs: Vec<Run>,
    /// By number of the vCPU: the core on which it was seen last, and whether it was put there since.
    cores: Vec<Option<(u8, bool)>>,
}

impl Batch {
    /// Takes the windows that come next in place of those before.
    ///
    /// # Errors
    /// [`Error::NotPut`] if a vCPU runs on another core without having been put on the one before.
    pub fn fill(&mut self, events: &[Event]) -> Result<()> {
        self.flags.clear();
        self.flags
            .extend(events.iter().map(|event| event.flags & WINDOW));
        self.runs.clear();
        let goes_on = |a: &Event, b: &Event| {
            (a.vcpu, a.core) == (b.vcpu, b.core) && !b.has(Event::POWERED_ON)
        };
        let mut first = 0;
        for run in events.chunk_by(goes_on) {
            let moved_from = self.follow(run)?;
            let windows = first..first + run.len();
            first = windows.end;
            self.runs.push(Run {
                vcpu: run[0].vcpu,
                core: run[0].core,
                moved_from,
                powered_on: run[0].has(Event::POWERED_ON),
                windows,
            });
        }
        Ok(())
    }

    /// Returns the vCPUs that have run, each with the core on which it was seen last.
    pub fn homes(&self) -> impl Iterator<Item = (u16, u8)> {
        let homes = (0..).zip(&self.cores);
        homes.filter_map(|(vcpu, home)| Some((vcpu, home.as_ref()?.0)))
    }

    /// How many windows it has.
    pub fn windows(&self) -> usize {
        self.flags.len()
    }

    /// Returns the runs in their order, each with the flags of its windows.
    pub fn runs(&self) -> impl Iterator<Item = (&Run, &[u8])> {
        self.runs
            .iter()
            .map(|run| (run, &self.flags[run.windows.clone()]))
    }

    /// Notes that a vCPU has these windows on a core. Returns the core before, if it was another.
    fn follow(&mut self, run: &[Event]) -> Result<Option<u8>> {
        let Event { vcpu, core, .. } = run[0];
        let index = usize::from(vcpu);
        if self.cores.len() <= index {
            self.cores.resize(index + 1, None);
        }
        let put = run[run.len() - 1].has(Event::PUT);
        match self.cores[index].replace((core, put)) {
            Some((before, _)) if before == core => Ok(None),
            Some((before, false)) => Err(Error::NotPut { vcpu, core, before }),
            before => Ok(before.map(|(core, _)| core)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_windows_that_were_cut_up() {
        let events: Vec<_> = (0..5000_u32)
            .map(|n| {
                let noise = n.wrapping_mul(0x9e37_79b9) >> 16;
                let rare = if noise & 0x700 == 0 { 12 } else { 0 };
                let put = if n % 37 == 36 { Event::PUT } else { 0 };
                Event::new(
                    (n / 37 % 3) as u16,
                    (n / 37 % 3 / 2) as u8,
                    noise as u8 & (3 | rare) | put,
                )
            })
            .collect();
        let mut batch = Batch::default();
        for _ in 0..2 {
            batch.fill(&events).unwrap();
            let mut all = Vec::new();
            for (run, flags) in batch.runs() {
                for (number, flags) in flags.iter().enumerate() {
                    let on = if run.powered_on && number == 0 {
                        Event::POWERED_ON
                    } else {
                        0
                    };
                    all.push(Event::new(run.vcpu, run.core, flags | on));
                }
            }
            assert_eq!(all, events);
        }
    }

    #[test]
    fn a_vcpu_that_moves_says_where_it_comes_from() {
        let (put, on) = (Event::PUT, 0);
        let mut batch = Batch::default();
        let moves = |batch: &Batch| {
            batch
                .runs()
                .map(|(run, _)| run.moved_from)
                .collect::<Vec<_>>()
        };
        batch
            .fill(&[Event::new(7, 1, put), Event::new(3, 1, on)])
            .unwrap();
        assert_eq!(moves(&batch), [None, None]);
        let events = [
            Event::new(7, 2, put),
            Event::new(3, 1, on),
            Event::new(7, 1, on),
        ];
        batch.fill(&events).unwrap();
        assert_eq!(moves(&batch), [Some(1), None, Some(2)]);
        let error = batch.fill(&[Event::new(7, 2, on)]).unwrap_err();
        let sentence = error.to_string();
        assert!(
            sentence.contains("vCPU 7") && sentence.contains("core 2"),
            "{sentence}"
        );
    }
}
