//! Windows in the form that the tables take: runs of one vCPU on one core, cut into symbols of one
//! window or of several.

use super::Event;
use trapcast_tool::error::{Error, Result};

/// Windows that one symbol can stand for, where they only used the registers or not, and were put
/// or not.
pub(super) const GROUP: usize = 3;

/// Number of symbols: one for each value of an event's flags, one for each kind of group.
pub(super) const SYMBOLS: usize = SINGLES + (1 << (2 * GROUP));

/// Symbols that stand for one window: its flags.
pub(super) const SINGLES: usize = 16;

/// The flags that a window in a group can have.
const COMMON: u8 = Event::USED | Event::PUT;
const _: () =
    assert!(COMMON == 0b11 && (Event::HOST | Event::POWERED_ON | COMMON) as usize == SINGLES - 1);

/// Returns the flags of the windows that `symbol` stands for.
pub(super) fn flags(symbol: u16) -> impl Iterator<Item = u8> + Clone {
    let symbol = usize::from(symbol);
    let (bits, windows, mask) = match symbol.checked_sub(SINGLES) {
        None => (symbol, 1, SINGLES - 1),
        Some(bits) => (bits, GROUP, usize::from(COMMON)),
    };
    (0..windows).map(move |window| (bits >> (2 * window) & mask) as u8)
}

/// Windows of one vCPU on one core, none of any other between them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Run {
    /// Number of the vCPU.
    pub vcpu: u16,
    /// Number of the core.
    pub core: u8,
    /// The other core that the vCPU ran on before, if it did.
    pub moved_from: Option<u8>,
    /// Whether each of them only used the registers or not and was put or not.
    pub common: bool,
    /// Where its first symbol stands in the batch.
    first: usize,
    /// Where the one after its last stands.
    end: usize,
}

/// Some windows of a record, cut up. Made once and filled again and again.
#[derive(Debug, Default)]
pub(super) struct Batch {
    symbols: Vec<u16>,
    runs: Vec<Run>,
    /// By number of the vCPU: the core on which it was seen last, and whether it was put there since.
    cores: Vec<Option<(u8, bool)>>,
}

impl Batch {
    /// Takes the windows that come next in place of those before.
    ///
    /// # Errors
    /// If a vCPU runs on another core without having been put on the one before.
    pub fn fill(&mut self, events: &[Event]) -> Result<()> {
        self.symbols.clear();
        self.runs.clear();
        for run in events.chunk_by(|a, b| (a.vcpu(), a.core()) == (b.vcpu(), b.core())) {
            let moved_from = self.follow(run)?;
            self.push(run, moved_from);
        }
        Ok(())
    }

    /// Returns the runs in their order, each with its symbols.
    pub fn runs(&self) -> impl Iterator<Item = (&Run, &[u16])> {
        self.runs
            .iter()
            .map(|run| (run, &self.symbols[run.first..run.end]))
    }

    /// Notes that a vCPU has these windows on a core. Returns the core before, if it was another.
    fn follow(&mut self, run: &[Event]) -> Result<Option<u8>> {
        let (vcpu, core) = (run[0].vcpu(), run[0].core());
        let index = usize::from(vcpu);
        if self.cores.len() <= index {
            self.cores.resize(index + 1, None);
        }
        let put = run[run.len() - 1].flags() & Event::PUT != 0;
        match self.cores[index].replace((core, put)) {
            Some((before, _)) if before == core => Ok(None),
            Some((before, false)) => Err(Error::input(format!(
                "vCPU {vcpu} runs on core {core}, and was not put on core {before} where it ran before: \
                 no hypervisor does so, and a replay cannot; record it anew"
            ))),
            before => Ok(before.map(|(core, _)| core)),
        }
    }

    /// Cuts up the windows of one vCPU on one core.
    fn push(&mut self, events: &[Event], moved_from: Option<u8>) {
        let first = self.symbols.len();
        let mut seen = 0;
        let mut rest = events;
        while let Some((group, after)) = rest.split_first_chunk::<GROUP>() {
            let any = group.iter().fold(0, |any, event| any | event.flags());
            seen |= any;
            if any & !COMMON == 0 {
                let bits = (0..GROUP).fold(0, |bits, window| {
                    bits | usize::from(group[window].flags()) << (2 * window)
                });
                self.symbols.push((SINGLES + bits) as u16);
                rest = after;
            } else {
                self.symbols.push(single(group[0]));
                rest = &rest[1..];
            }
        }
        for &event in rest {
            seen |= event.flags();
            self.symbols.push(single(event));
        }
        self.runs.push(Run {
            vcpu: events[0].vcpu(),
            core: events[0].core(),
            moved_from,
            common: seen & !COMMON == 0,
            first,
            end: self.symbols.len(),
        });
    }
}

fn single(event: Event) -> u16 {
    u16::from(event.flags()) & (SINGLES as u16 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(batch: &Batch) -> Vec<Event> {
        batch
            .runs()
            .flat_map(|(run, symbols)| {
                let (vcpu, core) = (run.vcpu, run.core);
                symbols
                    .iter()
                    .flat_map(|&symbol| flags(symbol))
                    .map(move |flags| Event::new(vcpu, core, flags))
            })
            .collect()
    }

    #[test]
    fn symbols_stand_for_the_windows_that_were_cut_up() {
        let events: Vec<_> = (0..5000_u32)
            .map(|n| {
                let noise = n.wrapping_mul(0x9e37_79b9) >> 16;
                let rare = if noise & 0x700 == 0 { 12 } else { 0 };
                Event::new(
                    (n / 37 % 3) as u16,
                    (n / 37 % 3 / 2) as u8,
                    noise as u8 & (3 | rare),
                )
            })
            .collect();
        let mut batch = Batch::default();
        for _ in 0..2 {
            batch.fill(&events).unwrap();
            assert_eq!(expand(&batch), events);
        }
        assert!(batch.symbols.len() < events.len() * 3 / 4);
        for (run, symbols) in batch.runs() {
            let rare = symbols
                .iter()
                .flat_map(|&symbol| flags(symbol))
                .any(|f| f & !COMMON != 0);
            assert_eq!(run.common, !rare);
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
        assert_eq!(error.exit_code(), 2);
        let sentence = error.to_string();
        assert!(
            sentence.contains("vCPU 7") && sentence.contains("core 2"),
            "{sentence}"
        );
    }
}
