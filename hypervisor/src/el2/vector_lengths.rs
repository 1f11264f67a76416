//! The vector lengths that the board's cores have, and those that a VM gets.

use ::core::fmt;

use trapcast_forecast::Scheme;
use trapcast_fpsimd::{SmeConfig, VectorLength, VectorLengths};
use trapcast_hypervisor::settings::{VectorSetting, VmSettings};
use trapcast_switch::Class;

use super::{core::Core, panic::fail, register_file::Vectors};
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
}

impl Lengths {
    /// Asks the core that calls it. ZCR_EL2 and SMCR_EL2 are left at the longest, SVCR at 0.
    pub fn of(core: &mut Core) -> Self {
        let has_sve = mrs!("id_aa64pfr0_el1") >> 32 & 0xf != 0;
        let sme = mrs!("id_aa64pfr1_el1") >> 24 & 0xf;
        let mut lengths = Self::default();
        if has_sve {
            core.unlock(Class::Sve);
            // SAFETY: at EL2, on a core with SVE, behind an open gate; the host's registers are loaded
            // after this.
            unsafe {
                msr!("s3_4_c1_c2_0", LONGEST);
                lengths.sve = VectorLengths::of_sve();
            }
        }
        if sme != 0 {
            core.unlock(Class::Sme);
            let smfr0 = mrs!("s3_0_c0_c4_5");
            lengths.fa64 = smfr0 >> 63 != 0;
            lengths.zt0 = sme >= 2;
            // SAFETY: as above, with SME.
            unsafe {
                msr!("s3_4_c1_c2_6", LONGEST);
                lengths.streaming = VectorLengths::of_streaming();
            }
        }
        lengths
    }

    /// What VM `number` gets. Refuses what this core has not.
    pub fn for_vm(&self, number: usize, settings: &VmSettings) -> Vectors {
        let refuse =
            |reason: fmt::Arguments<'_>| -> ! { fail(format_args!("vm{number}: {reason}")) };
        let sve = choose(self.sve, settings.sve).unwrap_or_else(|length| {
            refuse(format_args!("sve={length}: {}", Has("SVE", self.sve)))
        });
        let streaming = choose(self.streaming, settings.sme).unwrap_or_else(|length| {
            refuse(format_args!("sme={length}: {}", Has("SME", self.streaming)))
        });
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
