//! The plane as a picture for the terminal: one letter per scheme, one mark per profile.

use std::{collections::BTreeMap, fmt::Write};

use super::{EXCHANGES, Place, Plane, ROUND_TRIPS, SIMPLEST_FIRST, at, spread};

const COLUMNS: usize = 64;
const ROWS: usize = 20;
/// Rows from one number at the axis of C to the next.
const ROWS_PER_LABEL: usize = 4;
/// What profiles are marked with, in their order.
const MARKS: &str = "123456789abcdefghijklmnopqrstuvwxyz";

/// Shows the plane; at most 120 columns wide.
pub fn render(plane: &Plane) -> String {
    let letters = letters(plane);
    let marks = marks(&plane.profiles);
    let mut text = drawn(plane, &letters, &marks);
    text += "\nThe cheapest scheme; T: round trip of a trap, C: one exchange. Where several cost the \
             same, the first of:\n";
    for (index, (letter, counts)) in letters.iter().zip(&plane.counts.schemes).enumerate() {
        let points = plane.cheapest.iter().flatten();
        let share = points
            .clone()
            .filter(|&&cheapest| cheapest == index)
            .count() as f64
            / points.count() as f64;
        let _ = writeln!(
            text,
            "  {letter}  {:<15} at {:5.1} % of the points; {} traps, {} exchanges",
            counts.scheme,
            share * 100.0,
            counts.traps,
            counts.exchanges
        );
    }
    text += &borders(plane);
    text + &profiles(&plane.profiles, &marks)
}

/// Shows the picture alone.
pub fn picture(plane: &Plane) -> String {
    drawn(plane, &letters(plane), &marks(&plane.profiles))
}

fn drawn(plane: &Plane, letters: &[char], marks: &[Mark]) -> String {
    let mut text = "       C\n".to_string();
    let shown: BTreeMap<(usize, usize), char> = marks
        .iter()
        .filter(|mark| mark.behind.is_none())
        .filter_map(|mark| Some((mark.cell?, mark.sign?)))
        .collect();
    let round_trips = spread(ROUND_TRIPS, COLUMNS);
    for (row, &exchange) in spread(EXCHANGES, ROWS).iter().enumerate().rev() {
        let label = if row.is_multiple_of(ROWS_PER_LABEL) || row == ROWS - 1 {
            exchange.to_string()
        } else {
            String::new()
        };
        let line = round_trips.iter().enumerate().map(|(column, &round_trip)| {
            let cheapest = at(&plane.counts, round_trip, exchange).cheapest;
            shown.get(&(column, row)).unwrap_or(&letters[cheapest])
        });
        let _ = writeln!(text, "{label:>8} |{}", line.collect::<String>());
    }
    let _ = writeln!(text, "{:>8} +{}", "", "-".repeat(COLUMNS));
    let mut axis = format!("{:10}", "");
    for tick in [30, 100, 1_000, 10_000, 100_000, 500_000] {
        let column = nearest(tick, ROUND_TRIPS, COLUMNS).unwrap_or_default();
        let gap = (10 + column).saturating_sub(axis.len());
        let _ = write!(axis, "{:gap$}{tick}", "");
    }
    text + &axis + "  T\n"
}

fn borders(plane: &Plane) -> String {
    let Some(last) = plane.borders.last() else {
        let first = plane.cheapest.first().and_then(|row| row.first());
        let only = first.and_then(|&first| plane.counts.schemes.get(first));
        return only.map_or(String::new(), |only| {
            format!("{} is cheapest whatever T and C are.\n", only.scheme)
        });
    };
    let mut text = "From small C / T to large:\n".to_string();
    for border in &plane.borders {
        let _ = writeln!(
            text,
            "  {:<15} up to C / T = {:.4}, where p* = 2 C / (T + 2 C) = {:.4}",
            border.below,
            border.ratio,
            border.break_even.unwrap_or_default()
        );
    }
    let _ = writeln!(text, "  {:<15} beyond", last.above);
    text
}

fn profiles(places: &[Place], marks: &[Mark]) -> String {
    if places.is_empty() {
        return String::new();
    }
    let mut text = "Cost profiles:\n".to_string();
    for (place, mark) in places.iter().zip(marks) {
        let sign = match (mark.sign, mark.behind) {
            (Some(sign), Some(front)) => format!("{sign} at {front}"),
            (Some(sign), None) => sign.to_string(),
            (None, _) if mark.cell.is_none() => "outside".to_string(),
            (None, _) => "-".to_string(),
        };
        let _ = writeln!(
            text,
            "  {sign:<7} {:<22} T {:>6}, C {:>5} {:<12} {:<15} next {:>8}, oracle {:>8}",
            place.profile,
            place.round_trip,
            place.exchange,
            place.unit.name(),
            place.cheapest,
            more(place.next_costs_more_percent),
            more(place.over_oracle_percent),
        );
    }
    text
}

/// A percentage as the legend has it, in at most nine columns.
fn more(percent: Option<f64>) -> String {
    match percent {
        None => "-".to_string(),
        Some(percent) if percent < 1000.0 => format!("+{percent:.1} %"),
        Some(percent) if percent < 100_000.0 => format!("+{percent:.0} %"),
        Some(_) => "> 1000-fold".to_string(),
    }
}

/// How a profile is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Mark {
    /// Its sign; `None` if it lies outside or there are none left.
    sign: Option<char>,
    /// Column and row, the rows from below; `None` if it lies outside.
    cell: Option<(usize, usize)>,
    /// The sign that stands in its cell, if that is another profile's.
    behind: Option<char>,
}

fn marks(places: &[Place]) -> Vec<Mark> {
    let mut signs = MARKS.chars();
    let mut taken = BTreeMap::new();
    let mut mark = |place: &Place| {
        let cell = nearest(place.round_trip, ROUND_TRIPS, COLUMNS).zip(nearest(
            place.exchange,
            EXCHANGES,
            ROWS,
        ));
        let sign = cell.and_then(|_| signs.next());
        let mut behind = None;
        if let Some((cell, sign)) = cell.zip(sign) {
            let front = *taken.entry(cell).or_insert(sign);
            behind = (front != sign).then_some(front);
        }
        Mark { sign, cell, behind }
    };
    places.iter().map(&mut mark).collect()
}

/// The point of an axis that is nearest to a value; `None` beyond its ends.
fn nearest(value: u64, (low, high): (u64, u64), points: usize) -> Option<usize> {
    let share = (value as f64 / low as f64).ln() / (high as f64 / low as f64).ln();
    (low..=high)
        .contains(&value)
        .then(|| (share * (points - 1) as f64).round() as usize)
}

/// One upper-case letter per scheme of the plane: the first of its name that no scheme before it in
/// the order of simplicity has. So a scheme's letter does not depend on which others are there.
fn letters(plane: &Plane) -> Vec<char> {
    let mut taken: Vec<(String, char)> = Vec::new();
    let known = SIMPLEST_FIRST.iter().map(|scheme| scheme.name());
    let present = plane.counts.schemes.iter().map(|each| each.scheme.as_str());
    for name in known.chain(present) {
        if !taken.iter().any(|(other, _)| other == name) {
            let own = name.chars().filter(char::is_ascii_alphabetic);
            let letter = own
                .map(|letter| letter.to_ascii_uppercase())
                .chain('A'..='Z')
                .find(|letter| !taken.iter().any(|(_, other)| other == letter));
            taken.push((name.to_string(), letter.unwrap_or('#')));
        }
    }
    let letter = |name: &str| taken.iter().find(|(other, _)| other == name).map(|it| it.1);
    let schemes = plane.counts.schemes.iter();
    schemes
        .map(|each| letter(&each.scheme).unwrap_or('#'))
        .collect()
}
