//! The FP/SIMD register file in memory.

/// V0 to V31, FPSR and FPCR (Arm ARM, B1.2 "Registers in AArch64 Execution state").
///
/// All zero is what a vCPU finds at its first use.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[repr(C, align(16))]
pub struct FpSimd {
    /// Floating-point Status Register.
    pub fpsr: u64,
    /// Floating-point Control Register.
    pub fpcr: u64,
    /// The SIMD and floating-point registers, 128 bits each. They are last, where a pair of Q
    /// registers can be reached by one immediate offset and a pair of X registers could not.
    pub v: [u128; 32],
}

impl FpSimd {
    /// A register file of zeroes.
    pub const ZERO: Self = Self {
        fpsr: 0,
        fpcr: 0,
        v: [0; 32],
    };
}

const _: () = {
    assert!(size_of::<FpSimd>() == 528);
    assert!(core::mem::offset_of!(FpSimd, fpsr) == 0);
    assert!(core::mem::offset_of!(FpSimd, fpcr) == 8);
    assert!(core::mem::offset_of!(FpSimd, v) == 16);
};
