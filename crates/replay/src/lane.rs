//! One scheme over a record by its table: which vCPU is in each core, and what it finds there.

use trapcast_forecast::{Resume, Rule, Scheme};
use trapcast_record::Event;
use trapcast_switch::Forecast;

use super::{
    batch::{Batch, Run},
    counts::SchemeCounts,
    error::Result,
    table::{self, At, Memory, Owner, Proxy, STEPS, Seen, Table},
};

/// A core: the vCPU that ran there last, and what it found when it came.
#[derive(Clone, Copy, Debug)]
struct Core {
    /// By its number; [`NOBODY`] if none has since this was noted.
    resident: u32,
    /// Whose registers it holds: a vCPU's by its number, [`HOST`]'s or [`NOBODY`]'s.
    owner: u32,
    open: bool,
}

const NOBODY: u32 = u32::MAX;
const HOST: u32 = NOBODY - 1;

const UNUSED: Core = Core {
    resident: NOBODY,
    owner: HOST,
    open: false,
};

impl Core {
    /// Returns the core as `vcpu` sees it. What it is cannot be guessed, so there is no branch.
    #[inline(always)]
    fn seen_by(&self, vcpu: u16) -> Seen {
        const OWNERS: [Owner; 4] = [Owner::Me, Owner::Other, Owner::Host, Owner::Nobody];
        let others = [
            u32::from(vcpu) != self.owner,
            HOST <= self.owner,
            NOBODY == self.owner,
        ];
        Seen {
            owner: OWNERS[others.map(usize::from).iter().sum::<usize>()],
            open: self.open,
        }
    }

    /// Whether it holds a vCPU's registers.
    const fn is_held(&self) -> bool {
        self.owner < HOST
    }
}

/// One scheme over a record.
#[derive(Debug)]
pub(super) struct Lane<M> {
    table: Table<M>,
    /// By number of the vCPU: the row that it is in.
    vcpus: Vec<At>,
    /// By number of the core.
    cores: Vec<Core>,
    /// vCPUs whose registers were in a core when counting began.
    held_before: u64,
}

impl<M: Memory> Lane<M> {
    fn new(table: Table<M>) -> Self {
        Self {
            table,
            vcpus: Vec::new(),
            cores: Vec::new(),
            held_before: 0,
        }
    }

    /// Makes the run's vCPU the one that its core holds. Returns the row that it is in.
    #[inline(always)]
    fn seat(&mut self, run: &Run) -> At {
        let (vcpu, core) = (usize::from(run.vcpu), usize::from(run.core));
        if self.vcpus.len() <= vcpu {
            self.vcpus.resize(vcpu + 1, self.table.start);
        }
        if self.cores.len() <= core {
            self.cores.resize(core + 1, UNUSED);
        }
        if self.cores[core].resident != u32::from(run.vcpu) {
            if let Some(old) = run.moved_from {
                self.fetch(run.vcpu, old.into());
            }
            self.settle(core);
            self.cores[core].resident = run.vcpu.into();
            self.happens(run.vcpu, table::seat(self.cores[core].seen_by(run.vcpu)));
        }
        if run.powered_on {
            self.happens(run.vcpu, table::POWER_ON);
        }
        self.vcpus[vcpu]
    }

    /// A vCPU leaves core `old` for another one.
    #[cold]
    #[inline(never)]
    fn fetch(&mut self, vcpu: u16, old: usize) {
        self.settle(old);
        let core = self.cores[old];
        self.happens(vcpu, table::fetch(core.seen_by(vcpu)));
        // Its row is of the old core as it was left.
        self.cores[old].resident = vcpu.into();
        self.settle(old);
        self.cores[old].resident = NOBODY;
    }

    #[inline(always)]
    fn happens(&mut self, vcpu: u16, symbol: table::Symbol) {
        let at = &mut self.vcpus[usize::from(vcpu)];
        *at = self.table.step(*at, symbol).owing(*at);
    }

    /// Notes what the vCPU that a core holds has made of it.
    #[inline(always)]
    fn settle(&mut self, core: usize) {
        let core = &mut self.cores[core];
        if core.resident == NOBODY {
            return;
        }
        let left = self.table.core(self.vcpus[core.resident as usize]);
        core.open = left.open;
        let owners = [HOST, core.resident, core.owner, NOBODY, core.owner];
        core.owner = owners[left.owner as usize];
    }

    /// Returns how many vCPUs' registers are in a core.
    fn held(&mut self) -> u64 {
        (0..self.cores.len()).for_each(|core| self.settle(core));
        self.cores.iter().filter(|core| core.is_held()).count() as u64
    }

    /// Forgets what was counted, and nothing else.
    pub fn forget(&mut self) {
        self.table.forget();
        self.held_before = self.held();
    }

    /// Returns what was counted.
    pub fn finish(mut self) -> SchemeCounts {
        let held = self.held();
        SchemeCounts {
            held,
            held_before: self.held_before,
            ..self.table.finish()
        }
    }
}

/// Rules that are replayed side by side: all that remember so little that they are part of a row.
const SIDE_BY_SIDE: usize = 9;

impl Lane<Rule> {
    /// Returns a replay of a scheme of others that has seen nothing yet.
    pub fn of(scheme: Scheme) -> Self {
        Self::new(Table::of(scheme))
    }

    /// Replays a batch of at most [`STEPS`] windows under all of `lanes`, several at a time: every look-up
    /// of one waits for the one before, those of several go on side by side.
    pub fn run_all(lanes: &mut [(Scheme, Self)], batch: &Batch) {
        let (many, rest) = lanes.as_chunks_mut::<SIDE_BY_SIDE>();
        for lanes in many {
            Self::run(lanes.each_mut().map(|(_, lane)| lane), batch);
        }
        for (_, lane) in rest {
            Self::run([lane], batch);
        }
    }

    fn run<const N: usize>(mut lanes: [&mut Self; N], batch: &Batch) {
        for lane in &mut lanes {
            lane.table.expect(batch.windows(), &mut lane.vcpus);
        }
        for (run, flags) in batch.runs() {
            let mut all = lanes.each_mut().map(|lane| lane.seat(run));
            let (pairs, rest) = flags.as_chunks();
            for &flags in pairs {
                for number in 0..N {
                    all[number] = lanes[number].table.step_twice(all[number], flags);
                }
            }
            for &flags in rest {
                for number in 0..N {
                    let symbol = table::window(flags);
                    all[number] = lanes[number].table.step(all[number], symbol);
                }
            }
            for (lane, at) in lanes.iter_mut().zip(all) {
                lane.vcpus[usize::from(run.vcpu)] = at;
            }
        }
    }
}

/// Forecasters of any kind over a record, each of which is asked and told what it would be at EL2.
#[derive(Debug)]
pub struct Asked<F, N> {
    lane: Lane<Proxy>,
    /// By number of the vCPU.
    forecasters: Vec<F>,
    make: N,
    batch: Batch,
}

impl<F: Forecast, N: Fn(u16) -> F> Asked<F, N> {
    /// Returns a replay that has seen nothing yet. A vCPU begins with the forecaster that `make` returns
    /// for its number; all are asked at the same kind of windows, and release the registers alike.
    pub fn new(make: N) -> Self {
        let first = make(0);
        Self {
            lane: Lane::new(Table::new(Proxy::of(&first))),
            forecasters: vec![first],
            make,
            batch: Batch::default(),
        }
    }

    /// Replays the windows that come next, of each of which `told` says how the guest resumed in it, by its
    /// place in `events`.
    ///
    /// # Errors
    /// [`NotPut`](crate::Error::NotPut) if a vCPU runs on another core without having been put on the one
    /// before.
    pub fn add(&mut self, events: &[Event], told: impl Fn(usize) -> Resume) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        let mut first = 0;
        for piece in events.chunks(STEPS) {
            batch.fill(piece)?;
            Self::run([self], &batch, |_, window| told(first + window));
            first += piece.len();
        }
        self.batch = batch;
        Ok(())
    }

    /// Replays a batch of at most [`STEPS`] windows under all of `lanes` side by side. `told` says for each
    /// of them and each window how the guest resumed.
    pub(super) fn run<const LANES: usize>(
        mut lanes: [&mut Self; LANES],
        batch: &Batch,
        told: impl Fn(usize, usize) -> Resume,
    ) {
        for Self { lane, .. } in &mut lanes {
            lane.table.expect(batch.windows(), &mut lane.vcpus);
        }
        for (run, flags) in batch.runs() {
            let vcpu = usize::from(run.vcpu);
            let mut all = lanes.each_mut().map(|lane| lane.seat(run));
            for (&flags, window) in flags.iter().zip(run.windows.clone()) {
                for number in 0..LANES {
                    let (lane, at) = (&mut *lanes[number], all[number]);
                    all[number] = if at.asks() {
                        lane.ask(at, run.vcpu, flags, || told(number, window))
                    } else {
                        let next = lane.lane.table.step(at, table::window(flags));
                        next.owing(at)
                    };
                }
            }
            for (lane, at) in lanes.iter_mut().zip(all) {
                lane.lane.vcpus[vcpu] = at;
            }
        }
    }

    /// A vCPU is entered, and its forecaster told what it has not been, and asked. Apart, so that the way of
    /// all other windows is short.
    #[inline(never)]
    fn ask(&mut self, at: At, vcpu: u16, flags: u8, told: impl FnOnce() -> Resume) -> At {
        let forecaster = &mut self.forecasters[usize::from(vcpu)];
        for evidence in [at.learns(), at.learns_before()].into_iter().flatten() {
            forecaster.learn(evidence);
        }
        let decision = forecaster.decide(told);
        self.lane.table.step(at, table::decided(flags, decision))
    }

    /// As [`Lane::seat`], and sees to it that the vCPU has a forecaster.
    #[inline(always)]
    fn seat(&mut self, run: &Run) -> At {
        while self.forecasters.len() <= usize::from(run.vcpu) {
            let number = self.forecasters.len() as u16;
            self.forecasters.push((self.make)(number));
        }
        self.lane.seat(run)
    }

    /// Forgets what was counted; no forecaster forgets anything.
    pub(super) fn forget(&mut self) {
        self.lane.forget();
    }

    /// Returns what was counted, over all vCPUs. Every forecaster has been told all that was to be told by
    /// then.
    pub fn finish(mut self) -> SchemeCounts {
        for (at, forecaster) in self.lane.vcpus.iter().zip(&mut self.forecasters) {
            if let Some(evidence) = at.learns() {
                forecaster.learn(evidence);
            }
        }
        self.lane.finish()
    }
}
