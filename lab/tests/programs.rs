//! Debian's programs under QEMU: their results are right under schemes that load early and late, their
//! counts repeat exactly, and a wrong result or a guest that does not end is named.
//!
//! Needs what `make build guest` leaves.

mod support;

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use support::{Outcomes, check};
use trapcast_forecast::Scheme;
use trapcast_machine::{
    console::{self, Expected, Findings},
    image::Image,
    machine::{Cpu, Machine, Vm},
    memory::MemoryFile,
    program::{Builder, Call, PERL, Program, SHELL},
    run::{self, LIMIT, Outcome},
    vectors::RegisterFiles,
};
use trapcast_report::record::RecordFile;
use trapcast_results::Scale;
use trapcast_study::{
    recording,
    workload::{self, Images},
};
use trapcast_tool::paths::Paths;

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: &str, test: fn(&Paths) -> Outcomes| {
        let paths = Arc::clone(paths);
        trials.push(Trial::test(name, move || test(&paths)));
    };
    add("openssl/eager", |paths| {
        clean(paths, "openssl", Scheme::Eager)
    });
    add("mix-simd-1ms/owner", |paths| {
        clean(paths, "mix-simd-1ms", Scheme::Owner)
    });
    add("perl/same_counts_twice", same_twice);
    add("idle/mark", |paths| marked(paths, "idle"));
    add("openssl/mark", |paths| marked(paths, "openssl"));
    add("wrong_result_is_named", wrong_result);
    add("endless_program_is_ended", endless);
    trials
}

/// Runs a workload of one round; nothing may be amiss.
fn clean(paths: &Paths, name: &str, scheme: Scheme) -> Outcomes {
    let workload = workload::find(name)?;
    let images = Images::load(paths, &[workload], Scale::QUICK)?;
    let vms = images.vms(workload, scheme, false, Scale::QUICK);
    let outcome = run(paths, workload.slice, vms)?;
    let findings = console::findings(&outcome.console, &workload.expected());
    check(findings == Findings::default(), || {
        format!("{findings:?}\n{}", outcome.console)
    })?;
    check(
        outcome.vcpus.iter().all(|vcpu| vcpu.register_loads > 0),
        || format!("a vCPU never had its registers loaded\n{}", outcome.console),
    )
}

fn same_twice(paths: &Paths) -> Outcomes {
    let [one, two] = [(); 2].map(|()| run(paths, None, vec![vm(paths, &PERL)?]));
    let (one, two) = (one?, two?);
    // The reports hold every count there is.
    let [one, two] = [one, two].map(|outcome| format!("{:?}\n{:?}", outcome.cores, outcome.vcpus));
    check(one == two, || format!("{one}\n{two}"))
}

/// A record has one mark, behind a boot that the number of rounds changes by no more than the length of the
/// kernel's command line does, and most of what follows are the rounds.
fn marked(paths: &Paths, name: &str) -> Outcomes {
    let workload = workload::find(name)?;
    let lengths = [1, 12].map(|program_rounds| -> Result<_, Failed> {
        let directory = tempfile::tempdir()?;
        let plan = recording::Plan {
            workloads: vec![workload],
            scheme: Scheme::Owner,
            cpu: Cpu::NeoverseN1,
            vhe: true,
            scale: Scale {
                program_rounds,
                ..Scale::QUICK
            },
            slice: None,
            seed: workload::SEED,
            jobs: 1,
            output: directory.path().to_path_buf(),
        };
        for recorded in recording::record(&plan, paths)? {
            recorded?;
        }
        let file = RecordFile::open(&directory.path().join(format!("{name}.parquet")))?;
        let (mut marks, mut windows) = (0, Vec::new());
        let mut rows = file.rows()?;
        rows.read(&mut windows)?;
        while !windows.is_empty() {
            marks += windows.iter().filter(|window| window.mark).count();
            rows.read(&mut windows)?;
        }
        check(marks == 1, || format!("{marks} marks"))?;
        let boot = file.work_begins()?[&0];
        Ok((boot, file.windows() - boot))
    });
    let [one, twelve] = lengths;
    let ((boot, one), (other_boot, twelve)) = (one?, twelve?);
    check(
        boot.abs_diff(other_boot) <= boot / 100 && boot > 0 && (twelve - one) * 2 > twelve,
        || format!("{boot} and {one} windows, with more rounds {other_boot} and {twelve}"),
    )
}

/// The check of a script sees a wrong result, and the lab hands on what it says.
fn wrong_result(paths: &Paths) -> Outcomes {
    let findings = findings(paths, "check sum 3 $((1 + 1))\n")?;
    check(
        findings.guest_mismatches == 1
            && findings.failures == ["vm0: program: MISMATCH in sum: expected '3', found '2'"],
        || format!("{findings:?}"),
    )
}

/// A program that waits for what never comes is ended by the guest itself.
fn endless(paths: &Paths) -> Outcomes {
    let findings = findings(paths, "echo waiting\nsleep 1000\n")?;
    let said = findings.failures.join("\n");
    check(
        said.contains("did not finish")
            && said.contains("waiting\n")
            && said.contains("program: did not end within"),
        || format!("{findings:?}"),
    )
}

/// What is found where a guest runs this script.
fn findings(paths: &Paths, script: &'static str) -> Result<Findings, Failed> {
    let program = Program {
        name: "test",
        script,
        ..SHELL
    };
    let outcome = run(paths, None, vec![vm(paths, &program)?])?;
    Ok(console::findings(&outcome.console, &[Expected::Program]))
}

fn vm(paths: &Paths, program: &Program) -> Result<Vm, Failed> {
    let initrd = Builder::new(paths)?.image(program)?;
    Ok(Vm {
        kernel: Image::open(&paths.guest("Image")?)?,
        initrd_size: initrd.len() as u64,
        initrd: Some(Arc::new(MemoryFile::with_content(&initrd)?)),
        bootargs: program.bootargs(&Call::new(1, workload::SEED)),
        memory: program.memory,
        vcpus: 1,
        scheme: Scheme::UntilPut,
        observe: false,
        prompt: true,
        pmu: false,
        registers: RegisterFiles::FP,
    })
}

fn run(paths: &Paths, slice: Option<u32>, vms: Vec<Vm>) -> Result<Outcome, Failed> {
    let machine = Machine {
        cpu: Cpu::NeoverseN1,
        cores: 1,
        vhe: true,
        icount: true,
        record: false,
        slice,
        vms,
    };
    Ok(run::run(&machine, &paths.hypervisor()?, LIMIT)?)
}
