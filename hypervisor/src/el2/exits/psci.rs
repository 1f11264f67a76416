//! HVC: the calls that a guest may make, PSCI and Arm Architecture Calls.

use arm_psci::{AffinityInfo, Function, FunctionId, PsciFeature, Version};

use trapcast_hypervisor::smccc::{self, Outcome};
use trapcast_trace::report::Ending;

use crate::el2::{
    board::workarounds,
    exits::wfx::wait,
    sched::{
        ipi, lifecycle,
        scheduler::{self, Next},
    },
    state::{core::Core, vcpu::Vcpu, vm::Start},
};

/// SMC Calling Convention (DEN0028), "unknown function identifier".
pub const NOT_SUPPORTED: u64 = -1i64 as u64;
const SUCCESS: u64 = 0;
const INVALID_PARAMETERS: u64 = -2i64 as u64;
const ALREADY_ON: u64 = -4i64 as u64;
/// MIGRATE_INFO_TYPE: no trusted OS that would have to be migrated.
const MIGRATION_NOT_REQUIRED: u64 = 2;

/// PSCI_VERSION, the most frequent call of a guest that does nothing else.
const PSCI_VERSION: u64 = 0x8400_0000;
const VERSION: Version = Version { major: 1, minor: 1 };
/// In a function identifier: arguments of 64 bits.
const SMC64: u64 = 1 << 30;

/// Answers the guest's call if it asks for PSCI's version; returns whether it does.
#[inline(always)]
pub fn version(vcpu: &mut Vcpu) -> bool {
    let asks = vcpu.registers[0] as u32 as u64 == PSCI_VERSION;
    if asks {
        vcpu.registers[0] = u32::from(VERSION).into();
    }
    asks
}

/// Answers the guest's call.
#[inline(never)]
pub fn call(vcpu: &mut Vcpu, core: &mut Core) -> Next {
    if smccc::is_architecture_call(vcpu.registers[0]) {
        return architecture_call(vcpu);
    }
    let [x0, x1, x2, x3, ..] = vcpu.registers;
    let mut call = [x0, x1, x2, x3];
    if vcpu.aarch32 {
        call = call.map(|register| register & 0xffff_ffff);
    }
    let function = if vcpu.aarch32 && x0 & SMC64 != 0 {
        // There are no calls by the 64-bit convention from AArch32.
        None
    } else {
        Function::try_from(&call).ok()
    };
    let Some(function) = function else {
        vcpu.registers[0] = refusal(x0);
        return Next::Again;
    };
    let (answer, next) = match function {
        Function::Version => (u32::from(VERSION).into(), Next::Continue),
        Function::Features { psci_func_id } => (features(psci_func_id), Next::Continue),
        Function::CpuOn { target_cpu, entry } => (
            cpu_on(
                vcpu,
                target_cpu.try_into().unwrap_or(u32::MAX),
                entry.entry_point_address(),
                entry.context_id(),
            ),
            Next::Continue,
        ),
        Function::CpuOff => {
            // Held until it is off: another vCPU may turn it on again on another core.
            let mut state = vcpu.vm.state.lock();
            state.on[vcpu.index] = false;
            scheduler::lock().power_off(vcpu.slot);
            let is_last = !state.on.contains(&true);
            drop(state);
            if is_last {
                let how = format_args!("off: all of its CPUs have turned themselves off");
                lifecycle::end(vcpu.vm, Ending::CpusOff, how);
            }
            (SUCCESS, Next::Schedule)
        }
        Function::AffinityInfo {
            mpidr,
            lowest_affinity_level: 0,
        } => (
            affinity_info(vcpu, mpidr.try_into().unwrap_or(u32::MAX)),
            Next::Continue,
        ),
        Function::AffinityInfo { .. } => (INVALID_PARAMETERS, Next::Continue),
        Function::MigrateInfoType => (MIGRATION_NOT_REQUIRED, Next::Continue),
        // A standby state: the call returns when an interrupt comes.
        Function::CpuSuspend { .. } => (SUCCESS, wait(vcpu, core)),
        Function::SystemOff => {
            lifecycle::end(vcpu.vm, Ending::PoweredOff, format_args!("powered off"));
            (SUCCESS, Next::Schedule)
        }
        Function::SystemReset => {
            // The reset waits for the VM's other vCPUs, of which one may wait for this one to be out.
            vcpu.vm.state.lock().vgic.left(vcpu.index);
            lifecycle::reset(vcpu.vm, core, Some(vcpu.slot));
            (SUCCESS, Next::Schedule)
        }
        _ => (NOT_SUPPORTED, Next::Continue),
    };
    vcpu.registers[0] = answer;
    next
}

/// Answers an Arm Architecture Call.
#[inline(never)]
fn architecture_call(vcpu: &mut Vcpu) -> Next {
    let [function, argument, ..] = vcpu.registers;
    let outcome = vcpu.vm.workarounds.call(function as u32, argument as u32);
    vcpu.registers[0] = match outcome {
        Outcome::Returns(answer) => answer as u64,
        Outcome::Firmware(function) => {
            workarounds::call(function);
            SUCCESS
        }
    };
    Next::Again
}

/// Why a call could not be decoded: an argument of a function that exists, or no such function.
fn refusal(function: u64) -> u64 {
    match FunctionId::try_from(function as u32) {
        // A function that PSCI_FEATURES is asked about need not exist.
        Ok(FunctionId::PsciFeatures) => NOT_SUPPORTED,
        Ok(id) if is_supported(id) => INVALID_PARAMETERS,
        _ => NOT_SUPPORTED,
    }
}

fn features(feature: PsciFeature) -> u64 {
    match feature {
        PsciFeature::SmcccVersion => SUCCESS,
        PsciFeature::PsciFunction(id) if is_supported(id) => SUCCESS,
        PsciFeature::PsciFunction(_) => NOT_SUPPORTED,
    }
}

fn is_supported(id: FunctionId) -> bool {
    matches!(
        id,
        FunctionId::PsciVersion
            | FunctionId::CpuSuspend32
            | FunctionId::CpuSuspend64
            | FunctionId::CpuOff
            | FunctionId::CpuOn32
            | FunctionId::CpuOn64
            | FunctionId::AffinityInfo32
            | FunctionId::AffinityInfo64
            | FunctionId::MigrateInfoType
            | FunctionId::SystemOff
            | FunctionId::SystemReset
            | FunctionId::PsciFeatures
    )
}

/// Turns the vCPU with affinity `mpidr` on.
fn cpu_on(vcpu: &Vcpu, mpidr: u32, entry: u64, context: u64) -> u64 {
    let target = mpidr as usize;
    if target >= vcpu.vm.settings.vcpus {
        return INVALID_PARAMETERS;
    }
    let mut state = vcpu.vm.state.lock();
    if state.on[target] || state.ending {
        return ALREADY_ON;
    }
    state.on[target] = true;
    state.power_on[target] = Some(Start {
        entry,
        arguments: [context, 0, 0],
    });
    scheduler::lock().power_on(vcpu.vm.number, target, ipi::call);
    SUCCESS
}

fn affinity_info(vcpu: &Vcpu, mpidr: u32) -> u64 {
    let target = mpidr as usize;
    if target >= vcpu.vm.settings.vcpus {
        return INVALID_PARAMETERS;
    }
    if vcpu.vm.state.lock().on[target] {
        AffinityInfo::On as u64
    } else {
        AffinityInfo::Off as u64
    }
}
