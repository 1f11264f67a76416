//! One window as a replay sees it.

/// A window from an entry into a guest to its exit, and what followed it: who ran, whether it used
/// the registers, and what happened before the core's next window.
///
/// In this order: the vCPU was turned on if [`POWERED_ON`](Self::POWERED_ON) says so, it was entered,
/// it used the registers or not, it exited, the hypervisor used the registers itself if
/// [`HOST`](Self::HOST) says so, the vCPU was put if [`PUT`](Self::PUT) says so.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Event {
    /// Where the guest resumed: ELR_EL2. Zero if the record does not say.
    pub pc: u64,
    /// Number of the vCPU over all VMs.
    pub vcpu: u16,
    /// Number of the core.
    pub core: u8,
    /// What happened: [`USED`](Self::USED) and so on.
    pub flags: u8,
}

impl Event {
    /// The window used the FP/SIMD registers.
    pub const USED: u8 = 1 << 0;
    /// The vCPU was put after it.
    pub const PUT: u8 = 1 << 1;
    /// The hypervisor used the registers itself after it.
    pub const HOST: u8 = 1 << 2;
    /// The vCPU was turned on before it: its registers began as zeroes.
    pub const POWERED_ON: u8 = 1 << 3;
    /// An interrupt was pending for the guest at the entry.
    pub const PENDING: u8 = 1 << 4;

    /// It is not known whether the window used the registers; [`USED`](Self::USED) is not set then.
    pub const UNSEEN: u8 = 1 << 5;

    /// Returns the window of a vCPU on a core, of which is not known where it resumed.
    #[inline]
    pub const fn new(vcpu: u16, core: u8, flags: u8) -> Self {
        Self {
            pc: 0,
            vcpu,
            core,
            flags,
        }
    }

    /// Whether all of these flags are set.
    #[inline]
    pub const fn has(self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}
