//! What a kernel's header says, and what is checked of it before the image is run; the header of an
//! arm64 `Image`.

use core::fmt;

use super::{KERNEL_BASE, zimage};
use zerocopy::{
    FromBytes, Immutable, KnownLayout,
    little_endian::{U32, U64},
};

/// `magic`, at offset 56 of the image.
const MAGIC: [u8; 4] = *b"ARM\x64";

/// The header (booting.rst, "Call the kernel image").
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    /// Executable code. An image that is an EFI program too begins with `MZ`.
    code: [u8; 8],
    /// Where the image goes, above a multiple of 2 MiB.
    text_offset: U64,
    /// What the kernel occupies once it runs.
    image_size: U64,
    flags: U64,
    reserved: [U64; 3],
    magic: [u8; 4],
    /// Of an EFI program, the offset of its PE header.
    pe_offset: U32,
}

/// The translation granule that a kernel was built for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PageSize {
    /// 4 KiB.
    Small,
    /// 16 KiB.
    Medium,
    /// 64 KiB.
    Large,
}

impl PageSize {
    /// Whether a core whose `ID_AA64MMFR0_EL1` is given has it at stage 1.
    pub fn is_supported(self, id_aa64mmfr0_el1: u64) -> bool {
        let field = |shift: u32| (id_aa64mmfr0_el1 >> shift) & 0xf;
        match self {
            // TGran4, bits 31:28, and TGran64, bits 27:24: signed, negative without support.
            Self::Small => field(28) < 8,
            Self::Large => field(24) < 8,
            // TGran16, bits 23:20: unsigned, 0 without support.
            Self::Medium => field(20) != 0,
        }
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Small => "4 KiB",
            Self::Medium => "16 KiB",
            Self::Large => "64 KiB",
        })
    }
}

/// The state that EL1 runs in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExecutionState {
    /// An arm64 `Image`.
    AArch64,
    /// A `zImage`.
    AArch32,
}

impl ExecutionState {
    /// Whether EL1 of a core whose `ID_AA64PFR0_EL1` is given can run in it.
    pub fn is_supported(self, id_aa64pfr0_el1: u64) -> bool {
        // EL1, bits 7:4: 1 for AArch64 alone, 2 for both.
        self == Self::AArch64 || id_aa64pfr0_el1 >> 4 & 0xf == 2
    }

    /// What the kernel finds in its first three registers, with the device tree at `fdt`.
    pub fn boot_arguments(self, fdt: u64) -> [u64; 3] {
        match self {
            Self::AArch64 => [fdt, 0, 0],
            // The machine type of a machine that has no number.
            Self::AArch32 => [0, 0xffff_ffff, fdt],
        }
    }
}

/// What a file that is no kernel looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// An ELF file.
    Elf,
    /// Compressed by gzip.
    Gzip,
    /// An EFI program that unpacks a compressed kernel (EFI zboot).
    EfiZboot,
    /// A U-Boot image.
    Uimage,
    /// Anything else.
    Unknown,
}

impl Format {
    fn of(file: &[u8]) -> Self {
        let has = |offset: usize, magic: &[u8]| {
            file.get(offset..)
                .is_some_and(|rest| rest.starts_with(magic))
        };
        if has(0, b"\x7fELF") {
            Self::Elf
        } else if has(0, b"\x1f\x8b") {
            Self::Gzip
        } else if has(0, b"MZ") && has(4, b"zimg") {
            Self::EfiZboot
        } else if has(0, b"\x27\x05\x19\x56") {
            Self::Uimage
        } else {
            Self::Unknown
        }
    }
}

/// Why a file cannot be run as a kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ImageError {
    /// The file is neither an arm64 `Image` nor a `zImage`.
    NotAnImage(Format),
    /// The file ends before the image does.
    Truncated {
        /// Bytes of the file.
        size: u64,
        /// Bytes that it should have at least.
        expected: u64,
    },
    /// The kernel is big-endian.
    BigEndian,
    /// The header does not say how much memory the kernel needs.
    NoImageSize,
    /// A zImage has to lie at this address, where it cannot.
    Start(u64),
    /// The core's EL1 has no AArch32 state.
    NoAArch32,
    /// The core does not have the kernel's page size.
    PageSize(PageSize),
}

impl fmt::Display for ImageError {
    /// Writes what follows the VM's name and a colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnImage(format) => {
                f.write_str("the kernel is not an arm64 Image or a zImage: ")?;
                f.write_str(match format {
                    Format::Elf => "it is an ELF file; use arch/arm64/boot/Image of the same build",
                    Format::Gzip => "it is compressed; unpack it with gunzip",
                    Format::EfiZboot => "it is compressed for EFI; use the Image inside it",
                    Format::Uimage => "it is a U-Boot image; use the Image inside it",
                    Format::Unknown => {
                        "it has neither the magic number ARM\\x64 at offset 56 nor 0x016f2818 at 36"
                    }
                })
            }
            Self::Truncated { size, expected } => write!(
                f,
                "the kernel is truncated: it has {size} bytes of at least {expected}; copy the \
                 file again"
            ),
            Self::BigEndian => f.write_str("the kernel is big-endian; use a little-endian one"),
            Self::NoImageSize => f.write_str(
                "the kernel's header gives no image_size; use a kernel since Linux 3.17",
            ),
            Self::Start(start) => write!(
                f,
                "the kernel has to lie at {start:#x}, which is below {KERNEL_BASE:#x}; build it to \
                 lie anywhere"
            ),
            Self::NoAArch32 => f.write_str(
                "an AArch32 kernel, but this core has no AArch32 at EL1; use -cpu cortex-a57",
            ),
            Self::PageSize(size) => write!(
                f,
                "the kernel is built for pages of {size}, which this core does not have; choose \
                 another kernel or core"
            ),
        }
    }
}

impl core::error::Error for ImageError {}

/// What the header of an image says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Image {
    /// What it runs in.
    pub execution_state: ExecutionState,
    /// Where the image goes, above [`KERNEL_BASE`], in bytes.
    pub text_offset: u64,
    /// What the kernel occupies from there once it runs, in bytes.
    pub memory_size: u64,
    /// The page size that it was built for, if it says.
    pub page_size: Option<PageSize>,
}

impl Image {
    /// Reads the header of the image that `file` holds.
    ///
    /// Bit 3 of the flags, whether the kernel may be far from the start of RAM, makes no difference
    /// here: it goes near the start.
    ///
    /// # Errors
    ///
    /// When the file is no such image, is truncated as far as that can be seen, or cannot be run
    /// here.
    pub fn parse(file: &[u8]) -> Result<Self, ImageError> {
        if let Some(image) = zimage::parse(file) {
            return image;
        }
        let size = file.len() as u64;
        let Ok((header, _)) = Header::ref_from_prefix(file) else {
            return Err(match Format::of(file) {
                Format::Unknown => ImageError::Truncated {
                    size,
                    expected: size_of::<Header>() as u64,
                },
                format => ImageError::NotAnImage(format),
            });
        };
        if header.magic != MAGIC {
            return Err(ImageError::NotAnImage(Format::of(file)));
        }
        let flags = header.flags.get();
        if flags & 1 != 0 {
            return Err(ImageError::BigEndian);
        }
        if header.image_size.get() == 0 {
            return Err(ImageError::NoImageSize);
        }
        if header.code.starts_with(b"MZ") {
            let expected = pe_file_size(file, header.pe_offset.get());
            if expected > size {
                return Err(ImageError::Truncated { size, expected });
            }
        }
        Ok(Self {
            execution_state: ExecutionState::AArch64,
            text_offset: header.text_offset.get(),
            memory_size: header.image_size.get().max(size),
            page_size: match (flags >> 1) & 0b11 {
                0b01 => Some(PageSize::Small),
                0b10 => Some(PageSize::Medium),
                0b11 => Some(PageSize::Large),
                _ => None,
            },
        })
    }

    /// Checks that EL1 of a core whose `ID_AA64PFR0_EL1` is given has the kernel's execution state.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn check_execution_state(&self, id_aa64pfr0_el1: u64) -> Result<(), ImageError> {
        if self.execution_state.is_supported(id_aa64pfr0_el1) {
            Ok(())
        } else {
            Err(ImageError::NoAArch32)
        }
    }

    /// Checks that a core whose `ID_AA64MMFR0_EL1` is given has the kernel's page size.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn check_page_size(&self, id_aa64mmfr0_el1: u64) -> Result<(), ImageError> {
        match self.page_size {
            Some(size) if !size.is_supported(id_aa64mmfr0_el1) => Err(ImageError::PageSize(size)),
            _ => Ok(()),
        }
    }
}

/// The size that a file must have at least for the PE header at `pe_offset` and for every section
/// that it names (PE Format, "COFF File Header" and "Section Table").
///
/// This is the one thing in an `Image` that tells its file's size: `image_size` counts memory that
/// the file does not hold.
fn pe_file_size(file: &[u8], pe_offset: u32) -> u64 {
    const SIGNATURE_AND_COFF_HEADER: u64 = 24;
    const SECTION_HEADER: u64 = 40;
    let number = |offset: u64, length: usize| -> Option<u64> {
        let start = usize::try_from(offset).ok()?;
        let bytes = file.get(start..start.checked_add(length)?)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    };

    let pe = u64::from(pe_offset);
    let headers = pe + SIGNATURE_AND_COFF_HEADER;
    let (Some(sections), Some(optional_header)) = (number(pe + 6, 2), number(pe + 20, 2)) else {
        return headers;
    };
    let table = headers + optional_header;
    let mut end = table + sections * SECTION_HEADER;
    for section in (0..sections).map(|index| table + index * SECTION_HEADER) {
        let (Some(size), Some(start)) = (number(section + 16, 4), number(section + 20, 4)) else {
            break;
        };
        end = end.max(start + size);
    }
    end
}
