//! Writes what was seen as a record.

use trapcast_record::{End, Metadata, Outside, RecordWriter, Recorder, Result};
use trapcast_trace::{
    observed::{NEVER, Seen},
    record::{self, Flags, Record},
};

use crate::windows::{self, Observed, Window};

impl Observed {
    /// Writes the windows as a record. `vcpus` and `recorder` of the metadata are filled in. Returns what it was
    /// written to.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn record<W: trapcast_record::Output>(&self, output: W, metadata: Metadata) -> Result<W> {
        let metadata = Metadata {
            recorder: Recorder::Observer,
            vcpus: self.vcpus.clone(),
            ..metadata
        };
        let mut writer = RecordWriter::new(output, metadata)?;
        for window in &self.windows {
            let core = usize::from(window.seen.core);
            writer.push_observed(core, &window.record(), window.outside())?;
        }
        writer.finish(End::default())
    }
}

impl Window {
    /// The window as the hypervisor itself would write it, but for what cannot be seen.
    pub fn record(&self) -> Record {
        let seen = &self.seen;
        let is_set = [
            (Flags::LOADED, self.loaded),
            (Flags::PUT, self.put),
            (Flags::FP, self.used()),
            (Flags::SVE, seen.has(Seen::SVE)),
            (Flags::ZA, seen.has(Seen::SME)),
            (Flags::MARK, seen.has(Seen::MARK)),
            // What begins with its first entry was turned on before it.
            (Flags::POWERED_ON, self.is_first),
        ];
        let mut flags = Flags::empty();
        for (flag, is_set) in is_set {
            flags.set(flag, is_set);
        }
        Record {
            pc: seen.pc,
            ttbr0: seen.ttbr0,
            guest_instructions: saturated(seen.guest_instructions),
            first_use: match seen.first_use {
                NEVER => record::NEVER,
                first_use => saturated(first_use),
            },
            pstate: seen.pstate,
            esr: seen.esr,
            contextidr: seen.contextidr,
            cpacr: (seen.cpacr >> 16) as u16,
            host_uses: seen.has(Seen::HOST_FP).into(),
            vcpu: self.vcpu,
            asid: seen.asid,
            intid: windows::intid(seen).unwrap_or(0),
            exit: self.exit as u8,
            flags: flags.bits(),
            ..Record::default()
        }
    }

    /// What only an observer sees.
    pub fn outside(&self) -> Outside {
        let seen = &self.seen;
        let known = |flag: Seen, value: u64| {
            let value = u32::try_from(value).ok();
            value.filter(|_| seen.has(flag))
        };
        Outside {
            el2_instructions: known(Seen::GAP_BEFORE, seen.el2_instructions),
            host_instructions: known(Seen::GAP_BEFORE, seen.host_instructions),
            hypervisor_fp: known(Seen::GAP_AFTER, seen.hypervisor_fp),
            trap_instructions: saturated(seen.trap_instructions),
            fp_traps: seen.fp_traps,
            cptr: seen.cptr as u32,
            vmid: (seen.vttbr >> 48) as u16,
            is_intid_known: windows::intid(seen).is_some(),
        }
    }
}

/// A number of 32 bits, at most all ones but the last, which says never.
fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).min(u32::MAX - 1)
}
