//! The tables of `trapcast replay`.

use comfy_table::{Cell, CellAlignment, Table, presets};

use trapcast_forecast::Scheme;

use super::{CostRow, Counted, ProfileRow, Replayed};

/// Shows what a replay of one file has found out; at most 120 columns wide.
pub fn render(replayed: &Replayed) -> String {
    let windows = |windows: &trapcast_trace::report::WindowReport| {
        let share = 100.0 * windows.used as f64 / windows.windows.max(1) as f64;
        format!("{}, {share:.1} % used", windows.windows)
    };
    let mut text = format!(
        "{}: {}{}\nwindows from entry to exit: {}; from load to put: {}\n{}\n",
        replayed.file.display(),
        replayed.workload,
        match replayed.counted {
            Counted::All => "",
            Counted::Work => ", while all VMs are at work",
        },
        windows(&replayed.entry_windows),
        windows(&replayed.load_windows),
        scheme_table(replayed)
    );
    match replayed.profiles.as_slice() {
        [] => {}
        [profile] => text += &format!("\n{}{LEGEND}", render_profile(profile)),
        profiles => text += &several_profiles(profiles),
    }
    text
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

fn scheme_table(replayed: &Replayed) -> Table {
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
    for row in &replayed.schemes {
        let counts = &row.counts;
        let [[true_none, false_none], [false_use, true_use]] = counts.forecast;
        let all = true_none + false_none + false_use + true_use;
        let figures = [
            counts.traps,
            counts.probes,
            row.loads,
            row.saves,
            counts.wasted_loads,
            counts.gate_writes,
            counts.isbs,
        ];
        let right_share = ratio_cell(
            (all > 0).then(|| 100.0 * (true_none + true_use) as f64 / all as f64),
            |share| format!("{share:.1} %"),
        );
        let cells = figures.map(right).into_iter().chain([right_share]);
        let name = match &row.profile {
            Some(profile) if replayed.profiles.len() > 1 => format!("{} ({profile})", row.scheme),
            _ => row.scheme.to_string(),
        };
        table.add_row([Cell::new(name)].into_iter().chain(cells));
    }
    table
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
    let headings = [
        "scheme",
        "cost",
        "decisions",
        "avoidable",
        "x oracle",
        "x better fixed",
    ];
    let whole = |number: Option<u64>| right(number.map_or("-".to_string(), |n| n.to_string()));
    let mut table = table(headings.map(String::from));
    for row in &profile.schemes {
        table.add_row([
            Cell::new(row.scheme),
            right(row.cost),
            whole(row.decisions),
            whole(row.avoidable),
            ratio_cell(row.over_oracle, factor),
            ratio_cell(row.over_fixed, factor),
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

fn several_profiles(profiles: &[ProfileRow]) -> String {
    let matrix = |title: &str, cell: fn(&CostRow) -> Option<f64>| {
        let schemes = compared(&profiles[0]).map(|row| heading(row.scheme));
        let headings = ["profile".to_string(), "oracle's\ncost".to_string()];
        let mut table = table(headings.into_iter().chain(schemes));
        for profile in profiles {
            let cells = compared(profile).map(|row| ratio_cell(cell(row), factor));
            let first = [Cell::new(&profile.profile), right(profile.oracle)];
            table.add_row(first.into_iter().chain(cells));
        }
        format!("\n{title}\n{table}\n")
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
    let schemes = compared(first.profiles.first()?).map(|row| heading(row.scheme));
    let mut table = table(std::iter::once("profile".to_string()).chain(schemes));
    for (number, profile) in first.profiles.iter().enumerate() {
        let cells = compared(profile).map(|row| {
            let of = |each: &Replayed| {
                let mut rows = each.profiles[number].schemes.iter();
                rows.find(|other| other.scheme == row.scheme)?.over_oracle
            };
            ratio_cell(geometric_mean(all.iter().map(of)), factor)
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

const LEGEND: &str = "\
oracle: the offline optimum; better fixed: the cheaper one of eager and per-entry. none
switches nothing, so its cost says nothing: it loses registers. decisions: what EL2 takes to
decide, which is not in cost (docs/profiles.md); avoidable: cost without the oracle's.
";

#[cfg(test)]
mod tests {
    use super::geometric_mean;

    #[test]
    fn a_mean_is_of_all_or_of_none() {
        let mean = |ratios: &[Option<f64>]| geometric_mean(ratios.iter().copied());
        assert!((mean(&[Some(2.0), Some(8.0)]).unwrap() - 4.0).abs() < 1e-9);
        assert_eq!(mean(&[Some(2.0), None]), None);
    }
}
