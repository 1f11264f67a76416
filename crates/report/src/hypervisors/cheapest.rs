//! Where Trapcast is the cheapest of some hypervisors that ran the same guests, and where it is not.

use trapcast_observe::{Policy, Quantiles, Summary};
use trapcast_trace::report::EXIT_NAMES;

use super::{
    Family, Observation,
    tables::{exit, outside},
};
use crate::report::{
    data::{Column, Table},
    words::{self, Format::Plain},
};

/// Fewer counts than this are not compared.
const ENOUGH: u64 = 10;

/// Trapcast beside the others in one measure, of which less is better.
#[derive(Clone, Debug, PartialEq)]
pub struct Rival {
    /// What is measured.
    pub measure: String,
    /// Trapcast's cheapest, and its name.
    pub ours: (f64, String),
    /// The others' cheapest, and its name.
    pub theirs: (f64, String),
    /// Trapcast's schemes that are dearer than that, in words.
    pub dearer: String,
}

impl Rival {
    /// Whether no other hypervisor is cheaper than Trapcast at its best.
    pub fn is_won(&self) -> bool {
        self.ours.0 <= self.theirs.0
    }
}

/// What is compared, of which less is better.
#[derive(Clone, Copy)]
enum Measure {
    /// The median of exits of a kind.
    Exit(&'static str),
    /// The median of switches.
    Switch,
    /// The median of traps.
    Trap,
    /// Traps per 1,000 entries.
    Traps,
    /// Entries.
    Entries,
    /// Instructions outside of guests per 1,000 of theirs.
    Outside,
}

impl Measure {
    fn all() -> impl Iterator<Item = Self> {
        let others = [
            Self::Switch,
            Self::Trap,
            Self::Traps,
            Self::Entries,
            Self::Outside,
        ];
        EXIT_NAMES.map(Self::Exit).into_iter().chain(others)
    }

    fn name(self) -> String {
        match self {
            Self::Exit(kind) => format!("exit: {kind}"),
            Self::Switch => "switch to another vCPU".to_string(),
            Self::Trap => "FP/SIMD trap".to_string(),
            Self::Traps => "FP/SIMD traps per 1,000 entries".to_string(),
            Self::Entries => "entries".to_string(),
            Self::Outside => "outside of guests, per 1,000 instructions of theirs".to_string(),
        }
    }

    /// Its value, unless too little was counted.
    fn of(self, summary: &Summary) -> Option<f64> {
        let median = |counts: Option<Quantiles>| {
            let counts = counts.filter(|counts| counts.count >= ENOUGH)?;
            Some(counts.median as f64)
        };
        match self {
            Self::Exit(kind) => median(exit(summary, kind)?.1),
            Self::Switch => median(summary.switches),
            Self::Trap => median(summary.fp_traps.instructions),
            Self::Traps => summary.fp_traps.per_1000_entries,
            Self::Entries => Some(summary.entries as f64),
            Self::Outside => outside(summary),
        }
    }
}

/// The core that is compared: the first that Trapcast was seen on.
pub fn core<'a>(observations: &[&'a Observation]) -> Option<&'a str> {
    let mut all = observations.iter();
    let first = all.find(|seen| seen.family == Family::Trapcast)?;
    Some(&first.cpu)
}

/// Compares Trapcast with the others in each measure that both have, on `core()`. A policy that does not switch the
/// registers is left out.
pub fn rivals(observations: &[&Observation]) -> Vec<Rival> {
    let cpu = core(observations);
    let on_it = observations
        .iter()
        .filter(|seen| Some(seen.cpu.as_str()) == cpu);
    let (ours, theirs): (Vec<_>, Vec<_>) = on_it
        .filter(|seen| seen.summary.verdict.policy != Policy::None)
        .partition(|seen| seen.family == Family::Trapcast);
    let mut rivals = Vec::new();
    for measure in Measure::all() {
        let value = |summary: &Summary| measure.of(summary);
        let least = |of: &[&&Observation]| {
            let values = of
                .iter()
                .filter_map(|seen| Some((value(&seen.summary)?, seen.hypervisor.clone())));
            values.reduce(|best, next| if next.0 < best.0 { next } else { best })
        };
        let (Some(our), Some(their)) = (least(&ours), least(&theirs)) else {
            continue;
        };
        let measured = ours
            .iter()
            .filter_map(|seen| Some((value(&seen.summary)?, seen)));
        let is_dearer = |(value, _): &(f64, _)| *value > their.0;
        let (dearer, others): (Vec<_>, Vec<_>) = measured.partition(is_dearer);
        rivals.push(Rival {
            measure: measure.name(),
            ours: our,
            dearer: match (dearer.len(), others.len()) {
                (0, _) => "none".to_string(),
                (_, 0) => "all".to_string(),
                _ => words::list(
                    &dearer
                        .iter()
                        .map(|(_, seen)| scheme(seen))
                        .collect::<Vec<_>>(),
                ),
            },
            theirs: their,
        });
    }
    rivals
}

/// What follows "Trapcast, " in a name.
fn scheme(seen: &Observation) -> String {
    let name = seen.hypervisor.as_str();
    name.split_once(", ")
        .map_or(name, |(_, scheme)| scheme)
        .to_string()
}

/// Says where Trapcast is not the cheapest.
pub fn sentence(rivals: &[Rival]) -> String {
    let lost: Vec<_> = rivals.iter().filter(|rival| !rival.is_won()).collect();
    let named = lost.iter().map(|rival| {
        format!(
            "{} ({} under {}; {} under {})",
            rival.measure,
            words::plain(rival.ours.0),
            rival.ours.1,
            words::plain(rival.theirs.0),
            rival.theirs.1
        )
    });
    let named: Vec<_> = named.collect();
    match named.as_slice() {
        [] => format!(
            "Of {} measures, another hypervisor is cheaper than Trapcast at its best in none.",
            rivals.len()
        ),
        named => format!(
            "Trapcast is not the cheapest in {} of {} measures, even under its best scheme: {}.",
            named.len(),
            rivals.len(),
            named.join("; ")
        ),
    }
}

/// All of it as a table.
pub fn table(rivals: &[Rival]) -> Table {
    let mut table = Table::new(
        "hypervisor_rivals",
        "Trapcast's best scheme and the best of the others, on the same core.",
        &[
            Column::text("measure", "what is measured; less is better"),
            Column::number("trapcast", "under its best scheme", Plain),
            Column::text("scheme", "that scheme"),
            Column::number("others", "the cheapest of the others", Plain),
            Column::text("which", "which that is"),
            Column::text("dearer_than_that", "Trapcast's schemes that are"),
        ],
    );
    for rival in rivals {
        table.push([
            (&rival.measure).into(),
            rival.ours.0.into(),
            (&rival.ours.1).into(),
            rival.theirs.0.into(),
            (&rival.theirs.1).into(),
            (&rival.dearer).into(),
        ]);
    }
    table
}
