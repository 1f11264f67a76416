//! What the hypervisor would refuse, or the guest leave out, in the words of the command line and before QEMU
//! is started.
//!
//! The hypervisor asks the core itself; this file has what is known of QEMU's cores.

use trapcast_hypervisor::guest_image::{ExecutionState, PageSize};

use super::{Cpu, Vm};
use trapcast_tool::error::{Error, Result};

impl Cpu {
    /// Whether its EL1 has this state.
    const fn runs(self, state: ExecutionState) -> bool {
        matches!(state, ExecutionState::AArch64)
            || matches!(self, Self::CortexA57 | Self::Max | Self::MaxOf(_))
    }

    /// Whether it has this granule at stage 1.
    const fn has_pages(self, size: PageSize) -> bool {
        !matches!(
            (size, self),
            (PageSize::Medium, Self::CortexA57 | Self::A64fx)
        )
    }
}

/// The bytes of a command line that Linux takes: COMMAND_LINE_SIZE of `uapi/asm/setup.h`, of arm64 and of arm,
/// less a zero at the end. It leaves out without a word what is behind them.
const fn command_line(state: ExecutionState) -> usize {
    match state {
        ExecutionState::AArch64 => 2048 - 1,
        ExecutionState::AArch32 => 1024 - 1,
    }
}

/// Refuses VM `number` on this core if there is a reason to.
///
/// # Errors
/// [`Error::Input`] where there is.
pub fn check(cpu: Cpu, number: usize, vm: &Vm) -> Result<()> {
    match reason(cpu, vm) {
        None => Ok(()),
        Some(reason) => Err(Error::input(format!("VM {number} {reason}"))),
    }
}

/// What is wrong and what helps, after "VM 0 ".
fn reason(cpu: Cpu, vm: &Vm) -> Option<String> {
    let header = &vm.kernel.header;
    let state = header.execution_state;
    if !cpu.runs(state) {
        return Some(format!(
            "has an AArch32 kernel, and {cpu} has no AArch32 at EL1: take --cpu cortex-a57 or max"
        ));
    }
    if let Some(size) = header.page_size.filter(|size| !cpu.has_pages(*size)) {
        return Some(format!(
            "has a kernel for pages of {size}, which {cpu} does not have: take --cpu neoverse-n1 or max, or \
             another kernel"
        ));
    }
    let (length, most) = (vm.bootargs.len(), command_line(state));
    if length > most {
        return Some(format!(
            "has a command line of {length} bytes, of which Linux takes {most} and leaves out the rest: shorten \
             --append"
        ));
    }
    if vm.initrd.is_some() && vm.initrd_size == 0 {
        return Some("has an initrd of no bytes: give another, or leave --initrd out".to_string());
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trapcast_forecast::Scheme;

    use super::{super::tests::vm, *};
    use crate::memory::MemoryFile;

    /// The refusal of the VM of the tests on this core, once it has been changed.
    fn told(cpu: Cpu, change: impl FnOnce(&mut Vm)) -> Option<String> {
        let mut vm = vm(Scheme::Owner);
        change(&mut vm);
        reason(cpu, &vm)
    }

    #[test]
    fn what_a_core_has_is_let_through() {
        let sized = |size| move |vm: &mut Vm| vm.kernel.header.page_size = Some(size);
        let aarch32 = |vm: &mut Vm| vm.kernel.header.execution_state = ExecutionState::AArch32;
        assert_eq!(told(Cpu::NeoverseN1, sized(PageSize::Medium)), None);
        assert_eq!(told(Cpu::CortexA57, sized(PageSize::Large)), None);
        assert_eq!(told(Cpu::CortexA57, aarch32), None);
        assert_eq!(told(Cpu::Max, aarch32), None);
        let longest = |vm: &mut Vm| vm.bootargs = "x".repeat(2047);
        assert_eq!(told(Cpu::Max, longest), None);
    }

    #[test]
    fn each_reason_is_told_with_what_helps() {
        let aarch32 = |vm: &mut Vm| vm.kernel.header.execution_state = ExecutionState::AArch32;
        let medium = |vm: &mut Vm| vm.kernel.header.page_size = Some(PageSize::Medium);
        for (told, wanted) in [
            (
                told(Cpu::NeoverseN1, aarch32),
                "no AArch32 at EL1: take --cpu cortex-a57",
            ),
            (
                told(Cpu::CortexA57, medium),
                "16 KiB, which cortex-a57 does not have: take --cpu neo",
            ),
            (
                told(Cpu::A64fx, medium),
                "16 KiB, which a64fx does not have",
            ),
            (
                told(Cpu::Max, |vm| vm.bootargs = "x".repeat(2048)),
                "a command line of 2048 bytes, of which Linux takes 2047",
            ),
            (
                told(Cpu::Max, |vm| {
                    aarch32(vm);
                    vm.bootargs = "x".repeat(1024);
                }),
                "a command line of 1024 bytes, of which Linux takes 1023",
            ),
            (
                told(Cpu::Max, |vm| {
                    vm.initrd = Some(Arc::new(MemoryFile::zeroed(0).unwrap()))
                }),
                "an initrd of no bytes",
            ),
        ] {
            assert!(
                told.as_ref().is_some_and(|told| told.contains(wanted)),
                "{told:?}: {wanted}"
            );
        }
    }
}
