//! The register file of one vCPU of any kind, moved as far as it is needed: FP/SIMD alone, with SVE, with
//! SME.

#[cfg(any(target_arch = "aarch64", doc))]
use core::ptr::NonNull;

use crate::{FPSIMD_BYTES, FpSimd, Opening, SmeArea, Svcr, SveArea};

/// The registers of one vCPU, or of the host, in memory.
///
/// What of them is in the core is told by an [`Opening`]: [`FP`](Opening::FP), [`SVE`](Opening::SVE) or
/// [`ALL`](Opening::ALL), no more than [`most`](Self::most). A load brings no less than
/// [`least`](Self::least).
///
/// Above what it loads, the core may still hold another's: P, FFR and the upper bits of Z, longer vectors,
/// ZA. A guest cannot read them while the gates are open no further than the load went and ZCR_EL2 is as it
/// left it.
///
/// V0 to V31 are kept in one of two places: as V registers where Z holds nothing above 128 bits, else
/// in the SVE or SME file, which always has P, FFR, ZA and ZT0.
#[derive(Debug)]
#[repr(C)]
pub struct RegisterFile {
    /// First, so that the moves of FP/SIMD alone take the file's own address.
    fp: FpSimd,
    above: Above,
    /// The vectors are in the file above, not in `fp`.
    wide: bool,
}

/// Where the registers above FP/SIMD are kept.
#[derive(Clone, Copy, Debug)]
enum Above {
    Nothing,
    Sve(SveArea),
    Sme(SmeArea),
}

// SAFETY: the areas are addresses of memory that is this file's alone, which its maker vouched for.
unsafe impl Send for RegisterFile {}

impl RegisterFile {
    /// Returns a file of FP/SIMD alone, with these values.
    pub const fn with_fp(fp: FpSimd) -> Self {
        Self {
            fp,
            above: Above::Nothing,
            wide: false,
        }
    }

    /// Returns a file with SVE whose vectors of more than 128 bits and predicates are kept in `area`,
    /// which is of zeroes.
    ///
    /// # Safety
    /// The memory of the area is this file's alone.
    pub const unsafe fn with_sve(area: SveArea) -> Self {
        Self {
            fp: FpSimd::ZERO,
            above: Above::Sve(area),
            wide: false,
        }
    }

    /// Returns a file with SME and SVE that are kept in `area`, which is of zeroes.
    ///
    /// # Safety
    /// The memory of the area is this file's alone; its configuration has SVE.
    pub const unsafe fn with_sme(area: SmeArea) -> Self {
        Self {
            fp: FpSimd::ZERO,
            above: Above::Sme(area),
            wide: false,
        }
    }

    /// What the guest has: the most that may be loaded, or open for it.
    #[inline]
    pub const fn most(&self) -> Opening {
        match self.above {
            Above::Nothing => Opening::FP,
            Above::Sve(_) => Opening::SVE,
            Above::Sme(_) => Opening::ALL,
        }
    }

    /// The least that a load has to bring, as the registers in memory are.
    #[inline]
    pub fn least(&self) -> Opening {
        match self.above {
            Above::Nothing => Opening::FP,
            // SAFETY: the area is this file's.
            Above::Sme(area) if unsafe { area.file() }.svcr().streaming() => Opening::ALL,
            _ if self.wide => Opening::SVE,
            _ => Opening::FP,
        }
    }

    /// Makes all registers zero, as a fresh vCPU finds them.
    pub fn zero(&mut self) {
        self.fp = FpSimd::ZERO;
        self.wide = false;
        match self.above {
            Above::Nothing => {}
            // SAFETY: the area is this file's, here and below.
            Above::Sve(area) => unsafe { area.file() }.zero(),
            Above::Sme(area) => {
                // SAFETY: as above.
                let mut file = unsafe { area.file() };
                file.set_svcr(Svcr::OFF);
                file.vectors().zero();
            }
        }
    }

    /// Bytes that a save so far has just moved, or that a load so far will.
    pub fn bytes(&self, opening: Opening) -> usize {
        const STATUS: usize = 8;
        let mut matrix = 0;
        if let Some(area) = self.sme(opening) {
            // SAFETY: the area is this file's.
            let mut file = unsafe { area.file() };
            matrix = file.za().map_or(0, <[u8]>::len) + file.zt0().map_or(0, <[u8]>::len);
            if file.svcr().streaming() {
                return STATUS + file.vectors().vector_length().sve_bytes() + matrix;
            }
        }
        let vectors = match self.vectors() {
            Some(area) if opening.sve => {
                // SAFETY: the area is this file's.
                let length = unsafe { area.file() }.vector_length();
                if self.wide {
                    STATUS + length.sve_bytes()
                } else {
                    FPSIMD_BYTES + length.sve_bytes() - 32 * length.bytes()
                }
            }
            _ => FPSIMD_BYTES,
        };
        vectors + matrix
    }

    /// The area with SME's registers, if they are among those of `opening`.
    fn sme(&self, opening: Opening) -> Option<SmeArea> {
        match self.above {
            Above::Sme(area) if opening.sme => Some(area),
            _ => None,
        }
    }

    /// Where the vectors outside streaming mode and the predicates are kept.
    fn vectors(&self) -> Option<SveArea> {
        match self.above {
            Above::Nothing => None,
            Above::Sve(area) => Some(area),
            // SAFETY: the area is this file's.
            Above::Sme(area) => Some(unsafe { area.file() }.vectors().area()),
        }
    }
}

#[cfg(any(target_arch = "aarch64", doc))]
impl RegisterFile {
    /// Saves the CPU's registers here, which it holds as far as `held` says. SVCR is 0 then.
    ///
    /// # Safety
    /// `this` is a file that is the caller's alone. The code is built for a soft-float target. The
    /// gates are open as far as `held` says, no further than [`most`](Self::most), and the core has
    /// the file's vector lengths. The registers are this file's since a load that went as far.
    pub unsafe fn save(this: NonNull<Self>, held: Opening) {
        // SAFETY: the caller vouches for all of it.
        unsafe {
            let file = &mut *this.as_ptr();
            let Some(area) = file.sme(held) else {
                return file.save_vectors(held);
            };
            let svcr = area.save_matrix();
            if svcr.streaming() {
                area.save_streaming();
            } else {
                file.save_vectors(held);
            }
            if svcr != Svcr::OFF {
                Svcr::OFF.write();
            }
        }
    }

    /// Loads the CPU's registers from here as far as `opening` says. ZCR_EL2 and SMCR_EL2 are left at
    /// the file's vector lengths where SVE and SME are loaded.
    ///
    /// # Safety
    /// As for [`save`](Self::save). `opening` is no less than [`least`](Self::least). What the
    /// registers held is lost. SVCR is 0.
    pub unsafe fn load(this: NonNull<Self>, opening: Opening) {
        // SAFETY: the caller vouches for all of it.
        unsafe {
            let file = this.as_ref();
            let Some(area) = file.sme(opening) else {
                return file.load_vectors(opening);
            };
            if area.load_svcr().streaming() {
                area.load_streaming();
            } else {
                file.load_vectors(opening);
            }
            area.load_matrix();
        }
    }

    /// Loads what the CPU, which holds this file's registers as far as `held` says, does not hold of
    /// `opening` yet.
    ///
    /// # Safety
    /// As for [`save`](Self::save) and [`load`](Self::load).
    pub unsafe fn widen(this: NonNull<Self>, held: Opening, opening: Opening) {
        // SAFETY: the caller vouches for all of it. In streaming mode the CPU holds everything, so SVCR
        // changes ZA alone here.
        unsafe {
            let file = this.as_ref();
            let vectors = file.vectors().filter(|_| opening.sve && !held.sve);
            if let Some(vectors) = vectors {
                vectors.widen();
            }
            let matrix = file.sme(opening).filter(|_| !held.sme);
            if let Some(area) = matrix {
                area.load_svcr();
                area.load_matrix();
            }
        }
    }

    /// Saves the registers outside streaming mode.
    ///
    /// # Safety
    /// As for [`save`](Self::save).
    unsafe fn save_vectors(&mut self, held: Opening) {
        let fp = &raw mut self.fp;
        // SAFETY: the caller vouches for all of it.
        unsafe {
            match self.vectors() {
                Some(vectors) if held.sve => self.wide = vectors.save_narrow(fp),
                _ => FpSimd::save(fp),
            }
        }
    }

    /// Loads the registers outside streaming mode.
    ///
    /// # Safety
    /// As for [`load`](Self::load).
    unsafe fn load_vectors(&self, opening: Opening) {
        // SAFETY: the caller vouches for all of it.
        unsafe {
            match self.vectors() {
                Some(vectors) if opening.sve && self.wide => vectors.load(),
                Some(vectors) if opening.sve => {
                    FpSimd::load(&raw const self.fp);
                    vectors.widen();
                }
                _ => FpSimd::load(&raw const self.fp),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Granule, SmeConfig, SmeFile, SveFile, VectorLength};

    const VL: VectorLength = VectorLength::from_bits(256).unwrap();

    #[test]
    fn the_moves_of_fp_take_the_files_own_address() {
        assert_eq!(core::mem::offset_of!(RegisterFile, fp), 0);
    }

    #[test]
    fn a_load_brings_what_v_registers_alone_cannot_hold() {
        let mut memory = [Granule::ZERO; 200];
        let mut sve = SveFile::new(&mut memory, VL).unwrap();
        // SAFETY: the memory is borrowed here alone.
        let mut file = unsafe { RegisterFile::with_sve(sve.area()) };
        assert_eq!((file.least(), file.most()), (Opening::FP, Opening::SVE));
        assert_eq!(file.bytes(Opening::FP), 520);
        assert_eq!(file.bytes(Opening::SVE), 520 + 17 * 4);
        file.wide = true;
        assert_eq!(file.least(), Opening::SVE);
        assert_eq!(file.bytes(Opening::SVE), 8 + 273 * 4);
        file.zero();
        assert_eq!(file.least(), Opening::FP);
    }

    #[test]
    fn in_streaming_mode_all_is_one() {
        let config = SmeConfig {
            streaming: VL,
            sve: Some(VectorLength::MIN),
            fa64: false,
            zt0: false,
        };
        let mut memory = [Granule::ZERO; 400];
        let mut sme = SmeFile::new(&mut memory, config).unwrap();
        let area = sme.area();
        // SAFETY: the memory is borrowed here alone.
        let mut file = unsafe { RegisterFile::with_sme(area) };
        assert_eq!((file.least(), file.most()), (Opening::FP, Opening::ALL));
        // SAFETY: as above, here and below.
        unsafe { area.file() }.set_svcr(Svcr::new(false, true));
        assert_eq!(file.least(), Opening::FP);
        assert_eq!(file.bytes(Opening::ALL), 520 + 17 * 2 + 32 * 32);
        // SAFETY: as above.
        unsafe { area.file() }.set_svcr(Svcr::new(true, true));
        assert_eq!(file.least(), Opening::ALL);
        assert_eq!(file.bytes(Opening::ALL), 8 + 273 * 4 + 32 * 32);
        file.zero();
        assert_eq!(file.least(), Opening::FP);
    }
}
