//! `trapcast observe`: runs a hypervisor under QEMU with the observer, and says what it did.

mod args;
mod hosts;

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use trapcast_forecast::Scheme;
use trapcast_machine::{
    machine::{Cpu, Machine},
    qemu::{Console, Installed, Qemu},
    run::{self, LIMIT, Options, Program},
};
use trapcast_observe::{Budget, Observed, Summary, render, rows};
use trapcast_record::Metadata;
use trapcast_report::record;
use trapcast_results::Scale;
use trapcast_study::workload::{self, Images, SEED};
use trapcast_tool::{
    error::{Error, Result, with_causes},
    output::{self, cannot_write},
    paths::Paths,
    print::{print, print_json},
};

pub use args::{EXAMPLES, Host, ObserveArgs};

/// The plugin's file.
const PLUGIN: &str = "libtrapcast_observer.so";

/// A QEMU that is observed, and where its windows go.
#[derive(Debug)]
pub struct Observer {
    qemu: Installed,
    plugin: PathBuf,
    directory: TempDir,
}

impl Observer {
    /// Of a QEMU that a command line names.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not fit, or the plugin was not built.
    pub fn of(program: &Path, paths: &Paths) -> Result<Self> {
        Ok(Self {
            qemu: Installed::named(program, paths)?,
            plugin: plugin(paths)?,
            directory: tempfile::tempdir().map_err(Error::run)?,
        })
    }

    /// Of the QEMU that is there.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn find(paths: &Paths) -> Result<Self> {
        Self::of(Path::new(trapcast_machine::qemu::PROGRAM), paths)
    }

    /// The arguments that load the plugin.
    fn arguments(&self) -> [OsString; 2] {
        let mut option = OsString::from("file=");
        option.push(escaped(self.plugin.as_os_str()));
        option.push(",out=");
        option.push(escaped(self.rows().as_os_str()));
        ["-plugin".into(), option]
    }

    /// The QEMU, as a run takes it.
    pub fn program(&self) -> Program {
        Program {
            path: Some(self.qemu.program.clone()),
            arguments: self.arguments().into(),
        }
    }

    fn rows(&self) -> PathBuf {
        self.directory.path().join("windows")
    }

    /// What was seen so far.
    ///
    /// # Errors
    /// [`Error::Run`] where QEMU never loaded the plugin.
    pub fn seen(&self) -> Result<Observed> {
        let rows = rows::read(&self.rows()).map_err(|error| Error::run(with_causes(&error)))?;
        Ok(Observed::of(rows))
    }
}

/// The plugin, beside the program that runs, or where `make lab` leaves it.
fn plugin(paths: &Paths) -> Result<PathBuf> {
    let program = std::env::current_exe().ok();
    let beside = program
        .iter()
        .flat_map(|program| program.ancestors().skip(1).take(2));
    let places = beside
        .map(Path::to_path_buf)
        .chain([paths.target().join("debug")]);
    let mut plugins = places.map(|place| place.join(PLUGIN));
    plugins.find(|plugin| plugin.is_file()).ok_or_else(|| {
        Error::input(format!(
            "there is no {PLUGIN} beside this program: run make lab"
        ))
    })
}

/// A value as QEMU's option parser takes it: commas doubled.
fn escaped(value: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = value.as_bytes().iter();
    let doubled =
        bytes.flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }));
    OsString::from_vec(doubled.collect())
}

/// Does what `trapcast observe` was asked.
///
/// # Errors
/// As [`Error`] says. What was seen until QEMU failed or was stopped is kept first.
pub fn run(arguments: &ObserveArgs, paths: &Paths) -> Result<()> {
    arguments.check()?;
    let budget = arguments.budget.as_deref().map(read_budget).transpose()?;
    let (observer, about, ended) = match (arguments.host, &arguments.command[..]) {
        (Some(Host::Trapcast), _) => observe_trapcast(arguments, paths)?,
        (Some(host), _) => hosts::observe(host, arguments, paths)?,
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
        let written = write(&observed, &summary, about, &observer, path)?;
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

/// What a record says of its run.
struct About {
    workload: String,
    cpu: String,
    linux: bool,
    /// The hypervisor, where it is one that is there.
    host: Option<String>,
}

/// How a run ended.
type Ended = Result<()>;

/// Writes a record. Returns its size in bytes.
fn write(
    observed: &Observed,
    summary: &Summary,
    about: About,
    observer: &Observer,
    path: &Path,
) -> Result<u64> {
    let scheme = summary.verdict.policy.scheme().unwrap_or("unknown");
    let vhe = observed.windows.iter().any(|window| {
        let e2h = trapcast_trace::observed::Seen::E2H;
        window.seen.has(e2h)
    });
    let metadata = Metadata {
        workload: about.workload,
        scheme: scheme.to_string(),
        cpu: about.cpu,
        vhe,
        linux: about.linux,
        versions: serde_json::json!({
            "qemu": observer.qemu.version,
            "host": about.host,
            "trapcast": env!("CARGO_PKG_VERSION"),
        }),
        ..Metadata::default()
    };
    let written = observed.record(output::begin(path)?, metadata);
    let written = written.map_err(|error| match error {
        trapcast_record::Error::Unwritable { source } => cannot_write(path, &source),
        error => record::told(error),
    });
    written?.finish()
}

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

/// Runs guests under Trapcast's own hypervisor.
fn observe_trapcast(arguments: &ObserveArgs, paths: &Paths) -> Result<(Observer, About, Ended)> {
    let workload = workload::find(arguments.workload.as_deref().unwrap_or("linux-mix"))?;
    let hypervisor = paths.hypervisor()?;
    let observer = Observer::find(paths)?;
    let scheme = arguments.scheme.unwrap_or(Scheme::Owner);
    let cpu = arguments.core.cpu(Cpu::NeoverseN1);
    let images = Images::load(paths, &[workload], Scale::QUICK)?.with_seed(SEED);
    let machine = Machine {
        cpu,
        cores: workload.cores,
        vhe: arguments.core.vhe(cpu)?,
        // With it, several cores run on one thread, which the observer refuses.
        icount: workload.cores == 1,
        record: false,
        slice: workload.slice,
        vms: images.vms(workload, scheme, false, Scale::QUICK),
    };
    let options = Options::program(observer.program());
    let ended = run::run_with(&options, &machine, &hypervisor, LIMIT).map(drop);
    let about = About {
        workload: workload.name.to_string(),
        cpu: cpu.name().to_string(),
        linux: workload.runs_linux(),
        host: Some("trapcast".to_string()),
    };
    Ok((observer, about, ended))
}
