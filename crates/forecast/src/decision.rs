//! What a scheme is asked, what it answers, and what it is told.

/// What to do about the guest's registers at the start of a window.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Decision {
    /// Leave them out and arm the trap, unless they are in the CPU already.
    Leave,
    /// Load them now and leave the gate open.
    Load,
    /// Load them now and arm the trap nevertheless, to see whether they are used.
    Probe,
}

/// What could be seen of a window when it ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Evidence {
    /// The trap was armed and taken: the guest used the registers.
    Used,
    /// The trap was armed throughout and not taken: the guest did not use them.
    Unused,
    /// The gate was open: use is unknown.
    Blind,
}

/// What is free to read when a guest is about to be entered.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Resume {
    /// Where it resumes: ELR_EL2.
    pub pc: u64,
    /// An interrupt is pending for the guest, and nothing is to delay it: the registers are left out.
    pub pending: bool,
}
