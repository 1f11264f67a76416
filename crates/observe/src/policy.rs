//! Which policy moves the FP/SIMD registers, from what a hypervisor was seen to do, and the evidence.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};
use trapcast_trace::observed::Seen;

use crate::{
    summary::Quantiles,
    windows::{Observed, Window},
};

/// A policy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The first use after each entry traps.
    PerEntry,
    /// The first use after each load traps; the registers stay until the put.
    UntilPut,
    /// The registers stay with their last owner; a use traps where they are somebody else's.
    Owner,
    /// The registers move at each entry and exit, used or not.
    EagerEachEntry,
    /// The registers move at each switch of vCPUs, used or not.
    EagerEachSwitch,
    /// Some uses trap and some registers move early: a policy that predicts.
    Mixed,
    /// vCPUs that share a core and use the registers find them open, and nobody moves them.
    None,
    /// What was seen does not tell.
    Unknown,
}

impl Policy {
    /// The scheme of a replay that is the same, by its name.
    pub const fn scheme(self) -> Option<&'static str> {
        match self {
            Self::PerEntry => Some("per-entry"),
            Self::UntilPut => Some("until-put"),
            Self::Owner => Some("owner"),
            Self::EagerEachEntry => Some("eager"),
            Self::EagerEachSwitch => Some("eager-owner"),
            Self::None => Some("none"),
            Self::Mixed | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerEntry => "trapped per entry",
            Self::UntilPut => "trapped per load until put",
            Self::Owner => "kept by owner",
            Self::EagerEachEntry => "eager at each entry",
            Self::EagerEachSwitch => "eager at each switch",
            Self::Mixed => "trapped at some uses, eager at others",
            Self::None => "not switched at all: guests that share a core can corrupt each other",
            Self::Unknown => "cannot be told",
        })
    }
}

/// Gaps between two windows of a core, and the FP/SIMD instructions of the hypervisor in them.
#[derive(Clone, Debug, Deserialize, Default, PartialEq, Serialize)]
pub struct Gaps {
    /// Gaps.
    pub gaps: u64,
    /// Those with such an instruction.
    pub with_fp: u64,
    /// Such instructions in each gap.
    pub fp_instructions: Option<Quantiles>,
}

impl Gaps {
    fn of(mut counts: Vec<u64>) -> Self {
        counts.sort_unstable();
        Self {
            gaps: counts.len() as u64,
            with_fp: counts.iter().filter(|count| **count > 0).count() as u64,
            fp_instructions: Quantiles::of_sorted(&counts),
        }
    }

    /// Whether nearly all of them have such an instruction. The vCPU's first load may have nothing to move.
    const fn is_always(&self) -> bool {
        self.gaps > 0 && self.with_fp * 100 >= self.gaps * 90
    }

    /// Whether nearly none has.
    const fn is_never(&self) -> bool {
        self.with_fp * 100 <= self.gaps
    }
}

/// What was found, and why.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Verdict {
    /// The policy.
    pub policy: Policy,
    /// Windows that were entered with FP/SIMD open at EL2.
    pub open_entries: u64,
    /// Windows that were entered with it closed.
    pub closed_entries: u64,
    /// Windows that used the registers with an earlier use in the same load, and those of them that trapped.
    pub used_again: u64,
    /// See [`used_again`](Self::used_again).
    pub trapped_again: u64,
    /// The same, of those between which the hypervisor executed no FP/SIMD instruction, so that nothing was moved.
    pub used_again_unmoved: u64,
    /// See [`used_again_unmoved`](Self::used_again_unmoved).
    pub trapped_again_unmoved: u64,
    /// Loads that used the registers, and those of them that trapped.
    pub used_loads: u64,
    /// See [`used_loads`](Self::used_loads).
    pub trapped_loads: u64,
    /// Cores on which more than one vCPU used the registers.
    pub shared_cores: u64,
    /// Entries with FP/SIMD open while the registers held what another vCPU had left there.
    pub unprotected_entries: u64,
    /// Gaps after which another vCPU was entered.
    pub switches: Gaps,
    /// Gaps after which the same vCPU was entered without a load.
    pub returns: Gaps,
    /// Gaps at the end of loads that used the registers.
    #[serde(default)]
    pub puts: Gaps,
    /// Sentences for people.
    pub evidence: Vec<String>,
}

impl Verdict {
    /// Judges what was seen.
    pub fn of(observed: &Observed) -> Self {
        let mut tally = Tally::default();
        for window in &observed.windows {
            tally.add(window, &observed.windows);
        }
        tally.verdict()
    }
}

#[derive(Default)]
struct Tally {
    open: u64,
    closed: u64,
    used_again: u64,
    trapped_again: u64,
    used_again_unmoved: u64,
    trapped_again_unmoved: u64,
    used_loads: u64,
    trapped_loads: u64,
    /// By vCPU: its load under way.
    loads: HashMap<u16, Load>,
    /// By core: the vCPU whose values are in the registers, if nobody has moved them since.
    holders: HashMap<u16, u16>,
    unprotected: u64,
    /// By core: the vCPUs that used the registers.
    users: HashMap<u16, Vec<u16>>,
    switches: Vec<u64>,
    returns: Vec<u64>,
    puts: Vec<u64>,
}

/// A load under way.
#[derive(Clone, Copy, Default)]
struct Load {
    /// It used the registers.
    used: bool,
    /// It trapped.
    trapped: bool,
    /// The hypervisor executed FP/SIMD instructions since its last use.
    moved: bool,
}

/// Whether CPTR_EL2 lets FP/SIMD through at EL1.
const fn is_open(window: &Window) -> bool {
    match window.seen.has(Seen::E2H) {
        true => window.seen.cptr >> 20 & 1 != 0,
        false => window.seen.cptr >> 10 & 1 == 0,
    }
}

/// Whether it trapped for its first use, within it or as its end.
const fn has_trapped(window: &Window) -> bool {
    let ended_by_it = matches!(window.seen.esr >> 26, 0x07 | 0x19 | 0x1d);
    window.seen.fp_traps > 0 || ended_by_it && !window.seen.is_interrupt()
}

impl Tally {
    fn add(&mut self, window: &Window, windows: &[Window]) {
        match is_open(window) {
            true => self.open += 1,
            false => self.closed += 1,
        }
        let (used, trapped) = (window.used(), has_trapped(window));
        let load = self.loads.entry(window.vcpu).or_default();
        if window.loaded {
            *load = Load::default();
        }
        if used && load.used {
            self.used_again += 1;
            self.trapped_again += u64::from(trapped);
            if !load.moved {
                self.used_again_unmoved += 1;
                self.trapped_again_unmoved += u64::from(trapped);
            }
        }
        if used {
            self.used_loads += u64::from(!load.used);
            load.used = true;
            load.moved = false;
        }
        if trapped {
            self.trapped_loads += u64::from(!load.trapped);
            load.trapped = true;
        }
        load.moved |= window.seen.hypervisor_fp > 0;
        let load = *load;
        self.hold(window, used);
        if used {
            let users = self.users.entry(window.seen.core).or_default();
            if !users.contains(&window.vcpu) {
                users.push(window.vcpu);
            }
        }
        if let Some(next) = window.next.map(|next| &windows[next]) {
            match (next.vcpu == window.vcpu, next.loaded) {
                (false, _) => self.switches.push(window.seen.hypervisor_fp),
                (true, false) => self.returns.push(window.seen.hypervisor_fp),
                (true, true) => {}
            }
            if load.used && (next.vcpu != window.vcpu || next.loaded) {
                self.puts.push(window.seen.hypervisor_fp);
            }
        }
    }

    /// Keeps whose values are in a core's registers.
    fn hold(&mut self, window: &Window, used: bool) {
        let core = window.seen.core;
        let holder = self.holders.get(&core);
        if is_open(window) && holder.is_some_and(|holder| *holder != window.vcpu) {
            self.unprotected += 1;
        }
        if window.seen.hypervisor_fp > 0 {
            self.holders.remove(&core);
        } else if used {
            self.holders.insert(core, window.vcpu);
        }
    }

    fn verdict(self) -> Verdict {
        let shared = self.users.values().filter(|users| users.len() > 1);
        let mut verdict = Verdict {
            policy: Policy::Unknown,
            open_entries: self.open,
            closed_entries: self.closed,
            used_again: self.used_again,
            trapped_again: self.trapped_again,
            used_again_unmoved: self.used_again_unmoved,
            trapped_again_unmoved: self.trapped_again_unmoved,
            used_loads: self.used_loads,
            trapped_loads: self.trapped_loads.min(self.used_loads),
            shared_cores: shared.count() as u64,
            unprotected_entries: self.unprotected,
            switches: Gaps::of(self.switches),
            returns: Gaps::of(self.returns),
            puts: Gaps::of(self.puts),
            evidence: Vec::new(),
        };
        verdict.policy = verdict.judge();
        verdict.evidence = verdict.tell();
        verdict
    }
}

impl Verdict {
    /// Returns the policy that explains the counts.
    fn judge(&self) -> Policy {
        if self.used_loads == 0 {
            return Policy::Unknown;
        }
        let nearly_all = |part: u64, whole: u64| whole > 0 && part * 100 >= whole * 95;
        let nearly_none = |part: u64, whole: u64| part * 100 <= whole * 5;
        let (again, loads) = (self.used_again, self.used_loads);
        if self.trapped_loads == 0 {
            return match () {
                () if self.unprotected_entries * 100 >= self.switches.gaps.max(1) * 5 => {
                    Policy::None
                }
                () if self.returns.is_always() => Policy::EagerEachEntry,
                () if self.switches.is_always() => Policy::EagerEachSwitch,
                () => Policy::Unknown,
            };
        }
        match () {
            () if nearly_all(self.trapped_loads, loads)
                && nearly_all(self.trapped_again, again) =>
            {
                Policy::PerEntry
            }
            () if !nearly_none(self.trapped_again_unmoved, self.used_again_unmoved) => {
                Policy::Mixed
            }
            // An owner of many traps in each of its loads, too, but has nothing saved when it is put.
            () if nearly_all(self.trapped_loads, loads)
                && (self.puts.gaps == 0 || !nearly_none(self.puts.with_fp, self.puts.gaps)) =>
            {
                Policy::UntilPut
            }
            // Where nothing moves at a switch without a trap, the registers stayed with their owner.
            () if self.switches.is_never() || self.moves_only_when_trapped() => Policy::Owner,
            () => Policy::Mixed,
        }
    }

    /// Whether the hypervisor moves registers in few more gaps with a switch than those whose vCPU trapped.
    const fn moves_only_when_trapped(&self) -> bool {
        self.switches.with_fp <= self.trapped_loads
    }

    /// Tells the counts in sentences.
    fn tell(&self) -> Vec<String> {
        let entries = self.open_entries + self.closed_entries;
        let moved = |gaps: &Gaps| match &gaps.fp_instructions {
            Some(counts) if gaps.with_fp > 0 => format!(
                ", {} in the median and {} at most",
                counts.median, counts.longest
            ),
            _ => String::new(),
        };
        vec![
            format!(
                "{} of {entries} entries had FP/SIMD closed at EL2",
                self.closed_entries
            ),
            format!(
                "{} of {} loads that used the registers trapped; of the windows that used them again in the \
                 same load, {} of {}, and {} of {} where the hypervisor had used none since",
                self.trapped_loads,
                self.used_loads,
                self.trapped_again,
                self.used_again,
                self.trapped_again_unmoved,
                self.used_again_unmoved
            ),
            format!(
                "the hypervisor executed FP/SIMD instructions in {} of {} gaps with a switch of vCPUs{}",
                self.switches.with_fp,
                self.switches.gaps,
                moved(&self.switches)
            ),
            format!(
                "and in {} of {} gaps after which the same vCPU went on{}",
                self.returns.with_fp,
                self.returns.gaps,
                moved(&self.returns)
            ),
            format!(
                "cores on which more than one vCPU used the registers: {}",
                self.shared_cores
            ),
            format!(
                "in {} entries, FP/SIMD was open and the registers held what another vCPU had left there",
                self.unprotected_entries
            ),
        ]
    }
}

#[cfg(test)]
mod tests;
