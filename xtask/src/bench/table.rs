//! The tables of `cargo xtask bench`.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use trapcast_forecast::Scheme;

use super::{
    Bench, CORES, OBSERVED, PEER_SCHEME, RECORDED, decisions, find, median, names, wakeups::SLICE,
};
use crate::kvm;
use trapcast_machine::machine::Cpu;

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
        "EL2 instructions, min/median, under {PEER_SCHEME}; beside them KVM's:\n{}\n{}\n{}\n\
         EL2 instructions by scheme, min/median\n{}\n\n\
         Microseconds from an SGI to all of a VM's other vCPUs until each had come, where those that had \
         come stay busy,\non neoverse-n1; time slice {} µs\n{}\n\n\
         A Linux guest from its first instruction to power-off, under {PEER_SCHEME}\n{}\n\n\
         seconds, without: wall time of the same kernel with the hypervisor and without, median of {}. On \
         max the\nguest sees fewer of the core's features than Linux does without a hypervisor.\n\n\
         Instructions that a scheme's decisions take beyond owner's, each time that it is asked, and told of a window:\n{}\n\
         Goals\n{}",
        kvm::SOURCE,
        paths_table(bench),
        record(bench),
        schemes_table(bench),
        SLICE,
        wake_ups_table(bench),
        boots_table(bench),
        bench
            .timing
            .boots
            .first()
            .map_or(0, |boot| boot.hypervisor.len()),
        decisions::render(&bench.decisions),
        goals(bench)
    )
}

/// Columns of text that a table may take.
const WIDTH: u16 = 118;

fn table(headings: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    let (first, others) = headings.split_at(1);
    let others = others.iter().map(right);
    table.set_header(first.iter().map(Cell::new).chain(others));
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

/// What the record of one window takes, in a sentence.
fn record(bench: &Bench) -> String {
    let takes = CORES.iter().filter_map(|&cpu| {
        let median = |path| Some(find(&bench.paths, cpu, PEER_SCHEME, path)?.median);
        let takes = median(RECORDED)?.checked_sub(median(OBSERVED)?)?;
        Some(format!("{takes} on {cpu}"))
    });
    let takes: Vec<String> = takes.collect();
    format!("The record of a window takes {}.\n", takes.join(", "))
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

fn wake_ups_table(bench: &Bench) -> Table {
    let headings = ["cores", "vCPUs", "rounds", "p50", "p99", "longest"];
    let mut table = table(headings.map(String::from).into());
    for wake_up in &bench.wake_ups {
        let microseconds = |nanoseconds: u64| right(format!("{:.1}", nanoseconds as f64 / 1000.0));
        table.add_row(vec![
            Cell::new(wake_up.cores),
            right(wake_up.vcpus),
            right(wake_up.rounds),
            microseconds(wake_up.p50),
            microseconds(wake_up.p99),
            microseconds(wake_up.longest),
        ]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{BenchTiming, BootResult, BootTiming, Path, WakeUps};
    use trapcast_results::Versions;

    #[test]
    fn the_tables_fit_into_the_width() {
        let paths = CORES.into_iter().flat_map(|cpu| {
            Scheme::ALL.map(|scheme| Path {
                cpu: cpu.name(),
                scheme: scheme.name(),
                path: "entry-exit-wfi-unused".to_string(),
                min: 12345,
                median: 123_456,
                rounds: 1000,
            })
        });
        let exits = trapcast_trace::report::EXIT_NAMES.map(|name| (name, 12345));
        let bench = Bench {
            profile: String::new(),
            decisions: Vec::new(),
            versions: Versions::default(),
            paths: paths.collect(),
            wake_ups: vec![WakeUps {
                cores: 4,
                vcpus: 6,
                slice: 500_000,
                rounds: 1000,
                p50: 7890,
                p99: 98_765,
                longest: 499_999,
            }],
            boots: CORES
                .map(|cpu| BootResult {
                    cpu: cpu.name(),
                    entries: 1_000_000,
                    exits: exits
                        .map(|(reason, count)| (reason.to_string(), count))
                        .into(),
                    el2_instructions: 1,
                    guest_instructions: 1,
                    el2_share: Some(0.5),
                })
                .into(),
            goals: Vec::new(),
            kvm: kvm::PEERS,
            kvm_source: kvm::SOURCE,
            timing: BenchTiming {
                boots: CORES
                    .map(|cpu| BootTiming {
                        cpu: cpu.name(),
                        hypervisor: vec![100.0],
                        without: vec![50.0],
                        ratio: 2.0,
                    })
                    .into(),
            },
        };
        let text = render(&bench);
        for line in text.lines() {
            assert!(
                line.chars().count() <= 120,
                "{}: {line}",
                line.chars().count()
            );
        }
        for wanted in [
            "12345/123456",
            "50.00 %",
            "7.9  98.8    500.0",
            "maintenance 12345",
            "median of 1",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }
}
