//! Tables of hypervisors that ran the same guests: a row for each.

use trapcast_observe::{Gaps, Quantiles, Summary};
use trapcast_trace::report::EXIT_NAMES;

use super::Observation;
use crate::report::{
    data::{Cell, Column, Table},
    words::{self, Format::Percent, Format::Plain, NOTHING},
};

/// What every table begins with.
const WHO: [Column; 2] = [
    Column::text("hypervisor", "the hypervisor"),
    Column::text("core", "QEMU's core"),
];

fn who(observation: &Observation) -> [Cell; 2] {
    [(&observation.hypervisor).into(), (&observation.cpu).into()]
}

fn table<const N: usize>(
    name: &'static str,
    about: &'static str,
    columns: [Column; N],
    observations: &[&Observation],
    cells: impl Fn(&Summary) -> [Cell; N],
) -> Table {
    let mut table = Table::new(name, about, &[&WHO[..], &columns].concat());
    for observation in observations {
        let cells = cells(&observation.summary);
        table.push([&who(observation)[..], &cells].concat());
    }
    table
}

/// So many of so many.
fn of(part: u64, whole: u64) -> Cell {
    Cell::Text(format!("{} of {}", words::whole(part), words::whole(whole)))
}

/// In how many gaps there were FP/SIMD instructions of the hypervisor, and in the median how many.
fn moved(gaps: &Gaps) -> Cell {
    let median = gaps.fp_instructions.map_or(0, |counts| counts.median);
    Cell::Text(format!(
        "{} of {}; {}",
        words::whole(gaps.with_fp),
        words::whole(gaps.gaps),
        words::whole(median)
    ))
}

/// What each does with the registers.
pub fn policies(observations: &[&Observation]) -> Table {
    table(
        "hypervisor_policies",
        "What each does with the FP/SIMD registers, and by what that is told: entries with FP/SIMD closed at EL2; \
         loads that used the registers, and how many of them trapped; uses after another one in the same load, and \
         how many of them trapped; gaps between windows in which the hypervisor executed FP/SIMD instructions, and \
         how many in the median.",
        [
            Column::text("policy", "the policy that was seen"),
            Column::text("closed", "entries with FP/SIMD closed at EL2"),
            Column::text("loads_that_trapped", "of the loads that used the registers"),
            Column::text(
                "uses_that_trapped_again",
                "of those after another one in the load",
            ),
            Column::text(
                "moved_at_switches",
                "gaps to another vCPU with FP/SIMD instructions",
            ),
            Column::text(
                "moved_at_returns",
                "gaps to the same vCPU with FP/SIMD instructions",
            ),
        ],
        observations,
        |summary| {
            let seen = &summary.verdict;
            [
                Cell::Text(seen.policy.to_string()),
                of(seen.closed_entries, seen.closed_entries + seen.open_entries),
                of(seen.trapped_loads, seen.used_loads),
                of(seen.trapped_again, seen.used_again),
                moved(&seen.switches),
                moved(&seen.returns),
            ]
        },
    )
}

/// What exits cost, a column for each kind that was seen.
pub fn exits(observations: &[&Observation]) -> Table {
    let kinds: Vec<_> = EXIT_NAMES
        .into_iter()
        .filter(|kind| {
            observations
                .iter()
                .any(|seen| exit(&seen.summary, kind).is_some())
        })
        .collect();
    let columns = kinds.iter().map(|kind| {
        Column::text(
            kind,
            "the median of its instructions, and how many there were",
        )
    });
    let mut table = Table::new(
        "hypervisor_exits",
        "Instructions outside of the guest from an exit until the same vCPU goes on: the median, and in parentheses \
         how many such exits there were.",
        &WHO.into_iter().chain(columns).collect::<Vec<_>>(),
    );
    for observation in observations {
        let cells = kinds.iter().map(|kind| {
            let shown = exit(&observation.summary, kind).map(|(windows, counts)| {
                let median =
                    counts.map_or(NOTHING.to_string(), |counts| words::whole(counts.median));
                format!("{median} ({})", words::whole(windows))
            });
            Cell::Text(shown.unwrap_or_else(|| NOTHING.to_string()))
        });
        table.push(
            who(observation)
                .into_iter()
                .chain(cells)
                .collect::<Vec<_>>(),
        );
    }
    table
}

/// The windows that exits of a kind ended, and what those cost.
pub fn exit(summary: &Summary, kind: &str) -> Option<(u64, Option<Quantiles>)> {
    let exit = summary.exits.iter().find(|exit| exit.exit == kind)?;
    Some((exit.windows, exit.instructions))
}

fn quantiles(counts: Option<Quantiles>) -> [Cell; 3] {
    let of = |value: fn(Quantiles) -> u64| Cell::Whole(counts.map(value));
    [of(|c| c.median), of(|c| c.p90), of(|c| c.longest)]
}

/// Loads, switches and the virtual timer's interrupt.
pub fn switches(observations: &[&Observation]) -> Table {
    table(
        "hypervisor_switches",
        "How often vCPUs are loaded and switched, and in instructions what it takes to go on with another vCPU, and \
         with the same one after an interrupt of the virtual timer: median, 90th percentile, longest.",
        [
            Column::whole("entries", "entries into guests"),
            Column::whole("loads", "loads of a vCPU onto the core"),
            Column::whole("switches", "entries of another vCPU than the one before"),
            Column::whole("switch", "instructions of one, median"),
            Column::whole("switch_p90", "90th percentile"),
            Column::whole("switch_longest", "longest"),
            Column::whole(
                "timer",
                "instructions until the vCPU goes on after its timer's interrupt, median",
            ),
            Column::whole("timer_p90", "90th percentile"),
            Column::whole("timer_longest", "longest"),
        ],
        observations,
        |summary| {
            let timer = exit(summary, "virtual-timer").and_then(|(_, counts)| counts);
            let [a, b, c] = quantiles(summary.switches);
            let [d, e, f] = quantiles(timer);
            [
                summary.entries.into(),
                summary.loads.into(),
                summary.switches.map(|counts| counts.count).into(),
                a,
                b,
                c,
                d,
                e,
                f,
            ]
        },
    )
}

/// How often the registers are used, and what traps cost.
pub fn fp_use(observations: &[&Observation]) -> Table {
    table(
        "hypervisor_use",
        "Traps for FP/SIMD and the instructions of one at EL2 (median); shares of windows from entry to exit and from \
         load to put that used the registers, and the probability of a use after one; all instructions outside of \
         guests per 1,000 of theirs.",
        [
            Column::number("traps", "per 1,000 entries", Plain),
            Column::whole("trap", "instructions of one at EL2, median"),
            Column::number(
                "entries_used",
                "share of windows from entry to exit",
                Percent,
            ),
            Column::number("P(u|u)", "after a use, from entry to exit", Percent),
            Column::number("loads_used", "share of windows from load to put", Percent),
            Column::number("P(u|u)_of_loads", "after a use, from load to put", Percent),
            Column::number(
                "outside",
                "instructions outside of guests per 1,000 of theirs",
                Plain,
            ),
        ],
        observations,
        |summary| {
            [
                summary.fp_traps.per_1000_entries.into(),
                summary
                    .fp_traps
                    .instructions
                    .map(|counts| counts.median)
                    .into(),
                summary.entry_windows.used_share.into(),
                summary.entry_windows.used_given_used.into(),
                summary.load_windows.used_share.into(),
                summary.load_windows.used_given_used.into(),
                outside(summary).into(),
            ]
        },
    )
}

/// Instructions outside of guests per 1,000 of theirs.
pub fn outside(summary: &Summary) -> Option<f64> {
    let outside = summary.el2_instructions + summary.host_instructions;
    (summary.guest_instructions > 0)
        .then(|| 1000.0 * outside as f64 / summary.guest_instructions as f64)
}
