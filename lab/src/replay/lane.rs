//! One scheme over a record by tables: which vCPU is in each core, and what it finds there.

use trapcast_forecast::Scheme;
use trapcast_switch::{Gate, GateRegister};

use super::{
    batch::{Batch, Run},
    counts::SchemeCounts,
    table::{MAX_STEPS, Owner, Table},
};

/// A core: the vCPU that ran there last, and what it found when it came.
#[derive(Clone, Copy, Debug)]
struct Core {
    resident: Option<u16>,
    /// Whose registers it holds: the host's, or a vCPU's by its number.
    owner: Option<u16>,
    gate: GateRegister,
}

impl Core {
    /// Returns whose registers it holds, as `vcpu` sees it.
    fn owner(&self, vcpu: u16) -> Owner {
        match self.owner {
            None => Owner::Host,
            Some(owner) if owner == vcpu => Owner::Me,
            Some(_) => Owner::Other,
        }
    }
}

const UNUSED: Core = Core {
    resident: None,
    owner: None,
    gate: GateRegister::new(Gate::Closed),
};

/// One scheme over a record.
#[derive(Debug)]
pub(super) struct Lane {
    scheme: Scheme,
    /// By number of the vCPU.
    tables: Vec<Option<Box<Table>>>,
    /// By number of the core.
    cores: Vec<Core>,
    /// Symbols since the counts were last added up.
    pending: u64,
}

impl Lane {
    /// Returns a replay of `scheme` that has seen nothing yet.
    pub const fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            tables: Vec::new(),
            cores: Vec::new(),
            pending: 0,
        }
    }

    /// Returns the scheme.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Replays a batch under all of `lanes`, several at a time.
    pub fn run_all(lanes: &mut [Self], batch: &Batch) {
        let (fours, rest) = lanes.as_chunks_mut::<4>();
        for lanes in fours {
            Self::run(lanes.each_mut(), batch);
        }
        for lane in rest {
            Self::run([lane], batch);
        }
    }

    fn run<const N: usize>(mut lanes: [&mut Self; N], batch: &Batch) {
        for (run, symbols) in batch.runs() {
            for lane in &mut lanes {
                lane.seat(run);
                lane.expect(symbols.len() as u64);
            }
            let tables = lanes.each_mut().map(|lane| lane.table(run.vcpu));
            Table::run(tables, symbols);
        }
    }

    fn table(&mut self, vcpu: u16) -> &mut Table {
        let index = usize::from(vcpu);
        if self.tables.len() <= index {
            self.tables.resize_with(index + 1, || None);
        }
        self.tables[index].get_or_insert_with(|| Box::new(Table::new(self.scheme)))
    }

    /// Adds up the counts if `symbols` more could be too many.
    fn expect(&mut self, symbols: u64) {
        self.pending += symbols;
        if self.pending > MAX_STEPS {
            self.tables
                .iter_mut()
                .flatten()
                .for_each(|table| table.add_up());
            self.pending = symbols;
        }
    }

    /// Makes the run's vCPU the one that its core holds.
    #[inline]
    fn seat(&mut self, run: &Run) {
        let index = usize::from(run.core);
        if self.cores.len() <= index {
            self.cores.resize(index + 1, UNUSED);
        }
        if self.cores[index].resident == Some(run.vcpu) {
            return;
        }
        if let Some(old) = run.moved_from {
            self.fetch(run.vcpu, old.into());
        }
        self.settle(index);
        let core = &mut self.cores[index];
        core.resident = Some(run.vcpu);
        let (owner, gate) = (core.owner(run.vcpu), core.gate);
        self.table(run.vcpu).set_core(owner, gate);
    }

    /// A vCPU leaves core `old` for another one.
    fn fetch(&mut self, vcpu: u16, old: usize) {
        self.settle(old);
        // Whoever runs there next finds it as it is then.
        self.cores[old].resident = None;
        let (owner, gate) = (self.cores[old].owner(vcpu), self.cores[old].gate);
        let (left, gate) = self.table(vcpu).fetch(owner, gate);
        self.cores[old].gate = gate;
        if left == Owner::Host {
            self.cores[old].owner = None;
        }
    }

    /// Notes what the vCPU that a core holds has made of it.
    fn settle(&mut self, core: usize) {
        let Core {
            resident, owner, ..
        } = self.cores[core];
        let Some(resident) = resident else { return };
        let leave = self.table(resident).leave();
        if let Some(victim) = owner
            && leave.other_evicted
        {
            self.table(victim).counts_mut().host_evictions += 1;
        }
        let core = &mut self.cores[core];
        core.gate = leave.gate;
        core.owner = match leave.owner {
            Owner::Host => None,
            Owner::Me => Some(resident),
            Owner::Other | Owner::Elsewhere => owner,
        };
    }

    /// Returns the counts of each vCPU with its number.
    pub fn finish(mut self) -> Vec<(u16, SchemeCounts)> {
        for core in 0..self.cores.len() {
            self.settle(core);
            if let Some(owner) = self.cores[core].owner {
                self.table(owner).counts_mut().held += 1;
            }
        }
        let tables = (0..=u16::MAX).zip(&mut self.tables);
        tables
            .filter_map(|(vcpu, table)| {
                let table = table.as_mut()?;
                table.add_up();
                Some((vcpu, table.counts()))
            })
            .collect()
    }
}
