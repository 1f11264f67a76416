//! The counters of a run: one header, then one record per core, VM and vCPU, then one distribution per core.
//!
//! Exits are counted here, and so is what cores do but for their instructions, which are brought up to date at
//! each interrupt and each put. All else of a vCPU is copied here at the end; a hypervisor that is told to
//! publish does so at each load of the vCPU and each interrupt, too. All is final in [`State::Done`].
//!
//! A reader of a running hypervisor may find a vCPU half copied: numbers that were copied never decrease.

use core::ops::AddAssign;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::bins::Bins;

/// First eight bytes of a mailbox that a hypervisor has set up.
pub const MAGIC: u64 = u64::from_le_bytes(*b"TRAPCAST");

/// Version of this layout. A reader refuses any other.
pub const VERSION: u32 = 7;

/// The most cores that fit into the report.
pub const MAX_CORES: usize = 16;

/// The most VMs that fit into the report.
pub const MAX_VMS: usize = 255;

/// The most vCPUs, over all VMs, that fit into the report.
pub const MAX_VCPUS: usize = MAX_VMS * 8;

/// How far the hypervisor has come: the value of [`Header::state`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum State {
    /// The mailbox is laid out; guests have not run yet.
    Booting = 1,
    /// Guests run.
    Running = 2,
    /// Every VM has ended. The counters are final.
    Done = 3,
    /// EL2 panicked; the console says why.
    Failed = 4,
    /// EL2 refused to start its VMs; the console says why.
    Refused = 5,
}

/// Why a guest exited to EL2: an index into [`VcpuReport::exits`].
///
/// The first use of the FP/SIMD registers behind an armed trap is not an exit: the guest resumes at
/// once ([`VcpuReport::traps`]).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Exit {
    /// An interrupt for the virtual timer of this vCPU.
    VirtualTimer = 0,
    /// The EL2 timer: the end of a time slice, or another vCPU's timer.
    HypervisorTimer,
    /// The GIC's maintenance interrupt.
    Maintenance,
    /// Any other physical interrupt.
    Interrupt,
    /// `HVC`.
    Hypercall,
    /// `SMC`.
    SecureMonitorCall,
    /// `WFI` or `WFE`.
    Wait,
    /// A trapped system register.
    SystemRegister,
    /// A data abort on an emulated device.
    Mmio,
    /// A stage-2 fault on the VM's own memory: a page of first use.
    Stage2Fault,
    /// Anything else, such as an exception that is sent on to the guest.
    Other,
}

/// Number of kinds of exit.
pub const EXITS: usize = 11;

/// Names of the kinds of exit, in the order of [`Exit`].
pub const EXIT_NAMES: [&str; EXITS] = [
    "virtual-timer",
    "hypervisor-timer",
    "maintenance",
    "interrupt",
    "hypercall",
    "smc",
    "wait",
    "system-register",
    "mmio",
    "stage2-fault",
    "other",
];

/// The start of the mailbox.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// A [`State`].
    pub state: u32,
    /// Cores that the hypervisor runs on.
    pub cores: u32,
    /// VMs.
    pub vms: u32,
    /// vCPUs over all VMs.
    pub vcpus: u32,
    /// 1 with the Virtualization Host Extensions in use (HCR_EL2.E2H = 1), else 0.
    pub vhe: u32,
    /// CNTFRQ_EL0 in hertz.
    pub counter_frequency: u64,
    /// CNTPCT_EL0 when the first guest was entered, in ticks.
    pub started: u64,
    /// CNTPCT_EL0 when the last VM ended, in ticks.
    pub finished: u64,
}

/// What one core did.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct CoreReport {
    /// Instructions retired at EL2, from the first guest entry on.
    /// Zero where the machine does not count them (QEMU without `-icount`).
    pub el2_instructions: u64,
    /// Instructions retired at EL1 and EL0.
    pub guest_instructions: u64,
    /// The longest IRQs-off section, in instructions at EL2: from the vector to ERET, or
    /// between two points where EL2 checks for a pending interrupt and takes it.
    pub longest_masked: u64,
    /// Sections of EL2 code that used the FP/SIMD registers for themselves.
    pub host_uses: u64,
    /// Times that the host's registers were compared with the canary.
    pub canary_checks: u64,
    /// Comparisons that failed: the host had lost its registers.
    pub canary_mismatches: u64,
    /// Times that the core had nothing to run and waited in WFI.
    pub idles: u64,
    /// vCPU switches: puts of one vCPU followed by the load of another.
    pub vcpu_switches: u64,
    /// vCPUs that came here from another core.
    pub moves: u64,
}

/// How a VM ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Ending {
    /// By PSCI SYSTEM_OFF.
    PoweredOff = 1,
    /// The last of its vCPUs that were on has turned itself off, by PSCI CPU_OFF.
    CpusOff = 2,
    /// EL2 stopped it for a fault of its own; the console says why.
    Stopped = 3,
}

/// What one VM did.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct VmReport {
    /// An [`Ending`]; 0 while it has not ended.
    pub ended: u32,
}

impl VmReport {
    /// How the VM ended, if it has, by a number that is known.
    pub fn ending(&self) -> Option<Ending> {
        let all = [Ending::PoweredOff, Ending::CpusOff, Ending::Stopped];
        all.into_iter().find(|ending| *ending as u32 == self.ended)
    }
}

/// The windows of one kind that a vCPU went through.
///
/// Whether a window used the registers is known where the trap was armed throughout. Windows are
/// counted for observed vCPUs ([`VcpuReport::observed`]), whose trap is armed at every entry; for
/// any other, all of this is zero.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct WindowReport {
    /// Windows in all.
    pub windows: u64,
    /// Windows by what the one before did and what they did, `[used before][used]`.
    pub pairs: [[u64; 2]; 2],
    /// Windows in which the registers were used.
    pub used: u64,
}

impl AddAssign<&Self> for WindowReport {
    fn add_assign(&mut self, other: &Self) {
        self.windows += other.windows;
        self.used += other.used;
        let pairs = self.pairs.iter_mut().flatten();
        for (sum, count) in pairs.zip(other.pairs.iter().flatten()) {
            *sum += count;
        }
    }
}

/// What concerns one class of registers above FP/SIMD, SVE or SME, of one vCPU.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct ClassReport {
    /// Traps of this class that the scheme armed: part of [`VcpuReport::traps`].
    pub traps: u64,
    /// Loads at an entry that went up to this class.
    pub eager_loads: u64,
    /// Windows from an entry to its exit of which is known whether they used the class; zero unless
    /// observed.
    pub windows: WindowReport,
    /// Windows of which that is not known, as a trap of a class below brought this one in and opened
    /// its gate; zero unless observed.
    pub unseen: u64,
}

/// What one vCPU did, and what switching its registers took.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct VcpuReport {
    /// Number of its VM.
    pub vm: u32,
    /// Number of the vCPU in its VM.
    pub index: u32,
    /// Its scheme: `trapcast_forecast::Scheme as u32`.
    pub scheme: u32,
    /// 1 if every window was watched, else 0.
    pub observed: u32,
    /// Entries into the guest, those after an FP/SIMD trap left out.
    pub entries: u64,
    /// Exits by reason, see [`Exit`].
    pub exits: [u64; EXITS],
    /// Loads (the vCPU became the core's current one) and so puts.
    pub loads_of_vcpu: u64,
    /// Traps of the gate that the scheme armed, of any class.
    pub traps: u64,
    /// Traps that the scheme armed although it had loaded the registers, to see whether they are used.
    pub probes: u64,
    /// FP/SIMD traps that only the observer armed.
    pub observer_traps: u64,
    /// Times that this vCPU's registers were loaded.
    pub register_loads: u64,
    /// Times that this vCPU's registers were saved, by any new owner: as many as were loaded, but
    /// for the last time if they are in the core still.
    pub register_saves: u64,
    /// Bytes moved when this vCPU took the registers or gave them back to the host: each time a save
    /// of the previous owner's, and a load. What the host's own use moves is not counted.
    pub bytes_moved: u64,
    /// EL2 instructions on behalf of this vCPU, exits to entries.
    pub el2_instructions: u64,
    /// Those of them spent in switching the registers and deciding about it.
    pub switch_instructions: u64,
    /// Windows from an entry to its exit.
    pub entry_windows: WindowReport,
    /// Windows from load to put.
    pub load_windows: WindowReport,
    /// Windows of the scheme's own kind, `[forecast that they use the registers][used]`; zero unless
    /// observed. A window counts as forecast to use them if its first entry left the gate open.
    pub forecast: [[u64; 2]; 2],
    /// Loads at an entry in windows that then did not use the registers; zero unless observed.
    pub wasted_loads: u64,
    /// What of it concerns SVE.
    pub sve: ClassReport,
    /// What of it concerns SME.
    pub sme: ClassReport,
}

/// Offset in the mailbox of a word of 32 bits that the lab sets to 1 to ask where each vCPU is: the hypervisor
/// says so on its console, and clears the word, when the next byte is typed to it.
pub const ASKED_OFFSET: usize = 0xf8;

/// Offset in the mailbox of the first [`CoreReport`]; [`MAX_CORES`] of them follow one another.
pub const CORES_OFFSET: usize = 0x100;

/// Offset in the mailbox of the first [`VmReport`]; [`MAX_VMS`] of them follow one another.
pub const VMS_OFFSET: usize = 0x800;

/// Offset in the mailbox of the first [`VcpuReport`]; [`MAX_VCPUS`] of them follow one another.
pub const VCPUS_OFFSET: usize = 0x1000;

/// Offset in the mailbox of the first core's distribution of IRQs-off sections, in
/// instructions; [`MAX_CORES`] of them follow one another. All zero unless the hypervisor is told to keep
/// them. The section of [`CoreReport::longest_masked`] is one of them.
pub const MASKED_OFFSET: usize = 0xf_0000;

const _: () = {
    assert!(size_of::<Header>() <= ASKED_OFFSET);
    assert!(ASKED_OFFSET + size_of::<u32>() <= CORES_OFFSET);
    assert!(CORES_OFFSET + MAX_CORES * size_of::<CoreReport>() <= VMS_OFFSET);
    assert!(VMS_OFFSET + MAX_VMS * size_of::<VmReport>() <= VCPUS_OFFSET);
    assert!(VCPUS_OFFSET + MAX_VCPUS * size_of::<VcpuReport>() <= MASKED_OFFSET);
    assert!(MASKED_OFFSET + MAX_CORES * size_of::<Bins>() <= super::MAILBOX_SIZE as usize);
};

/// Why a mailbox cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadError {
    /// Fewer bytes than a mailbox has.
    Truncated,
    /// The hypervisor never laid out the mailbox.
    NoMagic,
    /// Laid out by another version of the hypervisor, whose number this is.
    Version(u32),
    /// A count in the header is larger than the mailbox.
    Counts,
}

/// A report as read from the bytes of a mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The header.
    pub header: &'a Header,
    /// One per core.
    pub cores: &'a [CoreReport],
    /// One per VM.
    pub vms: &'a [VmReport],
    /// One per vCPU, by VM and then by number.
    pub vcpus: &'a [VcpuReport],
    /// Per core, the IRQs-off sections, in instructions.
    pub masked: &'a [Bins],
}

impl<'a> Report<'a> {
    /// Reads a report from the bytes of a mailbox, which must be aligned to 8 bytes.
    ///
    /// # Errors
    /// As [`ReadError`] says; bytes of any content are safe to pass.
    pub fn read(mailbox: &'a [u8]) -> Result<Self, ReadError> {
        let (header, _) = Header::ref_from_prefix(mailbox).map_err(|_| ReadError::Truncated)?;
        if header.magic != MAGIC {
            return Err(ReadError::NoMagic);
        }
        if header.version != VERSION {
            return Err(ReadError::Version(header.version));
        }
        let [cores, vms, vcpus] = [header.cores, header.vms, header.vcpus].map(|n| n as usize);
        if cores > MAX_CORES || vms > MAX_VMS || vcpus > MAX_VCPUS {
            return Err(ReadError::Counts);
        }
        Ok(Self {
            header,
            cores: records(mailbox, CORES_OFFSET, cores)?,
            vms: records(mailbox, VMS_OFFSET, vms)?,
            vcpus: records(mailbox, VCPUS_OFFSET, vcpus)?,
            masked: records(mailbox, MASKED_OFFSET, cores)?,
        })
    }
}

fn records<T: FromBytes + Immutable + KnownLayout>(
    mailbox: &[u8],
    offset: usize,
    count: usize,
) -> Result<&[T], ReadError> {
    let bytes = mailbox.get(offset..).ok_or(ReadError::Truncated)?;
    <[T]>::ref_from_prefix_with_elems(bytes, count)
        .map(|(records, _)| records)
        .map_err(|_| ReadError::Truncated)
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::{vec, vec::Vec};
    use core::mem::offset_of;

    use super::*;
    use crate::{MAILBOX_SIZE, bins::BINS};

    /// A mailbox of zeroes but for its header, in 8-byte units for the alignment.
    fn mailbox(cores: u32, vcpus: u32) -> Vec<u64> {
        let mut mailbox = vec![0; MAILBOX_SIZE as usize / 8];
        let (header, _) = Header::mut_from_prefix(mailbox.as_mut_bytes()).unwrap();
        header.magic = MAGIC;
        header.version = VERSION;
        header.cores = cores;
        header.vms = vcpus.min(2);
        header.vcpus = vcpus;
        mailbox
    }

    #[test]
    fn each_record_is_read_from_its_place() {
        let mut words = mailbox(2, 3);
        let bytes = words.as_mut_bytes();
        let last_core = CORES_OFFSET + size_of::<CoreReport>();
        bytes[last_core + offset_of!(CoreReport, host_uses)] = 7;
        bytes[VMS_OFFSET + size_of::<VmReport>()] = 3;
        let last_vcpu = VCPUS_OFFSET + 2 * size_of::<VcpuReport>();
        bytes[last_vcpu + offset_of!(VcpuReport, traps)] = 9;
        bytes[MASKED_OFFSET + 2 * size_of::<Bins>() - 8] = 4;
        let report = Report::read(bytes).unwrap();
        assert_eq!((report.cores.len(), report.cores[1].host_uses), (2, 7));
        let endings: Vec<_> = report.vms.iter().map(VmReport::ending).collect();
        assert_eq!(endings, [None, Some(Ending::Stopped)]);
        assert_eq!((report.vcpus.len(), report.vcpus[2].traps), (3, 9));
        assert_eq!((report.masked.len(), report.masked[1].0[BINS - 1]), (2, 4));
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let words = mailbox(1, 1);
        let bytes = words.as_bytes();
        let read = |bytes: &[u8]| Report::read(bytes).map(|_| ());
        assert_eq!(read(bytes), Ok(()));
        for length in [
            0,
            size_of::<Header>() - 8,
            CORES_OFFSET,
            VCPUS_OFFSET,
            MASKED_OFFSET,
        ] {
            assert_eq!(read(&bytes[..length]), Err(ReadError::Truncated));
        }
        assert_eq!(read(vec![0u64; 512].as_bytes()), Err(ReadError::NoMagic));
        let mut newer = words.clone();
        let offset = offset_of!(Header, version);
        newer.as_mut_bytes()[offset..offset + 4].copy_from_slice(&(VERSION + 1).to_le_bytes());
        assert_eq!(read(newer.as_bytes()), Err(ReadError::Version(VERSION + 1)));
        let mut many = mailbox(1, 1);
        let (header, _) = Header::mut_from_prefix(many.as_mut_bytes()).unwrap();
        header.vms = MAX_VMS as u32 + 1;
        assert_eq!(read(many.as_bytes()), Err(ReadError::Counts));
        for (cores, vcpus) in [(MAX_CORES as u32 + 1, 1), (1, u32::MAX)] {
            assert_eq!(
                read(mailbox(cores, vcpus).as_bytes()),
                Err(ReadError::Counts)
            );
        }
    }

    #[test]
    fn every_kind_of_exit_has_a_name() {
        assert_eq!(Exit::Other as usize + 1, EXITS);
        assert_eq!(EXIT_NAMES[Exit::Hypercall as usize], "hypercall");
        assert_eq!(EXIT_NAMES[Exit::Stage2Fault as usize], "stage2-fault");
    }
}
