//! Records of real hosts, in which of some windows is not known whether they used the registers: replayed as if none
//! of these had, and as if all had.
//!
//! A host's kernel gives a guest the registers at its first use after a load, and from there on no trap tells. So
//! such a window comes behind a known use in the same load, and nobody took the registers between. A
//! scheme that keeps the registers beyond an exit has them in the core then, behind an open gate: whether the window
//! uses them changes nothing, for it and for the oracle. The two that give them back at each exit and
//! leave them out at an entry, `per-entry` and `last-trap`, trap and move them the more the more windows use them.

use trapcast_forecast::{Costs, Scheme};
use trapcast_record::{Cancel, Event, RecordFile};

use super::{
    error::{Error, Result},
    outcome::Outcome,
    replay::{Counted, Replay, Sink, replay_rows, rows},
};

/// Windows that are taken for others at a time.
const PIECE: usize = 1 << 14;

/// What a replay has found out about a record of some windows of which is not known whether they used the registers.
///
/// Whichever of them did: what a scheme counts, and what that costs, lies between `unused` and `used`, and so does how many
/// entry windows used the registers. Of `last-trap` only traps, saves and loads do ([`is_bounded`]). What the oracle
/// costs is the same for both; it may come to it by other moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// How many such windows the record has.
    pub unseen: u64,
    /// As if none of them used the registers.
    pub unused: Outcome,
    /// As if all of them did; nothing if there are none.
    pub used: Option<Outcome>,
}

/// Whether all that a scheme counts lies between the two of [`Bounds`].
///
/// `last-trap` loads after a trap, so that how the gate stands, and whether a load is wasted, depends on which windows
/// used the registers, and not on how many alone.
pub fn is_bounded(scheme: Scheme) -> bool {
    scheme != Scheme::LastTrap
}

/// Replays one record as [`replay_record`](super::replay_record) and [`replay_work`](super::replay_work) do, and twice if
/// some of its windows are unseen.
///
/// # Errors
/// As those, and [`Error::Unbounded`] where a window is unseen although nothing is known to have used the registers
/// before it in the same load.
pub fn replay_bounds(
    record: &RecordFile,
    counted: Counted,
    schemes: &[Scheme],
    profiles: &[Costs],
    cancel: Cancel<'_>,
) -> Result<Bounds> {
    let rows = rows(record, counted)?;
    let new = || Replay::new(schemes, profiles);
    let unseen = record.unseen_windows()?;
    if unseen == 0 {
        let mut replay = new();
        replay_rows(record, rows, &mut replay, cancel)?;
        return Ok(Bounds {
            unseen,
            unused: replay.finish(),
            used: None,
        });
    }
    let mut both = Both {
        unused: new(),
        used: new(),
        owners: Owners::default(),
        piece: Vec::new(),
    };
    replay_rows(record, rows, &mut both, cancel)?;
    Ok(Bounds {
        unseen,
        unused: both.unused.finish(),
        used: Some(both.used.finish()),
    })
}

/// Two replays of the same windows.
struct Both {
    unused: Replay,
    used: Replay,
    owners: Owners,
    /// Windows as the second one takes them.
    piece: Vec<Event>,
}

impl Sink for Both {
    const SEES_ALL: bool = false;

    fn add(&mut self, events: &[Event]) -> Result<()> {
        for events in events.chunks(PIECE) {
            for event in events {
                self.owners.follow(event)?;
            }
            self.unused.add(events)?;
            self.piece.clear();
            self.piece.extend(events.iter().map(as_used));
            self.used.add(&self.piece)?;
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.unused.forget();
        self.used.forget();
    }
}

/// The window as if it had used the registers, if that is not known.
fn as_used(event: &Event) -> Event {
    let used = match event.has(Event::UNSEEN) {
        true => Event::USED,
        false => 0,
    };
    Event {
        flags: event.flags | used,
        ..*event
    }
}

/// Who is known to own the registers of each core, under a scheme that keeps them until the put.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// By number of the core.
    cores: Vec<Option<u16>>,
}

impl Owners {
    /// Takes the window that comes next.
    ///
    /// # Errors
    /// [`Error::Unbounded`] if it is unseen, and its vCPU is not known to own the registers.
    pub fn follow(&mut self, event: &Event) -> Result<()> {
        let Event { vcpu, core, .. } = *event;
        let index = usize::from(core);
        if self.cores.len() <= index {
            self.cores.resize(index + 1, None);
        }
        let owner = &mut self.cores[index];
        if event.has(Event::POWERED_ON) {
            *owner = None;
        }
        *owner = owner.filter(|owner| *owner == vcpu);
        if event.has(Event::UNSEEN) && owner.is_none() {
            return Err(Error::Unbounded { vcpu, core });
        }
        if event.has(Event::USED) {
            *owner = Some(vcpu);
        }
        if event.flags & (Event::HOST | Event::PUT) != 0 {
            *owner = None;
        }
        Ok(())
    }
}
