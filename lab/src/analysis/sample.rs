//! The windows of a record, with what the report asks of each.

use std::collections::BTreeMap;

use crate::record::{RecordFile, Values};
use trapcast_tool::error::{Error, Result};

/// From which row of a file on the windows of a VM are its program's, by the VM's number.
pub type WorkBegins = BTreeMap<u16, u64>;

/// One window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sample {
    /// Number of the vCPU over all VMs.
    pub vcpu: u16,
    /// The core on which it ran.
    pub core: u8,
    /// The vCPU was put after it.
    pub put: bool,
    /// It used the FP/SIMD registers.
    pub used: bool,
    /// The guest resumed at EL0.
    pub is_user: bool,
    /// Where the guest resumed.
    pub pc: u64,
    /// The ASID and TTBR0_EL1 at the exit.
    pub space: (u16, u64),
    /// CNTPCT_EL0 at the entry, in ticks.
    pub start: u64,
    /// Instructions that the guest retired in it.
    pub instructions: u64,
    /// Instructions into the window at the first use.
    pub first_use: Option<u32>,
    /// The guest's program was at work, and the guest no longer booting.
    pub at_work: bool,
}

/// Reads the windows of a row group. `work_begins` has for each VM from which row of the file on its
/// windows are its program's; all are of a VM that is not there.
///
/// # Errors
/// [`Error::Input`] where the file is damaged, was made for replays only, or has a vCPU that its metadata
/// do not know.
pub fn read(file: &RecordFile, group: usize, work_begins: &WorkBegins) -> Result<Vec<Sample>> {
    let first_row: usize = (0..group).map(|group| file.row_group_windows(group)).sum();
    let mut samples = vec![Sample::default(); file.row_group_windows(group)];
    let mut set = |column, set: fn(&mut Sample, u64)| -> Result<()> {
        let mut fill = |values: &mut dyn Iterator<Item = u64>| {
            samples.iter_mut().zip(values).for_each(|(s, v)| set(s, v));
        };
        match file.read_column(group, column)? {
            Values::Bools(values) => fill(&mut values.into_iter().map(u64::from)),
            Values::Longs(values) => fill(&mut values.into_iter()),
            Values::Numbers(values) => {
                fill(&mut values.into_iter().map(|v| v.map_or(NULL, u64::from)))
            }
            Values::Exits(_) => unreachable!("no exit is asked for"),
        }
        Ok(())
    };
    set("vcpu", |sample, value| sample.vcpu = value as u16)?;
    set("core", |sample, value| sample.core = value as u8)?;
    set("put", |sample, value| sample.put = value != 0)?;
    set("fp_used", |sample, value| sample.used = value != 0)?;
    set("el", |sample, value| sample.is_user = value == 0)?;
    set("pc", |sample, value| sample.pc = value)?;
    set("asid", |sample, value| sample.space.0 = value as u16)?;
    set("ttbr0", |sample, value| sample.space.1 = value)?;
    set("start_ticks", |sample, value| sample.start = value)?;
    set("start_instructions", |sample, value| {
        sample.instructions = value
    })?;
    set("end_instructions", |sample, value| {
        sample.instructions = value.saturating_sub(sample.instructions);
    })?;
    set("first_use", |sample, value| {
        sample.first_use = u32::try_from(value).ok()
    })?;
    let vcpus = &file.metadata().vcpus;
    for (row, sample) in (first_row as u64..).zip(&mut samples) {
        let Some(vcpu) = vcpus.get(usize::from(sample.vcpu)) else {
            return Err(Error::input(format!(
                "{} has a window of vCPU {}, and it says of itself that there are {}: it is damaged",
                file.path().display(),
                sample.vcpu,
                vcpus.len()
            )));
        };
        sample.at_work = work_begins.get(&vcpu.vm).is_none_or(|begin| row >= *begin);
    }
    Ok(samples)
}

/// Null: no number of 32 bits.
const NULL: u64 = u64::MAX;
