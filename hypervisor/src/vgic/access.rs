//! A guest's accesses to the frames, and which of them wait for vCPUs that are in their guests.
//!
//! At once, with a kick: enabling an interrupt or a group, making one pending, its priority, its group,
//! its trigger. The architecture lets these take effect in finite time, without a sign.
//!
//! Only once the vCPU that has the interrupt in live list registers has exited: reading or clearing its pending
//! state, its active state, routing it elsewhere (these take effect at once), disabling it or a group
//! (`GICD_CTLR.RWP` and `GICR_CTLR.RWP`, which always read as zero here, say when that is done). Making
//! one active waits for the vCPU that might deactivate it, as its list register has to be there then.

use super::{BANKS, Effects, VcpuSet, Vgic};

/// One of the two ranges of a guest's memory in which it finds its interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// `GICD_*`.
    Distributor,
    /// `GICR_*` of all vCPUs, one after the other, each of
    /// [`REDISTRIBUTOR_SIZE`](super::REDISTRIBUTOR_SIZE).
    Redistributors,
}

/// Which vCPUs have to exit before an access, among those whose interrupts it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacles {
    Nobody,
    /// Those that have one of these interrupts in a list register or active.
    Holders(VcpuSet, [u32; BANKS]),
    All(VcpuSet),
}

impl Vgic {
    /// A read of `size` bytes at `offset` into `frame` by `vcpu`, which is out of its guest.
    ///
    /// What does not exist reads as zero, whatever the offset and the size.
    ///
    /// # Errors
    /// The vCPUs that have to exit first. EL2 releases the lock, interrupts the
    /// cores that they are loaded on, and makes the same call again until it succeeds. Meanwhile
    /// [`Vgic::flush`] refuses to let those enter that have exited.
    #[inline(always)]
    pub fn read(
        &mut self,
        vcpu: usize,
        frame: Frame,
        offset: u64,
        size: usize,
    ) -> Result<u64, VcpuSet> {
        self.wait_for_exits(vcpu, frame, offset, size, None)?;
        Ok(match frame {
            Frame::Distributor => self.distributor_read(offset, size),
            Frame::Redistributors => self.redistributor_read(offset, size),
        })
    }

    /// A write of `size` bytes at `offset` into `frame` by `vcpu`, which is out of its guest.
    ///
    /// What does not exist is left alone, whatever the offset, the size and the value.
    ///
    /// # Errors
    /// As for [`Vgic::read`]. Nothing has been written.
    #[inline(never)]
    pub fn write(
        &mut self,
        vcpu: usize,
        frame: Frame,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<Effects, VcpuSet> {
        self.wait_for_exits(vcpu, frame, offset, size, Some(value))?;
        Ok(match frame {
            Frame::Distributor => self.distributor_write(offset, size, value),
            Frame::Redistributors => self.redistributor_write(offset, size, value),
        })
    }

    /// Waits for the vCPUs that have to exit. A VM of one vCPU has none.
    #[inline(always)]
    fn wait_for_exits(
        &mut self,
        vcpu: usize,
        frame: Frame,
        offset: u64,
        size: usize,
        write: Option<u64>,
    ) -> Result<(), VcpuSet> {
        if self.vcpus == 1 {
            return Ok(());
        }
        self.wait_for_others(vcpu, frame, offset, size, write)
    }

    #[inline(never)]
    fn wait_for_others(
        &mut self,
        vcpu: usize,
        frame: Frame,
        offset: u64,
        size: usize,
        write: Option<u64>,
    ) -> Result<(), VcpuSet> {
        let obstacles = match frame {
            Frame::Distributor => self.distributor_obstacles(offset, size, write),
            Frame::Redistributors => self.redistributor_obstacles(offset, size, write),
        };
        let obstacles = match obstacles {
            Obstacles::Nobody => VcpuSet::EMPTY,
            Obstacles::All(set) => self.live(set, vcpu),
            Obstacles::Holders(set, maps) => self
                .live(set, vcpu)
                .filter(|&v| (0..BANKS).any(|b| self.holds(v, b) & maps[b] != 0))
                .collect(),
        };
        self.wait_for(vcpu, obstacles)
    }
}
