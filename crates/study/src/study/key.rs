//! What a run of a study depends on, so that what was found out under other conditions is never taken for it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use twox_hash::XxHash3_128;

use super::{Plan, job::Job};
use trapcast_machine::machine::Machine;
use trapcast_results::{FORMAT, Versions};
use trapcast_tool::error::{Error, Result};

/// The program that runs, even if there is another one under its name by now.
const SELF: &str = "/proc/self/exe";

/// What all runs of a study depend on, and the contents of the files that they use.
#[derive(Debug)]
pub(super) struct Inputs {
    common: String,
    hypervisor: PathBuf,
    hashes: BTreeMap<PathBuf, u128>,
}

impl Inputs {
    /// Looks at what these machines use.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub(super) fn look<'a>(
        plan: &Plan,
        versions: &Versions,
        hypervisor: &Path,
        machines: impl IntoIterator<Item = &'a Machine>,
    ) -> Result<Self> {
        let mut hashes = BTreeMap::new();
        for machine in machines {
            for file in files(machine, hypervisor) {
                if !hashes.contains_key(&file) {
                    hashes.insert(file.clone(), hash(&file)?);
                }
            }
        }
        let versions = serde_json::to_string(versions).map_err(Error::run)?;
        let scale = serde_json::to_string(&plan.scale).map_err(Error::run)?;
        // What the lab does with a machine and with what it leaves is in the lab's own program.
        let lab = hash(Path::new(SELF))?;
        Ok(Self {
            common: format!("format={FORMAT} lab={lab:032x} scale={scale} versions={versions}"),
            hypervisor: hypervisor.to_path_buf(),
            hashes,
        })
    }

    /// All that this run depends on, as a number of 128 bits.
    pub(super) fn key(&self, job: &Job, machine: &Machine) -> String {
        let Machine {
            cpu,
            cores,
            vhe,
            icount,
            record,
            slice,
            vms,
        } = machine;
        let mut text = format!(
            "{} job={} cpu={cpu:?} cores={cores} vhe={vhe} icount={icount} record={record} slice={slice:?} \
             settings={}",
            self.common,
            job.name(),
            machine.settings()
        );
        for vm in vms {
            // Memory, vCPUs, scheme and registers are in the settings.
            text += &format!(" bootargs={:?}", vm.bootargs);
        }
        for file in files(machine, &self.hypervisor) {
            text += &format!(" file={:032x}", self.hashes[&file]);
        }
        format!("{:032x}", XxHash3_128::oneshot(text.as_bytes()))
    }

    /// Refuses what a machine has found out if one of its files is not any more what it was: the hypervisor, as the
    /// others are in memory.
    ///
    /// # Errors
    /// [`Error::Input`] where a file has changed, as all runs that follow would be mixed with those
    /// before; where one cannot be read.
    pub(super) fn unchanged(&self, machine: &Machine) -> Result<()> {
        for file in files(machine, &self.hypervisor) {
            if hash(&file)? != self.hashes[&file] {
                return Err(Error::input(format!(
                    "{} has changed while the study ran: start it again, and it runs what depends on that file \
                     anew",
                    file.display()
                )));
            }
        }
        Ok(())
    }
}

/// The files that a machine is made of.
fn files(machine: &Machine, hypervisor: &Path) -> Vec<PathBuf> {
    let mut files = vec![hypervisor.to_path_buf()];
    for vm in &machine.vms {
        files.push(vm.kernel.file.path());
        files.extend(vm.initrd.as_ref().map(|initrd| initrd.path()));
    }
    files
}

/// A number for the content of a file, which no two files of one name have in practice.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn hash(file: &Path) -> Result<u128> {
    let content = fs::read(file)
        .map_err(|error| Error::input(format!("cannot read {}: {error}", file.display())))?;
    Ok(XxHash3_128::oneshot(&content))
}
