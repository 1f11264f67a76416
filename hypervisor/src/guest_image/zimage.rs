//! The header of a 32-bit Arm `zImage`: a kernel that unpacks itself, or a flat program in its form.
//!
//! Source: Linux, arch/arm/boot/compressed/head.S (the header) and vmlinux.lds.S (the table).

use super::{ExecutionState, Image, ImageError, KERNEL_BASE, RAM};

/// Number at [`MAGIC_OFFSET`] of a little-endian one.
const MAGIC: u32 = 0x016f_2818;
const MAGIC_OFFSET: usize = 0x24;
/// Where it has to lie, or 0 for anywhere.
const START: usize = 0x28;
const END: usize = 0x2c;
/// Says that there is a table, and where.
const TABLE_MAGIC: u32 = 0x4545_4545;
const TABLE_MAGIC_OFFSET: usize = 0x34;
const TABLE: usize = 0x38;
/// Tag of the table's entry on sizes, "KLSZ".
const SIZES: u32 = 0x5a53_4c4b;

/// What the kernel is unpacked to a multiple of, and what this image is put on.
const STEP: u64 = 2 << 20;
/// The largest TEXT_OFFSET of any platform: where a kernel that does not say it is unpacked to.
const TEXT_OFFSET: u64 = 0x0020_8000;
/// How far a kernel that does not say its size may reach: Linux's booting.rst has the zImage put 32 MiB
/// above the start of RAM.
const DEFAULT_ROOM: u64 = 32 << 20;
/// What the unpacking program takes behind the image: its tables, `.bss`, stack, heap and a copy of the
/// device tree.
const WORKSPACE: u64 = 1 << 20;

/// Reads the header of the zImage that `file` holds; none if it is no zImage.
pub(super) fn parse(file: &[u8]) -> Option<Result<Image, ImageError>> {
    match word(file, MAGIC_OFFSET)? {
        MAGIC => Some(parse_header(file)),
        swapped if swapped == MAGIC.swap_bytes() => Some(Err(ImageError::BigEndian)),
        _ => None,
    }
}

fn parse_header(file: &[u8]) -> Result<Image, ImageError> {
    let size = file.len() as u64;
    let header = |offset| word(file, offset).map(u64::from);
    let truncated = |expected| ImageError::Truncated { size, expected };
    let (Some(start), Some(end)) = (header(START), header(END)) else {
        return Err(truncated(TABLE as u64));
    };
    let length = end.checked_sub(start).ok_or(ImageError::NoImageSize)?;
    let (text_offset, memory_size) = if start == 0 {
        if length > size {
            return Err(truncated(length));
        }
        // Above what it unpacks, so that it need not move itself out of the way first.
        let above = RAM + unpacked_extent(file).next_multiple_of(STEP);
        let text_offset = above.saturating_sub(KERNEL_BASE);
        (text_offset, size + WORKSPACE)
    } else {
        // Its end counts what it clears.
        let text_offset = start
            .checked_sub(KERNEL_BASE)
            .ok_or(ImageError::Start(start))?;
        (text_offset, length.max(size))
    };
    Ok(Image {
        execution_state: ExecutionState::AArch32,
        text_offset,
        memory_size,
        page_size: None,
    })
}

/// What the unpacked kernel takes from the start of RAM on.
fn unpacked_extent(file: &[u8]) -> u64 {
    let sizes = || -> Option<u64> {
        let has_table = word(file, TABLE_MAGIC_OFFSET)? == TABLE_MAGIC;
        let table = usize::try_from(word(file, TABLE).filter(|_| has_table)?).ok()?;
        let entry = |index: usize| word(file, table.checked_add(index * 4)?);
        let length = entry(0).filter(|_| entry(1) == Some(SIZES))?;
        // The unpacked size follows the packed data.
        let unpacked = word(file, usize::try_from(entry(2)?).ok()?)?;
        let text_offset = match length {
            5.. => u64::from(entry(4)?),
            _ => TEXT_OFFSET,
        };
        Some(text_offset + u64::from(unpacked) + u64::from(entry(3)?))
    };
    sizes().unwrap_or(DEFAULT_ROOM)
}

/// The little-endian number at `offset`.
fn word(file: &[u8], offset: usize) -> Option<u32> {
    let bytes = file.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}
