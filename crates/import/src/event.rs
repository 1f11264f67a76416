//! What KVM does, of the events that say so.

use trapcast_trace::report::Exit;

use crate::line::{Entry, field, number};

/// One step of a vCPU's thread, or of the host on its CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// A vCPU is loaded, which may belong to this VM: the host's addresses of both, if they are there.
    Load {
        /// The vCPU.
        vcpu: Option<u64>,
        /// Its VM.
        vm: Option<u64>,
    },
    /// The guest is entered, at this address.
    Entry(u64),
    /// KVM looks whose the registers are, after each exit.
    Sync,
    /// They are the guest's.
    Bind,
    /// The exit is traced.
    Exit(Exit),
    /// The vCPU is put.
    Put,
    /// The kernel takes the registers for its own use.
    Neon,
}

impl Step {
    /// Returns what an event means, if anything.
    ///
    /// The recorder's probes have names of their own; probes of others are known by the function's name.
    pub fn of(entry: &Entry<'_>) -> Option<Self> {
        // `p_kvm_arch_vcpu_load_fp_0` of kprobe_events without a name, `kvm_arch_vcpu_load_fp` of perf probe.
        let name = entry.event.strip_prefix("p_").unwrap_or(entry.event);
        let name = name.strip_suffix("_0").unwrap_or(name);
        let address = |key| field(entry.text, key).and_then(number);
        Some(match name {
            "load_fp" | "kvm_arch_vcpu_load_fp" => Self::Load {
                vcpu: address("vcpu"),
                vm: address("vm"),
            },
            "put_fp" | "kvm_arch_vcpu_put_fp" => Self::Put,
            "ctxsync_fp" | "kvm_arch_vcpu_ctxsync_fp" => Self::Sync,
            "bind" | "fpsimd_bind_state_to_cpu" => Self::Bind,
            "neon" | "kernel_neon_begin" => Self::Neon,
            "kvm_entry" => Self::Entry(after(entry.text, "PC:").and_then(number)?),
            "kvm_exit" => Self::Exit(exit(entry.text)),
            _ => return None,
        })
    }
}

/// The word behind another.
fn after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(key)?;
    rest.split([' ', ',']).find(|word| !word.is_empty())
}

/// Why a guest was left: `IRQ: HSR_EC: 0x0024 (DABT_LOW), PC: 0x...`.
///
/// ESR_EL2.EC is stale where the exit was no trap. Whether an abort was one of MMIO it does not say.
fn exit(text: &str) -> Exit {
    if !text.starts_with("TRAP") {
        return if text.starts_with("IRQ") {
            Exit::Interrupt
        } else {
            Exit::Other
        };
    }
    // Arm ARM, ESR_EL2.EC.
    match after(text, "_EC:").and_then(number) {
        Some(0x01) => Exit::Wait,
        Some(0x12 | 0x16) => Exit::Hypercall,
        Some(0x13 | 0x17) => Exit::SecureMonitorCall,
        Some(0x03..=0x06 | 0x08 | 0x0c | 0x18) => Exit::SystemRegister,
        Some(0x20 | 0x24) => Exit::Stage2Fault,
        _ => Exit::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Line, parse};

    fn step(text: &str) -> Option<Step> {
        let line = format!("qemu-7 [000] d..1. 5.000001: {text}");
        match parse(&line) {
            Line::Event(entry) => Step::of(&entry),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn events_of_kvm_and_of_probes_are_known() {
        let load = Step::Load {
            vcpu: Some(0x10),
            vm: Some(0x20),
        };
        let cases = [
            (
                "load_fp: (kvm_arch_vcpu_load_fp+0x0/0x90) vcpu=0x10 vm=0x20",
                load,
            ),
            (
                "p_kvm_arch_vcpu_load_fp_0: (kvm_arch_vcpu_load_fp+0x0/0x90)",
                Step::Load {
                    vcpu: None,
                    vm: None,
                },
            ),
            ("put_fp: (kvm_arch_vcpu_put_fp+0x0/0x90)", Step::Put),
            ("kvm_arch_vcpu_ctxsync_fp: (ffff800010056ee0)", Step::Sync),
            ("bind: (fpsimd_bind_state_to_cpu+0x0/0x50)", Step::Bind),
            ("kernel_neon_begin: (ffff800010056ee0)", Step::Neon),
            (
                "kvm_entry: PC: 0xffff800010a2c5b0",
                Step::Entry(0xffff_8000_10a2_c5b0),
            ),
            (
                "kvm_exit: IRQ: HSR_EC: 0x0024 (DABT_LOW), PC: 0xffff800010a2c5b0",
                Step::Exit(Exit::Interrupt),
            ),
            (
                "kvm_exit: TRAP: HSR_EC: 0x0001 (WFx), PC: 0xffff800010a2c5b0",
                Step::Exit(Exit::Wait),
            ),
            (
                "kvm_exit: TRAP: HSR_EC: 0x0024 (DABT_LOW), PC: 0xffff800010a2c5b0",
                Step::Exit(Exit::Stage2Fault),
            ),
            (
                "kvm_exit: TRAP: HSR_EC: 0x0016 (HVC64), PC: 0xffff800010a2c5b0",
                Step::Exit(Exit::Hypercall),
            ),
            (
                "kvm_exit: TRAP: ESR_EC: 0x0018 (SYS64), PC: 0xffff800010a2c5b0",
                Step::Exit(Exit::SystemRegister),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(step(text), Some(expected), "{text}");
        }
        assert_eq!(step("sched_switch: prev_comm=x"), None);
    }
}
