//! The study's Linux guests on other hypervisors: which there are, and where their records lie.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use trapcast_profile::{Profile, parse};

/// Another hypervisor that the study asks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Other {
    /// Linux KVM.
    Kvm,
    /// Xen.
    Xen,
}

impl Other {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Kvm, Self::Xen];

    /// Its name in sentences.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Xen => "Xen",
        }
    }

    /// Where a workload's record lies, in the directory of a study's records.
    pub fn record(self, records: &Path, workload: &str) -> PathBuf {
        records.join(format!("{workload}.on-{self}.parquet"))
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Xen => "xen",
        })
    }
}

/// What trapping and moving the registers costs KVM under QEMU, in instructions.
///
/// # Panics
/// Never: the profile is part of the program.
pub fn kvm_under_qemu() -> Profile {
    parse(include_str!("others/kvm-qemu.toml"), "kvm-qemu.toml").expect("it is a profile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvms_trap_and_its_load_take_what_was_counted() {
        let costs = kvm_under_qemu().fp;
        assert_eq!(u64::from(costs.trap + costs.load) + costs.unlock(), 189);
    }

    #[test]
    fn records_of_other_hypervisors_are_not_those_of_a_scheme() {
        let records = Path::new("records");
        assert_eq!(
            Other::Kvm.record(records, "openssl"),
            Path::new("records/openssl.on-kvm.parquet")
        );
    }
}
