//! The header of an arm64 kernel Image, as Linux's `Documentation/arm64/booting.rst` has it.

use std::path::{Path, PathBuf};

use zerocopy::{
    FromBytes, Immutable, KnownLayout,
    little_endian::{U32, U64},
};

use crate::error::{Error, Result};

/// `magic` of the header: "ARM\x64".
const MAGIC: [u8; 4] = *b"ARM\x64";

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    code: [U32; 2],
    text_offset: U64,
    image_size: U64,
    flags: U64,
    reserved: [U64; 3],
    magic: [u8; 4],
    reserved_too: U32,
}

/// A kernel that was looked at and can be booted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes of the file.
    pub file_size: u64,
    /// Bytes of memory that it takes, zeroed data included.
    pub memory_size: u64,
    /// Offset from a boundary of 2 MiB at which it wants to lie.
    pub text_offset: u64,
}

impl Image {
    /// Looks at a file.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read, is not an arm64 Image, or is cut short.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| {
            Error::input(format!("cannot read kernel {}: {error}", path.display()))
        })?;
        let (text_offset, memory_size) = check(&bytes)
            .map_err(|reason| Error::input(format!("kernel {} {reason}", path.display())))?;
        Ok(Self {
            path: path.to_path_buf(),
            file_size: bytes.len() as u64,
            memory_size: memory_size.max(bytes.len() as u64),
            text_offset,
        })
    }
}

/// Returns text_offset and image_size, or what is wrong and what to do about it.
fn check(bytes: &[u8]) -> std::result::Result<(u64, u64), String> {
    let wanted =
        "give an uncompressed arm64 Image, such as a Debian vmlinuz or arch/arm64/boot/Image";
    let Ok((header, _)) = Header::ref_from_prefix(bytes) else {
        return Err(format!(
            "is truncated: {} bytes, and the header alone has 64; {wanted}",
            bytes.len()
        ));
    };
    if header.magic != MAGIC {
        let found = match bytes {
            [0x1f, 0x8b, ..] => "it is gzip-compressed: gunzip it",
            [0x7f, b'E', b'L', b'F', ..] => "it is an ELF file: use objcopy -O binary",
            _ => "the magic number 'ARM\\x64' is not at offset 56",
        };
        return Err(format!("is not an arm64 Image ({found}); {wanted}"));
    }
    let (text_offset, image_size) = (header.text_offset.get(), header.image_size.get());
    if text_offset >= 2 << 20 || image_size > 1 << 30 {
        return Err(format!(
            "has a damaged header (text_offset {text_offset:#x}, image_size {image_size:#x}); {wanted}"
        ));
    }
    let least = minimum_file_size(bytes, image_size);
    if (bytes.len() as u64) < least {
        return Err(format!(
            "is truncated: {} bytes of at least {least}; copy or download it again",
            bytes.len()
        ));
    }
    Ok((text_offset, image_size))
}

/// The least that a whole file has.
///
/// `image_size` counts zeroed data that the file leaves out, so it is no bound by itself. A kernel
/// that is an EFI application as well (Linux, all distributions) has a PE header that tells where
/// the content of its last section ends. Without one, the header has to do.
fn minimum_file_size(bytes: &[u8], image_size: u64) -> u64 {
    pe_content_end(bytes)
        .filter(|end| *end <= image_size)
        .unwrap_or(size_of::<Header>() as u64)
}

/// Where the content of the last section ends in a file that has a PE header: see Microsoft's
/// "PE Format", "COFF File Header" and "Section Table".
fn pe_content_end(bytes: &[u8]) -> Option<u64> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let pe = usize::try_from(u32_at(60)?).ok()?;
    if bytes.get(..2)? != b"MZ" || bytes.get(pe..pe + 4)? != b"PE\0\0" {
        return None;
    }
    let sections = usize::from(u16_at(pe + 6)?);
    let table = pe + 24 + usize::from(u16_at(pe + 20)?);
    (0..sections)
        .map(|section| {
            let (size, start) = (
                u32_at(table + 40 * section + 16)?,
                u32_at(table + 40 * section + 20)?,
            );
            Some(u64::from(size) + u64::from(start))
        })
        .max()?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header alone, followed by `length - 64` bytes of code.
    fn image(length: usize, image_size: u64) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[16..24].copy_from_slice(&image_size.to_le_bytes());
        bytes[56..60].copy_from_slice(&MAGIC);
        bytes
    }

    /// An image with a PE header whose only section's content ends at `end`.
    fn efi_image(length: usize, image_size: u64, end: u32) -> Vec<u8> {
        let mut bytes = image(length, image_size);
        bytes[..2].copy_from_slice(b"MZ");
        bytes[60..64].copy_from_slice(&64u32.to_le_bytes());
        bytes[64..68].copy_from_slice(b"PE\0\0");
        bytes[70..72].copy_from_slice(&1u16.to_le_bytes());
        bytes[88 + 16..88 + 20].copy_from_slice(&(end - 128).to_le_bytes());
        bytes[88 + 20..88 + 24].copy_from_slice(&128u32.to_le_bytes());
        bytes
    }

    #[test]
    fn an_image_tells_its_sizes() {
        assert_eq!(check(&image(4096, 8192)), Ok((0, 8192)));
        assert_eq!(check(&efi_image(4096, 8192, 4096)), Ok((0, 8192)));
    }

    #[test]
    fn each_fault_has_its_sentence() {
        let sentence = |bytes: &[u8]| check(bytes).unwrap_err();
        assert!(sentence(&image(4096, 8192)[..60]).starts_with("is truncated: 60 bytes"));
        assert!(sentence(&efi_image(4095, 8192, 4096)).contains("4095 bytes of at least 4096"));
        assert!(sentence(&[0; 100]).contains("not at offset 56"));
        assert!(sentence(b"\x1f\x8b".repeat(50).as_slice()).contains("gunzip"));
        assert!(sentence(b"\x7fELF".repeat(50).as_slice()).contains("objcopy"));
        assert!(sentence(&image(4096, 1 << 40)).contains("damaged"));
    }

    #[test]
    fn a_damaged_pe_header_does_no_harm() {
        let mut bytes = efi_image(4096, 8192, 4096);
        for offset in 60..110 {
            let kept = bytes[offset];
            bytes[offset] = 0xff;
            let _ = check(&bytes);
            bytes[offset] = kept;
        }
    }
}
