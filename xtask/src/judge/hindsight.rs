//! What one fixed decision for each place, or for each vCPU, costs that is chosen with the whole record in
//! view: found by going through it again and again.

use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use rayon::prelude::*;
use rustc_hash::FxHasher;
use trapcast_forecast::{Accounts, Costs, Decision, Evidence, Resume};
use trapcast_replay::Event;
use trapcast_switch::Forecast;
use trapcast_tool::error::Result;

use super::{
    Batch,
    trial::{Trial, as_forecast, trial},
};

/// Goes through all windows.
pub(super) type Source<'a> = &'a dyn Fn(&mut dyn FnMut(&Batch) -> Result<()>) -> Result<()>;

/// What a decision goes by.
type Key = fn(&Event) -> (u16, u64);

/// Decisions by number, and what was seen of them.
type Table = Arc<Vec<Entry>>;

#[derive(Debug, Default)]
struct Entry {
    load: AtomicBool,
    used: AtomicU64,
    unused: AtomicU64,
}

/// Decides by a table.
struct ByTable {
    table: Table,
    /// Whether loads are probed, so that all is seen.
    watches: bool,
    current: usize,
}

impl Forecast for ByTable {
    fn decide(&mut self, resume: impl FnOnce() -> Resume) -> Decision {
        self.current = resume().pc as usize;
        match self.table[self.current].load.load(Relaxed) {
            false => Decision::Leave,
            true if self.watches => Decision::Probe,
            true => Decision::Load,
        }
    }

    fn learn(&mut self, evidence: Evidence) {
        let entry = &self.table[self.current];
        match evidence {
            Evidence::Used => entry.used.fetch_add(1, Relaxed),
            Evidence::Unused => entry.unused.fetch_add(1, Relaxed),
            Evidence::Blind => 0,
        };
    }

    as_forecast!();
}

/// Times that a table is made better by what the one before has seen.
const IMPROVEMENTS: usize = 6;

/// The numbers of the keys of a record.
struct Numbers {
    key: Key,
    numbers: HashMap<(u16, u64), u64, BuildHasherDefault<FxHasher>>,
    /// Of the windows of the batch.
    batch: Vec<u64>,
}

impl Numbers {
    fn look(&mut self, batch: &Batch) {
        self.batch.clear();
        for event in &batch.events {
            let next = self.numbers.len() as u64;
            let number = self.numbers.entry((self.key)(event)).or_insert(next);
            self.batch.push(*number);
        }
    }
}

/// Returns the least that was found for a fixed decision for each place of a vCPU and for each vCPU, under
/// each of `profiles`. What a decision comes to depends on the others, so there may be better ones.
///
/// # Errors
/// Those of `windows`.
pub(super) fn least(windows: Source<'_>, profiles: &[Costs]) -> Result<[Vec<u64>; 2]> {
    let place: Key = |event| (event.vcpu, event.pc / Accounts::PLACE_BYTES);
    let vcpu: Key = |event| (event.vcpu, 0);
    let mut keys = [place, vcpu].map(|key| Numbers {
        key,
        numbers: HashMap::default(),
        batch: Vec::new(),
    });
    windows(&mut |batch| {
        keys.iter_mut().for_each(|key| key.look(batch));
        Ok(())
    })?;
    let tables = keys.each_ref().map(|key| -> Vec<Table> {
        let table = |_: &Costs| {
            Arc::new(
                std::iter::repeat_with(Entry::default)
                    .take(key.numbers.len())
                    .collect(),
            )
        };
        profiles.iter().map(table).collect()
    });
    let mut run = |watches: bool| -> Result<[Vec<u64>; 2]> {
        let mut lanes: Vec<(usize, Box<dyn Trial>)> = Vec::new();
        for (kind, tables) in tables.iter().enumerate() {
            for (table, costs) in tables.iter().zip(profiles) {
                let table = Arc::clone(table);
                let make = move |_| ByTable {
                    table: Arc::clone(&table),
                    watches,
                    current: 0,
                };
                lanes.push((kind, trial(make, *costs)));
            }
        }
        windows(&mut |batch| {
            keys.iter_mut().for_each(|key| key.look(batch));
            lanes.par_iter_mut().try_for_each(|(kind, lane)| {
                let numbers = &keys[*kind].batch;
                lane.add(&batch.events, &|window| Resume {
                    pc: numbers[window],
                    pending: batch.events[window].has(Event::PENDING),
                })
            })
        })?;
        let mut costs = lanes.into_iter().map(|(_, lane)| lane.cost());
        Ok([(); 2].map(|()| costs.by_ref().take(profiles.len()).collect()))
    };
    let mut least = run(false)?;
    for _ in 0..IMPROVEMENTS {
        run(true)?;
        for tables in &tables {
            for (table, costs) in tables.iter().zip(profiles) {
                improve(table, costs);
            }
        }
        for (least, found) in least
            .iter_mut()
            .flatten()
            .zip(run(false)?.into_iter().flatten())
        {
            *least = found.min(*least);
        }
    }
    Ok(least)
}

/// Takes the cheaper decision wherever what was seen says so, and forgets that.
fn improve(table: &Table, costs: &Costs) {
    let late = u64::from(costs.trap) + costs.unlock();
    let wasted = 2 * costs.exchange();
    for entry in table.iter() {
        let used = entry.used.swap(0, Relaxed);
        let unused = entry.unused.swap(0, Relaxed);
        entry.load.store(used * late > unused * wasted, Relaxed);
    }
}
