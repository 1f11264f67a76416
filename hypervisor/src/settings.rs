//! The hypervisor's settings: the words of its command line, and what holds without them.
//!
//! | word | meaning | default |
//! |---|---|---|
//! | `vhe=on\|off` | use the Virtualization Host Extensions where the core has them | `on` |
//! | `slice=MICROSECONDS` | how long a vCPU may run while others wait | 10000 |
//! | `disturb=SEED` | for tests: random slices of at most `slice`, moves, uses by the host | off |
//! | `record=on\|off` | write a record of every window; every VM is observed | `off` |
//! | `latency=on\|off` | keep the distribution of IRQs-off sections | `off` |
//! | `idle=wfi\|poll` | how a core with nothing to run waits for an interrupt | `wfi` |
//! | `costs=TRAP,PROBE,SAVE,LOAD,GATE,ISB` | what switching FP/SIMD costs, for `scheme=forecast` | none |
//! | `publish=on\|off` | keep the report of every vCPU current while guests run | `off` |
//! | `vmN.memory=SIZE` | RAM of the VM, such as `64M` or `1G` | `256M` |
//! | `vmN.vcpus=NUMBER` | vCPUs of the VM | 1 |
//! | `vmN.scheme=NAME` | when to switch the FP/SIMD registers | `until-put` |
//! | `vmN.observe=on\|off` | trap in every window, to learn which ones use the registers | `off` |
//! | `vmN.prompt=on\|off` | with `scheme=forecast`, load no registers early while an interrupt is pending for the guest | `on` |
//! | `vmN.fp=on\|off` | let the guest use FP/SIMD | `on` |
//! | `vmN.sve=off\|max\|BITS` | SVE, with vectors of so many bits at most | `off` |
//! | `vmN.sme=off\|max\|BITS` | SME, with streaming vectors of so many bits at most | `off` |
//! | `vmN.pmu=on\|off` | let the guest use the PMU's event counters | `off` |
//!
//! VMs count from 0. Of a word that comes twice, the last one holds.

#[cfg(test)]
mod tests;

use core::{fmt, str::FromStr};

use trapcast_forecast::{Costs, Scheme};

pub use crate::vgic::MAX_VCPUS;

/// The most VMs: as many as there are VMIDs of eight bits but for 0.
pub const MAX_VMS: usize = 255;

/// What a VM's memory is a multiple of, in bytes: a block of the stage-2 tables.
pub const MEMORY_STEP: u64 = 2 << 20;

/// The least memory of a VM, in bytes: a kernel is 2 MiB above the start of RAM.
pub const MIN_MEMORY: u64 = 4 << 20;

/// The most memory of a VM, in bytes: the guests' addresses have 39 bits, and RAM starts at 1 GiB.
pub const MAX_MEMORY: u64 = 511 << 30;

/// The shortest and the longest time slice, in microseconds.
const SLICE: core::ops::RangeInclusive<u32> = 10..=10_000_000;

/// All settings of the hypervisor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Use the Virtualization Host Extensions where the core has them.
    pub vhe: bool,
    /// How long a vCPU may run while others wait, in microseconds.
    pub slice: u32,
    /// For tests: make time slices random, move vCPUs between cores all the time, and let the host use
    /// the registers in between, by the series that belong to this seed.
    pub disturb: Option<u64>,
    /// Write a record of every window. Every VM is observed then.
    pub record: bool,
    /// Keep the distribution of IRQs-off sections.
    pub latency: bool,
    /// A core with nothing to run polls for an interrupt, in place of WFI.
    pub idle_polls: bool,
    /// What trapping and moving the FP/SIMD registers costs, in any unit. The scheme `forecast` needs it.
    pub costs: Option<Costs>,
    /// Bring the report of a vCPU up to date at each of its loads and at each interrupt, not only at the end.
    pub publish: bool,
    vms: [VmSettings; MAX_VMS],
    /// How many VMs the command line speaks of: the largest N of a `vmN` and one.
    named: usize,
}

/// The settings of one VM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VmSettings {
    /// RAM in bytes, a multiple of [`MEMORY_STEP`] from [`MIN_MEMORY`] to [`MAX_MEMORY`].
    pub memory: u64,
    /// vCPUs, from 1 to [`MAX_VCPUS`].
    pub vcpus: usize,
    /// When to switch the FP/SIMD registers.
    pub scheme: Scheme,
    /// Trap in every window, to learn which ones use the registers.
    pub observe: bool,
    /// What trapping and moving the FP/SIMD registers costs: [`Settings::costs`].
    pub costs: Costs,
    /// Load no registers early while an interrupt is pending for the guest.
    pub prompt: bool,
    /// Let the guest use FP/SIMD.
    pub fp: bool,
    /// SVE, and the largest vector length.
    pub sve: VectorSetting,
    /// SME, and the largest streaming vector length.
    pub sme: VectorSetting,
    /// Let the guest use the PMU's event counters.
    pub pmu: bool,
}

/// Whether a VM has vectors of a kind, and how long they are at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VectorSetting {
    /// It has none.
    Off,
    /// As long as the core has them.
    Max,
    /// A multiple of 128 bits, up to 2048.
    Bits(u16),
}

impl VectorSetting {
    fn parse(value: &str) -> Result<Self, Expected> {
        match value {
            "off" => Ok(Self::Off),
            "max" => Ok(Self::Max),
            _ => decimal(value)
                .filter(|bits: &u16| (128..=2048).contains(bits) && bits.is_multiple_of(128))
                .map(Self::Bits)
                .ok_or(Expected::Vectors),
        }
    }
}

impl fmt::Display for VectorSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Max => f.write_str("max"),
            Self::Bits(bits) => write!(f, "{bits}"),
        }
    }
}

impl VmSettings {
    /// What holds for a VM of which the command line says nothing.
    pub const DEFAULT: Self = Self {
        memory: 256 << 20,
        vcpus: 1,
        scheme: Scheme::UntilPut,
        observe: false,
        costs: Costs::FREE,
        prompt: true,
        fp: true,
        sve: VectorSetting::Off,
        sme: VectorSetting::Off,
        pmu: false,
    };
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            vhe: true,
            slice: 10_000,
            disturb: None,
            record: false,
            latency: false,
            idle_polls: false,
            costs: None,
            publish: false,
            vms: [VmSettings::DEFAULT; MAX_VMS],
            named: 0,
        }
    }
}

impl Settings {
    /// Reads the words of a command line.
    ///
    /// # Errors
    ///
    /// The first word that is unknown or has a value that it cannot have.
    pub fn parse(command_line: &str) -> Result<Self, SettingsError<'_>> {
        let mut settings = Self::default();
        for word in command_line.split_ascii_whitespace() {
            settings
                .apply(word)
                .map_err(|expected| SettingsError { word, expected })?;
        }
        if settings.record {
            // Whether a window used the registers is known of observed VMs only.
            settings.vms.iter_mut().for_each(|vm| vm.observe = true);
        }
        let costs = settings.costs;
        for vm in &mut settings.vms {
            if vm.scheme == Scheme::Forecast && costs.is_none() {
                return Err(SettingsError {
                    word: "scheme=forecast",
                    expected: Expected::ForecastCosts,
                });
            }
            vm.costs = costs.unwrap_or_default();
        }
        Ok(settings)
    }

    /// The settings of the first `count` VMs, those that exist.
    ///
    /// # Errors
    ///
    /// When the command line speaks of a VM that does not exist.
    ///
    /// # Panics
    ///
    /// When `count` is more than [`MAX_VMS`].
    pub fn for_vms(&self, count: usize) -> Result<&[VmSettings], NoSuchVm> {
        if self.named > count {
            return Err(NoSuchVm(self.named - 1));
        }
        Ok(&self.vms[..count])
    }

    fn apply(&mut self, word: &str) -> Result<(), Expected> {
        let (key, value) = word.split_once('=').ok_or(Expected::Setting)?;
        match key.split_once('.') {
            None => self.apply_common(key, value),
            Some((vm, key)) => {
                let number = vm.strip_prefix("vm").ok_or(Expected::Setting)?;
                let number: usize = decimal(number).ok_or(Expected::VmNumber)?;
                let vm = self.vms.get_mut(number).ok_or(Expected::VmNumber)?;
                vm.apply(key, value)?;
                self.named = self.named.max(number + 1);
                Ok(())
            }
        }
    }

    fn apply_common(&mut self, key: &str, value: &str) -> Result<(), Expected> {
        match key {
            "vhe" => self.vhe = switch(value)?,
            "record" => self.record = switch(value)?,
            "latency" => self.latency = switch(value)?,
            "publish" => self.publish = switch(value)?,
            "idle" => self.idle_polls = idle(value)?,
            "disturb" => self.disturb = Some(decimal(value).ok_or(Expected::Seed)?),
            "costs" => self.costs = Some(costs(value).ok_or(Expected::Costs)?),
            "slice" => {
                self.slice = decimal(value)
                    .filter(|slice| SLICE.contains(slice))
                    .ok_or(Expected::Slice)?;
            }
            _ => return Err(Expected::Setting),
        }
        Ok(())
    }
}

impl VmSettings {
    fn apply(&mut self, key: &str, value: &str) -> Result<(), Expected> {
        match key {
            "memory" => {
                self.memory = size(value)
                    .filter(|size| (MIN_MEMORY..=MAX_MEMORY).contains(size))
                    .filter(|size| size.is_multiple_of(MEMORY_STEP))
                    .ok_or(Expected::Memory)?;
            }
            "vcpus" => {
                self.vcpus = decimal(value)
                    .filter(|vcpus| (1..=MAX_VCPUS).contains(vcpus))
                    .ok_or(Expected::Vcpus)?;
            }
            "scheme" => self.scheme = value.parse().map_err(|_| Expected::Scheme)?,
            "observe" => self.observe = switch(value)?,
            "prompt" => self.prompt = switch(value)?,
            "fp" => self.fp = switch(value)?,
            "sve" => self.sve = VectorSetting::parse(value)?,
            "sme" => self.sme = VectorSetting::parse(value)?,
            "pmu" => self.pmu = switch(value)?,
            _ => return Err(Expected::VmSetting),
        }
        Ok(())
    }
}

fn switch(value: &str) -> Result<bool, Expected> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Expected::Switch),
    }
}

fn idle(value: &str) -> Result<bool, Expected> {
    match value {
        "poll" => Ok(true),
        "wfi" => Ok(false),
        _ => Err(Expected::Idle),
    }
}

/// Six numbers between commas.
fn costs(value: &str) -> Option<Costs> {
    let mut numbers = value.split(',').map(decimal);
    let mut next = || numbers.next().flatten();
    let costs = Costs {
        trap: next()?,
        probe: next()?,
        save: next()?,
        load: next()?,
        gate: next()?,
        isb: next()?,
    };
    numbers.next().is_none().then_some(costs)
}

/// A number of decimal digits only, without a sign.
fn decimal<T: FromStr>(digits: &str) -> Option<T> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

/// A size in bytes: a number followed by `K`, `M` or `G`.
fn size(value: &str) -> Option<u64> {
    let unit = match value.bytes().last()? {
        b'K' | b'k' => 1_u64 << 10,
        b'M' | b'm' => 1 << 20,
        b'G' | b'g' => 1 << 30,
        _ => return None,
    };
    let number: u64 = decimal(&value[..value.len() - 1])?;
    number.checked_mul(unit)
}

/// What the command line could have said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// One of the settings.
    Setting,
    /// One of the settings of a VM.
    VmSetting,
    /// The number of a VM.
    VmNumber,
    /// `on` or `off`.
    Switch,
    /// A time slice.
    Slice,
    /// A seed.
    Seed,
    /// How a core waits.
    Idle,
    /// What switching costs.
    Costs,
    /// The same, which is missing.
    ForecastCosts,
    /// A VM's memory.
    Memory,
    /// A number of vCPUs.
    Vcpus,
    /// The name of a scheme.
    Scheme,
    /// A vector length.
    Vectors,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting => f.write_str(
                "vhe=on|off, slice=MICROSECONDS, disturb=SEED, record=on|off, latency=on|off, \
                 publish=on|off, idle=wfi|poll, costs= or one of a VM such as vm0.scheme=until-put",
            ),
            Self::VmSetting => f.write_str(
                "one of memory=, vcpus=, scheme=, observe=, prompt=, fp=, sve=, sme= and pmu= after the VM",
            ),
            Self::VmNumber => write!(f, "a VM from vm0 to vm{}", MAX_VMS - 1),
            Self::Switch => f.write_str("on or off"),
            Self::Idle => f.write_str("wfi or poll"),
            Self::Slice => write!(
                f,
                "a number of microseconds from {} to {}",
                SLICE.start(),
                SLICE.end()
            ),
            Self::ForecastCosts => {
                f.write_str("costs=TRAP,PROBE,SAVE,LOAD,GATE,ISB beside it, which it decides by")
            }
            Self::Costs => f.write_str(
                "six numbers between commas, the costs of a trap, of a probe, of a save, of a load, of \
                 a write of the gate and of an ISB",
            ),
            Self::Seed => write!(f, "a number from 0 to {}", u64::MAX),
            Self::Memory => write!(
                f,
                "a size such as 64M or 1G, a multiple of {}M from {}M to {}G",
                MEMORY_STEP >> 20,
                MIN_MEMORY >> 20,
                MAX_MEMORY >> 30
            ),
            Self::Vcpus => write!(f, "a number of vCPUs from 1 to {MAX_VCPUS}"),
            Self::Scheme => {
                f.write_str("one of the schemes")?;
                let mut separator = " ";
                for scheme in Scheme::ALL {
                    write!(f, "{separator}{scheme}")?;
                    separator = ", ";
                }
                Ok(())
            }
            Self::Vectors => {
                f.write_str("off, max or a number of bits, a multiple of 128 from 128 to 2048")
            }
        }
    }
}

/// A word of the command line that is no setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SettingsError<'a> {
    /// The word.
    pub word: &'a str,
    /// What is valid there.
    pub expected: Expected,
}

impl fmt::Display for SettingsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the setting \"{}\" is not understood: expected {}",
            self.word.escape_default(),
            self.expected
        )
    }
}

impl core::error::Error for SettingsError<'_> {}

/// A VM that has settings but does not exist.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoSuchVm(pub usize);

impl fmt::Display for NoSuchVm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "vm{} has settings but no kernel: give it one or remove its settings (VMs count from 0)",
            self.0
        )
    }
}

impl core::error::Error for NoSuchVm {}
