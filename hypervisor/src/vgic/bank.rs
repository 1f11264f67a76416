//! The state of 32 interrupts that the distributor or a redistributor holds, as bitmaps.

/// 32 interrupts with consecutive INTIDs; bit `n` of each map is the `n`th of them.
///
/// The active state is not here: it belongs to the vCPU that acknowledged the interrupt.
#[derive(Clone, Debug)]
pub(super) struct Bank {
    /// Group 1 rather than Group 0.
    pub(super) group: u32,
    pub(super) enabled: u32,
    /// Pending on its own: an edge, an SGI, a write of `ISPENDR`. An acknowledgement clears it.
    pub(super) latch: u32,
    /// The lines of devices, high or low.
    pub(super) line: u32,
    /// Edge-triggered rather than level-sensitive.
    pub(super) edge: u32,
    pub(super) priority: [u8; 32],
}

impl Bank {
    /// SGIs are edge-triggered, PPIs level-sensitive, as on real cores.
    pub(super) const fn private() -> Self {
        Self::new(0x0000_ffff)
    }

    /// SPIs are level-sensitive until the guest says otherwise.
    pub(super) const fn shared() -> Self {
        Self::new(0)
    }

    const fn new(edge: u32) -> Self {
        Self {
            group: u32::MAX,
            enabled: 0,
            latch: 0,
            line: 0,
            edge,
            priority: [0; 32],
        }
    }

    /// Level-sensitive interrupts whose line is high.
    pub(super) const fn asserted(&self) -> u32 {
        self.line & !self.edge
    }

    /// Interrupts that are pending.
    pub(super) const fn pending(&self) -> u32 {
        self.latch | self.asserted()
    }

    /// Moves the line of one interrupt; false if it was so already.
    pub(super) fn set_line(&mut self, bit: u32, high: bool) -> bool {
        if (self.line & bit != 0) == high {
            return false;
        }
        self.line ^= bit;
        true
    }
}
