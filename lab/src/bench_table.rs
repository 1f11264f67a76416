//! The tables of `trapcast bench`.

use comfy_table::{Cell, CellAlignment, Table, presets};
use trapcast_forecast::Scheme;

use crate::{
    bench::{Bench, CORES, PEER_SCHEME, find, median, names},
    kvm,
    machine::Cpu,
};

/// The paths that depend on the scheme.
const SCHEME_PATHS: [&str; 4] = [
    "entry-exit-unused",
    "entry-exit-used",
    "entry-exit-wfi-unused",
    "entry-exit-wfi-used",
];

/// Shows what was measured; at most 120 columns wide.
pub fn render(bench: &Bench) -> String {
    format!(
        "EL2 instructions, min/median, under {PEER_SCHEME}; beside them KVM's ({})\n{}\n\n\
         EL2 instructions by scheme, min/median\n{}\n\n\
         A Linux guest from its first instruction to power-off, under {PEER_SCHEME}\n{}\n\n\
         Goals\n{}",
        kvm::SOURCE,
        paths_table(bench),
        schemes_table(bench),
        boots_table(bench),
        goals(bench)
    )
}

fn table(headings: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings);
    table
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn min_median(bench: &Bench, cpu: Cpu, scheme: Scheme, path: &str) -> Cell {
    let text = find(&bench.paths, cpu, scheme, path).map_or("-".to_string(), |path| {
        format!("{}/{}", path.min, path.median)
    });
    right(text)
}

fn paths_table(bench: &Bench) -> Table {
    let mut headings = vec!["path".to_string()];
    for cpu in CORES {
        let kind = if cpu.has_vhe() { "VHE" } else { "non-VHE" };
        headings.extend([format!("{cpu}\n{kind}"), "KVM".to_string()]);
    }
    let mut table = table(headings);
    for path in names(&bench.paths) {
        let mut cells = vec![Cell::new(path)];
        for cpu in CORES {
            let peer =
                kvm::instructions(path, cpu).map_or("-".to_string(), |peer| peer.to_string());
            cells.extend([min_median(bench, cpu, PEER_SCHEME, path), right(peer)]);
        }
        table.add_row(cells);
    }
    table
}

fn schemes_table(bench: &Bench) -> Table {
    let mut headings = vec!["core".to_string(), "scheme".to_string()];
    headings.extend(SCHEME_PATHS.map(String::from));
    let mut table = table(headings);
    for cpu in CORES {
        for scheme in Scheme::ALL {
            let mut cells = vec![Cell::new(cpu), Cell::new(scheme)];
            cells.extend(SCHEME_PATHS.map(|path| min_median(bench, cpu, scheme, path)));
            table.add_row(cells);
        }
    }
    table
}

fn boots_table(bench: &Bench) -> Table {
    let headings = [
        "core",
        "exits",
        "by reason",
        "EL2's share\nof instr.",
        "seconds",
        "without",
        "ratio",
    ];
    let mut table = table(headings.map(String::from).into());
    table.set_width(118);
    for (boot, timing) in bench.boots.iter().zip(&bench.timing.boots) {
        let reasons: Vec<String> = boot
            .exits
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        let share = boot
            .el2_share
            .map_or("-".to_string(), |share| format!("{:.2} %", share * 100.0));
        table.add_row(vec![
            Cell::new(boot.cpu),
            right(boot.exits.values().sum::<u64>()),
            Cell::new(reasons.join(", ")),
            right(share),
            right(format!("{:.2}", median(&timing.hypervisor))),
            right(format!("{:.2}", median(&timing.without))),
            right(format!("{:.2}", timing.ratio)),
        ]);
    }
    table.add_row(vec![
        Cell::new("KVM"),
        right(format!("about {}", kvm::BOOT_EXITS)),
        Cell::new("with a small VMM"),
        right("-"),
        right("-"),
        right("-"),
        right(format!("{:.1}", kvm::BOOT_WALL_RATIO)),
    ]);
    table
}

fn goals(bench: &Bench) -> String {
    bench
        .goals
        .iter()
        .map(|goal| {
            let verdict = if goal.met { "met" } else { "NOT MET" };
            let (measured, at_most) = (goal.measured, goal.at_most);
            format!(
                "  {verdict:<8} {}: {measured:.2}, at most {at_most:.2}\n",
                goal.name
            )
        })
        .collect()
}
