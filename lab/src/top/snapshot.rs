//! What is shown of a hypervisor: counters and, of two looks at them, their rates.

use serde::Serialize;
use trapcast_forecast::Scheme;
use trapcast_trace::report::{CoreReport, EXIT_NAMES, VcpuReport};

use super::{
    sample::{Sample, has_grown, scheme},
    share::About,
};
use trapcast_results::{Counters, ratio};

/// A hypervisor at some time.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// The process that runs it.
    pub pid: u32,
    /// QEMU's core.
    pub cpu: String,
    /// Whether it uses VHE.
    pub vhe: bool,
    /// How far it has come.
    pub state: &'static str,
    /// Seconds between the two looks that the rates are of.
    pub seconds: f64,
    /// One per core.
    pub cores: Vec<CoreRow>,
    /// One per VM.
    pub vms: Vec<Row>,
    /// One per vCPU, by VM and then by number.
    pub vcpus: Vec<Row>,
}

/// A core. Nothing of what could not be read, or is not counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CoreRow {
    /// Its number.
    pub core: usize,
    /// All counters.
    pub counters: Option<CoreReport>,
    /// What it did in a second.
    pub rates: Option<CoreRates>,
    /// The share of EL2 in its instructions between the two looks.
    pub el2_share: Option<f64>,
}

/// What a core did in a second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CoreRates {
    /// Switches from one vCPU to another.
    pub vcpu_switches: f64,
    /// vCPUs that came from another core.
    pub moves: f64,
    /// Times that it had nothing to run.
    pub idles: f64,
    /// Uses of the registers by the hypervisor itself.
    pub host_uses: f64,
}

/// A vCPU, or a VM with all of its vCPUs.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The VM.
    pub vm: u32,
    /// The number of the vCPU in it; nothing of a VM.
    pub vcpu: Option<u32>,
    /// How its registers are switched.
    pub scheme: Option<&'static str>,
    /// All counters; of the VM if no vCPU of it was being written.
    pub counters: Option<Counters>,
    /// What it did in a second.
    pub rates: Option<Rates>,
    /// The share of eager loads that were of use, since the start; known of an observed vCPU.
    pub hit_share: Option<f64>,
    /// The share of its EL2 instructions in all instructions between the two looks; of one core only.
    pub el2_share: Option<f64>,
    /// How many register files of it are in a core.
    pub in_core: Option<u64>,
}

/// What a vCPU did in a second.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Rates {
    /// Entries into the guest.
    pub entries: f64,
    /// Traps that the scheme armed.
    pub traps: f64,
    /// Loads of its registers, those in traps included.
    pub loads: f64,
    /// Loads of its registers at an entry.
    pub eager_loads: f64,
    /// Bytes moved.
    pub bytes: f64,
    /// The most frequent kind of exit.
    pub most: Option<&'static str>,
}

/// A vCPU's counters at both looks, and what is known of it.
struct Pair {
    before: Option<Counters>,
    now: Counters,
    scheme: Option<Scheme>,
    observed: bool,
}

impl Snapshot {
    /// Returns what is shown of `now`, and of what was counted in the `seconds` since `before`.
    pub fn new(about: &About, before: Option<&Sample>, now: &Sample, seconds: f64) -> Self {
        let before = before.filter(|before| before.vcpus.len() == now.vcpus.len());
        let mut cores: Vec<_> = (0..now.cores.len())
            .map(|core| core_row(core, before, now, seconds))
            .collect();
        // QEMU counts the instructions of all cores in each one's counters.
        let instructions = match &cores[..] {
            [_] => instructions(before, now),
            _ => {
                cores.iter_mut().for_each(|core| core.el2_share = None);
                None
            }
        };
        let pairs: Vec<_> = (0..now.vcpus.len())
            .map(|vcpu| (vcpu, pair(vcpu, before, now)))
            .collect();
        let vcpus: Vec<_> = pairs
            .iter()
            .map(|(number, pair)| {
                let row = pair
                    .as_ref()
                    .map(|pair| row(&[pair], seconds, instructions));
                let report = now.vcpus[*number].as_ref();
                Row {
                    vm: report.map_or(u32::MAX, |report| report.vm),
                    vcpu: report.map(|report| report.index),
                    ..row.unwrap_or_else(unknown)
                }
            })
            .filter(|row| row.counters.is_some())
            .collect();
        let vms = (0..now.header.vms).map(|vm| {
            let of_vm = pairs.iter().filter(|(number, _)| {
                let report = now.vcpus[*number].as_ref();
                report.is_some_and(|report| report.vm == vm)
            });
            let pairs: Vec<_> = of_vm.filter_map(|(_, pair)| pair.as_ref()).collect();
            Row {
                vm,
                vcpu: None,
                ..if pairs.is_empty() {
                    unknown()
                } else {
                    row(&pairs, seconds, instructions)
                }
            }
        });
        Self {
            pid: about.pid,
            cpu: about.cpu.clone(),
            vhe: now.header.vhe != 0,
            state: now.state(),
            seconds,
            vms: vms.collect(),
            cores,
            vcpus,
        }
    }
}

/// What is shown of a vCPU that could not be read.
const fn unknown() -> Row {
    Row {
        vm: 0,
        vcpu: None,
        scheme: None,
        counters: None,
        rates: None,
        hit_share: None,
        el2_share: None,
        in_core: None,
    }
}

fn core_row(core: usize, before: Option<&Sample>, now: &Sample, seconds: f64) -> CoreRow {
    let counters = now.cores[core];
    let grown = growth(before.and_then(|before| before.cores[core]), counters);
    CoreRow {
        core,
        counters,
        rates: grown.map(|(before, now)| {
            let rate = |of: fn(&CoreReport) -> u64| (of(&now) - of(&before)) as f64 / seconds;
            CoreRates {
                vcpu_switches: rate(|core| core.vcpu_switches),
                moves: rate(|core| core.moves),
                idles: rate(|core| core.idles),
                host_uses: rate(|core| core.host_uses),
            }
        }),
        el2_share: grown.and_then(|(before, now)| {
            let el2 = now.el2_instructions - before.el2_instructions;
            ratio(
                el2,
                el2 + now.guest_instructions - before.guest_instructions,
            )
        }),
    }
}

/// The core's counters at both looks, if they can be of use.
fn growth(before: Option<CoreReport>, now: Option<CoreReport>) -> Option<(CoreReport, CoreReport)> {
    before
        .zip(now)
        .filter(|(before, now)| has_grown(before, now))
}

/// Instructions of the only core between the two looks.
fn instructions(before: Option<&Sample>, now: &Sample) -> Option<u64> {
    let (before, now) = growth(before?.cores[0], now.cores[0])?;
    let all = |core: &CoreReport| core.el2_instructions + core.guest_instructions;
    Some(all(&now) - all(&before))
}

fn pair(vcpu: usize, before: Option<&Sample>, now: &Sample) -> Option<Pair> {
    let now = now.vcpus[vcpu].as_ref()?;
    let before = before.and_then(|before| before.vcpus[vcpu].as_ref());
    let before = before.filter(|before: &&VcpuReport| has_grown(*before, now));
    Some(Pair {
        before: before.map(Into::into),
        now: now.into(),
        scheme: scheme(now),
        observed: now.observed != 0,
    })
}

/// What is shown of some vCPUs together.
fn row(pairs: &[&Pair], seconds: f64, instructions: Option<u64>) -> Row {
    let counters = Counters::sum(pairs.iter().map(|pair| &pair.now));
    let before: Option<Vec<_>> = pairs.iter().map(|pair| pair.before.as_ref()).collect();
    let before = before.map(Counters::sum);
    let first = pairs[0].scheme;
    let scheme = first.filter(|_| pairs.iter().all(|pair| pair.scheme == first));
    let eager = eager_loads(&counters);
    let observed = pairs.iter().all(|pair| pair.observed);
    let wasted = counters.wasted_loads;
    let el2 = before
        .as_ref()
        .map(|before| counters.el2_instructions - before.el2_instructions);
    Row {
        scheme: scheme.map(Scheme::name),
        rates: before.map(|before| rates(&before, &counters, seconds)),
        hit_share: ratio(eager.saturating_sub(wasted), eager).filter(|_| observed),
        el2_share: el2
            .zip(instructions)
            .and_then(|(el2, all)| ratio(el2.min(all), all)),
        in_core: Some(counters.register_loads - counters.register_saves),
        counters: Some(counters),
        ..unknown()
    }
}

fn rates(before: &Counters, now: &Counters, seconds: f64) -> Rates {
    let rate = |of: fn(&Counters) -> u64| (of(now) - of(before)) as f64 / seconds;
    let exits = |name: &str| {
        now.exits.get(name).copied().unwrap_or(0) - before.exits.get(name).copied().unwrap_or(0)
    };
    let most = EXIT_NAMES.into_iter().max_by_key(|name| exits(name));
    Rates {
        entries: rate(|counters| counters.entries),
        traps: rate(|counters| counters.traps),
        loads: rate(|counters| counters.register_loads),
        eager_loads: rate(eager_loads),
        bytes: rate(|counters| counters.bytes_moved),
        most: most.filter(|name| exits(name) > 0),
    }
}

/// Loads at an entry: all that were not in a trap.
fn eager_loads(counters: &Counters) -> u64 {
    counters.register_loads - counters.traps
}
