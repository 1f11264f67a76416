//! A KVM host: Debian's kernel, an initrd with Debian's VMM for arm64, and the guests' files.

use std::path::Path;

use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
};

use super::{Kind, Prepared, board, bootargs, last_line, some};
use crate::{
    board::available_memory,
    image::Image,
    initrd::{Archive, read},
    machine::{Cpu, Vm},
    memory::MemoryFile,
    program::BOOTARGS,
    userland::Userland,
};

const INIT: &str = include_str!("kvm-init.sh");

/// The VMM, by its path in its package.
const VMM: &str = "usr/bin/qemu-system-aarch64";

/// Memory that the host's kernel and its init need.
const KERNEL: u64 = 128 << 20;

/// Memory that a VMM needs, without its guest's.
const PER_VMM: u64 = 48 << 20;

/// RAM comes in steps of this size, so that a little more of anything changes nothing else.
const STEP: u64 = 64 << 20;

/// How KVM uses EL2.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Mode {
    /// The host's kernel runs at EL2.
    #[default]
    Vhe,
    /// The host's kernel runs at EL1, and a part of KVM at EL2.
    Nvhe,
    /// The same, and what is at EL2 does not trust the host: pKVM.
    Protected,
}

impl Mode {
    /// What the host's kernel is told; a kernel that runs at EL2 stays there unasked.
    const fn bootargs(self) -> &'static str {
        match self {
            Self::Vhe => "",
            Self::Nvhe => "kvm-arm.mode=nvhe",
            Self::Protected => "kvm-arm.mode=protected",
        }
    }
}

/// Which of Debian's kernels the host runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Kernel {
    /// The release's own, which the guests run too.
    #[default]
    Stable,
    /// The newest of its backports.
    Backports,
}

impl Kernel {
    fn open(self, paths: &Paths) -> Result<Image> {
        Image::open(&match self {
            Self::Stable => paths.guest("Image")?,
            Self::Backports => paths.hosts("Image-backports")?,
        })
    }
}

/// A KVM host and its VMs.
#[derive(Clone, Debug)]
pub struct KvmHost {
    /// The board's core.
    pub cpu: Cpu,
    /// Its cores.
    pub cores: u32,
    /// How KVM uses EL2.
    pub mode: Mode,
    /// The host's kernel.
    pub kernel: Kernel,
    /// Whether the host's kernel mitigates what speculation does on some cores, as it does unless it is told
    /// not to; the host's vectors are longer then.
    pub mitigations: bool,
    /// Whether time is counted in instructions, so that a run can be repeated exactly.
    pub icount: bool,
    /// Seconds of the host's time after which it ends a VM.
    pub patience: u32,
    /// The VMs.
    pub vms: Vec<Vm>,
}

impl KvmHost {
    /// Prepares the command line that boots the host, which starts its VMs and powers off when they have ended.
    ///
    /// # Errors
    /// [`Error::Input`] where something is not downloaded or built, the core has no VHE and it is asked for, or
    /// this machine has too little memory.
    pub fn prepare(&self, paths: &Paths) -> Result<Prepared> {
        self.prepare_recorded(paths, None)
    }

    /// As [`prepare`](Self::prepare), with a script that records what the host does while its VMs run. It is called
    /// with `-s` and `-o` as `trapcast host-recorder`'s is; what it wrote is on the console, compressed and in base64,
    /// between two lines that say so.
    ///
    /// # Errors
    /// Those of [`prepare`](Self::prepare).
    pub fn prepare_recorded(&self, paths: &Paths, recorder: Option<&str>) -> Result<Prepared> {
        some(&self.vms)?;
        if self.mode == Mode::Vhe {
            let refused = |_| {
                Error::input(format!(
                    "{} has no VHE: take --mode nvhe or protected, or another core",
                    self.cpu
                ))
            };
            self.cpu.vhe(Some(true)).map_err(refused)?;
        }
        let kernel = self.kernel.open(paths)?;
        let initrd = self.initrd(paths, recorder)?;
        let size = self.memory(&kernel, initrd.len() as u64)?;
        let (ram, initrd) = (
            MemoryFile::zeroed(size)?,
            MemoryFile::with_content(&initrd)?,
        );
        let kernel_file = MemoryFile::with_content(&read(&kernel.file.path())?)?;
        let mut arguments = board(self.cpu, self.cores, self.icount, &ram, size);
        arguments.extend(["-kernel".into(), kernel_file.path().into()]);
        arguments.extend(["-initrd".into(), initrd.path().into()]);
        arguments.extend(["-append".into(), self.bootargs(recorder.is_some()).into()]);
        Ok(Prepared {
            arguments,
            kind: Kind::Kvm,
            last: self.vms.iter().map(last_line).collect(),
            _files: vec![ram, initrd, kernel_file],
        })
    }

    /// What the host's kernel is told; one that is traced prepares its tracers.
    fn bootargs(&self, is_traced: bool) -> String {
        let mode = self.mode.bootargs();
        let mitigations = if self.mitigations {
            ""
        } else {
            "mitigations=off"
        };
        let words = format!("{BOOTARGS} {mode} {mitigations} patience={}", self.patience);
        let words = words
            .split_ascii_whitespace()
            .filter(|word| !(is_traced && word.starts_with("initcall_blacklist=")));
        words.collect::<Vec<_>>().join(" ")
    }

    /// Bytes of RAM that the host needs: it holds its initrd twice while it unpacks it, and each VMM its guest's
    /// files once more.
    fn memory(&self, kernel: &Image, initrd: u64) -> Result<u64> {
        let vms: u64 = self.vms.iter().map(|vm| vm.memory + PER_VMM).sum();
        let needed = KERNEL + kernel.header.memory_size + 2 * initrd + vms;
        let size = needed.next_multiple_of(STEP);
        let available = available_memory()?;
        if size > available {
            return Err(Error::input(format!(
                "a host of {} VMs needs {} MiB of RAM, and this machine has {} MiB free: give fewer VMs",
                self.vms.len(),
                size >> 20,
                available >> 20
            )));
        }
        Ok(size)
    }

    fn initrd(&self, paths: &Paths, recorder: Option<&str>) -> Result<Vec<u8>> {
        let vmm = Userland::of(paths.hosts("vmm")?, "scripts/hosts.sh").closure(&[VMM])?;
        let mut archive = Archive::default();
        for directory in ["bin", "dev", "kernels", "vm"] {
            archive.directory(directory)?;
        }
        for directory in crate::program::directories(vmm.keys()) {
            if directory.contains('/') || !["bin", "dev"].contains(&directory.as_str()) {
                archive.directory(&directory)?;
            }
        }
        archive.device("dev/console", 5, 1)?;
        archive.device("dev/null", 1, 3)?;
        archive.program("bin/busybox", &read(&paths.guest("busybox")?)?)?;
        archive.program("init", INIT.as_bytes())?;
        if let Some(recorder) = recorder {
            archive.directory("host")?;
            archive.program("host/recorder", recorder.as_bytes())?;
        }
        for (name, content) in &vmm {
            archive.program(name, content)?;
        }
        // VMs of one kernel share its file.
        let mut kernels: Vec<&Path> = Vec::new();
        for (number, vm) in self.vms.iter().enumerate() {
            let path = &*vm.kernel.path;
            let kernel = match kernels.iter().position(|other| *other == path) {
                Some(kernel) => kernel,
                None => {
                    let content = read(&vm.kernel.file.path())?;
                    archive.program(&format!("kernels/{}", kernels.len()), &content)?;
                    kernels.push(path);
                    kernels.len() - 1
                }
            };
            archive.directory(&format!("vm/{number}"))?;
            if let Some(initrd) = &vm.initrd {
                archive.program(&format!("vm/{number}/initrd"), &read(&initrd.path())?)?;
            }
            archive.program(
                &format!("vm/{number}/run"),
                vmm_script(number, kernel, vm).as_bytes(),
            )?;
        }
        archive.finish()
    }
}

/// The script that runs a VM's VMM in the host.
fn vmm_script(number: usize, kernel: usize, vm: &Vm) -> String {
    let initrd = if vm.initrd.is_some() {
        format!("-initrd /vm/{number}/initrd")
    } else {
        String::new()
    };
    format!(
        "exec qemu-system-aarch64 -accel kvm -M virt,gic-version=3,dtb-randomness=off -cpu host{} -smp {} \
         -m {}k -nographic -nodefaults -no-user-config -no-reboot -nic none -serial stdio \
         -kernel /kernels/{kernel} {initrd} -append {}\n",
        if vm.pmu { "" } else { ",pmu=off" },
        vm.vcpus,
        vm.memory >> 10,
        quoted(&bootargs(vm))
    )
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::vm;
    use trapcast_forecast::Scheme;

    fn host(mode: Mode) -> KvmHost {
        KvmHost {
            cpu: Cpu::CortexA57,
            cores: 1,
            mode,
            kernel: Kernel::Stable,
            mitigations: false,
            icount: true,
            patience: 30,
            vms: vec![vm(Scheme::None)],
        }
    }

    #[test]
    fn a_core_without_vhe_is_refused_before_anything_is_looked_for() {
        let empty = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(empty.path().to_path_buf())).unwrap();
        let told = host(Mode::Vhe).prepare(&paths).unwrap_err().to_string();
        assert!(
            told.contains("cortex-a57 has no VHE: take --mode nvhe"),
            "{told}"
        );
        let told = host(Mode::Nvhe).prepare(&paths).unwrap_err().to_string();
        assert!(told.contains("run scripts/guest.sh"), "{told}");
        let none = KvmHost {
            vms: Vec::new(),
            ..host(Mode::Nvhe)
        };
        let told = none.prepare(&paths).unwrap_err().to_string();
        assert!(told.contains("needs a VM"), "{told}");
    }

    #[test]
    fn the_hosts_kernel_is_told_the_mode() {
        assert!(!host(Mode::Vhe).bootargs(false).contains("kvm-arm.mode"));
        let words = host(Mode::Vhe).bootargs(true);
        assert!(!words.contains("tracer_init_tracefs"), "{words}");
        let words = host(Mode::Protected).bootargs(false);
        assert!(
            words.ends_with("kvm-arm.mode=protected mitigations=off patience=30"),
            "{words}"
        );
    }

    #[test]
    fn a_vm_becomes_a_vmms_command_line() {
        let mut vm = vm(Scheme::None);
        vm.bootargs = "it's patience=5".into();
        let script = vmm_script(1, 0, &vm);
        for wanted in [
            "-cpu host,pmu=off -smp 2 -m 16384k ",
            "-kernel /kernels/0  -append 'it'\\''s patience=5 patience=1000000'\n",
        ] {
            assert!(script.contains(wanted), "{script}");
        }
    }
}
