//! The tables of `trapcast replay`.

use comfy_table::{Cell, CellAlignment, Table, presets};

use trapcast_forecast::Scheme;
use trapcast_replay::is_bounded;
use trapcast_trace::report::WindowReport;

use super::{CostRow, Counted, Figures, ProfileRow, Replayed, SchemeRow, merge::Merged};

/// Shows what a replay of one file has found out; at most 120 columns wide, but for ranges under several profiles.
pub fn render(replayed: &Replayed) -> String {
    let (low, high) = (&replayed.figures, replayed.all_used.as_ref());
    let heading = format!("{}: {}", replayed.file.display(), replayed.workload);
    render_figures(
        &heading,
        replayed.counted,
        replayed.unseen_windows,
        low,
        high,
    )
}

/// Shows what came of several, likewise.
pub fn render_merged(merged: &Merged) -> String {
    let (low, high) = (&merged.figures, merged.all_used.as_ref());
    let heading = match merged.records {
        1 => "1 record".to_string(),
        records => format!("{records} records"),
    };
    render_figures(&heading, merged.counted, merged.unseen_windows, low, high)
}

fn render_figures(
    heading: &str,
    counted: Counted,
    unseen_windows: u64,
    low: &Figures,
    high: Option<&Figures>,
) -> String {
    let high = high.unwrap_or(low);
    let windows = |of: fn(&Figures) -> &WindowReport| {
        let share = |figures| {
            let WindowReport { used, windows, .. } = of(figures);
            Some(100.0 * *used as f64 / (*windows).max(1) as f64)
        };
        let used = BOUNDS.show([share(low), share(high)], |share| format!("{share:.1}"));
        format!("{}, {used} % used", of(low).windows)
    };
    let mut text = format!(
        "{heading}{}\nwindows from entry to exit: {}; from load to put: {}\n{}\n",
        match counted {
            Counted::All => "",
            Counted::Work => ", while all VMs are at work",
        },
        windows(|figures| &figures.entry_windows),
        windows(|figures| &figures.load_windows),
        scheme_table(low, high)
    );
    if unseen_windows != 0 {
        text += &format!(
            "whether {unseen_windows} windows used the registers was not to be seen. a-b: between these, whichever did; a~b: if none of \
             them did,\nand if all did, and it may be more or less than both\n"
        );
    }
    match (low.profiles.as_slice(), high.profiles.as_slice()) {
        ([], _) | (_, []) => {}
        ([low], [high]) => text += &format!("\n{}{LEGEND}", render_between(low, high)),
        (low, high) => text += &several_profiles(low, high),
    }
    text
}

/// What a figure is if no unseen window used the registers, and if all did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Span {
    /// Whether it lies between these two whichever windows did.
    bounded: bool,
}

pub(super) const BOUNDS: Span = Span { bounded: true };

impl Span {
    /// Of what may lie outside.
    pub(super) const UNBOUNDED: Self = Self { bounded: false };

    /// What is shown of a scheme.
    fn of(scheme: &str) -> Self {
        let bounded = scheme.parse().is_ok_and(is_bounded);
        Self { bounded }
    }

    /// Shows both; one where they look the same.
    pub(super) fn show<T: PartialOrd + Copy>(
        self,
        both: [Option<T>; 2],
        show: impl Fn(T) -> String,
    ) -> String {
        let [Some(unused), Some(used)] = both else {
            return "-".to_string();
        };
        match (show(unused), show(used)) {
            (unused, used) if unused == used => unused,
            (unused, used) if !self.bounded => format!("{unused}~{used}"),
            (high, low) if used < unused => format!("{low}-{high}"),
            (low, high) => format!("{low}-{high}"),
        }
    }
}

/// Both factors in a narrow column: one above the other.
fn narrow(span: Span, both: [Option<f64>; 2]) -> Cell {
    let mut shown = span.show(both, factor);
    if let Some(place) = shown.find(['-', '~']).filter(|place| *place != 0) {
        shown.insert(place + 1, '\n');
    }
    right(shown)
}

/// Returns a table with these headings, the first column to the left.
pub fn table(headings: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut headings = headings.into_iter();
    let first = headings.next().map(Cell::new);
    table.set_header(first.into_iter().chain(headings.map(right)));
    table
}

/// A cell to the right.
pub fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn scheme_table(low: &Figures, high: &Figures) -> Table {
    let headings = [
        "scheme",
        "traps",
        "probes",
        "loads",
        "saves",
        "wasted\nloads",
        "gate\nwrites",
        "ISBs",
        "forecasts\nright",
    ];
    let mut table = table(headings.map(String::from));
    for (row, high_row) in low.schemes.iter().zip(&high.schemes) {
        let span = Span::of(row.scheme);
        let whole = |span: Span, of: fn(&SchemeRow) -> u64| {
            let both = [row, high_row].map(|row| Some(of(row)));
            right(span.show(both, |count| count.to_string()))
        };
        let right_share = span.show([row, high_row].map(right_share), |share| {
            format!("{share:.1} %")
        });
        let cells = [
            whole(BOUNDS, |row| row.counts.traps),
            whole(BOUNDS, |row| row.counts.probes),
            whole(BOUNDS, |row| row.loads),
            whole(BOUNDS, |row| row.saves),
            whole(span, |row| row.counts.wasted_loads),
            whole(span, |row| row.counts.gate_writes),
            whole(span, |row| row.counts.isbs),
            right(right_share),
        ];
        let name = match &row.profile {
            Some(profile) if low.profiles.len() > 1 => format!("{} ({profile})", row.scheme),
            _ => row.scheme.to_string(),
        };
        table.add_row([Cell::new(name)].into_iter().chain(cells));
    }
    table
}

/// How many of a scheme's forecasts were right, in percent, if it made any.
fn right_share(row: &SchemeRow) -> Option<f64> {
    let [[true_none, false_none], [false_use, true_use]] = row.counts.forecast;
    let all = true_none + false_none + false_use + true_use;
    (all > 0).then(|| 100.0 * (true_none + true_use) as f64 / all as f64)
}

/// A ratio, if there is one.
pub fn ratio_cell(ratio: Option<f64>, show: impl Fn(f64) -> String) -> Cell {
    right(ratio.map_or("-".to_string(), show))
}

/// A factor as tables have it: three places, fewer where it is large.
pub fn factor(ratio: f64) -> String {
    match ratio {
        large if large >= 1000.0 => format!("{large:.0}"),
        medium if medium >= 10.0 => format!("{medium:.1}"),
        small => format!("{small:.3}"),
    }
}

/// Shows what each scheme costs under one profile.
pub fn render_profile(profile: &ProfileRow) -> String {
    render_between(profile, profile)
}

/// The same, of which each figure lies between two.
pub(super) fn render_between(profile: &ProfileRow, high: &ProfileRow) -> String {
    let headings = [
        "scheme",
        "cost",
        "decisions",
        "avoidable",
        "x oracle",
        "x better fixed",
    ];
    let mut table = table(headings.map(String::from));
    for (row, high) in profile.schemes.iter().zip(&high.schemes) {
        let span = Span::of(row.scheme);
        let whole = |of: fn(&CostRow) -> Option<u64>| {
            right(span.show([row, high].map(of), |cost| cost.to_string()))
        };
        let over = |of: fn(&CostRow) -> Option<f64>| right(span.show([row, high].map(of), factor));
        table.add_row([
            Cell::new(row.scheme),
            whole(|row| Some(row.cost)),
            whole(|row| row.decisions),
            whole(|row| row.avoidable),
            over(|row| row.over_oracle),
            over(|row| row.over_fixed),
        ]);
    }
    format!(
        "{}: the oracle costs {} {}\n{table}\n",
        profile.profile, profile.oracle, profile.unit
    )
}

/// The schemes that stand beside the oracle: all but `none`, which is cheap because it is wrong.
fn compared(profile: &ProfileRow) -> impl Iterator<Item = &CostRow> {
    let rows = profile.schemes.iter();
    rows.filter(|row| row.scheme != Scheme::None.name())
}

/// The name of a scheme over a narrow column.
fn heading(scheme: &str) -> String {
    scheme.replace('-', "-\n")
}

fn several_profiles(profiles: &[ProfileRow], highs: &[ProfileRow]) -> String {
    let matrix = |title: &str, cell: fn(&CostRow) -> Option<f64>| {
        let schemes = compared(&profiles[0]).map(|row| heading(row.scheme));
        let headings = ["profile".to_string(), "oracle's\ncost".to_string()];
        let mut table = table(headings.into_iter().chain(schemes));
        for (profile, high) in profiles.iter().zip(highs) {
            let rows = compared(profile).zip(compared(high));
            let cells = rows.map(|(row, high)| {
                let both = [row, high].map(cell);
                narrow(Span::of(row.scheme), both)
            });
            let first = [Cell::new(&profile.profile), right(profile.oracle)];
            table.add_row(first.into_iter().chain(cells));
        }
        format!("\n{title}\n{}\n", table.trim_fmt())
    };
    matrix("cost over the oracle's", |row| row.over_oracle)
        + &matrix(
            "cost over that of the better one of eager and per-entry",
            |row| row.over_fixed,
        )
        + LEGEND
}

/// Shows how the schemes stand over several files: for each profile the geometric mean of their costs
/// over the oracle's. Nothing for a single file, or without a profile.
pub fn render_means(all: &[Replayed]) -> Option<String> {
    let [first, _, ..] = all else { return None };
    let first = &first.figures;
    let schemes = compared(first.profiles.first()?).map(|row| heading(row.scheme));
    let mut table = table(std::iter::once("profile".to_string()).chain(schemes));
    for (number, profile) in first.profiles.iter().enumerate() {
        let cells = compared(profile).map(|row| {
            let of = |figures: &Figures| {
                let mut rows = figures.profiles[number].schemes.iter();
                rows.find(|other| other.scheme == row.scheme)?.over_oracle
            };
            let low = |each: &Replayed| of(&each.figures);
            let high = |each: &Replayed| of(each.all_used.as_ref().unwrap_or(&each.figures));
            let low = geometric_mean(all.iter().map(low));
            let high = geometric_mean(all.iter().map(high));
            narrow(Span::of(row.scheme), [low, high])
        });
        table.add_row([Cell::new(&profile.profile)].into_iter().chain(cells));
    }
    Some(format!(
        "\nall {} files: cost over the oracle's, geometric mean\n{table}\n",
        all.len()
    ))
}

/// The geometric mean of some ratios, if there are all of them.
pub fn geometric_mean(ratios: impl ExactSizeIterator<Item = Option<f64>>) -> Option<f64> {
    let count = ratios.len();
    let logarithms: Option<f64> = ratios.map(|ratio| Some(ratio?.ln())).sum();
    Some((logarithms? / count as f64).exp())
}

pub(super) const LEGEND: &str = "\
oracle: the offline optimum; better fixed: the cheaper one of eager and per-entry. none
switches nothing, so its cost says nothing: it loses registers. decisions: what EL2 takes to
decide, which is not in cost (docs/profiles.md); avoidable: cost without the oracle's.
";

#[cfg(test)]
mod tests {
    use super::{BOUNDS, Span, geometric_mean};

    #[test]
    fn what_is_not_seen_is_shown_by_its_bounds() {
        let show = |span: Span, both| span.show(both, |count: u64| count.to_string());
        for (span, both, expected) in [
            (BOUNDS, [Some(3), Some(3)], "3"),
            (BOUNDS, [Some(3), Some(12)], "3-12"),
            (BOUNDS, [Some(12), Some(3)], "3-12"),
            (BOUNDS, [None, Some(3)], "-"),
            (Span::of("per-entry"), [Some(3), Some(12)], "3-12"),
            (Span::of("last-trap"), [Some(12), Some(3)], "12~3"),
        ] {
            assert_eq!(show(span, both), expected);
        }
    }

    #[test]
    fn a_mean_is_of_all_or_of_none() {
        let mean = |ratios: &[Option<f64>]| geometric_mean(ratios.iter().copied());
        assert!((mean(&[Some(2.0), Some(8.0)]).unwrap() - 4.0).abs() < 1e-9);
        assert_eq!(mean(&[Some(2.0), None]), None);
    }
}
