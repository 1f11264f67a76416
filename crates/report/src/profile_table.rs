//! Profiles as a table for the terminal, as JSON, and as the table of `docs/profiles.md`.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};
use trapcast_forecast::Costs;
use trapcast_profile::{Certainty, Profile, TrapIs, Unit};

/// A profile as JSON has it. Costs are in `unit`.
#[derive(Clone, Debug, Serialize)]
pub struct Row<'a> {
    /// By which users choose it.
    pub name: &'a str,
    /// What it describes.
    pub about: &'a str,
    /// What costs are counted in.
    pub unit: Unit,
    /// How sure they are.
    pub certainty: Certainty,
    /// The mark of that.
    pub mark: &'static str,
    /// Where the figures come from.
    pub source: &'a str,
    /// How the costs follow from them.
    pub note: Option<&'a str>,
    /// T: a trap's round trip, gate and ISB included.
    pub round_trip: u64,
    /// What its figure is of: a trap, or a bound.
    pub trap_is: TrapIs,
    /// C: one save and one load.
    pub exchange: u64,
    /// p\* = 2 C / (T + 2 C).
    pub break_even: Option<f64>,
    /// The FP/SIMD registers.
    pub fp: CostRow,
    /// The SVE registers.
    pub sve: Vec<LengthRow>,
    /// ZA.
    pub za: Vec<LengthRow>,
}

/// The costs of one class of registers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CostRow {
    /// [`Costs::trap`].
    pub trap: u32,
    /// [`Costs::probe`].
    pub probe: u32,
    /// [`Costs::save`].
    pub save: u32,
    /// [`Costs::load`].
    pub load: u32,
    /// [`Costs::gate`].
    pub gate: u32,
    /// [`Costs::isb`].
    pub isb: u32,
}

impl From<Costs> for CostRow {
    fn from(costs: Costs) -> Self {
        Self {
            trap: costs.trap,
            probe: costs.probe,
            save: costs.save,
            load: costs.load,
            gate: costs.gate,
            isb: costs.isb,
        }
    }
}

impl From<CostRow> for Costs {
    fn from(row: CostRow) -> Self {
        Self {
            trap: row.trap,
            probe: row.probe,
            save: row.save,
            load: row.load,
            gate: row.gate,
            isb: row.isb,
        }
    }
}

/// The costs of one class of registers at one size.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct LengthRow {
    /// Vector length in bits.
    pub vector_length: u32,
    /// Its costs.
    #[serde(flatten)]
    pub costs: CostRow,
}

impl<'a> From<&'a Profile> for Row<'a> {
    fn from(profile: &'a Profile) -> Self {
        Self {
            name: &profile.name,
            about: &profile.about,
            unit: profile.unit,
            certainty: profile.certainty,
            mark: profile.certainty.mark(),
            source: &profile.source,
            note: profile.note.as_deref(),
            round_trip: profile.round_trip(),
            trap_is: profile.trap_is,
            exchange: profile.fp.exchange(),
            break_even: profile.break_even(),
            fp: profile.fp.into(),
            sve: by_length(&profile.sve),
            za: by_length(&profile.za),
        }
    }
}

fn by_length(list: &[(u32, Costs)]) -> Vec<LengthRow> {
    list.iter()
        .map(|&(vector_length, costs)| LengthRow {
            vector_length,
            costs: costs.into(),
        })
        .collect()
}

/// Returns profiles as JSON has them.
pub fn rows(profiles: &[Profile]) -> Vec<Row<'_>> {
    profiles.iter().map(Row::from).collect()
}

/// Shows profiles on a terminal; at most 120 columns wide.
pub fn render(profiles: &[Profile]) -> String {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(118);
    table.set_header(vec![
        Cell::new("profile"),
        right("T".to_string()),
        right("C".to_string()),
        right("p*".to_string()),
        Cell::new("unit"),
        Cell::new("certainty"),
        Cell::new("source"),
    ]);
    for profile in profiles {
        let certainty = profile.certainty;
        table.add_row(vec![
            Cell::new(&profile.name),
            right(round_trip(profile)),
            right(figure(profile, profile.fp.exchange())),
            right(break_even(profile)),
            Cell::new(profile.unit.name()),
            Cell::new(format!("{} {}", certainty.mark(), certainty.name())),
            Cell::new(&profile.source),
        ]);
    }
    format!("{table}\n\n{LEGEND}")
}

const LEGEND: &str = "\
T: round trip of a trap of the FP/SIMD gate, gate write and ISB included; C: one exchange, a save and a
load; p*: probability of use from which on a load at the entry is cheaper than a trap, 2 C / (T + 2 C), as
a load that is not used takes two exchanges. ≤, ≥: what was measured is more than a trap of an FP instruction,
such as a hypercall, or a part of it. A profile is as sure as the least sure of its figures.
docs/profiles.md has each one's derivation.
";

/// Shows profiles as a Markdown table, and what each describes and how its figures follow as a list
/// below it.
pub fn markdown(profiles: &[Profile]) -> String {
    let mut table = "\
| profile | T | C | p\\* | unit | certainty | source |
|---|--:|--:|--:|---|---|---|
"
    .to_string();
    let mut list = String::new();
    for profile in profiles {
        let certainty = profile.certainty;
        table += &format!(
            "| `{}` | {} | {} | {} | {} | {} {} | {} |\n",
            profile.name,
            round_trip(profile),
            figure(profile, profile.fp.exchange()),
            break_even(profile),
            profile.unit.name(),
            certainty.mark(),
            certainty.name(),
            profile.source.replace('|', "\\|"),
        );
        let note = profile.note.as_deref().unwrap_or_default();
        let mark = match certainty {
            Certainty::Recalled => certainty.mark(),
            _ => "",
        };
        let item = format!("- `{}` {mark}: {} {note}", profile.name, profile.about);
        list += &format!("{}\n", item.replace(" :", ":").trim_end());
    }
    format!("{table}\n{list}")
}

/// T, behind a sign where the figure for a trap is a bound.
pub fn round_trip(profile: &Profile) -> String {
    let figure = figure(profile, profile.round_trip());
    format!("{}{figure}", profile.trap_is.sign())
}

/// A figure of a profile, with its mark where it is recalled.
fn figure(profile: &Profile, figure: u64) -> String {
    match profile.certainty {
        Certainty::Recalled => format!("{figure} {}", profile.certainty.mark()),
        _ => figure.to_string(),
    }
}

/// p\*, with as many digits as it takes to tell it from zero.
fn break_even(profile: &Profile) -> String {
    let text = match profile.break_even() {
        None => "-".to_string(),
        Some(p) if p < 0.01 => format!("{p:.4}"),
        Some(p) => format!("{p:.2}"),
    };
    let text = format!("{}{text}", profile.trap_is.sign_of_break_even());
    match profile.certainty {
        Certainty::Recalled => format!("{text} {}", profile.certainty.mark()),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapcast_profile::{built_in, find};

    #[test]
    fn the_document_has_the_table_of_the_built_in_profiles() {
        let document = include_str!("../../../docs/profiles.md");
        let expected = markdown(built_in());
        assert!(
            document.contains(&expected),
            "put this table into docs/profiles.md:\n{expected}"
        );
    }

    #[test]
    fn the_table_has_every_profile_and_fits_into_the_width() {
        let text = render(built_in());
        for profile in built_in() {
            assert!(text.contains(&profile.name), "{text}");
            assert!(text.contains(&profile.round_trip().to_string()), "{text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }

    #[test]
    fn every_recalled_figure_has_its_mark() {
        let recalled = find("x-gene-recalled").unwrap();
        for text in [
            render(std::slice::from_ref(recalled)),
            markdown(std::slice::from_ref(recalled)),
        ] {
            for figure in ["176 [?]", "592 [?]", "0.87 [?]"] {
                assert!(text.contains(figure), "{figure}: {text}");
            }
        }
        let json = serde_json::to_value(rows(std::slice::from_ref(recalled))).unwrap();
        assert_eq!(json[0]["mark"], "[?]");
        assert_eq!(json[0]["certainty"], "recalled");
        assert_eq!(json[0]["fp"]["save"], 282);
    }
}
