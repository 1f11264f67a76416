//! Tests of the header's checks and of the layout.

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

const MIB: u64 = 1 << 20;

/// A header by the offsets of booting.rst, and `size` bytes in all.
fn image_file(text_offset: u64, image_size: u64, flags: u64, size: usize) -> Vec<u8> {
    let mut file = vec![0; size.max(64)];
    file[8..16].copy_from_slice(&text_offset.to_le_bytes());
    file[16..24].copy_from_slice(&image_size.to_le_bytes());
    file[24..32].copy_from_slice(&flags.to_le_bytes());
    file[56..60].copy_from_slice(b"ARM\x64");
    file
}

/// An image that is an EFI program too, with two sections, the last of which ends at `end`.
fn efi_image_file(end: u32) -> Vec<u8> {
    let mut file = image_file(0, 16 * MIB, 0b1010, end as usize);
    let (pe, optional_header, text_end) = (64_usize, 160_u16, 0x1000_u32);
    file[0..2].copy_from_slice(b"MZ");
    file[60..64].copy_from_slice(&(pe as u32).to_le_bytes());
    file[pe..pe + 4].copy_from_slice(b"PE\0\0");
    file[pe + 6..pe + 8].copy_from_slice(&2_u16.to_le_bytes());
    file[pe + 20..pe + 22].copy_from_slice(&optional_header.to_le_bytes());
    let table = pe + 24 + usize::from(optional_header);
    for (section, start, end) in [(0, 0x400, text_end), (1, text_end, end)] {
        let section = table + section * 40;
        file[section + 16..section + 20].copy_from_slice(&(end - start).to_le_bytes());
        file[section + 20..section + 24].copy_from_slice(&start.to_le_bytes());
    }
    file
}

fn image(text_offset: u64, memory_size: u64) -> Image {
    Image {
        execution_state: ExecutionState::AArch64,
        text_offset,
        memory_size,
        page_size: None,
    }
}

#[test]
fn a_header_is_read_by_its_offsets() {
    let file = image_file(0x8_0000, 20 * MIB, 0b1010, 4096);
    let expected = Image {
        execution_state: ExecutionState::AArch64,
        text_offset: 0x8_0000,
        memory_size: 20 * MIB,
        page_size: Some(PageSize::Small),
    };
    assert_eq!(Image::parse(&file), Ok(expected));
}

#[test]
fn page_sizes_are_read_and_compared_with_the_core() {
    // ID_AA64MMFR0_EL1 of a Cortex-A57, which has no 16 KiB granule, and of one that has all three
    // with 52-bit addresses, and of one with the 16 KiB granule only.
    let (a57, all, medium_only) = (0x0000_1124, 0x1020_0000, 0xff10_0000);
    for (flags, size, on) in [
        (0b000, None, [true, true, true]),
        (0b010, Some(PageSize::Small), [true, true, false]),
        (0b100, Some(PageSize::Medium), [false, true, true]),
        (0b110, Some(PageSize::Large), [true, true, false]),
    ] {
        let image = Image::parse(&image_file(0, MIB, flags, 64)).unwrap();
        assert_eq!(image.page_size, size);
        for (mmfr0, supported) in [a57, all, medium_only].into_iter().zip(on) {
            let answer = image.check_page_size(mmfr0);
            assert_eq!(answer.is_ok(), supported, "{size:?} {mmfr0:#x}");
        }
    }
}

#[test]
fn memory_holds_all_of_a_file_that_is_larger_than_its_image_size() {
    let image = Image::parse(&image_file(0, 4096, 0, 10_000)).unwrap();
    assert_eq!(image.memory_size, 10_000);
}

#[test]
fn files_of_other_formats_are_named() {
    for (start, format) in [
        (&b"\x7fELF\x02\x01\x01"[..], Format::Elf),
        (b"\x1f\x8b\x08", Format::Gzip),
        (b"MZ\0\0zimg", Format::EfiZboot),
        (b"\x27\x05\x19\x56", Format::Uimage),
        (b"#!/bin/sh", Format::Unknown),
    ] {
        let mut file = start.to_vec();
        file.resize(4096, 0);
        let error = Image::parse(&file).unwrap_err();
        assert_eq!(error, ImageError::NotAnImage(format));
        assert!(error.to_string().contains("not an arm64 Image"));
    }
    let short_elf = Image::parse(b"\x7fELF");
    assert_eq!(short_elf, Err(ImageError::NotAnImage(Format::Elf)));
}

#[test]
fn kernels_that_cannot_run_are_refused() {
    let big_endian = Image::parse(&image_file(0, MIB, 1, 64));
    assert_eq!(big_endian, Err(ImageError::BigEndian));
    let no_size = Image::parse(&image_file(0, 0, 0, 64));
    assert_eq!(no_size, Err(ImageError::NoImageSize));
}

#[test]
fn a_truncated_file_is_told_from_its_sections() {
    let end = 0x3000_u32;
    let whole = efi_image_file(end);
    assert!(Image::parse(&whole).is_ok());
    for size in [63, 64, 90, 250, 0x1000, 0x2fff] {
        let error = Image::parse(&whole[..size]).unwrap_err();
        let ImageError::Truncated { expected, .. } = error else {
            panic!("{size}: {error:?}");
        };
        assert!(expected > size as u64 && expected <= u64::from(end));
    }
    let sentence = Image::parse(&whole[..0x2fff]).unwrap_err().to_string();
    assert_eq!(
        sentence,
        "the kernel is truncated: it has 12287 bytes of at least 12288; copy the file again"
    );
}

#[test]
fn an_empty_file_is_refused() {
    let error = Image::parse(&[]).unwrap_err();
    let (size, expected) = (0, 64);
    assert_eq!(error, ImageError::Truncated { size, expected });
}

#[test]
fn the_layout_of_a_linux_with_a_ram_disk() {
    let layout = Layout::new(0, &image(0, 0x1d0_1234), Some(0x49_93e1), 64 * MIB).unwrap();
    let expected = Layout {
        ram: 0x4000_0000..0x4400_0000,
        kernel: 0x4020_0000..0x41f0_1234,
        ramdisk: Some(0x41f0_2000..0x4239_b3e1),
        fdt: 0x4240_0000..0x4260_0000,
    };
    assert_eq!(layout, expected);
    assert_eq!(layout.entry(), 0x4020_0000);
}

#[test]
fn the_layout_without_a_ram_disk() {
    let layout = Layout::new(0, &image(0x8_0000, 0x1000), None, 8 * MIB).unwrap();
    assert_eq!(layout.entry(), 0x4028_0000);
    assert_eq!(layout.ramdisk, None);
    assert_eq!(layout.fdt, 0x4040_0000..0x4060_0000);
}

#[test]
fn memory_that_is_exactly_enough_is_enough() {
    let (image, ramdisk) = (image(0, 20 * MIB), Some(3 * MIB));
    let needed = 28 * MIB;
    assert!(Layout::new(0, &image, ramdisk, needed).is_ok());
    let error = Layout::new(0, &image, ramdisk, needed - MEMORY_STEP).unwrap_err();
    let expected = DoesNotFit {
        vm: 0,
        part: Part::Fdt,
        needed: Some(needed),
        memory: needed - MEMORY_STEP,
    };
    assert_eq!(error, expected);
}

#[test]
fn what_does_not_fit_is_named_with_what_is_needed() {
    let image = image(0, 20 * MIB);
    let sentence = |ramdisk, memory| {
        Layout::new(3, &image, ramdisk, memory)
            .unwrap_err()
            .to_string()
    };
    assert!(sentence(None, 16 * MIB).starts_with("vm3's kernel does not fit"));
    assert_eq!(
        sentence(Some(300 * MIB), 256 * MIB),
        "vm3's RAM disk does not fit into its 256M of memory: kernel, RAM disk and device tree \
         need 324M; set vm3.memory=324M or more"
    );
    assert!(sentence(Some(32 << 30), 64 << 30).starts_with("vm3's RAM disk fits into no VM"));
}

#[test]
fn absurd_sizes_are_refused() {
    for (text_offset, memory_size, ramdisk, part) in [
        (u64::MAX, 1, None, Part::Kernel),
        (0, u64::MAX, None, Part::Kernel),
        (0, MIB, Some(u64::MAX), Part::Ramdisk),
        (0, u64::MAX - KERNEL_BASE, None, Part::Fdt),
    ] {
        let error =
            Layout::new(0, &image(text_offset, memory_size), ramdisk, 256 * MIB).unwrap_err();
        assert_eq!((error.part, error.needed), (part, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x0064),
        failure_persistence: None,
        cases: 4096,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_overlaps_and_all_is_in_ram(
        text_offset in prop_oneof![Just(0), 0..4 * MIB, any::<u64>()],
        memory_size in prop_oneof![1..64 * MIB, any::<u64>()],
        ramdisk in prop::option::of(prop_oneof![1..64 * MIB, any::<u64>()]),
        memory in (2..128_u64).prop_map(|blocks| blocks * MEMORY_STEP),
    ) {
        let image = image(text_offset, memory_size);
        match Layout::new(0, &image, ramdisk, memory) {
            Ok(layout) => {
                prop_assert_eq!(layout.entry(), KERNEL_BASE + text_offset);
                prop_assert_eq!(layout.kernel.end - layout.kernel.start, memory_size);
                let mut end = layout.kernel.end;
                if let Some(place) = &layout.ramdisk {
                    prop_assert_eq!(Some(place.end - place.start), ramdisk);
                    prop_assert!(place.start >= end && place.start.is_multiple_of(PAGE));
                    end = place.end;
                }
                prop_assert!(layout.fdt.start >= end && layout.fdt.start.is_multiple_of(FDT_ROOM));
                prop_assert!(layout.fdt.end <= RAM + memory);
            }
            Err(DoesNotFit { needed: Some(needed), .. }) => {
                prop_assert!(needed > memory);
                prop_assert!(Layout::new(0, &image, ramdisk, needed).is_ok());
            }
            Err(error) => prop_assert!(error.to_string().contains("fits into no VM")),
        }
    }

    #[test]
    fn no_file_breaks_it(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        length in any::<prop::sample::Index>(),
    ) {
        let mut file = efi_image_file(0x1200);
        for (place, byte) in damage {
            // In the headers, as nothing reads the rest.
            let place = place.index(0x200);
            file[place] = byte;
        }
        file.truncate(1 + length.index(file.len()));
        let _ = Image::parse(&file).map_err(|error| error.to_string());
    }
}

/// A zImage by the offsets of head.S, which has to lie at `start`, and `size` bytes in all.
fn zimage_file(start: u32, end: u32, size: usize) -> Vec<u8> {
    let mut file = vec![0; size];
    for (offset, word) in [(0x24, 0x016f_2818), (0x28, start), (0x2c, end)] {
        file[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
    }
    file
}

/// One with a table that says its sizes: text_offset, unpacked, bss.
fn zimage_with_sizes(text_offset: Option<u32>, unpacked: u32, bss: u32) -> Vec<u8> {
    let mut file = zimage_file(0, 0x1000, 0x1000);
    let mut put = |offset: usize, word: u32| {
        file[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
    };
    put(0x30, 0x0403_0201);
    put(0x34, 0x4545_4545);
    put(0x38, 0x800);
    put(0x800, if text_offset.is_some() { 6 } else { 4 });
    put(0x804, 0x5a53_4c4b);
    put(0x808, 0xc01);
    put(0x80c, bss);
    put(0x810, text_offset.unwrap_or(0xdead_beef));
    put(0xc01, unpacked);
    file
}

#[test]
fn a_zimage_is_put_above_what_it_unpacks() {
    for (file, above) in [
        // Debian's armmp-lpae kernel 6.1: 24.1 MiB.
        (zimage_with_sizes(Some(0x20_8000), 0x15a_50c8, 0x6_01c0), 26),
        // As before Linux 5.1, without a TEXT_OFFSET.
        (zimage_with_sizes(None, 9 * MIB as u32, 0), 12),
        (zimage_file(0, 0x1000, 0x1000), 32),
    ] {
        let image = Image::parse(&file).unwrap();
        assert_eq!(image.execution_state, ExecutionState::AArch32);
        assert_eq!(KERNEL_BASE + image.text_offset, RAM + above * MIB);
        assert_eq!(image.memory_size, 0x1000 + MIB, "with what unpacking takes");
    }
}

#[test]
fn a_flat_program_lies_where_its_header_says() {
    let base = KERNEL_BASE as u32;
    let image = Image::parse(&zimage_file(base, base + 0x9000, 0x1000)).unwrap();
    let expected = Image {
        execution_state: ExecutionState::AArch32,
        text_offset: 0,
        memory_size: 0x9000,
        page_size: None,
    };
    assert_eq!(image, expected);
    let low = Image::parse(&zimage_file(0x1000, 0x2000, 0x1000)).unwrap_err();
    assert_eq!(low, ImageError::Start(0x1000));
    assert!(low.to_string().contains("below 0x40200000"));
}

#[test]
fn a_zimage_that_cannot_run_is_refused() {
    let truncated = Image::parse(&zimage_file(0, 0x2000, 0x1000));
    let (size, expected) = (0x1000, 0x2000);
    assert_eq!(truncated, Err(ImageError::Truncated { size, expected }));
    let header = Image::parse(&zimage_file(0, 0x2000, 0x1000)[..0x2a]);
    assert!(matches!(header, Err(ImageError::Truncated { .. })));
    let mut big_endian = zimage_file(0, 0x1000, 0x1000);
    big_endian[0x24..0x28].reverse();
    assert_eq!(Image::parse(&big_endian), Err(ImageError::BigEndian));
    assert_eq!(
        Image::parse(&zimage_file(0x9000, 0x1000, 0x1000)),
        Err(ImageError::NoImageSize)
    );
}

#[test]
fn execution_states_are_compared_with_the_core() {
    // ID_AA64PFR0_EL1 of a Cortex-A57 and of a Neoverse N1, which has AArch32 at EL0 only.
    let (a57, n1) = (0x0000_2222, 0x1100_0000_1111_1112);
    let zimage = Image::parse(&zimage_file(0, 0x1000, 0x1000)).unwrap();
    assert_eq!(zimage.check_execution_state(a57), Ok(()));
    let refusal = zimage.check_execution_state(n1).unwrap_err();
    assert!(refusal.to_string().contains("no AArch32 at EL1"));
    assert_eq!(image(0, MIB).check_execution_state(n1), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn damaged_zimages_do_no_harm(
        words in proptest::collection::vec((0_usize..0x400, any::<u32>()), 0..12),
        length in 0_usize..0x1000,
    ) {
        let mut file = zimage_with_sizes(Some(0x8000), 1 << 20, 1 << 10);
        for (index, word) in words {
            if index != 9 {
                file[index * 4..index * 4 + 4].copy_from_slice(&word.to_le_bytes());
            }
        }
        if let Ok(image) = Image::parse(&file[..length]) {
            let _ = Layout::new(0, &image, None, 1 << 30);
        }
    }
}
