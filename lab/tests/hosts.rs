//! Other hypervisors under QEMU: our guests run to their ends on KVM and on Xen with the right results, two runs
//! print the same, and what goes wrong is named.
//!
//! Needs what `make build guest` leaves. The trials of `soak/` take minutes: `make soak` runs them.

mod support;
#[path = "hosts/traced.rs"]
mod traced;

use std::{fs, path::Path, sync::Arc, time::Duration};

use libtest_mimic::Trial;
use support::{Outcomes, check};
use trapcast_forecast::Scheme;
use trapcast_machine::{
    console::{Expected, Findings},
    host::{Ended, Kernel, KvmHost, Mode, Prepared, XenHost},
    image::Image,
    machine::{Cpu, Vm},
    qemu::Installed,
};
use trapcast_observe::{Quantiles, Summary};
use trapcast_results::Scale;
use trapcast_study::observing::Observer;
use trapcast_study::workload::{self, Images};
use trapcast_tool::{error::Result, paths::Paths};

/// How long a host may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(600);

/// What the hosts of these trials run: two programs that use the registers, on one core.
const PROGRAMS: [&str; 2] = ["perl", "openssl"];

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: &str, soak: bool, test: Box<dyn FnOnce(&Paths) -> Outcomes + Send>| {
        let paths = Arc::clone(paths);
        trials.push(Trial::test(name, move || test(&paths)).with_ignored_flag(soak));
    };
    add("kvm/same_console_twice", false, Box::new(kvm_twice));
    add("xen/same_console_twice", false, Box::new(xen_twice));
    add("kvm/observed", false, Box::new(kvm_observed));
    for (kernel, kernel_name) in [(Kernel::Stable, "stable"), (Kernel::Backports, "backports")] {
        for (mode, mode_name) in [(Mode::Vhe, "vhe"), (Mode::Nvhe, "nvhe")] {
            // The newest kernel leaves a guest at each CTR_EL0: seventy times the windows.
            let soak = kernel == Kernel::Backports;
            let agree = move |paths: &Paths| traced::agree(paths, kernel, mode);
            let name = format!("kvm/traced/{kernel_name}/{mode_name}");
            add(&name, soak, Box::new(agree));
        }
    }
    add(
        "kvm/traced/protected_is_refused",
        true,
        Box::new(traced::protected),
    );
    add("kvm/observed/cortex-a57", true, Box::new(kvm_observed_nvhe));
    add("kvm/psci_version", true, Box::new(psci_version));
    add("kvm/without_el2_is_named", true, Box::new(without_el2));
    add("kvm/endless_vm_is_named", true, Box::new(endless));
    add("kvm/panic_is_named", true, Box::new(panicking));
    add("xen/endless_vm_is_named", true, Box::new(xen_endless));
    for (kernel, kernel_name) in [(Kernel::Stable, "stable"), (Kernel::Backports, "backports")] {
        for (cpu, mode, mode_name) in [
            (Cpu::NeoverseN1, Mode::Vhe, "vhe"),
            (Cpu::NeoverseN1, Mode::Nvhe, "nvhe"),
            (Cpu::NeoverseN1, Mode::Protected, "protected"),
            (Cpu::CortexA57, Mode::Nvhe, "cortex-a57"),
        ] {
            let clean = move |paths: &Paths| {
                let vms = vms(paths, &PROGRAMS)?;
                let host = KvmHost {
                    cpu,
                    mode,
                    kernel,
                    ..kvm(vms)
                };
                right(&run_kvm(paths, &host)?)
            };
            add(
                &format!("soak/kvm/{kernel_name}/{mode_name}"),
                true,
                Box::new(clean),
            );
        }
    }
    trials
}

/// The guests of these workloads, one after the other.
fn vms(paths: &Paths, names: &[&str]) -> Result<Vec<Vm>> {
    let workloads = names
        .iter()
        .map(|name| workload::find(name))
        .collect::<Result<Vec<_>>>()?;
    let images = Images::load(paths, &workloads, Scale::QUICK)?;
    let vms = workloads
        .iter()
        .flat_map(|workload| images.vms(workload, Scheme::None, false, Scale::QUICK));
    Ok(vms.collect())
}

fn kvm(vms: Vec<Vm>) -> KvmHost {
    KvmHost {
        cpu: Cpu::NeoverseN1,
        cores: 1,
        mode: Mode::Vhe,
        kernel: Kernel::Stable,
        mitigations: false,
        icount: true,
        patience: 60,
        vms,
    }
}

fn run_kvm(paths: &Paths, host: &KvmHost) -> Result<Ended> {
    let qemu = Installed::with_plugins(paths)?;
    host.prepare(paths)?.run(&qemu, &[], LIMIT)
}

fn xen(vms: Vec<Vm>) -> XenHost {
    XenHost {
        cpu: Cpu::NeoverseN1,
        cores: 1,
        icount: true,
        vms,
    }
}

fn run_xen(paths: &Paths, vms: Vec<Vm>, limit: Duration) -> Result<Ended> {
    let qemu = Installed::with_plugins(paths)?;
    let host = xen(vms);
    host.prepare(paths, &qemu)?.run(&qemu, &[], limit)
}

/// Each program has computed what it should.
fn right(ended: &Ended) -> Outcomes {
    let findings = ended.findings(&[Expected::Program; PROGRAMS.len()]);
    check(findings == Findings::default(), || {
        format!("{findings:?}\n{}", ended.console)
    })
}

fn same(one: &Ended, two: &Ended) -> Outcomes {
    check(one.console == two.console, || {
        format!("{}\ndiffers from\n{}", one.console, two.console)
    })
}

fn kvm_twice(paths: &Paths) -> Outcomes {
    let host = kvm(vms(paths, &PROGRAMS)?);
    let [one, two] = [run_kvm(paths, &host)?, run_kvm(paths, &host)?];
    right(&one)?;
    check(one.console.contains("VHE mode initialized"), || {
        one.console.clone()
    })?;
    same(&one, &two)
}

fn xen_twice(paths: &Paths) -> Outcomes {
    let vms = vms(paths, &PROGRAMS)?;
    let [one, two] = [
        run_xen(paths, vms.clone(), LIMIT)?,
        run_xen(paths, vms, LIMIT)?,
    ];
    right(&one)?;
    same(&one, &two)
}

/// A bare-metal guest that does one thing over and over, and counts nothing.
fn bench(paths: &Paths, only: &str) -> Result<Vm> {
    let mut vms = vms(paths, &["always"])?;
    Ok(Vm {
        kernel: Image::open(&paths.built("bench")?)?,
        bootargs: format!("only={only} rounds=500 count=off"),
        ..vms.remove(0)
    })
}

/// Runs a host under the observer.
fn observed(paths: &Paths, host: &Prepared) -> Result<Summary> {
    let observer = Observer::find(paths)?;
    observer.run_host(host, LIMIT)?;
    Ok(Summary::of(&observer.seen()?))
}

/// A figure is what docs/performance.md has, give or take a tenth for other builds of Debian's kernel.
fn about(what: &str, found: Option<Quantiles>, wanted: u64) -> Outcomes {
    let median = found.map(|found| found.median);
    let range = wanted * 9 / 10..=wanted * 11 / 10;
    check(median.is_some_and(|median| range.contains(&median)), || {
        format!("{what}: {found:?}, not about {wanted}")
    })
}

fn cost_of(summary: &Summary, exit: &str) -> Option<Quantiles> {
    let exit = summary.exits.iter().find(|cost| cost.exit == exit);
    exit.and_then(|cost| cost.instructions)
}

fn kvm_observed(paths: &Paths) -> Outcomes {
    let host = kvm(vec![bench(paths, "entry-exit-used")?]);
    let summary = observed(paths, &host.prepare(paths)?)?;
    about("FP trap", summary.fp_traps.instructions, 189)?;
    // A null hypercall while the guest's registers are live.
    about("hypercall", cost_of(&summary, "hypercall"), 1044 + 46)?;
    check(summary.load_windows.used > 0, || format!("{summary:?}"))?;
    let host = kvm(vec![bench(paths, "id-register")?]);
    let summary = observed(paths, &host.prepare(paths)?)?;
    about("ID register", cost_of(&summary, "system-register"), 1405)
}

fn kvm_observed_nvhe(paths: &Paths) -> Outcomes {
    let host = KvmHost {
        cpu: Cpu::CortexA57,
        mode: Mode::Nvhe,
        ..kvm(vec![bench(paths, "entry-exit-used")?])
    };
    let summary = observed(paths, &host.prepare(paths)?)?;
    about("FP trap", summary.fp_traps.instructions, 209)?;
    about("hypercall", cost_of(&summary, "hypercall"), 1544 + 46)
}

/// In `kvm_psci_call` of Debian's 6.1: `ldr w1, [x1, #2856]` takes the version that the VMM wrote, and `cbz w1, +0x78`
/// the kernel's own where it wrote none.
const READS_VERSION: [u32; 2] = [0xb94b_2821, 0x3400_03c1];

/// `mov w1, #0`.
const READS_NONE: u32 = 0x5280_0001;

/// What follows where a VMM wrote the version, and else does not: comparisons with three versions.
const COMPARISONS: u64 = 9;

/// Why a null hypercall takes longer here than docs/performance.md has it: QEMU writes the version of PSCI.
fn psci_version(paths: &Paths) -> Outcomes {
    let null = |paths: &Paths| -> Result<Option<u64>> {
        let host = kvm(vec![bench(paths, "hvc-null")?]).prepare(paths)?;
        let summary = observed(paths, &host)?;
        Ok(cost_of(&summary, "hypercall").map(|cost| cost.median))
    };
    // The same files, but for the kernel.
    let target = tempfile::tempdir()?;
    let link = |path: &Path| {
        let from = paths.target().join(path);
        std::os::unix::fs::symlink(from, target.path().join(path))
    };
    for directory in ["hosts", "qemu", "el2", "debug"] {
        link(Path::new(directory))?;
    }
    fs::create_dir(target.path().join("guest"))?;
    for entry in fs::read_dir(paths.target().join("guest"))? {
        let name = Path::new("guest").join(entry?.file_name());
        if name != Path::new("guest/Image") {
            link(&name)?;
        }
    }
    let mut kernel = fs::read(paths.guest("Image")?)?;
    let reads: Vec<_> = READS_VERSION
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let places = kernel.windows(reads.len()).enumerate();
    let places: Vec<_> = places.filter(|(_, bytes)| *bytes == reads).collect();
    let [(place, _)] = places[..] else {
        return Err(format!("{} places, not one: is it another kernel?", places.len()).into());
    };
    kernel[place..place + 4].copy_from_slice(&READS_NONE.to_le_bytes());
    fs::write(target.path().join("guest/Image"), kernel)?;
    let other = Paths::find(Some(target.path().to_path_buf()))?;
    let [with, without] = [null(paths)?, null(&other)?];
    let differ = with.zip(without).map(|(with, without)| with - without);
    check(differ == Some(COMPARISONS), || {
        format!("{with:?} where QEMU writes the version, {without:?} where none is read")
    })
}

/// A board whose kernel starts below EL2 has no KVM.
fn without_el2(paths: &Paths) -> Outcomes {
    let qemu = Installed::with_plugins(paths)?;
    let host = kvm(vms(paths, &PROGRAMS[..1])?).prepare(paths)?;
    let below = ["-machine".into(), "virtualization=off".into()];
    let told = host.run(&qemu, &below, LIMIT).unwrap_err().to_string();
    check(told.contains("has no /dev/kvm"), || told)
}

/// A VM that waits for what never comes.
fn endless_vm(paths: &Paths) -> Result<Vec<Vm>> {
    let mut vms = vms(paths, &PROGRAMS[..1])?;
    vms[0].bootargs = vms[0].bootargs.replace("rdinit=/init", "rdinit=/bin/cat");
    Ok(vms)
}

/// A VM whose kernel panics, as its init has nothing to do.
fn panicking(paths: &Paths) -> Outcomes {
    let mut vms = vms(paths, &PROGRAMS[..1])?;
    vms[0].bootargs = vms[0].bootargs.replace("rdinit=/init", "rdinit=/bin/ls");
    let told = run_kvm(paths, &kvm(vms)).unwrap_err().to_string();
    check(
        told.contains("vm0 ended without its last line") && told.contains("Memory Limit: none"),
        || told.clone(),
    )
}

fn endless(paths: &Paths) -> Outcomes {
    let host = KvmHost {
        patience: 2,
        ..kvm(endless_vm(paths)?)
    };
    let told = run_kvm(paths, &host).unwrap_err().to_string();
    check(
        told.contains("vm0 did not end within the time that the host gives it"),
        || told.clone(),
    )
}

fn xen_endless(paths: &Paths) -> Outcomes {
    let vms = endless_vm(paths)?;
    let told = run_xen(paths, vms, Duration::from_secs(20))
        .unwrap_err()
        .to_string();
    check(told.contains("vm0 did not end within 20 s"), || {
        told.clone()
    })
}
