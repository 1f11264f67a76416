//! The (T, C) plane: which scheme is cheapest on one record, whatever a trap and an exchange cost.
//!
//! T is the whole round trip of a trap, gate write and ISB included, C one exchange: a save and a
//! load. A scheme that trapped `t` times and exchanged `e` times costs `t * T + e * C`. Gate writes
//! that come with no trap are left out here; the replay under a profile counts them.
//!
//! As costs are linear, the cheapest scheme depends on C / T alone: every border is a line through
//! the origin, and a diagonal where both axes are logarithmic.

mod picture;

use serde::Serialize;
use trapcast_forecast::Scheme;
use trapcast_profile::{Certainty, Profile, Unit};
use trapcast_results::plane::{Counts, SchemeCounts};

pub use picture::{picture, render};

use trapcast_tool::error::{Error, Result};

/// Lowest and highest T of the plane.
pub const ROUND_TRIPS: (u64, u64) = (30, 500_000);
/// Lowest and highest C of the plane.
pub const EXCHANGES: (u64, u64) = (10, 50_000);
/// Points of the grid per factor of ten, on both axes.
const PER_DECADE: f64 = 14.0;

/// Where two schemes cost the same, the one that stands first here counts as cheaper: first those
/// that remember nothing, by how long they leave the registers where they are, then those that
/// remember more and more. A scheme that is not here comes after all of them.
const SIMPLEST_FIRST: [Scheme; 10] = [
    Scheme::Eager,
    Scheme::PerEntry,
    Scheme::UntilPut,
    Scheme::Kvm,
    Scheme::EagerUntilPut,
    Scheme::Owner,
    Scheme::EagerOwner,
    Scheme::LastTrap,
    Scheme::Counter,
    Scheme::Credit,
];

/// The plane of one record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plane {
    /// What was compared, the simpler scheme first.
    #[serde(flatten)]
    pub counts: Counts,
    /// The grid's T, ascending.
    pub round_trips: Vec<u64>,
    /// The grid's C, ascending.
    pub exchange_costs: Vec<u64>,
    /// Index in `schemes` of the cheapest at `[C][T]`.
    pub cheapest: Vec<Vec<usize>>,
    /// What the next scheme costs more than the cheapest, in percent of the cheapest, at `[C][T]`.
    pub next_costs_more_percent: Vec<Vec<Option<f64>>>,
    /// What the cheapest costs more than the oracle, in percent of the oracle, at `[C][T]`.
    pub over_oracle_percent: Vec<Vec<Option<f64>>>,
    /// Where the cheapest scheme changes, by ascending C / T.
    pub borders: Vec<Border>,
    /// Where cost profiles fall.
    pub profiles: Vec<Place>,
}

/// The plane of a record of which not all need have been seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Between {
    /// As if no unseen window had used the registers.
    #[serde(flatten)]
    pub unused: Plane,
    /// As if all of them had; nothing where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_used: Option<Plane>,
}

impl Between {
    /// Shows it: one plane where the same scheme is the cheapest at each point either way, else both.
    pub fn render(&self) -> String {
        let unused = render(&self.unused);
        match &self.all_used {
            None => unused,
            Some(used) if used.cheapest == self.unused.cheapest => {
                format!("{unused}\n{IS_SAME}\n")
            }
            Some(used) => format!("{IF_UNUSED}\n{unused}\n{IF_USED}\n{}", render(used)),
        }
    }
}

const IS_SAME: &str = "\
Not all windows were seen to use the registers or not. This is as if none of the unseen ones had; if all had,
the same schemes would be the cheapest.";
const IF_UNUSED: &str =
    "Not all windows were seen to use the registers or not. As if none of the unseen ones had:";
const IF_USED: &str = "As if all of them had:";

/// A line C = `ratio` * T, at which the cheapest scheme changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Border {
    /// C / T.
    pub ratio: f64,
    /// p\* = 2 C / (T + 2 C).
    pub break_even: Option<f64>,
    /// The cheapest scheme where C / T is just smaller.
    pub below: String,
    /// The cheapest scheme where C / T is just larger.
    pub above: String,
}

/// Where one cost profile falls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// The profile's name, with its mark behind it if its figures are only recalled.
    pub profile: String,
    /// T.
    pub round_trip: u64,
    /// C.
    pub exchange: u64,
    /// What they are counted in.
    pub unit: Unit,
    /// How sure they are.
    pub certainty: Certainty,
    /// The cheapest scheme there.
    pub cheapest: String,
    /// What the next scheme costs more, in percent of the cheapest.
    pub next_costs_more_percent: Option<f64>,
    /// What the cheapest costs more than the oracle, in percent of the oracle.
    pub over_oracle_percent: Option<f64>,
}

/// Compares the schemes of a record at every point of the plane, and at each profile.
///
/// Percentages are `None` where there is nothing to compare with: no second scheme, or a cost of
/// zero. They are rounded to a thousandth.
///
/// # Errors
/// [`Error::Input`] where no scheme other than `none` is there.
pub fn plane(counts: &Counts, profiles: &[Profile]) -> Result<Plane> {
    let mut counts = counts.clone();
    counts
        .schemes
        .retain(|each| each.scheme != Scheme::None.name());
    counts.schemes.sort_by_key(|each| simplicity(&each.scheme));
    if counts.schemes.is_empty() {
        return Err(Error::input(
            "the (T, C) plane compares schemes other than none: choose at least one",
        ));
    }
    let (round_trips, exchange_costs) = (grid(ROUND_TRIPS), grid(EXCHANGES));
    let points: Vec<Vec<Point>> = exchange_costs
        .iter()
        .map(|&c| round_trips.iter().map(|&t| at(&counts, t, c)).collect())
        .collect();
    Ok(Plane {
        cheapest: each(&points, |point| point.cheapest),
        next_costs_more_percent: each(&points, |point| point.next_costs_more),
        over_oracle_percent: each(&points, |point| point.over_oracle),
        borders: borders(&counts),
        profiles: profiles
            .iter()
            .map(|profile| place(&counts, profile))
            .collect(),
        round_trips,
        exchange_costs,
        counts,
    })
}

/// The schemes at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    cheapest: usize,
    next_costs_more: Option<f64>,
    over_oracle: Option<f64>,
}

fn each<T>(points: &[Vec<Point>], value: impl Fn(&Point) -> T) -> Vec<Vec<T>> {
    points
        .iter()
        .map(|row| row.iter().map(&value).collect())
        .collect()
}

/// What the scheme costs. No product of 64 bits with the cost of one trap or exchange, which
/// has 35 at most, comes near the end of 128.
const fn cost(scheme: &SchemeCounts, round_trip: u64, exchange: u64) -> u128 {
    scheme.traps as u128 * round_trip as u128 + scheme.exchanges as u128 * exchange as u128
}

/// Compares the schemes, of which there is one at least, at one point.
fn at(counts: &Counts, round_trip: u64, exchange: u64) -> Point {
    let costs = counts
        .schemes
        .iter()
        .map(|each| cost(each, round_trip, exchange));
    // Of several that cost the same, the first is found.
    let (cheapest, least) = costs
        .clone()
        .enumerate()
        .min_by_key(|&(_, cost)| cost)
        .unwrap_or_default();
    let others = costs.enumerate().filter(|&(index, _)| index != cheapest);
    let next = others.map(|(_, cost)| cost).min();
    let oracle = u128::from(counts.oracle_exchanges) * u128::from(exchange);
    Point {
        cheapest,
        next_costs_more: next.and_then(|next| percent_more(next, least)),
        over_oracle: percent_more(least, oracle),
    }
}

fn place(counts: &Counts, profile: &Profile) -> Place {
    let (round_trip, exchange) = (profile.round_trip(), profile.fp.exchange());
    let point = at(counts, round_trip, exchange);
    Place {
        profile: profile.label(),
        round_trip,
        exchange,
        unit: profile.unit,
        certainty: profile.certainty,
        cheapest: counts.schemes[point.cheapest].scheme.clone(),
        next_costs_more_percent: point.next_costs_more,
        over_oracle_percent: point.over_oracle,
    }
}

/// The borders by ascending C / T: the lower envelope of the lines `traps + exchanges * C / T`.
fn borders(counts: &Counts) -> Vec<Border> {
    let mut borders = Vec::new();
    let first = counts
        .schemes
        .iter()
        .min_by_key(|each| (each.traps, each.exchanges));
    let mut current = first;
    while let Some(below) = current {
        // Just above a border, the flattest of the lines that meet there is the lowest.
        current = counts
            .schemes
            .iter()
            .filter(|other| other.exchanges < below.exchanges)
            .min_by(|a, b| {
                compare(meeting(below, a), meeting(below, b)).then(a.exchanges.cmp(&b.exchanges))
            });
        if let Some(above) = current {
            let (traps, exchanges) = meeting(below, above);
            borders.push(Border {
                ratio: traps as f64 / exchanges as f64,
                // Where C is `traps` times something, T is `exchanges` times that.
                break_even: trapcast_profile::break_even(exchanges, traps),
                below: below.scheme.clone(),
                above: above.scheme.clone(),
            });
        }
    }
    borders
}

/// The C / T at which two schemes cost the same, as a fraction: the traps that `above` takes more,
/// over the exchanges that it takes less. `below` is cheapest at some smaller C / T, so neither is
/// negative.
const fn meeting(below: &SchemeCounts, above: &SchemeCounts) -> (u64, u64) {
    (
        above.traps.saturating_sub(below.traps),
        below.exchanges.saturating_sub(above.exchanges),
    )
}

/// Compares two fractions.
fn compare(a: (u64, u64), b: (u64, u64)) -> std::cmp::Ordering {
    (u128::from(a.0) * u128::from(b.1)).cmp(&(u128::from(b.0) * u128::from(a.1)))
}

/// What `cost` is more than `base`, in percent of `base`; `None` if only `base` is zero.
fn percent_more(cost: u128, base: u128) -> Option<f64> {
    if cost == base {
        return Some(0.0);
    }
    let more = (cost as f64 - base as f64) / base as f64 * 100.0;
    (base != 0).then(|| (more * 1000.0).round() / 1000.0)
}

/// The place of a scheme in [`SIMPLEST_FIRST`].
fn simplicity(name: &str) -> usize {
    let place = SIMPLEST_FIRST
        .iter()
        .position(|scheme| scheme.name() == name);
    place.unwrap_or(SIMPLEST_FIRST.len())
}

/// Whole numbers from the lowest to the highest, evenly spread over the logarithm.
fn grid((low, high): (u64, u64)) -> Vec<u64> {
    let decades = (high as f64 / low as f64).log10();
    spread((low, high), (decades * PER_DECADE).round() as usize + 1)
}

/// `points` whole numbers, at least two, from the lowest to the highest, evenly spread over the
/// logarithm.
fn spread((low, high): (u64, u64), points: usize) -> Vec<u64> {
    let (low, factor) = (low as f64, high as f64 / low as f64);
    (0..points)
        .map(|point| (low * factor.powf(point as f64 / (points - 1) as f64)).round() as u64)
        .collect()
}

#[cfg(test)]
mod tests;
