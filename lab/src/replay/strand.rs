//! A part of a replay that one thread does: some schemes, some oracles, perhaps the windows.

use trapcast_forecast::{Costs, Resume, Scheme};

use super::{
    Event, Method, Outcome,
    batch::{self, Batch},
    lane::Lane,
    machine::Direct,
    oracle::Oracle,
    outcome::{OracleOutcome, SchemeOutcome},
    windows::{WindowTable, Windows},
};
use trapcast_tool::error::Result;

/// Windows that are cut up at a time: few enough to stay in the first-level cache.
const PIECE: usize = 1 << 13;

/// The scheme `forecast` under some costs.
#[derive(Debug)]
struct Forecasting {
    costs: Costs,
    /// Whether an interrupt that is pending goes before a load.
    prompt: bool,
    direct: Direct,
}

/// Some schemes and oracles over one record.
#[derive(Debug)]
pub(super) struct Strand {
    batch: Batch,
    lanes: Vec<Lane>,
    direct: Vec<Direct>,
    forecasts: Vec<Forecasting>,
    oracles: Vec<Oracle>,
    windows: Option<WindowCount>,
}

impl Strand {
    /// Returns a strand without a scheme, which counts the windows or not.
    pub fn new(windows: bool) -> Self {
        Self {
            batch: Batch::default(),
            lanes: Vec::new(),
            direct: Vec::new(),
            forecasts: Vec::new(),
            oracles: Vec::new(),
            windows: windows.then(WindowCount::default),
        }
    }

    /// Adds a scheme, to be replayed by `method`.
    pub fn add_scheme(&mut self, scheme: Scheme, method: Method) {
        match method {
            Method::Tables => self.lanes.push(Lane::new(scheme)),
            // A rule knows no costs.
            Method::Direct => self.direct.push(Direct::new(scheme, &Costs::FREE)),
        }
    }

    /// Adds the scheme `forecast`, as it decides under these costs.
    pub fn add_forecast(&mut self, costs: Costs, prompt: bool) {
        self.forecasts.push(Forecasting {
            costs,
            prompt,
            direct: Direct::new(Scheme::Forecast, &costs),
        });
    }

    /// Adds an oracle.
    pub fn add_oracle(&mut self, costs: Costs) {
        self.oracles.push(Oracle::new(costs));
    }

    /// Replays the windows that come next. How the guest resumed in each is needed for `forecast` only.
    ///
    /// # Errors
    /// As [`Batch::fill`].
    pub fn add(&mut self, events: &[Event], resumes: &[Resume]) -> Result<()> {
        for Forecasting { prompt, direct, .. } in &mut self.forecasts {
            for (event, &resume) in events.iter().zip(resumes) {
                let pending = resume.pending && *prompt;
                let window = (event.flags(), Resume { pending, ..resume });
                direct.run(event.vcpu(), event.core(), [window]);
            }
        }
        for piece in events.chunks(PIECE) {
            self.batch.fill(piece)?;
            Lane::run_all(&mut self.lanes, &self.batch);
            for (run, symbols) in self.batch.runs() {
                for direct in &mut self.direct {
                    let flags = symbols.iter().flat_map(|&symbol| batch::flags(symbol));
                    let windows = flags.map(|flags| (flags, Resume::default()));
                    direct.run(run.vcpu, run.core, windows);
                }
                for oracle in &mut self.oracles {
                    oracle.run(run, symbols);
                }
                if let Some(windows) = &mut self.windows {
                    windows.add(run.vcpu, symbols);
                }
            }
        }
        Ok(())
    }

    /// Adds what was counted to `outcome`.
    pub fn finish(self, outcome: &mut Outcome) {
        let lanes = self
            .lanes
            .into_iter()
            .map(|lane| (lane.scheme(), lane.finish()));
        let direct = self
            .direct
            .into_iter()
            .map(|direct| (direct.scheme(), direct.finish()));
        for (scheme, vcpus) in lanes.chain(direct) {
            outcome.schemes.push(SchemeOutcome::new(scheme, vcpus));
        }
        for forecasting in self.forecasts {
            let found = SchemeOutcome {
                costs: Some(forecasting.costs),
                ..SchemeOutcome::new(Scheme::Forecast, forecasting.direct.finish())
            };
            if forecasting.prompt {
                outcome.schemes.push(found);
            } else {
                outcome.not_prompt.push(found);
            }
        }
        for oracle in self.oracles {
            let (costs, moves) = oracle.finish();
            outcome.oracles.push(OracleOutcome { costs, moves });
        }
        for (vcpu, windows) in self.windows.into_iter().flat_map(WindowCount::finish) {
            outcome.windows += &windows;
            outcome.vcpus.insert(vcpu, windows);
        }
    }
}

/// The windows of each vCPU.
#[derive(Debug, Default)]
struct WindowCount {
    /// By number of the vCPU.
    vcpus: Vec<Option<WindowTable>>,
}

impl WindowCount {
    /// Counts windows of `vcpu`, which `symbols` stand for.
    fn add(&mut self, vcpu: u16, symbols: &[u16]) {
        let index = usize::from(vcpu);
        if self.vcpus.len() <= index {
            self.vcpus.resize_with(index + 1, || None);
        }
        let windows = self.vcpus[index].get_or_insert_with(WindowTable::new);
        windows.add(symbols);
    }

    /// Returns the windows of each vCPU with its number.
    fn finish(self) -> impl Iterator<Item = (u16, Windows)> {
        let vcpus = (0..=u16::MAX).zip(self.vcpus);
        vcpus.filter_map(|(vcpu, windows)| Some((vcpu, windows?.finish())))
    }
}
