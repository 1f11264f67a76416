//! FPEXC32_EL2: the FPEXC of AArch32 guests, whose EN bit can hide their accesses from EL2.
//!
//! With FPEXC.EN = 0 an FP/SIMD instruction at EL0 or EL1 in AArch32 state is UNDEFINED at EL1, and so
//! before CPTR_EL2 is looked at (Arm ARM, `AArch32.CheckAdvSIMDOrFPEnabled`). So a closed gate traps
//! such a guest only while EN is set. Behind a closed gate the guest's own accesses to FPEXC trap too:
//! it does not see the register's value, and finds its own once the gate is open.
//!
//! Only for guests with HCR_EL2.RW = 0: FPEXC has no effect on others, and cores without AArch32 at EL1
//! need not have it.

/// FPEXC of a guest (Arm ARM, G8.2 "FPEXC, Floating-Point Exception Control register").
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(transparent)]
pub struct Fpexc(pub u32);

impl Fpexc {
    /// What a vCPU finds after reset: FP/SIMD disabled.
    pub const ZERO: Self = Self(0);
    /// EN alone.
    pub const ENABLED: Self = Self(1 << 30);

    /// Returns whether EN is set.
    #[inline]
    pub const fn is_enabled(self) -> bool {
        self.0 & Self::ENABLED.0 != 0
    }
}

/// The value of FPEXC32_EL2 of one core, so that it is written only where it has to change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FpexcRegister {
    /// What it holds; unknown while a guest runs with its own.
    value: Option<Fpexc>,
}

impl FpexcRegister {
    /// Returns the register of a core of which nothing is known.
    pub const fn new() -> Self {
        Self { value: None }
    }

    /// An AArch32 guest whose FPEXC is `guest` is about to run behind the open or the closed gate.
    /// Returns what has to be written before, while the gate is open for EL2.
    #[inline]
    #[must_use = "FPEXC32_EL2 has to be written"]
    pub fn enter(&mut self, guest: Fpexc, open: bool) -> Option<Fpexc> {
        if open {
            // From now on it is the guest's to change.
            return (self.value.take() != Some(guest)).then_some(guest);
        }
        if self.value.is_some_and(Fpexc::is_enabled) {
            return None;
        }
        self.value = Some(Fpexc::ENABLED);
        self.value
    }

    /// Such a guest came out. Returns whether its FPEXC has to be read, and handed to
    /// [`found`](Self::found), before another guest is entered or the gate is closed.
    #[inline]
    #[must_use = "FPEXC32_EL2 has to be read"]
    pub fn exit(&self) -> bool {
        self.value.is_none()
    }

    /// The register was read.
    #[inline]
    pub fn found(&mut self, value: Fpexc) {
        self.value = Some(value);
    }
}

impl Default for FpexcRegister {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(any(target_arch = "aarch64", doc))]
impl Fpexc {
    /// Reads FPEXC32_EL2.
    ///
    /// # Safety
    /// At EL2 of a core with AArch32 at EL1. The gate is open
    /// ([`Cptr::unlock`](crate::Cptr::unlock)): a closed one traps this too.
    #[inline]
    pub unsafe fn read() -> Self {
        let value: u64;
        // SAFETY: the register is accessible, as the caller vouches; reading it changes nothing.
        unsafe {
            core::arch::asm!(
                "mrs {}, s3_4_c5_c3_0",
                out(reg) value,
                options(nomem, nostack, preserves_flags)
            );
        }
        Self(value as u32)
    }

    /// Writes FPEXC32_EL2. Takes effect at the exception return, which synchronizes.
    ///
    /// # Safety
    /// As for [`read`](Self::read).
    #[inline]
    pub unsafe fn write(self) {
        // SAFETY: the register is accessible, as the caller vouches, and concerns AArch32 state below
        // EL2 alone.
        unsafe {
            core::arch::asm!(
                "msr s3_4_c5_c3_0, {}",
                in(reg) u64::from(self.0),
                options(nostack, preserves_flags)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: Fpexc = Fpexc::ZERO;
    const ON: Fpexc = Fpexc(Fpexc::ENABLED.0 | 1 << 31);

    #[test]
    fn behind_a_closed_gate_it_is_always_enabled() {
        for before in [None, Some(OFF), Some(ON)] {
            for guest in [OFF, ON] {
                let mut register = FpexcRegister { value: before };
                let written = register.enter(guest, false).or(before).unwrap();
                assert!(written.is_enabled(), "{before:?} {guest:?}");
                assert!(!register.exit(), "the guest cannot have changed it");
            }
        }
    }

    #[test]
    fn behind_an_open_gate_it_is_the_guests_own() {
        for before in [None, Some(OFF), Some(ON)] {
            for guest in [OFF, ON] {
                let mut register = FpexcRegister { value: before };
                let value = register.enter(guest, true).or(before);
                assert_eq!(value, Some(guest), "{before:?}");
                assert!(register.exit(), "the guest may have changed it");
            }
        }
    }

    #[test]
    fn it_is_written_only_where_it_changes() {
        let mut register = FpexcRegister::new();
        assert_eq!(register.enter(ON, true), Some(ON));
        register.found(OFF);
        assert_eq!(register.enter(OFF, true), None);
        register.found(OFF);
        // Another guest, which does not own the registers.
        assert_eq!(register.enter(OFF, false), Some(Fpexc::ENABLED));
        assert!(!register.exit());
        assert_eq!(register.enter(ON, false), None);
        // It traps.
        assert_eq!(register.enter(ON, true), Some(ON));
    }
}
