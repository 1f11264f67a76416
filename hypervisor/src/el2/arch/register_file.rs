//! Where one register file is kept, a vCPU's or the host's: the context of the switch, and its moves.

use ::core::ptr::NonNull;

use alloc::{boxed::Box, vec};
use trapcast_forecast::Costs;
use trapcast_fpsimd::{
    FPSIMD_BYTES, FpSimd, Granule, Opening, RegisterFile as Registers, SmeConfig, SmeFile, SveFile,
    VectorLength,
};
use trapcast_switch::{Class, Context, Exchange, Gate};

use crate::{mrs, msr};

/// The address of a register file: the context of the switch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(transparent)]
pub struct Area(pub NonNull<RegisterFile>);

/// The registers of one vCPU or of the host, and what EL1 has to say about their length: it stays in
/// the core, and leaves it, together with the registers whose gate stands before it.
#[derive(Debug)]
#[repr(C)]
pub struct RegisterFile {
    /// First, so that the moves of FP/SIMD alone take the file's own address.
    registers: Registers,
    /// What a load has to bring at least.
    least: Class,
    /// ZCR_EL1 and SMCR_EL1.
    zcr: u64,
    smcr: u64,
    /// Bytes that moves of these registers took beyond an exchange of FP/SIMD alone each; fewer where one half was
    /// left out.
    pub moved_above: i64,
}

/// What a guest has besides FP/SIMD.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Vectors {
    /// The largest vector length of SVE.
    pub sve: Option<VectorLength>,
    /// SME, which is there only with SVE.
    pub sme: Option<SmeConfig>,
}

impl Vectors {
    /// The highest class of registers.
    pub fn most(self) -> Class {
        match self {
            Self { sme: Some(_), .. } => Class::Sme,
            Self { sve: Some(_), .. } => Class::Sve,
            _ => Class::Fp,
        }
    }

    /// What switching the registers up to `class` costs, at their largest, where FP/SIMD alone costs
    /// `fp`.
    pub fn costs(self, class: Class, fp: &Costs) -> Costs {
        let mut bytes = FPSIMD_BYTES;
        if class >= Class::Sve {
            bytes = self.sve.map_or(bytes, VectorLength::sve_bytes);
        }
        if class >= Class::Sme {
            bytes += self.sme.map_or(0, |sme| sme.streaming.za_bytes());
        }
        fp.scaled(bytes as u32, FPSIMD_BYTES as u32)
    }
}

impl Context for Area {
    const NOBODY: Self = Self(NonNull::dangling());

    #[inline]
    fn least(self) -> Class {
        // SAFETY: an area lives as long as the hypervisor; the switch asks only while no core holds
        // the registers, so that nobody writes this.
        unsafe { self.0.as_ref() }.least
    }
}

/// How far the gates are open for a class.
#[inline]
pub const fn opening(class: Class) -> Opening {
    gate_opening(Gate::Open(class))
}

/// How far the gates are open at a gate of the switch. By the bits of its number, so that this is no
/// look-up.
#[inline]
pub const fn gate_opening(gate: Gate) -> Opening {
    let number = gate.number();
    Opening {
        fp: number & 0b001 != 0,
        sve: number & 0b010 != 0,
        sme: number & 0b100 != 0,
    }
}

impl RegisterFile {
    /// Returns a file of FP/SIMD alone that holds `values`.
    pub const fn with_fp(values: FpSimd) -> Self {
        Self::of(Registers::with_fp(values))
    }

    const fn of(registers: Registers) -> Self {
        Self {
            registers,
            least: Class::Fp,
            zcr: 0,
            smcr: 0,
            moved_above: 0,
        }
    }

    /// Returns a file of zeroes for a vCPU that has `vectors`.
    pub fn new(vectors: Vectors) -> Self {
        let memory = |granules| Box::leak(vec![Granule::ZERO; granules].into_boxed_slice());
        const ENOUGH: &str = "as much memory as the file asked for";
        Self::of(match vectors {
            Vectors {
                sme: Some(config), ..
            } => {
                let memory = memory(SmeFile::granules(config));
                let area = SmeFile::new(memory, config).expect(ENOUGH).area();
                // SAFETY: the memory was allocated for this file, which never goes.
                unsafe { Registers::with_sme(area) }
            }
            Vectors {
                sve: Some(length), ..
            } => {
                let memory = memory(SveFile::granules(length));
                let area = SveFile::new(memory, length).expect(ENOUGH).area();
                // SAFETY: as above.
                unsafe { Registers::with_sve(area) }
            }
            _ => Registers::with_fp(FpSimd::ZERO),
        })
    }

    /// Makes all registers what a vCPU finds after reset.
    pub fn reset(&mut self) {
        self.registers.zero();
        (self.least, self.zcr, self.smcr) = (Class::Fp, 0, 0);
    }

    /// Carries out an exchange of more than FP/SIMD, or of more for one owner.
    ///
    /// # Safety
    /// The gates are open for all of it. The areas are the switch's answer, so that nobody else uses
    /// them, and the core has what they have. Neither is nobody's.
    #[cold]
    #[inline(never)]
    pub unsafe fn exchange(save: Area, saved: Class, load: Area, loaded: Class, e2h: bool) {
        // SAFETY: the caller vouches for the areas and the gates.
        unsafe {
            if save == load {
                let file = load.file();
                Registers::widen(registers(load), opening(saved), opening(loaded));
                file.load_lengths(Some(saved), loaded, e2h);
                // V stays where it is.
                file.count(loaded);
            } else {
                Self::save(save, saved, e2h);
                Self::load(load, loaded, e2h);
            }
        }
    }

    /// Carries out the one half of an exchange whose other one is nobody's.
    ///
    /// # Safety
    /// As for [`exchange`](Self::exchange).
    pub unsafe fn exchange_half(exchange: &Exchange<Area>, e2h: bool) {
        // SAFETY: the caller vouches for the area and the gates.
        unsafe {
            if let Some((area, saved)) = exchange.saves() {
                Self::save(area, saved, e2h);
                area.file().moved_above -= FPSIMD_BYTES as i64;
            }
            if let Some((area, loaded)) = exchange.loads() {
                Self::load(area, loaded, e2h);
                area.file().moved_above -= FPSIMD_BYTES as i64;
            }
        }
    }

    /// Loads the core's registers from `area`.
    ///
    /// # Safety
    /// As for [`exchange`](Self::exchange).
    #[inline]
    unsafe fn load(area: Area, class: Class, e2h: bool) {
        // SAFETY: the caller vouches for the area and the gates.
        unsafe {
            if class == Class::Fp {
                FpSimd::load(area.fp());
                return;
            }
            let file = area.file();
            Registers::load(registers(area), opening(class));
            file.load_lengths(None, class, e2h);
            file.count(class);
        }
    }

    /// Saves the core's registers to `area`.
    ///
    /// # Safety
    /// As for [`exchange`](Self::exchange).
    #[inline]
    pub unsafe fn save(area: Area, held: Class, e2h: bool) {
        // SAFETY: the caller vouches for the area and the gates.
        unsafe {
            if held == Class::Fp {
                FpSimd::save(area.fp());
                return;
            }
            let file = area.file();
            file.save_lengths(held, e2h);
            Registers::save(registers(area), opening(held));
            file.least = class(file.registers.least());
            file.count(held);
        }
    }

    fn count(&mut self, moved: Class) {
        if moved > Class::Fp {
            let bytes = self.registers.bytes(opening(moved));
            self.moved_above += bytes.saturating_sub(FPSIMD_BYTES) as i64;
        }
    }

    /// Saves the registers by which EL1 chooses lengths, of the classes that are held.
    ///
    /// # Safety
    /// The gates are open for them; the core has them.
    unsafe fn save_lengths(&mut self, held: Class, e2h: bool) {
        if held >= Class::Sve {
            self.zcr = if e2h {
                mrs!("s3_5_c1_c2_0")
            } else {
                mrs!("s3_0_c1_c2_0")
            };
        }
        if held >= Class::Sme {
            self.smcr = if e2h {
                mrs!("s3_5_c1_c2_6")
            } else {
                mrs!("s3_0_c1_c2_6")
            };
        }
    }

    /// Loads those that were not `held` yet.
    ///
    /// # Safety
    /// As for [`save_lengths`](Self::save_lengths).
    unsafe fn load_lengths(&self, held: Option<Class>, loaded: Class, e2h: bool) {
        let comes = |class| held < Some(class) && loaded >= class;
        // SAFETY: they have no effect at EL2; the vCPU that they belong to is entered next.
        unsafe {
            if comes(Class::Sve) {
                if e2h {
                    msr!("s3_5_c1_c2_0", self.zcr);
                } else {
                    msr!("s3_0_c1_c2_0", self.zcr);
                }
            }
            if comes(Class::Sme) {
                if e2h {
                    msr!("s3_5_c1_c2_6", self.smcr);
                } else {
                    msr!("s3_0_c1_c2_6", self.smcr);
                }
            }
        }
    }
}

impl Area {
    /// Returns the area of a register file that never goes.
    pub fn leak(file: RegisterFile) -> Self {
        Self(NonNull::from(Box::leak(Box::new(file))))
    }

    /// Where V0 to V31, FPSR and FPCR stand in it.
    #[inline]
    pub fn fp(self) -> *mut FpSimd {
        self.0.as_ptr().cast()
    }

    /// The file that is kept here.
    ///
    /// # Safety
    /// Nobody else uses it meanwhile.
    pub unsafe fn file<'a>(self) -> &'a mut RegisterFile {
        // SAFETY: an area lives as long as the hypervisor.
        unsafe { &mut *self.0.as_ptr() }
    }
}

/// The registers stand first in the file.
fn registers(area: Area) -> NonNull<Registers> {
    area.0.cast()
}

/// The class that has just these gates open.
fn class(opening: Opening) -> Class {
    match opening {
        Opening { sme: true, .. } => Class::Sme,
        Opening { sve: true, .. } => Class::Sve,
        _ => Class::Fp,
    }
}
