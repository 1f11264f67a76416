//! What the state machine has to know of the place where a register file is kept.

use crate::Class;

/// A place in memory that holds one register file: a pointer, an index, whatever the hypervisor has.
pub trait Context: Copy + Eq {
    /// No place. It stands for the owner of a core whose registers are of use to nobody: what was in them has been
    /// saved, and nothing was loaded since. Nothing is saved to it or loaded from it. It comes up only under a
    /// scheme that releases the registers so ([`Release::Drop`](trapcast_forecast::Release::Drop)).
    const NOBODY: Self;

    /// The least class up to which the registers that are kept here have to be loaded, if any of them
    /// are. Asked for only while no core holds them.
    ///
    /// V registers alone may be loaded only if the guest's Z registers hold nothing above
    /// them: behind the closed gate of SVE a write to V would have to zero the rest, and what is there
    /// may be lost (Arm ARM, DDI 0487, B1.4, rules YRPDH and KXKNK).
    ///
    /// [`Sme`](Class::Sme) says that the guest is in streaming mode: all of them are the streaming ones,
    /// and it is not entered without them.
    #[inline]
    fn least(self) -> Class {
        Class::Fp
    }
}

macro_rules! fp_alone {
    ($($index:ty)*) => {
        $(
            /// A register file of FP/SIMD alone.
            impl Context for $index {
                const NOBODY: Self = Self::MAX;
            }
        )*
    };
}

fp_alone!(u8 u16 u32 u64 usize);

/// A register file of FP/SIMD alone, or the host's.
impl Context for Option<u16> {
    const NOBODY: Self = Some(u16::MAX);
}
