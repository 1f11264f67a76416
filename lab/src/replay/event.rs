//! One window as a replay sees it.

/// A window from an entry into a guest to its exit, and what followed it: who ran, whether it used
/// the registers, and what happened before the core's next window.
///
/// In this order: the vCPU was turned on if [`POWERED_ON`](Self::POWERED_ON) says so, it was entered,
/// it used the registers or not, it exited, the hypervisor used the registers itself if
/// [`HOST`](Self::HOST) says so, the vCPU was put if [`PUT`](Self::PUT) says so.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Event(u32);

impl Event {
    /// The window used the FP/SIMD registers.
    pub const USED: u8 = 1 << 0;
    /// The vCPU was put after it.
    pub const PUT: u8 = 1 << 1;
    /// The hypervisor used the registers itself after it.
    pub const HOST: u8 = 1 << 2;
    /// The vCPU was turned on before it: its registers began as zeroes.
    pub const POWERED_ON: u8 = 1 << 3;

    /// Returns the window of a vCPU, by its number over all VMs, on a core.
    pub const fn new(vcpu: u16, core: u8, flags: u8) -> Self {
        Self((vcpu as u32) << 16 | (core as u32) << 8 | flags as u32)
    }

    /// Returns the number of the vCPU over all VMs.
    pub const fn vcpu(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Returns the number of the core.
    pub const fn core(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Returns the flags.
    pub const fn flags(self) -> u8 {
        self.0 as u8
    }
}
