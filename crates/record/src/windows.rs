//! The windows of a record one after the other, with all that is shown of them, in memory that does not
//! grow with the file.

use super::{
    Event,
    column::{Columns, NULL},
    error::Result,
    reader::RecordFile,
    row::CORES,
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
    /// CNTPCT_EL0 at the entry, or the clock of a host's trace, in ticks. In an observer's record, which has no ticks, one stands for each
    /// instruction that is known to have been executed on the core before.
    pub start: u64,
    /// The same at the exit.
    pub end: u64,
    /// Instructions that the guest retired in it; 0 where the machine does not count.
    pub instructions: u64,
    /// Instructions at EL2 on this core since its window before, if they are known.
    pub el2_instructions: Option<u32>,
    /// Why it ended: an index into [`EXIT_NAMES`](trapcast_trace::report::EXIT_NAMES).
    pub exit: u8,
    /// INTID of the interrupt that ended it, 0 if none did; `None` if it is not known.
    pub intid: Option<u16>,
    /// Where the guest resumed.
    pub pc: u64,
    /// The exception level at which it did, if it is known.
    pub el: Option<u8>,
    /// Whether it did so in AArch32 state.
    pub aarch32: bool,
    /// Whether it used the FP/SIMD registers, if that was to be seen.
    pub used: Option<bool>,
    /// Instructions into the window at the first use.
    pub first_use: Option<u32>,
    /// Times that the hypervisor used the registers itself after it.
    pub host_uses: u16,
}

impl Window {
    /// Returns what a replay needs of it, as if one of which that is not known had not used the registers.
    pub fn event(&self) -> Event {
        let flags = [
            (self.used == Some(true), Event::USED),
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
const NAMES: [&str; 23] = [
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
    "host_instructions",
    "trap_instructions",
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
    /// Instructions of each core so far, where there are no ticks.
    executed: [u64; CORES],
}

impl RecordFile {
    /// Returns the windows of the file, of which nothing is read yet.
    ///
    /// # Errors
    /// [`NoColumn`](crate::Error::NoColumn) where the file was made for replays and lacks columns.
    pub fn rows(&self) -> Result<Windows<'_>> {
        let columns = self.columns(0..self.row_group_count(), NAMES)?;
        Ok(Windows {
            columns,
            executed: [0; CORES],
        })
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
        let executed = &mut self.executed;
        let rows = (0..columns[0].len()).map(|row| columns.map(|column| column[row]));
        windows.extend(rows.map(|values| window(values, executed)));
        Ok(())
    }
}

/// Returns the window of these values, which are in the order of [`NAMES`], and counts its core's instructions.
fn window(values: [u64; NAMES.len()], executed: &mut [u64; CORES]) -> Window {
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
        host_instructions,
        trap_instructions,
        exit,
        intid,
        pc,
        el,
        aarch32,
        used,
        first_use,
        host_uses,
    ] = values;
    let instructions = end_instructions.saturating_sub(start_instructions);
    let known = |value: u64| (value != NULL).then_some(value as u32);
    let [gap, host, traps] = [el2_instructions, host_instructions, trap_instructions]
        .map(|value| known(value).map_or(0, u64::from));
    // The reader has checked the core's number.
    let executed = &mut executed[core as usize];
    let entered = *executed + gap + host;
    *executed = entered + instructions + traps;
    let [start, end] = match start {
        NULL => [entered, *executed],
        _ => [start, end],
    };
    Window {
        vcpu: vcpu as u16,
        core: core as u8,
        loaded: loaded != 0,
        put: put != 0,
        preempted: preempted == 1,
        powered_on: powered_on != 0,
        mark: mark == 1,
        interrupt_pending: interrupt_pending == 1,
        start,
        end,
        instructions,
        el2_instructions: known(el2_instructions),
        exit: exit as u8,
        intid: known(intid).map(|intid| intid as u16),
        pc,
        el: known(el).map(|el| el as u8),
        aarch32: aarch32 == 1,
        used: known(used).map(|used| used != 0),
        first_use: known(first_use),
        host_uses: host_uses as u16,
    }
}
