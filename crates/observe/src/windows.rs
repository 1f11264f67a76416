//! vCPUs, loads and kinds of exit, told from what the plugin saw.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use trapcast_record::Vcpu;
use trapcast_trace::{
    observed::{NO_INTID, ObservedWindow, Seen},
    report::{Exit, MAX_CORES},
};

/// VTTBR_EL2.BADDR, and CnP, which does not matter: where stage 2 begins.
const BADDR: u64 = 0x0000_ffff_ffff_fffe;

/// ESR_EL2.ISS.ISV of a data abort: the instruction can be emulated from the syndrome.
const ISV: u32 = 1 << 24;

/// INTIDs of PPIs, as the Base System Architecture (DEN0094) recommends them and QEMU's boards have them.
mod ppi {
    /// The GIC's maintenance interrupt.
    pub const MAINTENANCE: u32 = 25;
    /// CNTHP: EL2's physical timer.
    pub const HYPERVISOR_TIMER: u32 = 26;
    /// CNTV: EL1's virtual timer.
    pub const VIRTUAL_TIMER: u32 = 27;
    /// CNTHV: EL2's virtual timer.
    pub const HYPERVISOR_VIRTUAL_TIMER: u32 = 28;
}

/// A window, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// What was seen.
    pub seen: ObservedWindow,
    /// Number of the vCPU over all VMs.
    pub vcpu: u16,
    /// Why it ended.
    pub exit: Exit,
    /// It is the first since the vCPU was loaded.
    pub loaded: bool,
    /// The vCPU was put after it, before the core's next window.
    pub put: bool,
    /// It is the vCPU's first.
    pub is_first: bool,
    /// The index of the core's next window.
    pub next: Option<usize>,
}

impl Window {
    /// Whether it used FP/SIMD, SVE or SME.
    pub const fn used(&self) -> bool {
        self.seen.flags & Seen::FP.union(Seen::SVE).union(Seen::SME).bits() != 0
    }
}

/// By what a load of a vCPU is told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadMark {
    /// The hypervisor writes VMPIDR_EL2.
    Vmpidr,
    /// It writes ICH_VMCR_EL2.
    Vmcr,
    /// Another vCPU is entered on the core: all that is seen.
    Switch,
}

impl LoadMark {
    /// What is seen, to follow "a load is told by".
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Vmpidr => "a write to VMPIDR_EL2",
            Self::Vmcr => "a write to ICH_VMCR_EL2",
            Self::Switch => "a change of the vCPU on the core",
        }
    }
}

/// All that was seen of a run.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The windows, in the order of their entries.
    pub windows: Vec<Window>,
    /// The vCPUs, by their numbers: those of the order in which they were first entered.
    pub vcpus: Vec<Vcpu>,
    /// By what loads are told.
    pub load_mark: LoadMark,
}

impl Observed {
    /// Tells what windows mean, which are in the order of their entries, of cores below [`MAX_CORES`].
    pub fn of(seen: Vec<ObservedWindow>) -> Self {
        let mut numbers = Numbers::default();
        let mut windows: Vec<_> = seen
            .into_iter()
            .map(|seen| {
                let (vcpu, is_first) = numbers.of(&seen);
                Window {
                    seen,
                    vcpu,
                    exit: Exit::Other,
                    loaded: false,
                    put: false,
                    is_first,
                    next: None,
                }
            })
            .collect();
        link(&mut windows);
        let load_mark = load_mark(&windows);
        tell_loads(&mut windows, load_mark);
        tell_exits(&mut windows);
        Self {
            windows,
            vcpus: numbers.vcpus,
            load_mark,
        }
    }

    /// Whether the hypervisor uses VHE.
    pub fn uses_vhe(&self) -> bool {
        self.windows.iter().any(|window| window.seen.has(Seen::E2H))
    }

    /// Cores on which guests ran.
    pub fn cores(&self) -> usize {
        let cores = self.windows.iter().map(|window| window.seen.core);
        cores.collect::<std::collections::BTreeSet<_>>().len()
    }
}

/// Numbers of VMs and vCPUs, in the order in which they appear.
#[derive(Default)]
struct Numbers {
    /// By root of stage 2.
    vms: HashMap<u64, u16>,
    /// By VM and VMPIDR_EL2.
    numbers: HashMap<(u16, u64), u16>,
    vcpus: Vec<Vcpu>,
}

impl Numbers {
    /// Returns the number of a window's vCPU, and whether it is new.
    fn of(&mut self, seen: &ObservedWindow) -> (u16, bool) {
        let count = self.vms.len() as u16;
        let vm = *self.vms.entry(seen.vttbr & BADDR).or_insert(count);
        let number = self.vcpus.len() as u16;
        match self.numbers.get(&(vm, seen.vmpidr)) {
            Some(number) => (*number, false),
            None => {
                let before = self.vcpus.iter().filter(|vcpu| vcpu.vm == vm).count();
                self.vcpus.push(Vcpu {
                    vm,
                    index: before as u16,
                });
                self.numbers.insert((vm, seen.vmpidr), number);
                (number, true)
            }
        }
    }
}

/// Sets each window's next one on its core.
fn link(windows: &mut [Window]) {
    let mut next = [None; MAX_CORES];
    for index in (0..windows.len()).rev() {
        let core = usize::from(windows[index].seen.core);
        windows[index].next = next[core].replace(index);
    }
}

/// Chooses by what loads are told: by a register that is written in each gap in which the vCPU changes, but not in
/// every gap.
fn load_mark(windows: &[Window]) -> LoadMark {
    let gaps: Vec<_> = windows
        .iter()
        .filter_map(|window| Some((window, &windows[window.next?])))
        .collect();
    let marks_loads = |mark: Seen| {
        let written = gaps.iter().filter(|(_, after)| after.seen.has(mark));
        let written = written.count();
        let is_in_each_switch = gaps
            .iter()
            .all(|(before, after)| before.vcpu == after.vcpu || after.seen.has(mark));
        // A few entries without one, by a fast path, do not make it a mark.
        is_in_each_switch && 0 < written && written * 10 <= gaps.len() * 9
    };
    if marks_loads(Seen::VMPIDR_WRITTEN) {
        LoadMark::Vmpidr
    } else if marks_loads(Seen::VMCR_WRITTEN) {
        LoadMark::Vmcr
    } else {
        LoadMark::Switch
    }
}

/// Sets which windows are the first of a load, and which the last.
fn tell_loads(windows: &mut [Window], mark: LoadMark) {
    let mut last: [Option<usize>; MAX_CORES] = [None; MAX_CORES];
    for index in 0..windows.len() {
        let window = windows[index];
        let core = usize::from(window.seen.core);
        let before = last[core].replace(index);
        let changes = before.is_none_or(|before| windows[before].vcpu != window.vcpu);
        let loaded = changes
            || match mark {
                LoadMark::Vmpidr => window.seen.has(Seen::VMPIDR_WRITTEN),
                LoadMark::Vmcr => window.seen.has(Seen::VMCR_WRITTEN),
                LoadMark::Switch => false,
            };
        windows[index].loaded = loaded;
        if let Some(before) = before {
            windows[before].put = loaded;
        }
    }
}

/// Sets why each window ended.
fn tell_exits(windows: &mut [Window]) {
    let mut resumed: HashMap<u16, u64> = HashMap::new();
    for window in windows.iter_mut().rev() {
        let after = resumed.insert(window.vcpu, window.seen.pc);
        window.exit = exit(&window.seen, after);
    }
}

/// Returns why a window ended, whose vCPU resumed at an address after it, if it did.
///
/// A data abort after which the guest goes on behind the instruction was one on a device; one after which it
/// executes it again was a fault of stage 2.
fn exit(seen: &ObservedWindow, resumed: Option<u64>) -> Exit {
    if seen.is_interrupt() {
        return match seen.intid {
            ppi::MAINTENANCE => Exit::Maintenance,
            ppi::HYPERVISOR_TIMER | ppi::HYPERVISOR_VIRTUAL_TIMER => Exit::HypervisorTimer,
            ppi::VIRTUAL_TIMER => Exit::VirtualTimer,
            _ => Exit::Interrupt,
        };
    }
    match seen.esr >> 26 {
        0x01 => Exit::Wait,
        0x12 | 0x16 => Exit::Hypercall,
        0x13 | 0x17 => Exit::SecureMonitorCall,
        0x03..=0x06 | 0x08 | 0x0c | 0x18 => Exit::SystemRegister,
        0x20 => Exit::Stage2Fault,
        0x24 => match resumed {
            Some(pc) if pc == seen.exit_pc => Exit::Stage2Fault,
            Some(_) => Exit::Mmio,
            None if seen.esr & ISV != 0 => Exit::Mmio,
            None => Exit::Stage2Fault,
        },
        _ => Exit::Other,
    }
}

/// The INTID of the interrupt that ended a window, 0 if none did; `None` if it was not seen.
pub fn intid(seen: &ObservedWindow) -> Option<u16> {
    match (seen.is_interrupt(), seen.intid) {
        (false, _) => Some(0),
        (true, NO_INTID) => None,
        (true, intid) => u16::try_from(intid).ok(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A window of a vCPU on a core that begins and ends at these addresses.
    pub(crate) fn seen(core: u16, vcpu: u64, pc: u64, exit_pc: u64, esr: u32) -> ObservedWindow {
        ObservedWindow {
            core,
            vttbr: (vcpu << 48) | (0x4000_0000 + vcpu * 0x1_0000),
            pc,
            exit_pc,
            esr,
            vector: 0x400,
            intid: NO_INTID,
            flags: Seen::GAP_BEFORE.bits(),
            first_use: u64::MAX,
            ..ObservedWindow::default()
        }
    }

    const HVC: u32 = 0x16 << 26;
    const ABORT: u32 = 0x24 << 26 | ISV;

    fn loads(windows: Vec<ObservedWindow>) -> (LoadMark, Vec<(bool, bool)>) {
        let observed = Observed::of(windows);
        let loads = observed
            .windows
            .iter()
            .map(|window| (window.loaded, window.put));
        (observed.load_mark, loads.collect())
    }

    #[test]
    fn vms_are_told_by_stage_2_and_vcpus_by_vmpidr() {
        let mut windows = vec![
            seen(0, 7, 0, 0, HVC),
            seen(1, 7, 0, 0, HVC),
            seen(0, 3, 0, 0, HVC),
            seen(0, 7, 0, 0, HVC),
        ];
        windows[1].vmpidr = 1;
        // A VMID that was given anew.
        windows[3].vttbr ^= 5 << 48;
        let observed = Observed::of(windows);
        let numbers: Vec<_> = observed.windows.iter().map(|window| window.vcpu).collect();
        assert_eq!(numbers, [0, 1, 2, 0]);
        let vcpu = |vm, index| Vcpu { vm, index };
        assert_eq!(observed.vcpus, [vcpu(0, 0), vcpu(0, 1), vcpu(1, 0)]);
        assert_eq!(observed.cores(), 2);
    }

    #[test]
    fn a_register_that_is_written_at_each_switch_but_not_at_each_entry_marks_loads() {
        let windows = |marks: [Seen; 4]| {
            let vcpus = [1, 1, 1, 2].into_iter().zip(marks);
            let windows = vcpus.map(|(vcpu, mark)| {
                let mut seen = seen(0, vcpu, 0, 0, HVC);
                seen.flags |= mark.bits();
                seen
            });
            windows.collect::<Vec<_>>()
        };
        const NONE: Seen = Seen::empty();
        const VMPIDR: Seen = Seen::VMPIDR_WRITTEN;
        const BOTH: Seen = VMPIDR.union(Seen::VMCR_WRITTEN);
        let reloaded = vec![(true, false), (false, true), (true, true), (true, false)];
        let switched = vec![(true, false), (false, false), (false, true), (true, false)];
        for (marks, expected) in [
            (
                [VMPIDR, NONE, VMPIDR, VMPIDR],
                (LoadMark::Vmpidr, reloaded.clone()),
            ),
            // At each entry: no mark; the other register is.
            ([BOTH, VMPIDR, BOTH, BOTH], (LoadMark::Vmcr, reloaded)),
            // Not at the switch: no mark.
            (
                [VMPIDR, NONE, VMPIDR, NONE],
                (LoadMark::Switch, switched.clone()),
            ),
            ([NONE, NONE, NONE, NONE], (LoadMark::Switch, switched)),
        ] {
            assert_eq!(loads(windows(marks)), expected, "{marks:?}");
        }
    }

    #[test]
    fn exits_are_told_by_syndrome_and_by_where_the_guest_goes_on() {
        let windows = vec![
            seen(0, 1, 0x00, 0x10, ABORT),
            seen(0, 1, 0x10, 0x20, ABORT),
            seen(0, 1, 0x24, 0x24, 0x20 << 26),
            seen(0, 1, 0x24, 0x30, 0x01 << 26),
            seen(0, 1, 0x34, 0x40, HVC),
            seen(0, 1, 0x40, 0x50, 0x18 << 26),
            seen(0, 1, 0x54, 0x60, 0x17 << 26),
            seen(0, 1, 0x64, 0x70, 0x07 << 26),
            seen(0, 1, 0x70, 0x80, ABORT),
        ];
        let exits = Observed::of(windows).windows.into_iter();
        assert_eq!(
            exits.map(|window| window.exit as u8).collect::<Vec<_>>(),
            [
                Exit::Stage2Fault,
                Exit::Mmio,
                Exit::Stage2Fault,
                Exit::Wait,
                Exit::Hypercall,
                Exit::SystemRegister,
                Exit::SecureMonitorCall,
                Exit::Other,
                Exit::Mmio,
            ]
            .map(|exit| exit as u8)
        );
        for (number, expected, told) in [
            (NO_INTID, Exit::Interrupt, None),
            (33, Exit::Interrupt, Some(33)),
            (27, Exit::VirtualTimer, Some(27)),
            (26, Exit::HypervisorTimer, Some(26)),
        ] {
            let window = ObservedWindow {
                vector: 0x480,
                intid: number,
                ..seen(0, 1, 0, 0, HVC)
            };
            assert_eq!(exit(&window, None) as u8, expected as u8);
            assert_eq!(intid(&window), told);
        }
    }
}
