//! `cargo xtask hypervisors`: what each hypervisor does and costs, observed anew, and the document that says it.

use std::path::PathBuf;

use clap::Args;
use trapcast_report::hypervisors::{Comparison, FILE};
use trapcast_study::{
    comparing::{Plan, compare},
    workload,
};
use trapcast_tool::{
    error::{Error, Result},
    output,
    parallel::cores,
    paths::Paths,
    print::print,
};

use crate::document::{self, DocumentArgs};

/// What its help ends with.
pub const EXAMPLES: &str = "\
Examples:
  cargo xtask hypervisors --trapcast     observes Trapcast alone, and keeps what was seen of KVM and Xen
  make hypervisors                       observes Trapcast under each scheme, KVM and Xen, and writes the document
  cargo xtask hypervisors --workload openssl --output /tmp/openssl.json    another program, for oneself

trapcast report shows what is in target/study/hypervisors.json on its page, too.";

/// Arguments of `cargo xtask hypervisors`.
#[derive(Debug, Args)]
pub struct HypervisorsArgs {
    /// What runs, of Linux guests alone; may be repeated [default: what docs/hypervisors.md shows]
    #[arg(long, value_name = "NAME", requires = "output")]
    pub workload: Vec<String>,
    /// Writes this JSON file alone, and no document
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Observes only Trapcast anew, which changes more often than KVM and Xen, and keeps what was seen of them
    #[arg(long)]
    pub trapcast: bool,
    /// QEMUs at once [default: as many as this machine has cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
}

/// Observes the hypervisors, keeps what was seen and writes the document.
///
/// # Errors
/// Those of [`compare`], and where something cannot be written.
pub fn run(arguments: &HypervisorsArgs, paths: &Paths) -> Result<()> {
    let mut plan = Plan::whole(arguments.jobs.map_or_else(cores, usize::from));
    if !arguments.workload.is_empty() {
        let found = arguments.workload.iter().map(|name| workload::find(name));
        plan.workloads = found.collect::<Result<_>>()?;
    }
    if let Some(bare) = plan.workloads.iter().find(|workload| !workload.is_linux()) {
        return Err(Error::input(format!(
            "{} has a bare-metal guest, which runs on QEMU's board alone: take one of Linux guests",
            bare.name
        )));
    }
    let studied = paths.target().join("study").join(FILE);
    let kept = paths.checkout().join(document::KEPT_FIGURES).join(FILE);
    if arguments.trapcast {
        plan.kept = Some(Comparison::read(&kept)?);
    }
    let files = match &arguments.output {
        Some(file) => vec![file.clone()],
        None => vec![studied, kept],
    };
    let outputs = files.iter().map(|file| output::begin(file));
    let outputs = outputs.collect::<Result<Vec<_>>>()?;
    let comparison: Comparison = compare(&plan, paths)?;
    for output in outputs {
        output.put(&output::json(&comparison)?)?;
    }
    if arguments.output.is_none() {
        let arguments = DocumentArgs {
            results: None,
            check: false,
        };
        print(&document::run(&arguments, paths)?)?;
    }
    Ok(())
}
