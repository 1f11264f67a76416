//! What the guests and the hypervisor said on the console, and what it means.

use std::{borrow::Cow, collections::BTreeMap};

use trapcast_trace::record::MARK;

use crate::initrd::DONE_MARKER;
use trapcast_trace::histogram::{Bin, Histogram, Unit};

/// Lines that are shown of a guest that did not finish.
const LAST_LINES: usize = 12;

/// What the lines of one run say about the integrity of its guests.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Findings {
    /// Registers and results that were not what a guest expected.
    pub guest_mismatches: u64,
    /// Windows in which the guests' checkers say that they used the registers.
    pub guest_used: u64,
    /// Of the windows in which a mismatch was seen, the number of the first one of its vCPU, from 1.
    pub first_mismatch: Option<u64>,
    /// Guests that failed, and how.
    pub failures: Vec<String>,
}

/// What a VM has to have said by the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// A checker's last line.
    Checker,
    /// That of the checker of AArch32.
    Checker32,
    /// The last lines of checkers on so many vCPUs.
    Checkers(u32),
    /// The last line of the guest that checks what its CPU has.
    Features,
    /// The last line of the bare-metal guest of this name.
    Guest(&'static str),
    /// So many last lines of the bare-metal guest of this name: one of each vCPU, or of each boot.
    Guests(&'static str, u32),
    /// Linux's script and the SIMD program, to the marker.
    LinuxScript,
    /// The last line of the program of this name on Linux, and the marker.
    LinuxProgram(&'static str),
    /// Linux's marker alone.
    LinuxMarker,
    /// The last line of the init that runs Debian's programs, and the marker.
    Program,
}

/// Reads a console to its end.
pub fn findings(console: &str, vms: &[Expected]) -> Findings {
    // A board without the hypervisor shows it.
    let console = &console.replace(char::from(MARK), "");
    let mut findings = Findings::default();
    for (vm, expected) in vms.iter().enumerate() {
        let lines = lines_of(console, vm, vms.len());
        let lines: Vec<&str> = lines.iter().map(|line| &**line).collect();
        let before = findings.failures.len();
        match expected {
            Expected::Checker => findings.program(vm, &lines, "checker", 1),
            Expected::Checker32 => findings.program(vm, &lines, "checker32", 1),
            Expected::Checkers(vcpus) => findings.program(vm, &lines, "checker", *vcpus),
            Expected::Features => findings.program(vm, &lines, "features", 1),
            Expected::Guest(name) => findings.program(vm, &lines, name, 1),
            Expected::Guests(name, lasts) => findings.program(vm, &lines, name, *lasts),
            Expected::LinuxScript => {
                findings.program(vm, &lines, "linux", 1);
                findings.program(vm, &lines, "linux-simd", 1);
                findings.marker(vm, &lines);
            }
            Expected::LinuxProgram(name) => {
                findings.program(vm, &lines, name, 1);
                findings.marker(vm, &lines);
            }
            Expected::LinuxMarker => findings.marker(vm, &lines),
            Expected::Program => {
                findings.program(vm, &lines, "program", 1);
                findings.marker(vm, &lines);
            }
        }
        if findings.failures.len() > before {
            findings.last_words(vm, &lines);
        }
        if *expected == Expected::Program {
            findings.wrong_results(vm, &lines);
        }
        findings.first_mismatch(&lines);
    }
    findings.hypervisor(console);
    findings
}

/// The lines of one VM, without the tag that tells several VMs apart. A line that another VM has interrupted goes
/// on behind a tag with a plus sign.
fn lines_of(console: &str, vm: usize, vms: usize) -> Vec<Cow<'_, str>> {
    if vms == 1 {
        return console.lines().map(Cow::Borrowed).collect();
    }
    let (begins, goes_on) = (format!("[vm{vm}] "), format!("[vm{vm}+] "));
    let mut lines: Vec<Cow<'_, str>> = Vec::new();
    for shown in console.lines() {
        if let Some(line) = shown.strip_prefix(&begins) {
            lines.push(line.into());
        } else if let Some(rest) = shown.strip_prefix(&goes_on)
            && let Some(line) = lines.last_mut()
        {
            *line += rest;
        }
    }
    lines
}

/// The number after `key=` in a line.
pub fn number(line: &str, key: &str) -> Option<u64> {
    line.split_ascii_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?
        .parse()
        .ok()
}

/// Reads how late the checkers found their timers' interrupts, from their lines
/// `checker: delay cpu=N away=N TICKS:COUNT ...`, in ticks of a counter of so many hertz; none without such
/// a line. A delay of so many whole ticks lies between these and one more.
pub fn timer_delay(console: &str, frequency: u64) -> Option<Histogram> {
    let mut counts = BTreeMap::<u64, u64>::new();
    let lines = console.lines();
    for (_, line) in lines.filter_map(|line| line.split_once("checker: delay ")) {
        for word in line.split_ascii_whitespace() {
            if let Some((ticks, count)) = word.split_once(':')
                && let (Ok(ticks), Ok(count)) = (ticks.parse(), count.parse::<u64>())
            {
                *counts.entry(ticks).or_default() += count;
            }
        }
    }
    let nanoseconds = |ticks: u64| {
        (u128::from(ticks) * 1_000_000_000)
            .checked_div(frequency.into())
            .and_then(|nanoseconds| u64::try_from(nanoseconds).ok())
    };
    let bins: Vec<_> = counts
        .into_iter()
        .filter_map(|(ticks, count)| {
            Some(Bin {
                from: nanoseconds(ticks)?,
                to: nanoseconds(ticks.checked_add(1)?)?.checked_sub(1)?,
                count,
            })
        })
        .collect();
    let unit = Unit::Nanoseconds;
    (!bins.is_empty()).then_some(Histogram { unit, bins })
}

impl Findings {
    /// Looks for `NAME: done ... mismatches=N`, once for each of the `vcpus` that it runs on.
    fn program(&mut self, vm: usize, lines: &[&str], name: &str, vcpus: u32) {
        let start = format!("{name}: done ");
        let done = lines
            .iter()
            .rev()
            .filter_map(|line| line.split_once(&start).map(|(_, rest)| rest))
            .filter_map(|rest| Some((number(rest, "mismatches")?, number(rest, "used"))));
        let mut ended = 0;
        for (mismatches, used) in done.take(vcpus as usize) {
            self.guest_mismatches += mismatches;
            self.guest_used += used.unwrap_or(0);
            ended += 1;
        }
        if ended < vcpus {
            let which = if vcpus > 1 {
                format!(" on {} of its {vcpus} vCPUs", vcpus - ended)
            } else {
                String::new()
            };
            self.failures
                .push(format!("vm{vm}: {name} did not finish{which}"));
        }
    }

    /// Says what went wrong with Debian's programs in their own words.
    fn wrong_results(&mut self, vm: usize, lines: &[&str]) {
        let wrong = lines.iter().filter(|line| line.contains(": MISMATCH "));
        self.failures
            .extend(wrong.map(|line| format!("vm{vm}: {line}")));
    }

    /// Adds the last lines of a guest that did not finish.
    fn last_words(&mut self, vm: usize, lines: &[&str]) {
        let said: Vec<&&str> = lines
            .iter()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = said[said.len().saturating_sub(LAST_LINES)..].iter();
        let last: String = last.map(|line| format!("\n  | {line}")).collect();
        self.failures.push(match last.as_str() {
            "" => format!("vm{vm} said nothing"),
            last => format!("vm{vm} said at last:{last}"),
        });
    }

    fn first_mismatch(&mut self, lines: &[&str]) {
        let mismatches = lines.iter().filter(|line| line.contains(": MISMATCH "));
        let windows = mismatches.filter_map(|line| number(line, "window"));
        let first = windows.map(|window| window + 1).min();
        self.first_mismatch = self.first_mismatch.into_iter().chain(first).min();
    }

    fn marker(&mut self, vm: usize, lines: &[&str]) {
        if !lines.iter().any(|line| line.trim() == DONE_MARKER) {
            self.failures
                .push(format!("vm{vm}: Linux did not print {DONE_MARKER}"));
        }
    }

    fn hypervisor(&mut self, console: &str) {
        for line in console.lines() {
            let Some(said) = line.strip_prefix("trapcast: ") else {
                continue;
            };
            if said.contains(": stopped: ") || said.starts_with("panic: ") {
                self.failures.push(said.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_vm_is_read_as_it_is() {
        let console = "trapcast: up\nchecker: start\n\
                       checker: done workload=never windows=10 used=7 mismatches=3\n\
                       trapcast: vm0: powered off\n";
        let found = findings(console, &[Expected::Checker]);
        assert_eq!((found.guest_mismatches, found.guest_used), (3, 7));
        assert_eq!(found.failures, [""; 0]);
    }

    #[test]
    fn several_vms_are_told_apart() {
        let console = "[vm1] checker: done windows=10 used=5 mismatches=1\n\
                       [vm0] linux: done rounds=2 mismatches=2\n\
                       [vm0] linux-simd: done rounds=9 mismatches=4\n\
                       [vm0] TRAPCAST-LINUX-DONE\n\
                       trapcast: vm1: stopped: stage-2 fault at 0x0\n";
        let found = findings(console, &[Expected::LinuxScript, Expected::Checker]);
        assert_eq!(found.guest_mismatches, 7);
        assert_eq!(found.failures, ["vm1: stopped: stage-2 fault at 0x0"]);
    }

    #[test]
    fn a_line_that_was_interrupted_is_put_together() {
        let console = "[vm1] checker: done used=5\n\
                       [vm0] checker: done used=1 mism\n\
                       [vm1+]  mismatches=1\n\
                       trapcast: vm1: powered off\n\
                       [vm0+] atches=2\n";
        let found = findings(console, &[Expected::Checker; 2]);
        assert_eq!(found.failures, [""; 0]);
        assert_eq!((found.guest_mismatches, found.guest_used), (3, 6));
    }

    #[test]
    fn every_vcpu_of_a_checker_has_its_last_line() {
        let console = "checker: MISMATCH cpu=1 window=9 register=V0\n\
                       checker: MISMATCH cpu=0 window=4 register=V0\n\
                       checker: done cpu=1 used=5 mismatches=1\n\
                       checker: done cpu=0 used=6 mismatches=2\n";
        let found = findings(console, &[Expected::Checkers(2)]);
        assert_eq!((found.guest_mismatches, found.guest_used), (3, 11));
        assert_eq!(found.first_mismatch, Some(5));
        assert_eq!(found.failures, [""; 0]);
        let found = findings(console, &[Expected::Checkers(3)]);
        assert_eq!(
            found.failures,
            [
                "vm0: checker did not finish on 1 of its 3 vCPUs",
                "vm0 said at last:\n  | checker: MISMATCH cpu=1 window=9 register=V0\n  \
                 | checker: MISMATCH cpu=0 window=4 register=V0\n  \
                 | checker: done cpu=1 used=5 mismatches=1\n  | checker: done cpu=0 used=6 mismatches=2"
            ]
        );
    }

    #[test]
    fn delays_of_all_checkers_add_up() {
        let console = "[vm0] checker: delay cpu=0 away=7 36:2 40:1\n\
                       [vm1] checker: delay cpu=0 away=0 36:3 x:1 1: :\n\
                       [vm1] checker: done cpu=0 used=1 mismatches=0\n";
        let histogram = timer_delay(console, 62_500_000).unwrap();
        assert_eq!(histogram.unit, Unit::Nanoseconds);
        let bin = |from, to, count| Bin { from, to, count };
        assert_eq!(histogram.bins, [bin(576, 591, 5), bin(640, 655, 1)]);
        assert_eq!(timer_delay("checker: done used=1\n", 62_500_000), None);
        assert_eq!(timer_delay(console, 0), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = findings("[vm0] checker: done used=1\n", &[Expected::Checker; 2]);
        let missing = |vm| format!("vm{vm}: checker did not finish");
        let shown = findings("\u{2}TRAPCAST-LINUX-DONE\n", &[Expected::LinuxMarker]);
        assert_eq!(shown, Findings::default());
        let said = "vm0 said at last:\n  | checker: done used=1".to_string();
        assert_eq!(
            found.failures,
            [missing(0), said, missing(1), "vm1 said nothing".to_string()]
        );
        let lines: String = (0..100).map(|n| format!("line {n}\n\n")).collect();
        let found = findings(&lines, &[Expected::LinuxMarker]);
        let [missing, said] = &found.failures[..] else {
            panic!("{found:?}")
        };
        assert_eq!(missing, "vm0: Linux did not print TRAPCAST-LINUX-DONE");
        assert!(
            said.starts_with("vm0 said at last:\n  | line 88\n"),
            "{said}"
        );
        assert!(said.ends_with("\n  | line 99"), "{said}");
    }
}
