//! The redistributors' frames: `GICR_*` registers.

use super::registers::{IIDR, PIDR2, PIDR2_OFFSET, Register};
use super::{Effects, REDISTRIBUTOR_SIZE, VcpuSet, Vgic, access::Obstacles};

/// The SGI frame's offset in a redistributor.
const SGI_FRAME: u64 = 0x1_0000;

const IIDR_OFFSET: u64 = 0x0004;
const TYPER: u64 = 0x0008;
const TYPER_HIGH: u64 = TYPER + 4;
const WAKER: u64 = 0x0014;

/// `GICR_WAKER.ProcessorSleep`.
const PROCESSOR_SLEEP: u64 = 1 << 1;
/// `GICR_WAKER.ChildrenAsleep`.
const CHILDREN_ASLEEP: u64 = 1 << 2;
/// `GICR_TYPER.Last`.
const LAST: u64 = 1 << 4;

impl Vgic {
    /// A guest's read of `size` bytes at `offset` into the redistributors, which follow each other
    /// from vCPU 0's on, each of [`REDISTRIBUTOR_SIZE`].
    ///
    /// What does not exist reads as zero, whatever the offset and the size.
    #[inline(never)]
    pub(super) fn redistributor_read(&self, offset: u64, size: usize) -> u64 {
        let Some((vcpu, offset)) = self.frame(offset) else {
            return 0;
        };
        if let Some(register) = sgi_frame_register(offset, size) {
            return self.read_register(vcpu, register);
        }
        match (offset, size) {
            (IIDR_OFFSET, 4) => u64::from(IIDR),
            (TYPER, 8) => self.typer(vcpu),
            (TYPER, 4) => self.typer(vcpu) & 0xffff_ffff,
            (TYPER_HIGH, 4) => self.typer(vcpu) >> 32,
            (WAKER, 4) if self.cpus[vcpu].asleep => PROCESSOR_SLEEP | CHILDREN_ASLEEP,
            (PIDR2_OFFSET, 4) => u64::from(PIDR2),
            // GICR_CTLR among them: no LPIs, and writes take effect at once (RWP, UWP 0).
            _ => 0,
        }
    }

    /// A guest's write of `size` bytes at `offset` into the redistributors.
    ///
    /// What does not exist is left alone, whatever the offset, the size and the value.
    pub(super) fn redistributor_write(&mut self, offset: u64, size: usize, value: u64) -> Effects {
        let Some((vcpu, offset)) = self.frame(offset) else {
            return Effects::default();
        };
        if let Some(register) = sgi_frame_register(offset, size) {
            return self.write_register(vcpu, register, value as u32);
        }
        if (offset, size) == (WAKER, 4) {
            self.cpus[vcpu].asleep = value & PROCESSOR_SLEEP != 0;
        }
        Effects::default()
    }

    /// Who has to be out of its guest for an access: a read, or a write of this value.
    pub(super) fn redistributor_obstacles(
        &self,
        offset: u64,
        size: usize,
        write: Option<u64>,
    ) -> Obstacles {
        self.frame(offset)
            .and_then(|(vcpu, offset)| {
                let register = sgi_frame_register(offset, size)?;
                Some(register.obstacles(VcpuSet::only(vcpu), write))
            })
            .unwrap_or(Obstacles::Nobody)
    }

    /// The vCPU whose redistributor `offset` is in, and the offset in there.
    fn frame(&self, offset: u64) -> Option<(usize, u64)> {
        let vcpu = usize::try_from(offset / REDISTRIBUTOR_SIZE).ok()?;
        (vcpu < self.vcpus).then_some((vcpu, offset % REDISTRIBUTOR_SIZE))
    }

    /// `GICR_TYPER`: affinity 0.0.0.`vcpu`, `Processor_Number`, whether it is the last frame.
    fn typer(&self, vcpu: usize) -> u64 {
        let number = vcpu as u64;
        let last = if vcpu + 1 == self.vcpus { LAST } else { 0 };
        number << 32 | number << 8 | last
    }
}

fn sgi_frame_register(offset: u64, size: usize) -> Option<Register> {
    let register = Register::decode(offset.checked_sub(SGI_FRAME)?, size)?;
    (register.bank == 0).then_some(register)
}
