//! The SVE register file in memory: Z0 to Z31, P0 to P15, FFR, FPSR and FPCR at one vector length.

use core::{marker::PhantomData, ptr::NonNull, slice};

use crate::{FpSimd, VectorLength};

/// What the memory of a register file is made of: 16 bytes, aligned to 16.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C, align(16))]
pub struct Granule([u8; 16]);

impl Granule {
    /// Sixteen zeroes.
    pub const ZERO: Self = Self([0; 16]);
}

/// The bytes before Z0. From `fpsr` on it is, at 128 bits, an [`FpSimd`].
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(crate) struct Header {
    /// ZCR_EL2 while the registers are moved, and while their owner runs.
    pub zcr: u64,
    /// Whether there are P and FFR outside streaming mode: 1, or 0 for a guest with SME alone.
    pub has_sve: u64,
    pub fpsr: u64,
    pub fpcr: u64,
}

const _: () = {
    assert!(size_of::<Header>() == 32 && size_of::<Granule>() == 16);
    assert!(core::mem::offset_of!(Header, fpsr) + core::mem::offset_of!(FpSimd, v) == 32);
    assert!(core::mem::offset_of!(Header, fpcr) == core::mem::offset_of!(Header, fpsr) + 8);
};

/// The SVE registers of one vCPU, in memory that the caller gives.
///
/// The vector length is fixed: the largest that the guest may use, whatever its ZCR_EL1 says. A
/// guest may raise its own length at any time and then sees the upper bits.
///
/// In memory: 32 bytes of header, Z0 to Z31, P0 to P15, FFR, each in the order of its bytes, without
/// gaps between.
#[derive(Debug)]
pub struct SveFile<'a> {
    first: NonNull<Granule>,
    length: VectorLength,
    memory: PhantomData<&'a mut [Granule]>,
}

// SAFETY: a file is a mutable borrow of plain memory.
unsafe impl Send for SveFile<'_> {}

impl<'a> SveFile<'a> {
    /// How much memory a register file of this vector length takes.
    pub const fn granules(length: VectorLength) -> usize {
        (size_of::<Header>() + length.sve_bytes()).div_ceil(size_of::<Granule>())
    }

    /// The same in bytes; the alignment is that of [`Granule`].
    pub const fn bytes(length: VectorLength) -> usize {
        Self::granules(length) * size_of::<Granule>()
    }

    /// Makes a register file of zeroes, which is what a fresh vCPU finds, at the start of `memory`.
    /// `None` if it takes more memory.
    pub fn new(memory: &'a mut [Granule], length: VectorLength) -> Option<Self> {
        let memory = memory.get_mut(..Self::granules(length))?;
        memory.fill(Granule::ZERO);
        let first = NonNull::from(memory).cast();
        // SAFETY: the memory is borrowed for `'a` and long enough.
        let mut file = unsafe { Self::at(first, length) };
        file.header_mut().zcr = length.len_field();
        file.header_mut().has_sve = 1;
        Some(file)
    }

    /// Takes memory for a register file with vectors of this length.
    ///
    /// # Safety
    /// The memory holds such a file and is the caller's alone for `'a`.
    pub(crate) const unsafe fn at(first: NonNull<Granule>, length: VectorLength) -> Self {
        Self {
            first,
            length,
            memory: PhantomData,
        }
    }

    /// Where the file is kept: what the moves take.
    pub const fn area(&mut self) -> SveArea {
        SveArea(self.first)
    }

    /// The length of its vectors.
    pub const fn vector_length(&self) -> VectorLength {
        self.length
    }

    pub(crate) const fn header(&self) -> &Header {
        // SAFETY: the memory starts with the header and is borrowed with `self`.
        unsafe { self.first.cast().as_ref() }
    }

    pub(crate) const fn header_mut(&mut self) -> &mut Header {
        // SAFETY: as above.
        unsafe { self.first.cast().as_mut() }
    }

    /// All registers but FPSR and FPCR.
    fn registers(&self) -> &[u8] {
        // SAFETY: they are behind the header, in memory that is borrowed with `self`.
        unsafe {
            let start = self.first.cast::<u8>().add(size_of::<Header>());
            slice::from_raw_parts(start.as_ptr(), self.length.sve_bytes())
        }
    }

    fn registers_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe {
            let start = self.first.cast::<u8>().add(size_of::<Header>());
            slice::from_raw_parts_mut(start.as_ptr(), self.length.sve_bytes())
        }
    }

    /// Z0 to Z31, one after the other, in parts of 128 bits, the lowest part first.
    fn parts(&self) -> slice::ChunksExact<'_, u128> {
        let size = self.length.bytes() / 16;
        // SAFETY: they are behind the header, aligned to 16, in memory that is borrowed with `self`.
        let all = unsafe {
            let start = self.first.cast::<u128>().byte_add(size_of::<Header>());
            slice::from_raw_parts(start.as_ptr(), 32 * size)
        };
        all.chunks_exact(size)
    }

    fn parts_mut(&mut self) -> slice::ChunksExactMut<'_, u128> {
        let size = self.length.bytes() / 16;
        // SAFETY: as above.
        let all = unsafe {
            let start = self.first.cast::<u128>().byte_add(size_of::<Header>());
            slice::from_raw_parts_mut(start.as_ptr(), 32 * size)
        };
        all.chunks_exact_mut(size)
    }

    /// Z`n`, its lowest byte first.
    ///
    /// # Panics
    /// If `n` is greater than 31.
    pub fn z(&self, n: usize) -> &[u8] {
        assert!(n < 32, "Z{n}");
        &self.registers()[n * self.length.bytes()..][..self.length.bytes()]
    }

    /// Z`n` for writing.
    ///
    /// # Panics
    /// If `n` is greater than 31.
    pub fn z_mut(&mut self, n: usize) -> &mut [u8] {
        assert!(n < 32, "Z{n}");
        let size = self.length.bytes();
        &mut self.registers_mut()[n * size..][..size]
    }

    /// P`n`, a bit for each byte of a vector, the lowest first.
    ///
    /// # Panics
    /// If `n` is greater than 15.
    pub fn p(&self, n: usize) -> &[u8] {
        assert!(n < 16, "P{n}");
        self.predicate(n)
    }

    /// P`n` for writing.
    ///
    /// # Panics
    /// If `n` is greater than 15.
    pub fn p_mut(&mut self, n: usize) -> &mut [u8] {
        assert!(n < 16, "P{n}");
        self.predicate_mut(n)
    }

    /// FFR, as P registers are. The core keeps only bits that are set from the lowest up to some
    /// place and clear above it; what was saved from it is such a value, and so is zero.
    pub fn ffr(&self) -> &[u8] {
        self.predicate(16)
    }

    /// FFR for writing.
    pub fn ffr_mut(&mut self) -> &mut [u8] {
        self.predicate_mut(16)
    }

    fn predicate(&self, n: usize) -> &[u8] {
        let size = self.length.predicate_bytes();
        &self.registers()[32 * self.length.bytes() + n * size..][..size]
    }

    fn predicate_mut(&mut self, n: usize) -> &mut [u8] {
        let size = self.length.predicate_bytes();
        let start = 32 * self.length.bytes() + n * size;
        &mut self.registers_mut()[start..][..size]
    }

    /// Floating-point Status Register.
    pub const fn fpsr(&self) -> u64 {
        self.header().fpsr
    }

    /// Floating-point Control Register.
    pub const fn fpcr(&self) -> u64 {
        self.header().fpcr
    }

    /// Sets FPSR and FPCR.
    pub const fn set_status_and_control(&mut self, fpsr: u64, fpcr: u64) {
        self.header_mut().fpsr = fpsr;
        self.header_mut().fpcr = fpcr;
    }

    /// Makes all registers zero.
    pub fn zero(&mut self) {
        self.set_status_and_control(0, 0);
        self.registers_mut().fill(0);
    }

    /// The low 128 bits of the Z registers, FPSR and FPCR.
    pub fn fp(&self) -> FpSimd {
        let mut fp = FpSimd {
            fpsr: self.fpsr(),
            fpcr: self.fpcr(),
            ..FpSimd::ZERO
        };
        for (v, z) in fp.v.iter_mut().zip(self.parts()) {
            *v = u128::from_le(z[0]);
        }
        fp
    }

    /// Sets the Z registers as a core does that writes the V registers: the upper bits become zero.
    /// FPSR and FPCR are set, P and FFR stay.
    pub fn set_fp(&mut self, fp: &FpSimd) {
        self.set_status_and_control(fp.fpsr, fp.fpcr);
        for (v, z) in fp.v.iter().zip(self.parts_mut()) {
            z.fill(0);
            z[0] = v.to_le();
        }
    }

    /// Whether the Z registers hold nothing above their low 128 bits, so that loading V alone gives
    /// the guest all that its Z registers hold.
    pub fn upper_is_zero(&self) -> bool {
        self.parts().all(|z| z[1..].iter().all(|part| *part == 0))
    }
}

/// Where an SVE register file is kept: one address, as the moves take it. The file itself says what
/// its vector length is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(transparent)]
pub struct SveArea(pub(crate) NonNull<Granule>);

// SAFETY: an address; its user is responsible for it.
unsafe impl Send for SveArea {}

impl SveArea {
    /// The file that is kept here.
    ///
    /// # Safety
    /// The memory from which the file was made still holds it, and nothing else uses it for `'a`.
    pub const unsafe fn file<'a>(self) -> SveFile<'a> {
        // SAFETY: the header tells the length with which the file was made.
        unsafe {
            let header: &Header = self.0.cast().as_ref();
            SveFile::at(self.0, VectorLength::from_len(header.zcr))
        }
    }
}

#[cfg(test)]
#[path = "sve_tests.rs"]
mod tests;
