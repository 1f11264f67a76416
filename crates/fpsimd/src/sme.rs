//! The register file of a guest with SME in memory: SVCR, the vector registers of either mode, ZA,
//! ZT0.

use core::{marker::PhantomData, ptr::NonNull, slice};

use crate::{Granule, SveFile, VectorLength, sve::Header as VectorHeader};

/// SVCR: whether streaming mode is on, and whether ZA (with ZT0) holds anything.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(transparent)]
pub struct Svcr(u64);

impl Svcr {
    const SM: u64 = 1 << 0;
    const ZA: u64 = 1 << 1;

    /// Streaming mode off, ZA off: what every guest without SME runs with.
    pub const OFF: Self = Self(0);

    /// Returns the value with these bits.
    pub const fn new(streaming: bool, za: bool) -> Self {
        Self((streaming as u64 * Self::SM) | (za as u64 * Self::ZA))
    }

    /// Returns a value as it was read from the register.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & (Self::SM | Self::ZA))
    }

    /// The register's value.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// SM: the Z and P registers are those of streaming mode, at its vector length.
    pub const fn streaming(self) -> bool {
        self.0 & Self::SM != 0
    }

    /// ZA: ZA and ZT0 hold something.
    pub const fn za(self) -> bool {
        self.0 & Self::ZA != 0
    }
}

/// What a guest has of SME and SVE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SmeConfig {
    /// The largest streaming vector length that the guest may select. The core has it.
    pub streaming: VectorLength,
    /// The largest vector length outside streaming mode; `None` if the guest has no SVE.
    pub sve: Option<VectorLength>,
    /// FEAT_SME_FA64: all instructions in streaming mode, FFR among its registers.
    pub fa64: bool,
    /// FEAT_SME2: there is ZT0.
    pub zt0: bool,
}

impl SmeConfig {
    const FA64: u64 = 1 << 31;
    const EZT0: u64 = 1 << 30;

    /// The value of SMCR_EL2 while the guest owns the registers.
    pub const fn smcr(self) -> u64 {
        self.streaming.len_field()
            | (self.fa64 as u64 * Self::FA64)
            | (self.zt0 as u64 * Self::EZT0)
    }

    const fn of(smcr: u64, vectors: &VectorHeader) -> Self {
        Self {
            streaming: VectorLength::from_len(smcr),
            sve: if vectors.has_sve != 0 {
                Some(VectorLength::from_len(vectors.zcr))
            } else {
                None
            },
            fa64: smcr & Self::FA64 != 0,
            zt0: smcr & Self::EZT0 != 0,
        }
    }

    /// The offset of ZA, in granules: behind vector registers of the longer kind.
    const fn za_start(self) -> usize {
        let longest = match self.sve {
            Some(sve) if sve.bytes() > self.streaming.bytes() => sve,
            _ => self.streaming,
        };
        VECTORS_START + SveFile::granules(longest)
    }

    const fn zt0_start(self) -> usize {
        self.za_start() + self.streaming.za_bytes() / size_of::<Granule>()
    }

    const fn end(self) -> usize {
        self.zt0_start()
            + if self.zt0 {
                ZT0_BYTES / size_of::<Granule>()
            } else {
                0
            }
    }
}

/// The first bytes of the file.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(crate) struct Header {
    /// SMCR_EL2 while the registers are moved, and while their owner runs.
    pub smcr: u64,
    pub svcr: Svcr,
}

/// The offset of the vector registers, in granules.
const VECTORS_START: usize = size_of::<Header>() / size_of::<Granule>();

/// Bytes of ZT0.
pub const ZT0_BYTES: usize = 64;

/// The registers of one vCPU with SME, in memory that the caller gives.
///
/// Both vector lengths are fixed: the largest that the guest may use. In streaming mode the vector
/// registers have the streaming vector length, else the other. ZA and ZT0 hold a value only if SVCR
/// says so; else they are whatever they were.
#[derive(Debug)]
pub struct SmeFile<'a> {
    first: NonNull<Granule>,
    config: SmeConfig,
    memory: PhantomData<&'a mut [Granule]>,
}

// SAFETY: a file is a mutable borrow of plain memory.
unsafe impl Send for SmeFile<'_> {}

impl<'a> SmeFile<'a> {
    /// How much memory such a register file takes.
    pub const fn granules(config: SmeConfig) -> usize {
        config.end()
    }

    /// The same in bytes; the alignment is that of [`Granule`].
    pub const fn bytes(config: SmeConfig) -> usize {
        Self::granules(config) * size_of::<Granule>()
    }

    /// Makes a register file of zeroes, not in streaming mode, at the start of `memory`. `None` if it
    /// takes more memory.
    pub fn new(memory: &'a mut [Granule], config: SmeConfig) -> Option<Self> {
        let memory = memory.get_mut(..Self::granules(config))?;
        memory.fill(Granule::ZERO);
        let mut file = Self {
            first: NonNull::from(memory).cast(),
            config,
            memory: PhantomData,
        };
        file.header_mut().smcr = config.smcr();
        let mut vectors = file.vectors();
        let vectors = vectors.header_mut();
        vectors.zcr = config.sve.unwrap_or(VectorLength::MIN).len_field();
        vectors.has_sve = u64::from(config.sve.is_some());
        Some(file)
    }

    /// Where the file is kept: what the moves take.
    pub const fn area(&mut self) -> SmeArea {
        SmeArea(self.first)
    }

    /// With what it was made.
    pub const fn config(&self) -> SmeConfig {
        self.config
    }

    const fn header(&self) -> &Header {
        // SAFETY: the memory starts with the header and is borrowed with `self`.
        unsafe { self.first.cast().as_ref() }
    }

    const fn header_mut(&mut self) -> &mut Header {
        // SAFETY: as above.
        unsafe { self.first.cast().as_mut() }
    }

    /// The guest's SVCR.
    pub const fn svcr(&self) -> Svcr {
        self.header().svcr
    }

    /// Sets SVCR as a guest does: what a change enables or disables becomes zero.
    pub fn set_svcr(&mut self, svcr: Svcr) {
        let old = self.svcr();
        self.header_mut().svcr = svcr;
        if old.streaming() != svcr.streaming() {
            let (fpsr, fpcr) = (FPSR_ALL_FLAGS, self.vectors().fpcr());
            self.vectors().zero();
            self.vectors().set_status_and_control(fpsr, fpcr);
        }
        if old.za() != svcr.za() {
            self.matrix_mut().fill(0);
        }
    }

    /// The length of the vectors as SVCR has it. Without SVE and outside streaming mode there are V
    /// registers only, as vectors of 128 bits.
    pub const fn vector_length(&self) -> VectorLength {
        match self.config.sve {
            _ if self.svcr().streaming() => self.config.streaming,
            Some(length) => length,
            None => VectorLength::MIN,
        }
    }

    /// The vector registers, FPSR and FPCR, at the length that SVCR gives them.
    pub const fn vectors(&mut self) -> SveFile<'_> {
        // SAFETY: the memory is large enough for vectors of either length, and is borrowed with `self`.
        unsafe { SveFile::at(self.first.add(VECTORS_START), self.vector_length()) }
    }

    /// ZA and ZT0.
    fn matrix(&self) -> &[u8] {
        let (start, end) = (self.config.za_start(), self.config.end());
        // SAFETY: the memory reaches so far, and is borrowed with `self`.
        unsafe {
            let start_byte = self.first.add(start).cast::<u8>();
            slice::from_raw_parts(start_byte.as_ptr(), (end - start) * size_of::<Granule>())
        }
    }

    fn matrix_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.config.za_start(), self.config.end());
        // SAFETY: as above.
        unsafe {
            let start_byte = self.first.add(start).cast::<u8>();
            slice::from_raw_parts_mut(start_byte.as_ptr(), (end - start) * size_of::<Granule>())
        }
    }

    /// The rows of ZA one after the other, each as long as a streaming vector, or `None` if SVCR says
    /// that there is nothing in it.
    pub fn za(&self) -> Option<&[u8]> {
        let bytes = self.config.streaming.za_bytes();
        self.svcr().za().then(|| &self.matrix()[..bytes])
    }

    /// ZA for writing.
    pub fn za_mut(&mut self) -> Option<&mut [u8]> {
        let bytes = self.config.streaming.za_bytes();
        self.svcr().za().then(|| &mut self.matrix_mut()[..bytes])
    }

    /// ZT0, or `None` if the guest has none or SVCR says that there is nothing in it.
    pub fn zt0(&self) -> Option<&[u8]> {
        let bytes = self.config.streaming.za_bytes();
        (self.svcr().za() && self.config.zt0).then(|| &self.matrix()[bytes..])
    }

    /// ZT0 for writing.
    pub fn zt0_mut(&mut self) -> Option<&mut [u8]> {
        let bytes = self.config.streaming.za_bytes();
        (self.svcr().za() && self.config.zt0).then(|| &mut self.matrix_mut()[bytes..])
    }
}

/// FPSR after a change of streaming mode: every cumulative flag is set (Arm ARM, shared pseudocode
/// "ResetSVEState").
const FPSR_ALL_FLAGS: u64 = 0x0800_009f;

/// Where the register file of a guest with SME is kept: one address. The file itself says what the
/// guest has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(transparent)]
pub struct SmeArea(NonNull<Granule>);

// SAFETY: an address; its user is responsible for it.
unsafe impl Send for SmeArea {}

impl SmeArea {
    /// The file that is kept here.
    ///
    /// # Safety
    /// The memory from which the file was made still holds it, and nothing else uses it for `'a`.
    pub const unsafe fn file<'a>(self) -> SmeFile<'a> {
        // SAFETY: the headers tell with what the file was made.
        let config = unsafe {
            let header: &Header = self.0.cast().as_ref();
            let vectors: &VectorHeader = self.0.add(VECTORS_START).cast().as_ref();
            SmeConfig::of(header.smcr, vectors)
        };
        SmeFile {
            first: self.0,
            config,
            memory: PhantomData,
        }
    }
}

#[cfg(any(target_arch = "aarch64", doc))]
impl SmeFile<'_> {
    pub(crate) const fn store_svcr(&mut self, svcr: Svcr) {
        self.header_mut().svcr = svcr;
    }

    pub(crate) fn vectors_pointer(&mut self) -> NonNull<Granule> {
        // SAFETY: within the file.
        unsafe { self.first.add(VECTORS_START) }
    }

    pub(crate) fn za_pointer(&mut self) -> NonNull<Granule> {
        // SAFETY: within the file.
        unsafe { self.first.add(self.config.za_start()) }
    }

    pub(crate) fn zt0_pointer(&mut self) -> NonNull<Granule> {
        // SAFETY: within the file, or at its end.
        unsafe { self.first.add(self.config.zt0_start()) }
    }
}

#[cfg(test)]
#[path = "sme_tests.rs"]
mod tests;
