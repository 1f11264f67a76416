//! A QEMU with the observer in it, the hypervisors that it is asked about, and what it saw of them.
//!
//! | part | what it does |
//! |---|---|
//! | `observing` | the plugin in a QEMU, the windows that it leaves, and a record of them |
//! | [`hypervisor`] | Trapcast, KVM and Xen with the guests of a workload |

pub mod hypervisor;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use trapcast_machine::{
    host,
    qemu::{Installed, PROGRAM},
    run::Program,
};
use trapcast_observe::{Observed, Summary, rows};
use trapcast_report::record::{self, Metadata};
use trapcast_tool::{
    error::{Error, Result, with_causes},
    output::{self, cannot_write},
    paths::Paths,
};

/// The plugin's file.
const PLUGIN: &str = "libtrapcast_observer.so";

/// A QEMU that is observed, and where its windows go.
#[derive(Debug)]
pub struct Observer {
    /// The QEMU.
    pub qemu: Installed,
    /// The plugin.
    pub plugin: PathBuf,
    directory: TempDir,
}

/// What a record says of its run.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What ran.
    pub workload: String,
    /// QEMU's core.
    pub cpu: String,
    /// Whether all of its guests are Linux.
    pub linux: bool,
    /// The hypervisor, where it is one that is there.
    pub host: Option<String>,
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
        Self::of(Path::new(PROGRAM), paths)
    }

    /// The arguments that load the plugin.
    pub fn arguments(&self) -> [OsString; 2] {
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

    /// Runs a host until its VMs have ended.
    ///
    /// # Errors
    /// As [`Prepared::run`](host::Prepared::run).
    pub fn run_host(&self, host: &host::Prepared, limit: Duration) -> Result<host::Ended> {
        host.run(&self.qemu, &self.arguments(), limit)
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

    /// Writes what was seen as a record. Returns its size in bytes.
    ///
    /// # Errors
    /// [`Error::Input`] where the file cannot be written.
    pub fn write(
        &self,
        observed: &Observed,
        summary: &Summary,
        about: About,
        path: &Path,
    ) -> Result<u64> {
        let scheme = summary.verdict.policy.scheme().unwrap_or("unknown");
        let metadata = Metadata {
            workload: about.workload,
            scheme: scheme.to_string(),
            cpu: about.cpu,
            vhe: observed.uses_vhe(),
            linux: about.linux,
            versions: serde_json::json!({
                "qemu": self.qemu.version,
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
