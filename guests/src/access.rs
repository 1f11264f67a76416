//! Accesses to the FP/SIMD, SVE and SME registers, and what becomes of each under a setting of
//! `CPACR_EL1`, in and out of streaming mode, at EL0 and at EL1.
//!
//! Source: Arm ARM (DDI 0487), shared pseudocode: `AArch64.CheckFPEnabled`,
//! `AArch64.CheckFPAdvSIMDEnabled`, `CheckSVEEnabled`, `CheckOriginalSVEEnabled`,
//! `CheckNonStreamingSVEEnabled`, `CheckSMEEnabled`, `CheckSMEAndZAEnabled`,
//! `CheckStreamingSVEAndZAEnabled`; the accessibility of FPCR, SVCR, `ZCR_EL1` and `SMCR_EL1`; "ESR_EL1".

use crate::classes::RegisterSet;
use crate::rng::SplitMix64;

/// A two-bit field of `CPACR_EL1`: FPEN, ZEN or SMEN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Enable(u8);

impl Enable {
    /// 0b11: nothing traps.
    pub const OPEN: Self = Self(0b11);

    /// Whether it traps an access at this Exception level.
    const fn traps(self, el: Level) -> bool {
        match self.0 {
            0b11 => false,
            0b01 => matches!(el, Level::El0),
            _ => true,
        }
    }
}

/// The fields of `CPACR_EL1` that concern registers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cpacr {
    /// For FP/SIMD.
    pub fpen: Enable,
    /// For SVE outside streaming mode.
    pub zen: Enable,
    /// For SME, and SVE in streaming mode.
    pub smen: Enable,
}

impl Cpacr {
    /// Nothing traps.
    pub const OPEN: Self = Self {
        fpen: Enable::OPEN,
        zen: Enable::OPEN,
        smen: Enable::OPEN,
    };

    /// The register's value.
    #[must_use]
    pub const fn bits(self) -> u64 {
        let Self { fpen, zen, smen } = self;
        (fpen.0 as u64) << 20 | (zen.0 as u64) << 16 | (smen.0 as u64) << 24
    }
}

/// An Exception level of the guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// EL0.
    El0,
    /// EL1.
    El1,
}

/// What an access finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Setting {
    /// `CPACR_EL1`.
    pub cpacr: Cpacr,
    /// SVCR.SM.
    pub streaming: bool,
    /// SVCR.ZA.
    pub za: bool,
    /// In streaming mode all instructions are legal: FEAT_SME_FA64, and `SMCR_EL1.FA64`.
    pub fa64: bool,
    /// Where it is made.
    pub el: Level,
}

impl Setting {
    /// Whether the vector registers keep what lies above 128 bits of Z and 16 of P: SVE in this mode traps
    /// neither at EL1 nor where the access is made. Where it does, the vector length counts as 128 bits
    /// (Arm ARM, "ZCR_EL1", "SMCR_EL1").
    #[must_use]
    pub const fn keeps_vectors(self) -> bool {
        let Cpacr { fpen, zen, smen } = self.cpacr;
        let sve = if self.streaming { smen } else { zen };
        !sve.traps(Level::El1)
            && !sve.traps(self.el)
            && !fpen.traps(Level::El1)
            && !fpen.traps(self.el)
    }
}

/// One instruction, or one with its store: none changes a register of these classes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// STR of a Q register, which is legal in streaming mode.
    StoreQ,
    /// ST1 of a V register, which is not without FA64.
    StoreV,
    /// MRS of FPCR.
    Fpcr,
    /// STR of a Z register.
    StoreZ,
    /// STR of a P register.
    StoreP,
    /// RDVL.
    Rdvl,
    /// RDFFR, which is not legal in streaming mode without FA64.
    Rdffr,
    /// MRS of `ZCR_EL1`.
    Zcr,
    /// RDSVL.
    Rdsvl,
    /// MRS of SVCR.
    Svcr,
    /// STR of a row of ZA.
    StoreZa,
    /// ST1B of a slice of a tile, in streaming mode only.
    StoreTile,
    /// MRS of `SMCR_EL1`.
    Smcr,
}

impl Access {
    /// Every one, in the order in which the assembly has them: those of FP/SIMD, of SVE, of SME.
    pub const ALL: [Self; 13] = [
        Self::StoreQ,
        Self::StoreV,
        Self::Fpcr,
        Self::StoreZ,
        Self::StoreP,
        Self::Rdvl,
        Self::Rdffr,
        Self::Zcr,
        Self::Rdsvl,
        Self::Svcr,
        Self::StoreZa,
        Self::StoreTile,
        Self::Smcr,
    ];

    /// Those that a guest with these registers can make.
    #[must_use]
    pub fn of(registers: RegisterSet) -> &'static [Self] {
        match registers {
            RegisterSet::Fp => &Self::ALL[..3],
            RegisterSet::Sve => &Self::ALL[..8],
            RegisterSet::Sme => &Self::ALL,
        }
    }

    /// Whether it is of a System register that EL0 cannot name.
    const fn is_of_el1(self) -> bool {
        matches!(self, Self::Zcr | Self::Smcr)
    }

    /// Whether SMEN decides about it, and not ZEN.
    const fn is_checked_as_sme(self, streaming: bool) -> bool {
        match self {
            Self::StoreQ | Self::StoreV | Self::Fpcr | Self::Zcr => false,
            Self::StoreZ | Self::StoreP | Self::Rdvl | Self::Rdffr => streaming,
            Self::Rdsvl | Self::Svcr | Self::StoreZa | Self::StoreTile | Self::Smcr => true,
        }
    }

    /// What it comes to.
    #[must_use]
    pub const fn outcome(self, setting: Setting) -> Outcome {
        let Setting {
            cpacr,
            streaming,
            za,
            fa64,
            el,
        } = setting;
        if self.is_of_el1() && matches!(el, Level::El0) {
            return Outcome::UNDEFINED;
        }
        let is_fp = matches!(self, Self::StoreQ | Self::StoreV | Self::Fpcr);
        if self.is_checked_as_sme(streaming) {
            if cpacr.smen.traps(el) {
                return Outcome::sme(SmeException::Access);
            }
        } else if !is_fp && cpacr.zen.traps(el) {
            return Outcome::SVE;
        }
        let is_system_register = matches!(self, Self::Zcr | Self::Svcr | Self::Smcr);
        if !is_system_register && cpacr.fpen.traps(el) {
            return Outcome::FP;
        }
        match self {
            Self::StoreV | Self::Rdffr if streaming && !fa64 => {
                Outcome::sme(SmeException::Streaming)
            }
            Self::StoreTile if !streaming => Outcome::sme(SmeException::NotStreaming),
            Self::StoreTile | Self::StoreZa if !za => Outcome::sme(SmeException::InactiveZa),
            _ => Outcome::Works,
        }
    }
}

/// What becomes of an access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is executed.
    Works,
    /// An exception to EL1, by `ESR_EL1` with its EC and ISS, and 0 in IL: QEMU 7.2 leaves IL out of the
    /// syndrome of an SVE access.
    Exception(u64),
}

/// ISS.SMTC of the exceptions of SME.
#[derive(Clone, Copy, Debug)]
enum SmeException {
    Access = 0b000,
    Streaming = 0b001,
    NotStreaming = 0b010,
    InactiveZa = 0b011,
}

impl Outcome {
    const UNDEFINED: Self = Self::exception(0x00, 0);
    /// With CV, and 0b1110 in COND.
    const FP: Self = Self::exception(0x07, 0x1e << 20);
    const SVE: Self = Self::exception(0x19, 0);

    const fn exception(class: u64, iss: u64) -> Self {
        Self::Exception(class << 26 | iss)
    }

    const fn sme(exception: SmeException) -> Self {
        Self::exception(0x1d, exception as u64)
    }

    /// What `ESR_EL1` holds after code that ends by an SVC, but for IL and the ISS of that SVC.
    #[must_use]
    pub const fn syndrome(self) -> u64 {
        match self {
            Self::Works => SVC << 26,
            Self::Exception(syndrome) => syndrome,
        }
    }

    /// What came of such code, by the `ESR_EL1` that it left.
    #[must_use]
    pub const fn of(esr: u64) -> Self {
        const IL: u64 = 1 << 25;
        let esr = esr & 0xffff_ffff & !IL;
        if esr >> 26 == SVC {
            Self::Works
        } else {
            Self::Exception(esr)
        }
    }
}

/// The EC of an SVC.
const SVC: u64 = 0x15;

/// What comes between the setting and the access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Before {
    /// Nothing: the registers stay where they are.
    Nothing,
    /// A hypercall.
    Call,
    /// A WFI.
    Wait,
    /// The first access to a page of memory, which the hypervisor fills.
    Page,
    /// A read of an emulated device, at the access's own Exception level.
    Device,
}

impl Before {
    const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Call,
        Self::Wait,
        Self::Page,
        Self::Device,
    ];
}

/// Everything that one window does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// What is accessed.
    pub access: Access,
    /// What it finds.
    pub setting: Setting,
    /// What comes before it.
    pub before: Before,
    /// The vector lengths to ask for, outside streaming mode and in it, in granules.
    pub lengths: [usize; 2],
}

/// The windows of a guest, without end: settings and accesses one after the other until all have come
/// up, in an order that looks random, and then anew; the rest by chance.
#[derive(Clone, Debug)]
pub struct Windows {
    registers: RegisterSet,
    has_fa64: bool,
    next: u64,
    random: SplitMix64,
}

impl Windows {
    /// The windows of a guest that has these registers.
    #[must_use]
    pub const fn new(registers: RegisterSet, has_fa64: bool, seed: u64) -> Self {
        Self {
            registers,
            has_fa64,
            next: seed % Self::STEP,
            random: SplitMix64::stream(seed, 0),
        }
    }

    /// A prime that divides no number of combinations: a walk with this step visits all of them.
    const STEP: u64 = 7_919;

    /// How many settings and accesses there are.
    #[must_use]
    pub fn combinations(&self) -> u64 {
        let svcr = if self.registers == RegisterSet::Sme {
            4
        } else {
            1
        };
        Access::of(self.registers).len() as u64 * svcr * 2 * 64
    }

    /// The next window.
    pub fn take(&mut self) -> Window {
        let mut number = self.next % self.combinations();
        self.next = number + Self::STEP;
        let mut digit = |base: u64| {
            let digit = number % base;
            number /= base;
            digit
        };
        let accesses = Access::of(self.registers);
        let access = accesses[digit(accesses.len() as u64) as usize];
        let el = if digit(2) == 0 {
            Level::El0
        } else {
            Level::El1
        };
        let mut enable = || Enable(digit(4) as u8);
        let mut cpacr = Cpacr {
            fpen: enable(),
            zen: enable(),
            smen: enable(),
        };
        let svcr = digit(4);
        let (mut streaming, za) = (svcr & 1 != 0, svcr & 2 != 0);
        let mut fa64 = self.random.below(2) == 1 && self.has_fa64;
        // What some QEMU does otherwise than the architecture says is left out: 7.2 and 10.0 check ZCR_EL1
        // as an SVE instruction, 10.0 looks at FPEN before SMEN and lets RDFFR through in streaming mode.
        match access {
            Access::Zcr => (streaming, cpacr.fpen) = (false, Enable::OPEN),
            _ if access.is_checked_as_sme(streaming) => cpacr.fpen = Enable::OPEN,
            _ => {}
        }
        if access == Access::Rdffr {
            fa64 = self.has_fa64;
            streaming &= fa64;
        }
        let before = Before::ALL[self.random.below(Before::ALL.len() as u64) as usize];
        let mut granules = || 1 + self.random.below(16) as usize;
        Window {
            access,
            setting: Setting {
                cpacr,
                streaming,
                za,
                fa64,
                el,
            },
            before,
            lengths: [granules(), granules()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::format;

    const IN_STREAMING_MODE: Setting = Setting {
        cpacr: Cpacr {
            fpen: Enable::OPEN,
            zen: Enable(0b00),
            smen: Enable::OPEN,
        },
        streaming: true,
        za: false,
        fa64: false,
        el: Level::El0,
    };

    #[test]
    fn streaming_mode_decides_which_field_counts() {
        let sve = [Access::StoreZ, Access::StoreP, Access::Rdvl];
        for access in sve {
            assert_eq!(access.outcome(IN_STREAMING_MODE), Outcome::Works);
            let outside = Setting {
                streaming: false,
                ..IN_STREAMING_MODE
            };
            assert_eq!(access.outcome(outside), Outcome::SVE);
        }
        let without_smen = Setting {
            cpacr: Cpacr {
                smen: Enable(0b01),
                ..Cpacr::OPEN
            },
            ..IN_STREAMING_MODE
        };
        for access in sve {
            let trapped = Outcome::sme(SmeException::Access);
            assert_eq!(access.outcome(without_smen), trapped);
            let at_el1 = Setting {
                el: Level::El1,
                ..without_smen
            };
            assert_eq!(access.outcome(at_el1), Outcome::Works);
        }
    }

    #[test]
    fn what_the_mode_forbids_comes_after_what_traps() {
        let outcome = |access: Access, setting| match access.outcome(setting) {
            Outcome::Exception(esr) => esr,
            Outcome::Works => 0,
        };
        let closed = Setting {
            cpacr: Cpacr {
                fpen: Enable(0b10),
                zen: Enable(0b10),
                smen: Enable(0b10),
            },
            ..IN_STREAMING_MODE
        };
        assert_eq!(outcome(Access::StoreV, closed), 0x07 << 26 | 0x1e0_0000);
        assert_eq!(outcome(Access::Rdffr, closed), 0x1d << 26);
        assert_eq!(outcome(Access::StoreV, IN_STREAMING_MODE), 0x1d << 26 | 1);
        assert_eq!(outcome(Access::Rdffr, IN_STREAMING_MODE), 0x1d << 26 | 1);
        assert_eq!(outcome(Access::StoreZa, IN_STREAMING_MODE), 0x1d << 26 | 3);
        let with_za = Setting {
            za: true,
            streaming: false,
            ..IN_STREAMING_MODE
        };
        assert_eq!(outcome(Access::StoreTile, with_za), 0x1d << 26 | 2);
        assert_eq!(outcome(Access::StoreZa, with_za), 0);
    }

    #[test]
    fn the_mode_decides_which_field_keeps_the_vectors() {
        assert!(IN_STREAMING_MODE.keeps_vectors());
        let outside = Setting {
            streaming: false,
            ..IN_STREAMING_MODE
        };
        assert!(!outside.keeps_vectors());
        let el0_traps = |cpacr| Setting {
            cpacr,
            ..IN_STREAMING_MODE
        };
        let smen = Cpacr {
            smen: Enable(0b01),
            ..Cpacr::OPEN
        };
        assert!(!el0_traps(smen).keeps_vectors());
        let zen = Cpacr {
            zen: Enable(0b01),
            ..Cpacr::OPEN
        };
        assert!(el0_traps(zen).keeps_vectors());
    }

    #[test]
    fn fields_stand_where_the_arm_arm_has_them() {
        assert_eq!(Cpacr::OPEN.bits(), 0x333_0000);
        let el0_traps = Cpacr {
            fpen: Enable(1),
            zen: Enable(2),
            smen: Enable(0),
        };
        assert_eq!(el0_traps.bits(), 0x12_0000);
        assert_eq!(Outcome::of(0x5600_0000), Outcome::Works);
        assert_eq!(Outcome::of(0x6600_0000), Outcome::SVE);
        assert_eq!(Outcome::of(0x1_6400_0000), Outcome::SVE);
        for outcome in [Outcome::Works, Outcome::UNDEFINED, Outcome::FP] {
            assert_eq!(Outcome::of(outcome.syndrome()), outcome);
        }
    }

    #[test]
    fn every_combination_comes_up() {
        for registers in [RegisterSet::Fp, RegisterSet::Sve, RegisterSet::Sme] {
            for seed in [0, 1, 12_345] {
                let mut windows = Windows::new(registers, true, seed);
                let combinations = windows.combinations();
                let mut numbers = HashSet::new();
                let mut seen = HashSet::new();
                for _ in 0..combinations {
                    numbers.insert(windows.next % combinations);
                    let Window {
                        setting, access, ..
                    } = windows.take();
                    let Setting {
                        cpacr,
                        streaming,
                        za,
                        el,
                        ..
                    } = setting;
                    seen.insert(format!("{access:?} {} {streaming}{za}{el:?}", cpacr.bits()));
                }
                assert_eq!(numbers.len() as u64, combinations);
                // Those whose FPEN is kept open come up four times.
                assert!(seen.len() as u64 > combinations / 4);
            }
        }
    }
}
