//! What a host's console says of its VMs: whose line each is, who has ended, and how.

use std::time::Duration;

/// What begins a line of the init of a KVM host.
const HOST: &str = "host: ";

/// Xen breaks a guest's lines after so many bytes.
const XEN_CHUNK: usize = 126;

/// The status of a VMM that was ended because its VM's time was over: that of SIGKILL, as a VMM takes
/// a SIGTERM for a wish of its user.
const TIME_OVER: u32 = 137;

/// A host's console, taken apart.
#[derive(Debug, Default)]
pub(super) struct Said {
    vms: Vec<Vm>,
    error: Option<String>,
    up: bool,
}

#[derive(Clone, Debug, Default)]
struct Vm {
    lines: Vec<String>,
    /// The status that its VMM ended with; on Xen, 0 with its last line.
    status: Option<u32>,
    /// Whether its last line is there.
    last: bool,
}

impl Said {
    /// Reads the console of a KVM host: what its init says, and its VMs' lines behind a tag.
    pub(super) fn by_kvm(console: &str, last: &[&str]) -> Self {
        let mut said = Self {
            vms: vec![Vm::default(); last.len()],
            ..Self::default()
        };
        for line in console.lines() {
            if let Some((vm, text)) = tagged(line, "[vm", "] ") {
                if let Some(vm) = said.vms.get_mut(vm) {
                    vm.lines.push(text.to_string());
                }
            } else if let Some(told) = line.strip_prefix(HOST) {
                said.by_init(told);
            }
        }
        said.look_for(last);
        said
    }

    fn by_init(&mut self, told: &str) {
        if told == "up" {
            self.up = true;
        } else if let Some(error) = told.strip_prefix("error: ") {
            self.error
                .get_or_insert_with(|| format!("the host says: {error}"));
        } else if let Some((vm, status)) = tagged(told, "vm", ": status ")
            && let Some(vm) = self.vms.get_mut(vm)
        {
            vm.status = status.parse().ok();
        }
    }

    /// Reads Xen's console. Xen says nothing when a domain powers off, so its `last` line tells.
    pub(super) fn by_xen(console: &str, last: &[&str]) -> Self {
        let mut said = Self {
            vms: vec![Vm::default(); last.len()],
            ..Self::default()
        };
        let mut goes_on = vec![false; last.len()];
        for line in console.lines() {
            let line = line.strip_prefix("(XEN) ").unwrap_or(line);
            said.up |= line.starts_with("*** LOADING DOMU");
            // Domain 0 is the one that is not there.
            let Some((vm, text)) = tagged(line, "DOM", ": ") else {
                continue;
            };
            let Some(vm) = vm.checked_sub(1).filter(|vm| *vm < last.len()) else {
                continue;
            };
            let lines = &mut said.vms[vm].lines;
            match lines.last_mut() {
                Some(before) if goes_on[vm] => *before += text,
                _ => lines.push(text.to_string()),
            }
            goes_on[vm] = text.len() == XEN_CHUNK;
        }
        said.look_for(last);
        for vm in &mut said.vms {
            vm.status = vm.last.then_some(0);
        }
        said
    }

    fn look_for(&mut self, last: &[&str]) {
        for (vm, last) in self.vms.iter_mut().zip(last) {
            vm.last = vm.lines.iter().any(|line| line.contains(last));
        }
    }

    /// Why the host could not run VMs, in its own words.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Whether VMs were started.
    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    pub(super) fn all_have_ended(&self) -> bool {
        self.vms.iter().all(|vm| vm.status.is_some())
    }

    /// A sentence about each VM that has not ended well.
    pub(super) fn what_has_not_ended(&self, in_time: bool, limit: Duration) -> Option<String> {
        let mut sentences = Vec::new();
        for (number, vm) in self.vms.iter().enumerate() {
            let why = match vm.status {
                Some(0) if vm.last => continue,
                Some(0) => "ended without its last line".to_string(),
                Some(TIME_OVER) => "did not end within the time that the host gives it".to_string(),
                Some(status) => format!("was ended by its VMM with status {status}"),
                None if in_time => "had not ended when the host did".to_string(),
                None => format!("did not end within {} s", limit.as_secs()),
            };
            let last = vm.lines.iter().rev().find(|line| !line.trim().is_empty());
            let last = last.map_or("nothing", |line| line.trim());
            sentences.push(format!("vm{number} {why}; the last that it said: {last}"));
        }
        (!sentences.is_empty()).then(|| sentences.join(". "))
    }

    /// The lines of each VM.
    pub(super) fn into_lines(self) -> Vec<Vec<String>> {
        self.vms.into_iter().map(|vm| vm.lines).collect()
    }
}

/// The number between two tags at a line's beginning, and what follows.
fn tagged<'a>(line: &'a str, before: &str, after: &str) -> Option<(usize, &'a str)> {
    let (number, text) = line.strip_prefix(before)?.split_once(after)?;
    Some((number.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(7);

    #[test]
    fn a_kvm_hosts_vms_are_told_apart_and_their_ends_known() {
        let console = "host: kvm [1]: VHE mode initialized successfully\nhost: up\n[vm1] one\n\
                       [vm0] zero\n[vm9] nobody\n[vm1] two\nhost: vm1: status 0\nhost: vm0: status 0\n";
        let said = Said::by_kvm(console, &["", ""]);
        assert!(said.is_up() && said.all_have_ended());
        assert_eq!(said.what_has_not_ended(true, LIMIT), None);
        assert_eq!(said.into_lines(), [vec!["zero"], vec!["one", "two"]]);
    }

    #[test]
    fn what_became_of_a_vm_is_said_with_its_last_line() {
        let early = Said::by_kvm("host: up\n[vm0] panic\nhost: vm0: status 0\n", &["done"]);
        let told = early.what_has_not_ended(true, LIMIT).unwrap();
        assert!(told.contains("vm0 ended without its last line; the last that it said: panic"));
        let console =
            "host: up\n[vm0] before\n[vm0] \n[vm1] x\nhost: vm0: status 137\nhost: vm1: status 1\n";
        let said = Said::by_kvm(console, &["", "", ""]);
        assert_eq!(
            said.what_has_not_ended(true, LIMIT).unwrap(),
            "vm0 did not end within the time that the host gives it; the last that it said: before. \
             vm1 was ended by its VMM with status 1; the last that it said: x. \
             vm2 had not ended when the host did; the last that it said: nothing"
        );
        let told = said.what_has_not_ended(false, LIMIT).unwrap();
        assert!(told.contains("vm2 did not end within 7 s"), "{told}");
    }

    #[test]
    fn a_host_without_kvm_says_so() {
        let said = Said::by_kvm("host: error: no /dev/kvm\n", &[""]);
        assert_eq!(said.error(), Some("the host says: no /dev/kvm"));
        assert!(!said.is_up());
    }

    #[test]
    fn xens_chunks_are_put_together() {
        let chunk = "0123456789".repeat(13)[..XEN_CHUNK].to_string();
        let console = format!(
            "(XEN) DOM1: {chunk}\n(XEN) DOM2: other\n(XEN) DOM1: end\n(XEN) DOM1: next\n\
             (XEN) d2v0: vGICD: unhandled\n(XEN) DOM2: x: done y\n"
        );
        let said = Said::by_xen(&console, &[": done ", ": done "]);
        assert!(!said.all_have_ended());
        assert_eq!(
            said.what_has_not_ended(false, LIMIT).unwrap(),
            "vm0 did not end within 7 s; the last that it said: next"
        );
        assert_eq!(
            said.into_lines(),
            [
                vec![format!("{chunk}end"), "next".to_string()],
                vec!["other".to_string(), "x: done y".to_string()]
            ]
        );
    }
}
