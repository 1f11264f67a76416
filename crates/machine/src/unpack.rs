//! Kernels as distributions ship them: compressed, and maybe inside an EFI program that unpacks itself.
//!
//! The program is what Linux calls zboot (`CONFIG_EFI_ZBOOT`). Its header, `zboot-header.S` in
//! `drivers/firmware/efi/libstub`, says where the compressed Image lies in it.

use std::io::{self, ErrorKind, Read};

use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::{LzmaReader, XzReader};
use trapcast_hypervisor::guest_image;

/// How often a file is unpacked: once, or an EFI program of its own within.
const LAYERS: usize = 2;

/// The largest window of zstd, as a power of two: what `zstd --ultra -22` has, which Linux calls.
const ZSTD_WINDOW: u32 = 27;

/// The most KiB that the decoder of LZMA or XZ takes: for the dictionary of 128 MiB that Linux asks XZ for, the larger.
const LZMA_MEMORY: u32 = 130 << 10;

/// What a kernel is compressed by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Method {
    Gzip,
    Zstd,
    Xz,
    Lzma,
    Lz4,
}

/// Each with its name, and what a file of it begins with. Linux calls `lz4` so that it writes the legacy format.
const METHODS: [(Method, &str, &[u8]); 5] = [
    (Method::Gzip, "gzip", b"\x1f\x8b"),
    (Method::Zstd, "zstd", b"\x28\xb5\x2f\xfd"),
    (Method::Xz, "xz", b"\xfd7zXZ\0"),
    // Properties 5d: lc 3, lp 0, pb 2. The dictionary's size follows, which is a large power of two.
    (Method::Lzma, "lzma", b"\x5d\0\0"),
    (Method::Lz4, "lz4", b"\x02\x21\x4c\x18"),
];

/// Unpacks a kernel into `limit` bytes at most. What is no compressed kernel is returned as it is.
///
/// # Errors
/// What is wrong with the file and what helps, as the end of a sentence that begins with its name.
pub fn unpack(mut file: Vec<u8>, limit: u64) -> Result<Vec<u8>, String> {
    for _ in 0..LAYERS {
        // An Image may begin with any instruction.
        if guest_image::Image::parse(&file).is_ok() {
            break;
        }
        let unpacked = match payload(&file)? {
            Some(payload) => once(payload, limit)?,
            None => once(&file, limit)?,
        };
        match unpacked {
            Some(unpacked) => file = unpacked,
            None => break,
        }
    }
    Ok(file)
}

/// The compressed Image in an EFI program, if the file is one.
fn payload(file: &[u8]) -> Result<Option<&[u8]>, String> {
    // mz_magic; image_type at 4; payload_offset at 8, payload_size at 12; comp_type at 24, up to a zero.
    const HEADER: usize = 56;
    if !file.starts_with(b"MZ") || file.get(4..8) != Some(b"zimg") {
        return Ok(None);
    }
    let cut = || {
        format!(
            "the kernel is an EFI zboot image of which a part is missing: it has {} bytes; copy the file again",
            file.len()
        )
    };
    let header = file.get(..HEADER).ok_or_else(cut)?;
    let number = |at: usize| {
        let bytes = header[at..].first_chunk().expect("it is in the header");
        u32::from_le_bytes(*bytes) as usize
    };
    let (start, size) = (number(8), number(12));
    let payload = file
        .get(start..)
        .and_then(|rest| rest.get(..size))
        .ok_or_else(cut)?;
    if method(payload).is_none() {
        let name = header[24..].split(|byte| *byte == 0).next();
        return Err(format!(
            "the kernel is an EFI zboot image compressed by {:?}, which is not unpacked here, but {} are; use \
             another one, or the Image inside it",
            name.unwrap_or_default().escape_ascii().to_string(),
            METHODS.map(|(_, name, _)| name).join(", ")
        ));
    }
    Ok(Some(payload))
}

fn method(file: &[u8]) -> Option<(Method, &'static str)> {
    METHODS
        .into_iter()
        .find(|(_, _, magic)| file.starts_with(magic))
        .map(|(method, name, _)| (method, name))
}

/// Unpacks a compressed file; none if it is not compressed.
fn once(packed: &[u8], limit: u64) -> Result<Option<Vec<u8>>, String> {
    let Some((method, name)) = method(packed) else {
        return Ok(None);
    };
    match decoded(method, packed, limit) {
        Ok(unpacked) if unpacked.len() as u64 > limit => Err(format!(
            "the kernel is compressed by {name} and unpacks to more than {} MiB, which no kernel does",
            limit >> 20
        )),
        Ok(unpacked) => Ok(Some(unpacked)),
        Err(error) => {
            let why = match error.kind() {
                ErrorKind::UnexpectedEof => "its end is missing".to_string(),
                ErrorKind::OutOfMemory if matches!(method, Method::Xz | Method::Lzma) => {
                    "its dictionary is larger than any of Linux's".to_string()
                }
                _ => format!("it is damaged ({})", error.to_string().escape_debug()),
            };
            Err(format!(
                "the kernel is compressed by {name} and cannot be unpacked, as {why}; copy the file again"
            ))
        }
    }
}

/// Decodes a file up to a byte more than the limit. What follows its end is left alone, as Linux's own decoders
/// do: zboot images have the unpacked size there.
fn decoded(method: Method, packed: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    match method {
        Method::Gzip => all(GzDecoder::new(packed), limit),
        Method::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(packed)?.single_frame();
            decoder.window_log_max(ZSTD_WINDOW)?;
            all(decoder, limit)
        }
        Method::Xz => all(XzReader::new_mem_limit(packed, false, LZMA_MEMORY), limit),
        Method::Lzma => all(LzmaReader::new_mem_limit(packed, LZMA_MEMORY, None)?, limit),
        Method::Lz4 => all(FrameDecoder::new(packed), limit),
    }
}

fn all(decoder: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}
