//! What the hypervisor refuses: the lab says so first where it knows, and ends accordingly where it does not. How
//! VMs end, which `trapcast boot` tells by its exit status.

use std::{
    fs,
    process::{Command, Stdio},
};

use trapcast_forecast::Scheme;
use trapcast_hypervisor::guest_image::PageSize;
use trapcast_machine::{
    image::Image,
    machine::{Cpu, Machine},
    run,
};
use trapcast_study::workload::{self, Images};
use trapcast_tool::{error::Error, paths::Paths};

use crate::{
    Add,
    runs::{LIMIT, SCALE, one_core},
    support::{Outcomes, check},
};

/// The trials of this file.
pub fn trials(add: &mut Add) {
    add(
        "refused/page_size_as_the_lab_says".into(),
        Box::new(page_size),
    );
    add("refused/boot_exits_with_2".into(), Box::new(boot));
    add("ended/boot_exits_as_its_vms".into(), Box::new(vms_end));
}

/// The lab refuses a kernel's granule on the very cores on which EL2 does.
fn page_size(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("checker");
    let mut bytes = fs::read(paths.built("checker")?)?;
    // Bits 2:1 of the flags: 2 for 16 KiB.
    bytes[24] = bytes[24] & !(3 << 1) | 2 << 1;
    fs::write(&file, bytes)?;
    let always = workload::find("always")?;
    let images = Images::load(paths, &[always], SCALE)?;
    for (cpu, has) in [
        (Cpu::CortexA57, false),
        (Cpu::A64fx, false),
        (Cpu::NeoverseN1, true),
        (Cpu::Max, true),
    ] {
        let mut vms = images.vms(always, Scheme::Owner, false, SCALE);
        vms[0].kernel = Image::open(&file)?;
        check(
            vms[0].kernel.header.page_size == Some(PageSize::Medium),
            || "the flags are other ones".to_string(),
        )?;
        let mut machine = one_core(cpu, true, vms);
        let run = |machine: &Machine| {
            run::run(machine, &paths.hypervisor()?, LIMIT).map(|run| run.console)
        };
        let told = run(&machine);
        if has {
            check(told.is_ok(), || format!("{told:?}"))?;
            continue;
        }
        let is_told = |told: &Result<String, Error>, wanted: &str| matches!(told, Err(Error::Input(sentence)) if sentence.contains(wanted));
        check(
            is_told(&told, "VM 0 has a kernel for pages of 16 KiB"),
            || format!("{cpu}: {told:?}"),
        )?;
        // Past the lab, to EL2, which reads the file's own header.
        machine.vms[0].kernel.header.page_size = None;
        let told = run(&machine);
        let wanted =
            "the hypervisor refused to start: vm0: the kernel is built for pages of 16 KiB";
        check(is_told(&told, wanted), || format!("{cpu}: {told:?}"))?;
    }
    Ok(())
}

/// What only EL2 knows of a core is on the console, and in the exit status.
fn boot(paths: &Paths) -> Outcomes {
    let output = Command::new(env!("CARGO_BIN_EXE_trapcast"))
        .arg("--target")
        .arg(paths.target())
        .args(["boot", "--cpu", "neoverse-n1", "--sve", "256"])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8(output.stderr)?;
    let console = String::from_utf8(output.stdout)?;
    check(
        output.status.code() == Some(2)
            && said.contains("the hypervisor refused to start; the last line above says why")
            && console.contains("trapcast: error: vm0: sve=256: "),
        || format!("{}: {console}{said}", output.status),
    )
}

/// VMs that power off, and VMs whose CPUs turn themselves off, one after the other.
fn vms_end(paths: &Paths) -> Outcomes {
    let kernel = paths.built("exceptions")?;
    for (append, code, line) in [
        ("flags", 0, "trapcast: vm1: powered off"),
        (
            "flags cpu-off",
            3,
            "trapcast: vm1: off: all of its CPUs have turned themselves off",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_trapcast"))
            .arg("--target")
            .arg(paths.target())
            .args(["boot", "--vms", "2", "--vcpus", "2", "--cores", "2"])
            .args(["--append", append, "--kernel"])
            .arg(&kernel)
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8(output.stderr)?;
        let console = String::from_utf8(output.stdout)?;
        let told = code == 0 || said.contains("vm0, vm1: all CPUs have turned themselves off");
        check(
            output.status.code() == Some(code) && told && console.contains(line),
            || format!("{}: {console}{said}", output.status),
        )?;
    }
    Ok(())
}
