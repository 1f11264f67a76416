//! A board with its hypervisor and VMs, and the QEMU command line that starts it.

mod refusals;

use std::{ffi::OsString, fmt, path::Path, str::FromStr};

use trapcast_forecast::{Costs, Scheme};
use trapcast_hypervisor::settings::MAX_MEMORY;

use crate::{
    board::{BLOCK, Layout, Load, available_memory},
    image::Image,
    memory::MemoryFile,
    vectors::RegisterFiles,
};
use trapcast_tool::error::{Error, Result};

/// A core that the hypervisor was tried on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Cpu {
    /// Armv8.0: no VHE.
    CortexA57,
    /// Armv8.2 with VHE, without SVE.
    NeoverseN1,
    /// Armv8.2 with VHE and SVE of 128, 256 and 512 bits.
    A64fx,
    /// All that QEMU has.
    Max,
    /// The same with SVE vectors of at most this many bits.
    #[value(skip)]
    MaxOf(u16),
}

impl Cpu {
    /// QEMU's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CortexA57 => "cortex-a57",
            Self::NeoverseN1 => "neoverse-n1",
            Self::A64fx => "a64fx",
            Self::Max | Self::MaxOf(_) => "max",
        }
    }

    /// Whether it has the Virtualization Host Extensions.
    pub const fn has_vhe(self) -> bool {
        !matches!(self, Self::CortexA57)
    }

    /// What follows `-cpu`.
    fn argument(self) -> String {
        // The architected PAuth is four times slower to emulate.
        const MAX: &str = "max,pauth-impdef=on";
        match self {
            Self::Max => MAX.to_string(),
            Self::MaxOf(bits) => format!("{MAX},sve-max-vq={}", bits / 128),
            other => other.name().to_string(),
        }
    }

    /// Whether to use VHE, from what the user asked for.
    ///
    /// # Errors
    /// [`Error::Input`] where VHE is asked for and the core has none.
    pub fn vhe(self, asked: Option<bool>) -> Result<bool> {
        if asked == Some(true) && !self.has_vhe() {
            return Err(Error::input(format!(
                "{} has no VHE: leave --vhe out, or take --cpu neoverse-n1, a64fx or max",
                self.name()
            )));
        }
        Ok(asked.unwrap_or(self.has_vhe()))
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A size of memory as users write it: `64M`, `1G`, or bytes; rounded up to whole blocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (digits, shift) = match text.char_indices().next_back() {
            Some((at, 'K' | 'k')) => (&text[..at], 10),
            Some((at, 'M' | 'm')) => (&text[..at], 20),
            Some((at, 'G' | 'g')) => (&text[..at], 30),
            _ => (text, 0),
        };
        let number: u64 = digits
            .parse()
            .map_err(|_| format!("'{text}' is not a size: write it as 128M or 1G"))?;
        number
            .checked_mul(1 << shift)
            .filter(|size| (1..=MAX_MEMORY).contains(size))
            .map(|size| Self(size.next_multiple_of(BLOCK)))
            .ok_or_else(|| format!("'{text}' is not between 1 byte and {}G", MAX_MEMORY >> 30))
    }
}

/// One VM.
#[derive(Clone, Debug)]
pub struct Vm {
    /// Its kernel.
    pub kernel: Image,
    /// Its initrd.
    pub initrd: Option<std::sync::Arc<MemoryFile>>,
    /// Bytes of its initrd.
    pub initrd_size: u64,
    /// Its kernel's command line.
    pub bootargs: String,
    /// Bytes of its memory: whole blocks of stage 2.
    pub memory: u64,
    /// Its vCPUs.
    pub vcpus: u32,
    /// Its scheme.
    pub scheme: Scheme,
    /// Whether every window is watched.
    pub observe: bool,
    /// Whether no registers are loaded early while an interrupt is pending.
    pub prompt: bool,
    /// Whether the guest may count events itself.
    pub pmu: bool,
    /// The registers that it has.
    pub registers: RegisterFiles,
}

/// The board and what runs on it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its core.
    pub cpu: Cpu,
    /// Cores that the board has.
    pub cores: u32,
    /// Whether the hypervisor uses VHE.
    pub vhe: bool,
    /// Whether time is counted in instructions, so that a run can be repeated exactly.
    pub icount: bool,
    /// Whether the hypervisor writes a record of every window.
    pub record: bool,
    /// How long a vCPU may run while others wait, in microseconds, if not as the hypervisor has it.
    pub slice: Option<u32>,
    /// Its VMs.
    pub vms: Vec<Vm>,
}

/// A QEMU command line, with the files that it names.
#[derive(Debug)]
pub struct Prepared {
    /// What follows `qemu-system-aarch64`.
    pub arguments: Vec<OsString>,
    /// The board's RAM.
    pub ram: MemoryFile,
}

impl Machine {
    /// Prepares the command line that boots `hypervisor` with these VMs. `serial` is what follows
    /// `-serial`.
    ///
    /// # Errors
    /// [`Error::Input`] where the VMs do not fit, or not this core.
    pub fn prepare(&self, hypervisor: &Path, serial: &str) -> Result<Prepared> {
        self.prepare_with("", hypervisor, serial)
    }

    /// The same with these settings of the hypervisor besides, words as its command line has them.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn prepare_with(
        &self,
        settings: &str,
        hypervisor: &Path,
        serial: &str,
    ) -> Result<Prepared> {
        for (number, vm) in self.vms.iter().enumerate() {
            refusals::check(self.cpu, number, vm)?;
        }
        let loads: Vec<Load> = self.vms.iter().map(Vm::load).collect();
        let layout = Layout::of(&loads, available_memory()?)?;
        let ram = MemoryFile::zeroed(layout.ram)?;
        let mut arguments = board_arguments(self.cpu, &ram, layout.ram, serial);
        if self.icount {
            arguments.extend(counted(self.cores));
        }
        arguments.extend(["-smp".into(), self.cores.to_string().into()]);
        arguments.extend(["-kernel".into(), hypervisor.into()]);
        let settings = format!("{} {settings}", self.settings());
        arguments.extend(["-append".into(), settings.trim_end().into()]);
        for (vm, place) in self.vms.iter().zip(&layout.places) {
            arguments.extend([
                "-device".into(),
                format!(
                    "guest-loader,addr={:#x},kernel={},bootargs={}",
                    place.kernel,
                    vm.kernel.file.path().display(),
                    escaped(&vm.bootargs)
                )
                .into(),
            ]);
            if let (Some(initrd), Some(address)) = (&vm.initrd, place.initrd) {
                let path = initrd.path();
                arguments.extend([
                    "-device".into(),
                    format!("guest-loader,addr={address:#x},initrd={}", path.display()).into(),
                ]);
            }
        }
        Ok(Prepared { arguments, ram })
    }

    /// The hypervisor's settings, as they become its bootargs.
    pub fn settings(&self) -> String {
        let on = |flag: bool| if flag { "on" } else { "off" };
        let mut words = vec![format!("vhe={} record={}", on(self.vhe), on(self.record))];
        words.extend(self.slice.map(|slice| format!("slice={slice}")));
        if self.icount && self.cores > 1 {
            words.push("idle=poll".into());
        }
        if self.vms.iter().any(|vm| vm.scheme == Scheme::Forecast) {
            words.push(costs_setting(&trapcast_profile::of_this_machine().fp));
        }
        for (number, vm) in self.vms.iter().enumerate() {
            words.push(format!(
                "vm{number}.memory={}M vm{number}.vcpus={} vm{number}.scheme={} vm{number}.observe={} \
                 vm{number}.pmu={}{}{}",
                vm.memory >> 20,
                vm.vcpus,
                vm.scheme,
                on(vm.observe),
                on(vm.pmu),
                if vm.prompt {
                    String::new()
                } else {
                    format!(" vm{number}.prompt=off")
                },
                vm.registers.settings(number)
            ));
        }
        words.join(" ")
    }
}

impl Vm {
    pub(crate) fn load(&self) -> Load {
        Load {
            memory: self.memory,
            kernel_file: self.kernel.file_size,
            kernel: self.kernel.header,
            initrd: self.initrd.is_some().then_some(self.initrd_size),
        }
    }
}

/// The setting that says what switching costs.
fn costs_setting(costs: &Costs) -> String {
    let Costs {
        trap,
        probe,
        save,
        load,
        gate,
        isb,
    } = costs;
    format!("costs={trap},{probe},{save},{load},{gate},{isb}")
}

/// The command line of the same board, with as many cores as the VM has vCPUs, with a kernel at EL1 and no
/// hypervisor.
///
/// # Errors
/// Where the machine has no memory for the board's RAM.
pub fn prepare_without_hypervisor(cpu: Cpu, icount: bool, vm: &Vm) -> Result<Prepared> {
    let ram = MemoryFile::zeroed(vm.memory)?;
    let mut arguments = board_arguments(cpu, &ram, vm.memory, "stdio");
    if icount {
        arguments.extend(counted(vm.vcpus));
    }
    arguments.extend(["-smp".into(), vm.vcpus.to_string().into()]);
    // EL2 stays out: nothing is there to run at it.
    arguments[1] = arguments[1]
        .to_string_lossy()
        .replace("virtualization=on", "virtualization=off")
        .into();
    arguments.extend(["-kernel".into(), vm.kernel.file.path().into()]);
    arguments.extend(["-append".into(), vm.bootargs.clone().into()]);
    if let Some(initrd) = &vm.initrd {
        arguments.extend(["-initrd".into(), initrd.path().into()]);
    }
    Ok(Prepared { arguments, ram })
}

/// What every board has. Nothing in it depends on the day or on chance: the clock starts at a fixed
/// time and runs with the guest, and random numbers come from a seed.
pub(crate) fn board_arguments(
    cpu: Cpu,
    ram: &MemoryFile,
    size: u64,
    serial: &str,
) -> Vec<OsString> {
    let backend = format!(
        "memory-backend-file,id=ram,size={size},mem-path={},share=on",
        ram.path().display()
    );
    let size = format!("{}k", size >> 10);
    let mut arguments: Vec<OsString> = [
        "-machine",
        "virt,virtualization=on,gic-version=3,memory-backend=ram,dtb-randomness=off",
        "-cpu",
        &cpu.argument(),
        "-m",
        &size,
        "-object",
        &backend,
        "-nic",
        "none",
        "-display",
        "none",
        "-no-reboot",
        "-rtc",
        "base=2026-01-01,clock=vm",
        "-seed",
        "1",
        "-serial",
        serial,
    ]
    .map(OsString::from)
    .into();
    if serial == "stdio" {
        arguments.extend(["-monitor", "none"].map(OsString::from));
    }
    arguments
}

/// The arguments by which QEMU counts time in instructions, one a nanosecond, and each run is the same.
///
/// While all cores wait, QEMU's main thread moves the clock to the next timer. It may see the last core
/// halt before what that core has executed is counted (`icount_start_warp_timer` beside
/// `icount_process_data`, QEMU 7.2): the clock is then a few instructions late. In record mode the two
/// threads take turns, which ends that. The recording itself is of no use. With several cores there is no
/// record mode, and the hypervisor's `idle=poll` keeps its cores from waiting.
pub(crate) fn counted(cores: u32) -> [OsString; 2] {
    let options = if cores == 1 {
        "shift=0,sleep=off,rr=record,rrfile=/dev/null"
    } else {
        "shift=0,sleep=off"
    };
    ["-icount", options].map(OsString::from)
}

/// A value as QEMU's option parser takes it: commas doubled.
fn escaped(value: &str) -> String {
    value.replace(',', ",,")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use trapcast_hypervisor::guest_image::{ExecutionState, Image as Header};

    use super::*;
    use crate::vectors::Length;

    pub(crate) fn vm(scheme: Scheme) -> Vm {
        Vm {
            kernel: Image {
                path: "Image".into(),
                file: Arc::new(MemoryFile::zeroed(1 << 20).unwrap()),
                file_size: 1 << 20,
                header: Header {
                    memory_size: 2 << 20,
                    text_offset: 0,
                    execution_state: ExecutionState::AArch64,
                    page_size: None,
                },
            },
            initrd: None,
            initrd_size: 0,
            bootargs: "workload=never a,b".into(),
            memory: 16 << 20,
            vcpus: 2,
            scheme,
            observe: true,
            prompt: true,
            pmu: false,
            registers: RegisterFiles::FP,
        }
    }

    #[test]
    fn the_command_line_holds_every_setting() {
        let mut wide = vm(Scheme::None);
        wide.registers.sve = Length::Bits(256);
        let machine = Machine {
            cpu: Cpu::CortexA57,
            cores: 3,
            vhe: false,
            icount: true,
            record: true,
            slice: None,
            vms: vec![vm(Scheme::Owner), wide],
        };
        let prepared = machine.prepare(Path::new("/el2"), "stdio").unwrap();
        let line: Vec<_> = prepared
            .arguments
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        let line = line.join("\n");
        for wanted in [
            "-cpu\ncortex-a57\n",
            "-icount\nshift=0,sleep=off\n-smp\n3\n",
            "-kernel\n/el2\n-append\nvhe=off record=on idle=poll vm0.memory=16M vm0.vcpus=2 vm0.scheme=owner \
             vm0.observe=on vm0.pmu=off vm1.memory=16M",
            "vm1.pmu=off vm1.sve=256\n",
            &format!(
                "guest-loader,addr=0x48000000,kernel={},bootargs=workload=never a,,b",
                machine.vms[0].kernel.file.path().display()
            ),
            "guest-loader,addr=0x48200000,",
        ] {
            assert!(line.contains(wanted), "{wanted} is not in {line}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!("64M".parse(), Ok(Size(64 << 20)));
        assert_eq!("1G".parse(), Ok(Size(1 << 30)));
        assert_eq!("4096".parse(), Ok(Size(2 << 20)));
        for bad in ["", "M", "-1M", "1.5G", "0", "18446744073709551615G", "64 M"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn vhe_is_used_where_it_is_and_refused_where_it_is_not() {
        assert_eq!(Cpu::NeoverseN1.vhe(None), Ok(true));
        assert_eq!(Cpu::Max.vhe(Some(false)), Ok(false));
        assert_eq!(Cpu::CortexA57.vhe(None), Ok(false));
        assert!(Cpu::CortexA57.vhe(Some(true)).is_err());
    }
}
