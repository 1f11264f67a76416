//! Save, load and exchange of the registers of a guest with SME.
//!
//! A change of SVCR.SM zeroes Z, P and FFR, and one of SVCR.ZA zeroes ZA: so everything is saved
//! before SVCR goes to 0, and SVCR is set before anything is loaded (Arm ARM, B1.4 "Streaming SVE
//! mode", "About PSTATE.ZA"). A change takes effect in program order, without an ISB.

use core::arch::{asm, global_asm};

use crate::{
    FpSimd, SmeArea, Svcr, SveArea, VectorLengths,
    sve::{Granule, Header},
    sve_moves::{load_streaming, save_streaming},
};

global_asm!(
    ".pushsection .text.trapcast_fpsimd_sme, \"ax\"",
    ".arch_extension sve",
    ".arch_extension sme",
    ".arch_extension sme2",
    ".macro trapcast_function name",
    ".balign 64",
    ".global \\name",
    ".type \\name, %function",
    "\\name:",
    ".endm",
    // Sixteen rows of ZA at a time: there are as many rows as a row has bytes, 16 at least.
    ".macro trapcast_za op",
    "rdsvl x1, #1",
    "mov w12, #0",
    "0:",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "\\op za[w12, \\n], [x0, #\\n, mul vl]",
    ".endr",
    "addsvl x0, x0, #16",
    "add w12, w12, #16",
    "sub w2, w12, w1",
    "cbnz w2, 0b",
    "ret",
    ".endm",
    // x0: to
    "trapcast_function trapcast_fpsimd_za_save",
    "trapcast_za str",
    ".size trapcast_fpsimd_za_save, . - trapcast_fpsimd_za_save",
    // x0: from
    "trapcast_function trapcast_fpsimd_za_load",
    "trapcast_za ldr",
    ".size trapcast_fpsimd_za_load, . - trapcast_fpsimd_za_load",
    // x0: to
    "trapcast_function trapcast_fpsimd_zt0_save",
    "str zt0, [x0]",
    "ret",
    ".size trapcast_fpsimd_zt0_save, . - trapcast_fpsimd_zt0_save",
    // x0: from
    "trapcast_function trapcast_fpsimd_zt0_load",
    "ldr zt0, [x0]",
    "ret",
    ".size trapcast_fpsimd_zt0_load, . - trapcast_fpsimd_zt0_load",
    // x0: the value
    "trapcast_function trapcast_fpsimd_svcr_write",
    "msr svcr, x0",
    "ret",
    ".size trapcast_fpsimd_svcr_write, . - trapcast_fpsimd_svcr_write",
    // The lengths that the core answers with, as bits of x0: asked for from the longest down, until it
    // answers with one that is longer than asked for. SMCR_EL2 stays.
    "trapcast_function trapcast_fpsimd_sme_lengths",
    "mrs x1, smcr_el2",
    "mov x0, #0",
    "mov x2, #15",
    "0:",
    "msr smcr_el2, x2",
    "isb",
    "rdsvl x3, #1",
    "lsr x3, x3, #4",
    "sub x3, x3, #1",
    "subs x12, x2, x3",
    "b.lo 1f",
    "mov x12, #1",
    "lsl x12, x12, x3",
    "orr x0, x0, x12",
    "subs x2, x3, #1",
    "b.hs 0b",
    "1:",
    "msr smcr_el2, x1",
    "isb",
    "ret",
    ".size trapcast_fpsimd_sme_lengths, . - trapcast_fpsimd_sme_lengths",
    ".purgem trapcast_function",
    ".purgem trapcast_za",
    ".popsection",
);

/// Calls one of the functions above with one argument.
macro_rules! call {
    ($function:ident, $argument:expr) => {
        asm!(
            concat!("bl ", stringify!($function)),
            inout("x0") $argument => _,
            out("x1") _,
            out("x2") _,
            out("x12") _,
            out("x30") _,
            options(nostack, preserves_flags),
        )
    };
}

impl Svcr {
    /// Reads SVCR.
    ///
    /// # Safety
    /// Runs on a core with SME, with the gate of SME open.
    #[inline]
    pub unsafe fn read() -> Self {
        let bits: u64;
        // SAFETY: reading SVCR changes nothing.
        unsafe {
            asm!(
                "mrs {}, S3_3_C4_C2_2",
                out(reg) bits,
                options(nomem, nostack, preserves_flags)
            );
        }
        Self::from_bits(bits)
    }

    /// Writes SVCR.
    ///
    /// # Safety
    /// As for [`read`](Self::read). What a change zeroes is not needed: Z, P, FFR and FPSR if SM
    /// changes, ZA and ZT0 if ZA does.
    #[inline]
    pub unsafe fn write(self) {
        // SAFETY: changes only what is not needed.
        unsafe { call!(trapcast_fpsimd_svcr_write, self.bits()) }
    }
}

/// Makes SMCR_EL2 what the file asks for.
///
/// # Safety
/// At EL2, with the gate of SME open.
#[inline]
unsafe fn set_smcr(value: u64) {
    let current: u64;
    // SAFETY: SMCR_EL2 is accessible. It gives the vectors and ZA the length at which their owner's
    // file keeps them.
    unsafe {
        asm!("mrs {}, S3_4_C1_C2_6", out(reg) current, options(nomem, nostack, preserves_flags));
        if current != value {
            asm!("msr S3_4_C1_C2_6, {}", "isb", in(reg) value, options(nostack, preserves_flags));
        }
    }
}

/// Makes ZCR_EL2 what the file asks for. In streaming mode it counts for nothing, and for everything
/// when the guest leaves that.
///
/// # Safety
/// At EL2, with the gate of SVE open.
#[inline]
unsafe fn set_zcr(value: u64) {
    // SAFETY: ZCR_EL2 is accessible; SVCR is 0, and the vectors are not needed.
    unsafe { asm!("msr S3_4_C1_C2_0, {}", in(reg) value, options(nostack, preserves_flags)) }
}

impl SmeArea {
    /// Saves the CPU's registers here, then turns streaming mode and ZA off (SVCR = 0), as the next
    /// owner or the host needs them.
    ///
    /// # Safety
    /// The file is valid for a write. The code is built for a soft-float target, and the gates of
    /// FP/SIMD, SME and, if the guest has it, SVE are open. The core has the file's vector lengths.
    /// Neither ZCR_EL2 nor SMCR_EL2 has selected a shorter one since the registers were loaded.
    pub unsafe fn save(self) {
        // SAFETY: the caller vouches for the file, the gates, and that the registers belong here.
        unsafe {
            let svcr = self.save_matrix();
            let mut file = self.file();
            let vectors = file.vectors_pointer();
            if svcr.streaming() {
                self.save_streaming();
            } else if file.config().sve.is_some() {
                SveArea(vectors).save();
            } else {
                FpSimd::save(v_registers(vectors.as_ptr()));
            }
            if svcr != Svcr::OFF {
                Svcr::OFF.write();
            }
        }
    }

    /// Loads the CPU's registers from here, SVCR first. ZCR_EL2 and SMCR_EL2 are left at the file's
    /// vector lengths, which are then the most that the guest can select.
    ///
    /// # Safety
    /// As for [`save`](Self::save), with the file valid for a read. SVCR is 0, as a save leaves it.
    /// What the registers held is lost.
    pub unsafe fn load(self) {
        // SAFETY: the caller vouches for the file and the gates.
        unsafe {
            let svcr = self.load_svcr();
            let mut file = self.file();
            let vectors = file.vectors_pointer();
            if svcr.streaming() {
                self.load_streaming();
            } else if file.config().sve.is_some() {
                SveArea(vectors).load();
            } else {
                FpSimd::load(v_registers(vectors.as_ptr()));
            }
            self.load_matrix();
        }
    }

    /// Saves the CPU's registers here, then loads them from `from`.
    ///
    /// # Safety
    /// As for [`save`](Self::save) and [`load`](Self::load).
    pub unsafe fn exchange(self, from: Self) {
        // SAFETY: as above, for both.
        unsafe {
            self.save();
            from.load();
        }
    }

    /// Saves SVCR, and ZA and ZT0 if it says that they hold something. Returns it; it stays.
    ///
    /// # Safety
    /// As for [`save`](Self::save).
    pub(crate) unsafe fn save_matrix(self) -> Svcr {
        // SAFETY: the caller vouches for the file and the gates.
        unsafe {
            let mut file = self.file();
            let config = file.config();
            set_smcr(config.smcr());
            let svcr = Svcr::read();
            file.store_svcr(svcr);
            if svcr.za() {
                call!(trapcast_fpsimd_za_save, file.za_pointer().as_ptr());
                if config.zt0 {
                    call!(trapcast_fpsimd_zt0_save, file.zt0_pointer().as_ptr());
                }
            }
            svcr
        }
    }

    /// Saves the vectors of streaming mode.
    ///
    /// # Safety
    /// As for [`save`](Self::save), with SVCR.SM = 1.
    pub(crate) unsafe fn save_streaming(self) {
        // SAFETY: the caller vouches for the file and the gates.
        unsafe {
            let mut file = self.file();
            let fa64 = file.config().fa64;
            save_streaming(file.vectors_pointer().as_ptr(), fa64);
            if !fa64 {
                file.vectors().ffr_mut().fill(0);
            }
        }
    }

    /// Makes SVCR what it is here, from 0, and SMCR_EL2 what it has to be, and ZCR_EL2 if streaming mode
    /// comes on: otherwise the load of the vectors sees to that. Returns SVCR.
    ///
    /// # Safety
    /// As for [`load`](Self::load).
    pub(crate) unsafe fn load_svcr(self) -> Svcr {
        // SAFETY: the caller vouches for the file and the gates.
        unsafe {
            let file = self.file();
            let config = file.config();
            set_smcr(config.smcr());
            let svcr = file.svcr();
            if let (true, Some(length)) = (svcr.streaming(), config.sve) {
                set_zcr(length.len_field());
            }
            if svcr != Svcr::OFF {
                svcr.write();
            }
            svcr
        }
    }

    /// Loads the vectors of streaming mode.
    ///
    /// # Safety
    /// As for [`load`](Self::load), with SVCR.SM = 1.
    pub(crate) unsafe fn load_streaming(self) {
        // SAFETY: the caller vouches for the file and the gates.
        unsafe {
            let mut file = self.file();
            let fa64 = file.config().fa64;
            load_streaming(file.vectors_pointer().as_ptr(), fa64);
        }
    }

    /// Loads ZA and ZT0 if SVCR here says that they hold something.
    ///
    /// # Safety
    /// As for [`load`](Self::load), after [`load_svcr`](Self::load_svcr).
    pub(crate) unsafe fn load_matrix(self) {
        // SAFETY: the caller vouches for the file and the gates.
        unsafe {
            let mut file = self.file();
            if file.svcr().za() {
                call!(trapcast_fpsimd_za_load, file.za_pointer().as_ptr());
                if file.config().zt0 {
                    call!(trapcast_fpsimd_zt0_load, file.zt0_pointer().as_ptr());
                }
            }
        }
    }
}

/// Vectors of 128 bits are laid out as V registers are.
const fn v_registers(vectors: *mut Granule) -> *mut FpSimd {
    vectors
        .wrapping_byte_add(core::mem::offset_of!(Header, fpsr))
        .cast()
}

impl VectorLengths {
    /// Asks the core which vector lengths it has in streaming mode. SMCR_EL2 is as before then.
    ///
    /// # Safety
    /// Runs at EL2, on a core with SME (ID_AA64PFR1_EL1.SME), with the gates of FP/SIMD and SME open.
    /// SVCR is 0.
    pub unsafe fn of_streaming() -> Self {
        let lengths: u64;
        // SAFETY: changes the registers that are named here.
        unsafe {
            asm!(
                "bl trapcast_fpsimd_sme_lengths",
                out("x0") lengths,
                out("x1") _,
                out("x2") _,
                out("x3") _,
                out("x12") _,
                out("x30") _,
                options(nostack),
            );
        }
        Self::from_bitmap(lengths as u16)
    }
}
