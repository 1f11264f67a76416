//! What the guests and the hypervisor said on the console, and what it means.

use crate::initrd::DONE_MARKER;

/// What the lines of one run say about the integrity of its guests.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Findings {
    /// Registers and results that were not what a guest expected.
    pub guest_mismatches: u64,
    /// Windows in which the guests' checkers say that they used the registers.
    pub guest_used: u64,
    /// What did not come to its end as it should have.
    pub failures: Vec<String>,
}

/// What a VM has to have said by the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// A checker's last line.
    Checker,
    /// That of the checker of AArch32.
    Checker32,
    /// The last line of the guest that checks what its CPU has.
    Features,
    /// Linux's script and the SIMD program, to the marker.
    LinuxScript,
    /// Linux's marker alone.
    LinuxMarker,
}

/// Reads a console to its end.
pub fn findings(console: &str, vms: &[Expected]) -> Findings {
    let mut findings = Findings::default();
    for (vm, expected) in vms.iter().enumerate() {
        let lines: Vec<&str> = lines_of(console, vm, vms.len()).collect();
        match expected {
            Expected::Checker => findings.program(vm, &lines, "checker"),
            Expected::Checker32 => findings.program(vm, &lines, "checker32"),
            Expected::Features => findings.program(vm, &lines, "features"),
            Expected::LinuxScript => {
                findings.program(vm, &lines, "linux");
                findings.program(vm, &lines, "linux-simd");
                findings.marker(vm, &lines);
            }
            Expected::LinuxMarker => findings.marker(vm, &lines),
        }
    }
    findings.hypervisor(console);
    findings
}

/// The lines of one VM, without the tag that tells several VMs apart.
fn lines_of(console: &str, vm: usize, vms: usize) -> impl Iterator<Item = &str> {
    let tag = (vms > 1).then(|| format!("[vm{vm}] "));
    console.lines().filter_map(move |line| match &tag {
        Some(tag) => line.strip_prefix(tag.as_str()),
        None => Some(line),
    })
}

/// The number that stands behind `key=` in a line.
pub fn number(line: &str, key: &str) -> Option<u64> {
    line.split_ascii_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?
        .parse()
        .ok()
}

impl Findings {
    /// Looks for `NAME: done ... mismatches=N`.
    fn program(&mut self, vm: usize, lines: &[&str], name: &str) {
        let start = format!("{name}: done ");
        let last = lines
            .iter()
            .rev()
            .find_map(|line| line.split_once(&start).map(|(_, rest)| rest));
        match last.and_then(|rest| Some((number(rest, "mismatches")?, number(rest, "used")))) {
            Some((mismatches, used)) => {
                self.guest_mismatches += mismatches;
                self.guest_used += used.unwrap_or(0);
            }
            None => self
                .failures
                .push(format!("vm{vm}: {name} did not come to its end")),
        }
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
    fn what_is_missing_is_named() {
        let found = findings("[vm0] checker: done used=1\n", &[Expected::Checker; 2]);
        let missing = |vm| format!("vm{vm}: checker did not come to its end");
        assert_eq!(found.failures, [missing(0), missing(1)]);
        let found = findings("login:\n", &[Expected::LinuxMarker]);
        assert_eq!(
            found.failures,
            ["vm0: Linux did not print TRAPCAST-LINUX-DONE"]
        );
    }
}
