//! The windows of a record one after the other, with all that is shown of them, in memory that does not
//! grow with the file.

use super::{
    Event,
    column::{Columns, NULL},
    error::Result,
    reader::RecordFile,
};

/// One window, as `docs/records.md` has its columns.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Window {
    /// Number of the vCPU over all VMs: an index into the metadata's `vcpus`.
    pub vcpu: u16,
    /// Number of the core.
    pub core: u8,
    /// It is the first since the vCPU was loaded.
    pub loaded: bool,
    /// The vCPU was put after it.
    pub put: bool,
    /// The vCPU was put although it could have gone on.
    pub preempted: bool,
    /// The vCPU was turned on right before it.
    pub powered_on: bool,
    /// The guest said in it that its work begins with the next window.
    pub mark: bool,
    /// An interrupt was pending for the guest at the entry.
    pub interrupt_pending: bool,
    /// CNTPCT_EL0 at the entry, in ticks.
    pub start: u64,
    /// CNTPCT_EL0 at the exit, in ticks.
    pub end: u64,
    /// Instructions that the guest retired in it; 0 where the machine does not count.
    pub instructions: u64,
    /// Instructions at EL2 on this core since its window before.
    pub el2_instructions: u32,
    /// Why it ended: an index into [`EXIT_NAMES`](trapcast_trace::report::EXIT_NAMES).
    pub exit: u8,
    /// INTID of the interrupt that ended it.
    pub intid: u16,
    /// Where the guest resumed.
    pub pc: u64,
    /// The exception level at which it did.
    pub el: u8,
    /// Whether it did so in AArch32 state.
    pub aarch32: bool,
    /// It used the FP/SIMD registers.
    pub used: bool,
    /// Instructions into the window at the first use.
    pub first_use: Option<u32>,
    /// Times that the hypervisor used the registers itself after it.
    pub host_uses: u16,
}

impl Window {
    /// Returns what a replay needs of it.
    pub fn event(&self) -> Event {
        let flags = [
            (self.used, Event::USED),
            (self.put, Event::PUT),
            (self.host_uses != 0, Event::HOST),
            (self.powered_on, Event::POWERED_ON),
            (self.interrupt_pending, Event::PENDING),
        ];
        let set = flags.iter().filter(|(is_set, _)| *is_set);
        Event {
            pc: self.pc,
            vcpu: self.vcpu,
            core: self.core,
            flags: set.fold(0, |flags, (_, flag)| flags | flag),
        }
    }
}

/// The columns that a [`Window`] is made of.
const NAMES: [&str; 21] = [
    "vcpu",
    "core",
    "loaded",
    "put",
    "preempted",
    "powered_on",
    "mark",
    "interrupt_pending",
    "start_ticks",
    "end_ticks",
    "start_instructions",
    "end_instructions",
    "el2_instructions",
    "exit_after",
    "intid_after",
    "pc",
    "el",
    "aarch32",
    "fp_used",
    "first_use",
    "host_uses",
];

/// The windows of a record, in their order.
pub struct Windows<'a> {
    columns: Columns<'a, { NAMES.len() }>,
}

impl RecordFile {
    /// Returns the windows of the file, of which nothing is read yet.
    ///
    /// # Errors
    /// [`NoColumn`](crate::Error::NoColumn) where the file was made for replays and lacks columns.
    pub fn rows(&self) -> Result<Windows<'_>> {
        let columns = self.columns(0..self.row_group_count(), NAMES)?;
        Ok(Windows { columns })
    }
}

impl Windows<'_> {
    /// Replaces `windows` by those that come next; by none at the end.
    ///
    /// # Errors
    /// [`Damaged`](crate::Error::Damaged) where the file is.
    pub fn read(&mut self, windows: &mut Vec<Window>) -> Result<()> {
        windows.clear();
        let Some(columns) = self.columns.next()? else {
            return Ok(());
        };
        windows.extend((0..columns[0].len()).map(|row| window(columns.map(|column| column[row]))));
        Ok(())
    }
}

/// Returns the window of these values, which are in the order of [`NAMES`].
fn window(values: [u64; NAMES.len()]) -> Window {
    let [
        vcpu,
        core,
        loaded,
        put,
        preempted,
        powered_on,
        mark,
        interrupt_pending,
        start,
        end,
        start_instructions,
        end_instructions,
        el2_instructions,
        exit,
        intid,
        pc,
        el,
        aarch32,
        used,
        first_use,
        host_uses,
    ] = values;
    Window {
        vcpu: vcpu as u16,
        core: core as u8,
        loaded: loaded != 0,
        put: put != 0,
        preempted: preempted != 0,
        powered_on: powered_on != 0,
        mark: mark != 0,
        interrupt_pending: interrupt_pending != 0,
        start,
        end,
        instructions: end_instructions.saturating_sub(start_instructions),
        el2_instructions: el2_instructions as u32,
        exit: exit as u8,
        intid: intid as u16,
        pc,
        el: el as u8,
        aarch32: aarch32 != 0,
        used: used != 0,
        first_use: (first_use != NULL).then_some(first_use as u32),
        host_uses: host_uses as u16,
    }
}
