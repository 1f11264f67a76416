//! One row of a record file: what the hypervisor wrote about a window, or an observer saw of it, and what the
//! lab adds to it.

use trapcast_trace::{
    record::{Flags, NEVER, Record},
    report::{EXITS, Exit},
};

use super::metadata::Vcpu;
use crate::error::{Error, Result};

/// PSTATE.M\[4\]: the guest is in AArch32 state.
const PSTATE_AARCH32: u32 = 1 << 4;

/// Cores of a record: a number has 8 bits there.
pub const CORES: usize = 1 << 8;

/// A window with what came before it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What the hypervisor wrote.
    pub record: Record,
    /// Who saw it.
    pub seen: Seen,
    /// The core.
    pub core: u8,
    /// Where the vCPU belongs.
    pub vcpu: Vcpu,
    /// Guest instructions that the core had retired before the window.
    pub start_instructions: u64,
    /// How the vCPU's window before ended; `None` in its first one.
    pub before: Option<Before>,
}

/// Who saw a window, with what only they know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// The hypervisor wrote the record.
    El2,
    /// An observer saw it.
    Observer(Outside),
    /// It comes from a trace of a host.
    Host(Traced),
}

/// What a trace of a host says of a window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traced {
    /// Whether it used the registers; `None` if that was not to be seen.
    pub used: Option<bool>,
    /// Ticks from the entry to the exit.
    pub duration: u64,
}

/// How a vCPU's window before ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Before {
    /// [`Record::exit`].
    pub exit: u8,
    /// [`Record::intid`], if it is known.
    pub intid: Option<u16>,
    /// [`Record::esr`].
    pub esr: u32,
}

impl Row {
    /// Whether all of `flags` are set.
    pub const fn has(&self, flags: Flags) -> bool {
        Flags::from_bits_truncate(self.record.flags).contains(flags)
    }

    /// What an observer saw.
    pub const fn outside(&self) -> Option<Outside> {
        match self.seen {
            Seen::Observer(outside) => Some(outside),
            _ => None,
        }
    }

    /// What the hypervisor and an observer know, and a trace does not tell.
    pub fn inside_or_observed<T>(&self, value: T) -> Option<T> {
        (!matches!(self.seen, Seen::Host(_))).then_some(value)
    }

    /// What the hypervisor knows and nobody else does.
    pub fn inside<T>(&self, value: T) -> Option<T> {
        (self.seen == Seen::El2).then_some(value)
    }

    /// When it began and ended, in ticks, if whoever saw it had a clock.
    pub fn times(&self) -> Option<[u64; 2]> {
        let duration = match self.seen {
            Seen::El2 => self.record.duration.into(),
            Seen::Observer(_) => return None,
            Seen::Host(traced) => traced.duration,
        };
        let start = self.record.start;
        Some([start, start.wrapping_add(duration)])
    }

    /// Whether it used the registers, if that was to be seen.
    pub fn used(&self) -> Option<bool> {
        match self.seen {
            Seen::Host(traced) => traced.used,
            _ => Some(self.has(Flags::FP)),
        }
    }

    /// The INTID of the interrupt that ended the window, 0 if none did.
    pub const fn intid(&self) -> Option<u16> {
        intid(&self.record, &self.seen)
    }

    /// Instructions at EL2 in the gap before, if they are known.
    pub fn el2_instructions(&self) -> Option<u32> {
        match self.seen {
            Seen::El2 => Some(self.record.el2_instructions),
            Seen::Observer(outside) => outside.el2_instructions,
            Seen::Host(_) => None,
        }
    }

    /// Whether the vCPU was taken off the core although it could have gone on.
    pub fn preempted(&self) -> Option<bool> {
        let is_timer = self.record.exit == Exit::HypervisorTimer as u8;
        let is_known = self.intid().is_some() || !self.has(Flags::PUT);
        is_known.then_some(is_timer && self.has(Flags::PUT))
    }

    /// Whether the guest resumed in AArch32 state.
    pub const fn aarch32(&self) -> bool {
        self.record.pstate & PSTATE_AARCH32 != 0
    }

    /// The exception level at which the guest resumed: PSTATE.M\[3:2\] in AArch64 state; in AArch32
    /// state, 0 in User mode and else 1.
    pub const fn el(&self) -> u32 {
        match (self.aarch32(), self.record.pstate & 0xf) {
            (true, 0) => 0,
            (true, _) => 1,
            (false, mode) => mode >> 2,
        }
    }

    /// CPACR_EL1, with the bits that were recorded at their place.
    pub const fn cpacr(&self) -> u32 {
        (self.record.cpacr as u32) << 16
    }

    /// Guest instructions into the window at the first use, if any.
    pub fn first_use(&self) -> Option<u32> {
        (self.record.first_use != NEVER).then_some(self.record.first_use)
    }
}

/// What an observer sees of a window and the hypervisor does not write.
///
/// It does not see what the hypervisor knows: ticks and pending interrupts are null in a record of its
/// windows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outside {
    /// Instructions at EL2 since the core's window before; `None` in its first one, or where there are too many.
    pub el2_instructions: Option<u32>,
    /// Instructions of the host at EL0 and EL1 since then, likewise.
    pub host_instructions: Option<u32>,
    /// FP/SIMD, SVE and SME instructions at EL2 and the host's EL1 up to the core's next window; `None` in its last
    /// one.
    pub hypervisor_fp: Option<u32>,
    /// Instructions at EL2 in traps within the window.
    pub trap_instructions: u32,
    /// Traps for FP/SIMD, SVE or SME within the window.
    pub fp_traps: u32,
    /// CPTR_EL2 at the entry, bits 31:0.
    pub cptr: u32,
    /// VTTBR_EL2.VMID at the entry.
    pub vmid: u16,
    /// Whether [`Record::intid`] is known.
    pub is_intid_known: bool,
}

/// The INTID that ended a window, if it is known.
const fn intid(record: &Record, seen: &Seen) -> Option<u16> {
    match seen {
        Seen::El2 => Some(record.intid),
        Seen::Observer(outside) if outside.is_intid_known => Some(record.intid),
        Seen::Observer(_) | Seen::Host(_) => None,
    }
}

/// Makes rows of records: keeps the running sums of each core and the last window of each vCPU.
#[derive(Debug)]
pub struct Enricher {
    vcpus: Vec<(Vcpu, Option<Before>)>,
    instructions: [u64; CORES],
}

impl Enricher {
    /// Begins with vCPUs and cores that have not run.
    pub fn new(vcpus: &[Vcpu]) -> Self {
        Self {
            vcpus: vcpus.iter().map(|vcpu| (*vcpu, None)).collect(),
            instructions: [0; CORES],
        }
    }

    /// Adds a vCPU that has not run.
    pub fn add(&mut self, vcpu: Vcpu) {
        self.vcpus.push((vcpu, None));
    }

    /// Returns the row of a core's next record.
    ///
    /// # Errors
    /// [`Error::Impossible`] where no hypervisor of this version can have written the record.
    pub fn enrich(&mut self, core: usize, record: &Record, seen: Seen) -> Result<Row> {
        let instructions = self
            .instructions
            .get_mut(core)
            .ok_or_else(|| impossible(format!("core {core}")))?;
        let vcpus = self.vcpus.len();
        let (vcpu, before) = self
            .vcpus
            .get_mut(usize::from(record.vcpu))
            .ok_or_else(|| impossible(format!("vCPU {}, and there are {vcpus}", record.vcpu)))?;
        if usize::from(record.exit) >= EXITS {
            return Err(impossible(format!("exit reason {}", record.exit)));
        }
        let row = Row {
            record: *record,
            seen,
            core: core as u8,
            vcpu: *vcpu,
            start_instructions: *instructions,
            before: *before,
        };
        *instructions += u64::from(record.guest_instructions);
        *before = Some(Before {
            exit: record.exit,
            intid: intid(record, &seen),
            esr: record.esr,
        });
        Ok(row)
    }
}

fn impossible(what: String) -> Error {
    Error::Impossible { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VCPUS: [Vcpu; 2] = [Vcpu { vm: 0, index: 0 }, Vcpu { vm: 1, index: 0 }];

    fn record(vcpu: u16, instructions: u32) -> Record {
        Record {
            vcpu,
            guest_instructions: instructions,
            esr: instructions,
            ..Record::default()
        }
    }

    #[test]
    fn sums_run_per_core_and_the_exit_before_is_the_vcpus_own() {
        let mut enricher = Enricher::new(&VCPUS);
        let steps = [(0, 0, 10), (0, 1, 20), (1, 1, 40), (0, 0, 80)];
        let rows = steps.map(|(core, vcpu, count)| {
            let row = enricher
                .enrich(core, &record(vcpu, count), Seen::El2)
                .unwrap();
            (row.start_instructions, row.before.map(|before| before.esr))
        });
        assert_eq!(rows, [(0, None), (10, None), (0, Some(20)), (30, Some(10))]);
    }

    #[test]
    fn what_no_hypervisor_writes_is_refused() {
        let good = record(1, 1);
        let cases = [
            (
                0,
                Record {
                    exit: EXITS as u8,
                    ..good
                },
                "exit reason 11",
            ),
            (0, Record { vcpu: 2, ..good }, "vCPU 2, and there are 2"),
            (CORES, good, "core 256"),
        ];
        for (core, record, sentence) in cases {
            let mut enricher = Enricher::new(&VCPUS);
            let error = enricher
                .enrich(core, &record, Seen::El2)
                .unwrap_err()
                .to_string();
            assert!(error.contains(sentence), "{error}");
        }
    }

    #[test]
    fn pstate_tells_the_exception_level() {
        let el = |pstate| {
            let record = Record {
                pstate,
                ..Record::default()
            };
            let row = Enricher::new(&VCPUS).enrich(0, &record, Seen::El2).unwrap();
            (row.el(), row.aarch32())
        };
        // EL0t, EL1t, EL1h, and AArch32's User, Supervisor and System modes.
        assert_eq!(
            [0x0, 0x4, 0x3c5, 0x10, 0x13, 0x1f].map(el),
            [
                (0, false),
                (1, false),
                (1, false),
                (0, true),
                (1, true),
                (1, true)
            ]
        );
    }
}
