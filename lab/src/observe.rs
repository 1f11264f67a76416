//! `trapcast observe`: runs a hypervisor under QEMU with the observer, and says what it did.

mod args;

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
};

use trapcast_forecast::Scheme;
use trapcast_machine::{
    host::Mode,
    machine::Cpu,
    qemu::{Console, Qemu},
};
use trapcast_observe::{Budget, Summary, render};
use trapcast_results::Scale;
use trapcast_study::{
    observing::{
        About, Observer,
        hypervisor::{Guests, Hypervisor},
    },
    workload,
};
use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
    print::{print, print_json},
};

use crate::cli::Switch;
pub use args::{EXAMPLES, Host, ObserveArgs};

/// Does what `trapcast observe` was asked.
///
/// # Errors
/// As [`Error`] says. What was seen until QEMU failed or was stopped is kept first.
pub fn run(arguments: &ObserveArgs, paths: &Paths) -> Result<()> {
    arguments.check()?;
    let budget = arguments.budget.as_deref().map(read_budget).transpose()?;
    let (observer, about, ended) = match (arguments.host, &arguments.command[..]) {
        (Some(host), _) => observe_host(host, arguments, paths)?,
        (None, [program, rest @ ..]) => observe_command(program, rest, paths)?,
        (None, []) => {
            return Err(Error::input(
                "say what to observe: trapcast, kvm, xen, or -- and a command line of QEMU; see trapcast observe --help",
            ));
        }
    };
    let seen = observer.seen();
    let observed = match (seen, &ended) {
        (Ok(observed), _) => observed,
        // It failed before the plugin was loaded.
        (Err(_), Err(error)) => return Err(error.clone()),
        (Err(error), Ok(())) => return Err(error),
    };
    if observed.windows.is_empty() {
        ended?;
        return Err(Error::run(
            "no guest was ever entered: a hypervisor at EL2 needs -machine virtualization=on, and has to start a guest",
        ));
    }
    let summary = Summary::of(&observed);
    if let Some(path) = &arguments.output {
        let written = observer.write(&observed, &summary, about, path)?;
        eprintln!(
            "trapcast: {}: {} windows, {written} bytes",
            path.display(),
            observed.windows.len()
        );
    }
    if arguments.json {
        print_json(&summary)?;
    } else {
        print(&render(&summary))?;
    }
    ended?;
    let checked = budget.map_or(Ok(()), |budget| budget.check(&observed));
    checked.map_err(Error::Run)
}

fn read_budget(path: &Path) -> Result<Budget> {
    let failed = |why: String| Error::input(format!("{} {why}", path.display()));
    let text =
        fs::read_to_string(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    Budget::parse(&text).map_err(failed)
}

/// How a run ended.
type Ended = Result<()>;

/// Runs a command line of QEMU on this terminal.
fn observe_command(
    program: &OsStr,
    rest: &[OsString],
    paths: &Paths,
) -> Result<(Observer, About, Ended)> {
    let observer = Observer::of(Path::new(program), paths)?;
    let arguments = [&observer.arguments(), rest].concat();
    let run = Qemu::start_program(&observer.qemu.program, &arguments, Console::Terminal);
    let ended = run?.wait(None).and_then(|finished| {
        if finished.status.success() {
            return Ok(());
        }
        Err(Error::run(format!(
            "QEMU failed ({}); its message stands above",
            finished.status
        )))
    });
    let after = |option: &str| {
        let place = rest.iter().position(|word| word == option)?;
        Some(rest.get(place + 1)?.to_string_lossy().into_owned())
    };
    let cpu = after("-cpu").unwrap_or_default();
    let name = after("-kernel").unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default();
    let shown = |text: &str| text.replace(char::is_control, "?");
    let about = About {
        workload: shown(&name.to_string_lossy()),
        cpu: shown(cpu.split(',').next().unwrap_or_default()),
        linux: false,
        host: None,
    };
    Ok((observer, about, ended))
}

/// Runs guests on a hypervisor that is there.
fn observe_host(
    host: Host,
    arguments: &ObserveArgs,
    paths: &Paths,
) -> Result<(Observer, About, Ended)> {
    let cpu = arguments.core.cpu(Cpu::NeoverseN1);
    let (hypervisor, default) = match host {
        Host::Trapcast => {
            let hypervisor = Hypervisor::Trapcast {
                scheme: arguments.scheme.unwrap_or(Scheme::Owner),
                vhe: arguments.core.vhe(cpu)?,
            };
            (hypervisor, "linux-mix")
        }
        Host::Kvm => {
            let default = if cpu.has_vhe() { Mode::Vhe } else { Mode::Nvhe };
            let hypervisor = Hypervisor::Kvm {
                mode: arguments.mode.unwrap_or(default),
                kernel: arguments.kernel.unwrap_or_default(),
                mitigations: arguments.mitigations == Some(Switch::On),
            };
            (hypervisor, "linux")
        }
        Host::Xen => (Hypervisor::Xen, "linux"),
    };
    let guests = Guests {
        workload: workload::find(arguments.workload.as_deref().unwrap_or(default))?,
        vms: arguments.vms,
        scale: Scale::QUICK,
        cpu,
    };
    let observer = Observer::find(paths)?;
    let ended = observer.observe(hypervisor, &guests, paths);
    Ok((observer, guests.about(hypervisor), ended))
}
