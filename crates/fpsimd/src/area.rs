//! A register file of any kind, for a hypervisor whose guests differ: which gates it needs open, and
//! what moves when one guest's registers give way to another's.

use core::ptr::NonNull;

use crate::{FpSimd, Opening, SmeArea, SveArea};

/// Where the registers of one vCPU, or of the host, are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Area {
    /// FP/SIMD alone.
    Fp(NonNull<FpSimd>),
    /// With SVE.
    Sve(SveArea),
    /// With SME, and with SVE or without.
    Sme(SmeArea),
}

// SAFETY: an address; whoever uses it answers for it.
unsafe impl Send for Area {}

impl Area {
    /// The gates that have to stand open for a move, and the most that may be open for the guest.
    ///
    /// # Safety
    /// The file is valid for a read.
    pub const unsafe fn opening(self) -> Opening {
        match self {
            Self::Fp(_) => Opening::FP,
            Self::Sve(_) => Opening::SVE,
            // SAFETY: the caller vouches for the file.
            Self::Sme(area) => match unsafe { area.file() }.config().sve {
                Some(_) => Opening::ALL,
                None => Opening {
                    sve: false,
                    ..Opening::ALL
                },
            },
        }
    }
}

#[cfg(any(target_arch = "aarch64", doc))]
impl Area {
    /// Saves the CPU's registers here. SVCR is 0 then.
    ///
    /// # Safety
    /// As for the `save` of the kind of register file that this is.
    #[inline]
    pub unsafe fn save(self) {
        // SAFETY: the caller vouches for each.
        unsafe {
            match self {
                Self::Fp(to) => FpSimd::save(to.as_ptr()),
                Self::Sve(to) => to.save(),
                Self::Sme(to) => to.save(),
            }
        }
    }

    /// Loads the CPU's registers from here.
    ///
    /// Above its own registers the core may still hold another's: P, FFR and the upper bits of Z under
    /// [`Area::Fp`], longer vectors under [`Area::Sve`]. Nobody reaches them while the gates are open no
    /// further than [`opening`](Self::opening) says and ZCR_EL2 is as the load left it.
    ///
    /// # Safety
    /// As for the `load` of the kind of register file that this is. SVCR is 0, as every save leaves
    /// it.
    #[inline]
    pub unsafe fn load(self) {
        // SAFETY: the caller vouches for each.
        unsafe {
            match self {
                Self::Fp(from) => FpSimd::load(from.as_ptr()),
                Self::Sve(from) => from.load(),
                Self::Sme(from) => from.load(),
            }
        }
    }

    /// Saves the CPU's registers here, then loads them from `from`, which may be of another kind. The
    /// gates that either needs stand open.
    ///
    /// # Safety
    /// As for [`save`](Self::save) and [`load`](Self::load).
    #[inline]
    pub unsafe fn exchange(self, from: Self) {
        // SAFETY: as above.
        unsafe {
            match (self, from) {
                (Self::Fp(to), Self::Fp(from)) => FpSimd::exchange(to.as_ptr(), from.as_ptr()),
                (Self::Sve(to), Self::Sve(from)) => to.exchange(from),
                _ => {
                    self.save();
                    from.load();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Granule, SmeConfig, SmeFile, SveFile, VectorLength};

    #[test]
    fn each_kind_says_which_gates_it_needs() {
        let mut fp = FpSimd::ZERO;
        let mut memory = [Granule::ZERO; 64];
        let length = VectorLength::MIN;
        let mut opening = |config: Option<SmeConfig>| {
            let area = match config {
                None => Area::Sve(SveFile::new(&mut memory, length).unwrap().area()),
                Some(config) => Area::Sme(SmeFile::new(&mut memory, config).unwrap().area()),
            };
            // SAFETY: the memory is borrowed by the closure.
            unsafe { area.opening() }
        };
        let sme = |sve| {
            Some(SmeConfig {
                streaming: length,
                sve,
                fa64: false,
                zt0: false,
            })
        };
        assert_eq!(opening(None), Opening::SVE);
        assert_eq!(opening(sme(Some(length))), Opening::ALL);
        let without_sve = opening(sme(None));
        assert!(without_sve.fp && without_sve.sme && !without_sve.sve);
        // SAFETY: the file lives here.
        let fp = unsafe { Area::Fp(NonNull::from(&mut fp)).opening() };
        assert_eq!(fp, Opening::FP);
        assert_eq!(fp.union(without_sve), without_sve);
        assert_eq!(without_sve.union(Opening::SVE), Opening::ALL);
    }
}
