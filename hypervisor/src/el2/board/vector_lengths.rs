//! The vector lengths that the board's cores have, and those that a VM gets.

use ::core::fmt;

use trapcast_forecast::Scheme;
use trapcast_fpsimd::{SmeConfig, Svcr, VectorLength, VectorLengths};
use trapcast_hypervisor::settings::{VectorSetting, VmSettings};
use trapcast_switch::Class;

use crate::el2::{
    arch::register_file::Vectors,
    board::{console::say, panic::fail},
};
use crate::{mrs, msr};

/// What a core has of SVE and SME.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lengths {
    sve: VectorLengths,
    streaming: VectorLengths,
    /// FEAT_SME_FA64.
    fa64: bool,
    /// FEAT_SME2.
    zt0: bool,
    /// Why no guest may have the SME that is there.
    fault: Option<TooShort>,
}

impl Lengths {
    /// Asks the core that calls it, whose registers `unlock` lets EL2 at. ZCR_EL2 and SMCR_EL2 are left at the longest, SVCR at 0.
    pub fn of(mut unlock: impl FnMut(Class)) -> Self {
        let has_sve = mrs!("id_aa64pfr0_el1") >> 32 & 0xf != 0;
        let sme = mrs!("id_aa64pfr1_el1") >> 24 & 0xf;
        let mut lengths = Self::default();
        if has_sve {
            unlock(Class::Sve);
            // SAFETY: at EL2, on a core with SVE, behind an open gate; the host's registers are loaded
            // after this.
            unsafe {
                msr!("s3_4_c1_c2_0", LONGEST);
                lengths.sve = VectorLengths::of_sve();
            }
        }
        if sme != 0 {
            unlock(Class::Sme);
            let smfr0 = mrs!("s3_0_c0_c4_5");
            lengths.fa64 = smfr0 >> 63 != 0;
            lengths.zt0 = sme >= 2;
            // SAFETY: as above, with SME. Streaming mode may be what firmware has left.
            unsafe {
                Svcr::OFF.write();
                msr!("s3_4_c1_c2_6", LONGEST);
                lengths.streaming = VectorLengths::of_streaming();
            }
            lengths.fault = TooShort::of(lengths.sve, lengths.streaming, sme);
        }
        lengths
    }

    /// Why no guest may have the SME that is there.
    pub const fn fault(&self) -> Option<TooShort> {
        self.fault
    }

    /// What VM `number` gets. Refuses what this core has not, and says if it keeps SME from it.
    pub fn for_vm(&self, number: usize, settings: &VmSettings) -> Vectors {
        let refuse =
            |reason: fmt::Arguments<'_>| -> ! { fail(format_args!("vm{number}: {reason}")) };
        let sve = choose(self.sve, settings.sve).unwrap_or_else(|length| {
            refuse(format_args!("sve={length}: {}", Has("SVE", self.sve)))
        });
        let streaming = choose(self.streaming, settings.sme).unwrap_or_else(|length| {
            refuse(format_args!("sme={length}: {}", Has("SME", self.streaming)))
        });
        let streaming = match (streaming, self.fault) {
            (Some(_), Some(fault)) => {
                say!("vm{number}: sme={} gives it nothing: {fault}", settings.sme);
                None
            }
            (streaming, _) => streaming,
        };
        if sve.is_some() && !settings.fp {
            refuse(format_args!("SVE needs FP/SIMD: leave out fp=off or sve="));
        }
        if streaming.is_some() && sve.is_none() {
            refuse(format_args!(
                "SME is for guests with SVE: add vm{number}.sve=max"
            ));
        }
        // Streaming mode changes what the hypervisor's own instructions do.
        if streaming.is_some() && settings.scheme == Scheme::None {
            refuse(format_args!(
                "the scheme none would leave streaming mode on in the hypervisor: leave out sme="
            ));
        }
        Vectors {
            sve,
            sme: streaming.map(|streaming| SmeConfig {
                streaming,
                sve,
                fa64: self.fa64,
                zt0: self.zt0,
            }),
        }
    }
}

/// SVE's vectors are shorter than the streaming ones, which ends a QEMU that has SME without SME2.
///
/// A change to a shorter streaming length, by SMCR_ELx or by a return to EL1, calls its
/// `aarch64_sve_narrow_vq`, which asserts that the new length is at most SVE's maximum. So a guest could
/// end the machine. QEMU asserts that it is at most the longer of both since it has SME2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooShort {
    sve: usize,
    streaming: usize,
}

impl TooShort {
    /// Judges by ID_AA64PFR1_EL1.`sme`, the lengths, and MIDR_EL1: an emulated core has Implementer 0.
    fn of(sve: VectorLengths, streaming: VectorLengths, sme: u64) -> Option<Self> {
        let emulated = mrs!("midr_el1") >> 24 & 0xff == 0;
        let bits = |lengths: VectorLengths| lengths.max().map_or(0, VectorLength::bits);
        let (sve, streaming) = (bits(sve), bits(streaming));
        (emulated && sme < 2 && sve < streaming).then_some(Self { sve, streaming })
    }
}

impl fmt::Display for TooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this QEMU aborts where the core's streaming vectors ({} bits) are longer than its SVE \
             vectors ({} bits)",
            self.streaming, self.sve
        )
    }
}

/// LEN of ZCR_EL2 and SMCR_EL2 for whatever the core has.
const LONGEST: u64 = 0xf;

/// The length for a setting: none if it is off, the setting again if the core has no such length.
fn choose(
    lengths: VectorLengths,
    setting: VectorSetting,
) -> Result<Option<VectorLength>, VectorSetting> {
    match setting {
        VectorSetting::Off => Ok(None),
        VectorSetting::Max => lengths.max().map(Some).ok_or(setting),
        VectorSetting::Bits(bits) => VectorLength::from_bits(usize::from(bits))
            .filter(|length| lengths.contains(*length))
            .map(Some)
            .ok_or(setting),
    }
}

/// The lengths that a core has, as the end of a sentence that refuses one.
struct Has(&'static str, VectorLengths);

impl fmt::Display for Has {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, lengths) = self;
        if lengths.max().is_none() {
            return write!(
                f,
                "this core has no {name}; one that has is QEMU's -cpu max"
            );
        }
        f.write_str("this core has vectors of")?;
        for length in lengths.iter() {
            write!(f, " {}", length.bits())?;
        }
        f.write_str(" bits")
    }
}
