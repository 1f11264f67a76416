//! The windows of a record, with what the report asks of each.

use std::collections::BTreeMap;

use crate::record::{self, NULL, RecordFile};
use trapcast_tool::{
    error::{Error, Result},
    signals,
};

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

/// Goes through the windows of a record. `work_begins` has for each VM from which row of the file on its
/// windows are its program's; all are of a VM that is not there.
///
/// # Errors
/// [`Input`](trapcast_tool::error::Error::Input) where the file is damaged or was made for replays only,
/// [`Stopped`](trapcast_tool::error::Error::Stopped) on Ctrl-C.
pub fn read(
    file: &RecordFile,
    work_begins: &WorkBegins,
    mut each: impl FnMut(&Sample),
) -> Result<()> {
    const NAMES: [&str; 12] = [
        "vcpu",
        "core",
        "put",
        "fp_used",
        "el",
        "pc",
        "asid",
        "ttbr0",
        "start_ticks",
        "start_instructions",
        "end_instructions",
        "first_use",
    ];
    let columns = file.columns(0..file.row_group_count(), NAMES);
    let mut columns = columns.map_err(record::told)?;
    let vcpus = &file.metadata().vcpus;
    let mut number = 0;
    while let Some(batch) = columns.next().map_err(record::told)? {
        signals::check()?;
        for row in 0..batch[0].len() {
            let [
                vcpu,
                core,
                put,
                used,
                el,
                pc,
                asid,
                ttbr0,
                start,
                before,
                after,
                first_use,
            ] = batch.map(|column| column[row]);
            if used == NULL {
                return Err(Error::input(format!(
                    "{} has windows of which is not known whether they used the registers, and this needs each",
                    file.path().display()
                )));
            }
            let begin = work_begins.get(&vcpus[vcpu as usize].vm);
            each(&Sample {
                vcpu: vcpu as u16,
                core: core as u8,
                put: put != 0,
                used: used != 0,
                is_user: el == 0,
                pc,
                space: (asid as u16, ttbr0),
                start,
                instructions: after.saturating_sub(before),
                first_use: (first_use != NULL).then_some(first_use as u32),
                at_work: begin.is_none_or(|begin| number >= *begin),
            });
            number += 1;
        }
    }
    Ok(())
}
