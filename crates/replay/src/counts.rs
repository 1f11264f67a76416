//! What a replay counts under one scheme.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use trapcast_switch::Counts;

use super::cost::Moves;

/// What happened to the vCPUs of a record under one scheme.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct SchemeCounts {
    /// Entries into the guest.
    pub entries: u64,
    /// Puts of the vCPU.
    pub puts: u64,
    /// Traps that the scheme armed; each loaded the guest's registers.
    pub traps: u64,
    /// Traps that the scheme armed although it had loaded the registers, to see whether they are used.
    pub probes: u64,
    /// Loads of the guest's registers at an entry.
    pub eager_loads: u64,
    /// Times that the registers went from the guest back to the host, or to nobody: at an exit, at a put, or
    /// because the vCPU was turned on anew.
    pub give_backs: u64,
    /// Times that the host's own use found others than its own: a guest's, or nobody's.
    pub host_evictions: u64,
    /// Times that the registers went from a core to memory because the vCPU had moved to another one.
    pub fetches: u64,
    /// Eager loads in windows that then did not use the registers.
    pub wasted_loads: u64,
    /// Windows of the scheme's own kind that have ended: `[forecast to use the registers][used]`. A
    /// window counts as forecast to use them if its first entry left the gate open.
    pub forecast: [[u64; 2]; 2],
    /// Writes of the gate, synchronised or not.
    pub gate_writes: u64,
    /// ISBs that synchronised a write of the gate.
    pub isbs: u64,
    /// Times that the scheme was asked at an entry, be it that nothing had changed since it left the registers out.
    pub asked: u64,
    /// Times that it was told what became of a window.
    pub told: u64,
    /// vCPUs whose registers are in a core at the end.
    pub held: u64,
    /// Those whose registers were in a core when counting began: none, but where only a part of a record is counted.
    pub held_before: u64,
    /// Exchanges in which nothing was saved, as the registers were nobody's.
    pub without_save: u64,
    /// Exchanges in which nothing was loaded, so that the registers are nobody's.
    pub without_load: u64,
}

impl SchemeCounts {
    /// Returns what the state machine counted: `plain` as the scheme runs, `observed` with every
    /// window watched, which is where wasted loads and forecasts can be seen.
    pub(super) const fn of(plain: &Counts, observed: &Counts) -> Self {
        Self {
            entries: plain.entries,
            puts: plain.puts,
            traps: plain.traps,
            probes: plain.probes,
            eager_loads: plain.eager_loads,
            give_backs: plain.give_backs,
            host_evictions: 0,
            fetches: plain.fetches,
            wasted_loads: observed.wasted_loads,
            forecast: observed.forecast,
            gate_writes: 0,
            isbs: 0,
            asked: 0,
            told: 0,
            held: 0,
            held_before: 0,
            without_save: 0,
            without_load: 0,
        }
    }

    /// Times that the guest's registers were loaded.
    pub const fn loads(&self) -> u64 {
        self.traps + self.eager_loads
    }

    /// Times that the guest's registers were saved: once per load, except for those that are still
    /// in a core, and once for each that was there before.
    pub const fn saves(&self) -> u64 {
        self.held_before + self.loads() - self.held
    }

    /// Times that the registers got another owner: that a register file was saved and another one loaded, or one
    /// of both.
    pub const fn exchanges(&self) -> u64 {
        self.loads() + self.give_backs + self.host_evictions + self.fetches
    }

    /// Returns what costs something of all this.
    pub const fn moves(&self) -> Moves {
        Moves {
            traps: self.traps,
            probes: self.probes,
            saves: self.exchanges() - self.without_save,
            loads: self.exchanges() - self.without_load,
            gate_writes: self.gate_writes,
            isbs: self.isbs,
        }
    }

    /// Adds `other` as often as `times` says.
    pub(super) fn add(&mut self, other: &Self, times: u64) {
        self.entries += other.entries * times;
        self.puts += other.puts * times;
        self.traps += other.traps * times;
        self.probes += other.probes * times;
        self.eager_loads += other.eager_loads * times;
        self.give_backs += other.give_backs * times;
        self.host_evictions += other.host_evictions * times;
        self.fetches += other.fetches * times;
        self.wasted_loads += other.wasted_loads * times;
        for (sums, counts) in self.forecast.iter_mut().zip(&other.forecast) {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count * times;
            }
        }
        self.gate_writes += other.gate_writes * times;
        self.isbs += other.isbs * times;
        self.asked += other.asked * times;
        self.told += other.told * times;
        self.held += other.held * times;
        self.held_before += other.held_before * times;
        self.without_save += other.without_save * times;
        self.without_load += other.without_load * times;
    }
}

impl AddAssign for SchemeCounts {
    fn add_assign(&mut self, other: Self) {
        self.add(&other, 1);
    }
}
