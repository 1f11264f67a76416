//! Properties of the tables: exactly what was mapped translates, and only to the VM's own memory.

use std::collections::BTreeSet;

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

/// Where the frames are said to be: above all RAM of these tests.
const FRAMES_PA: u64 = 1 << 40;

/// Every run draws the same cases.
fn seeded() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(0x0039),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn frames(count: usize) -> Vec<Frame> {
    (0..count).map(|_| Frame::new()).collect()
}

/// A VM's RAM at any page, over up to 12 MiB.
fn any_ram() -> impl Strategy<Value = Ram> {
    let pages = 1..=3072_u64;
    let aligned_or_not = prop_oneof![Just(512_u64), Just(1_u64)];
    (0..1_u64 << 22, 0..1_u64 << 22, pages, aligned_or_not).prop_map(|(ipa, pa, size, align)| {
        let round = |page: u64| page / align * align * PAGE_SIZE;
        Ram::new(round(ipa), round(pa), size * PAGE_SIZE).unwrap()
    })
}

/// Some ranges of pages, as offsets into the RAM, which need not be inside it.
fn some_ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..3200_u64, 0..1600_u64), 0..6)
}

/// Every leaf in the tables, read from the raw entries of all frames in use.
fn leaves(tables: &Stage2<'_>) -> Vec<u64> {
    let mut found = Vec::new();
    let mut todo = vec![(0_usize, Level::One)];
    while let Some((frame, level)) = todo.pop() {
        for bits in tables.frames[frame].bits().filter(|bits| bits & 1 != 0) {
            let pa = bits & 0xffff_ffff_f000;
            let next = match level {
                Level::One => Some(Level::Two),
                Level::Two if bits & 2 != 0 => Some(Level::Three),
                _ => None,
            };
            match next {
                Some(next) => todo.push((((pa - FRAMES_PA) / PAGE_SIZE) as usize, next)),
                None => found.push(pa),
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn exactly_what_is_mapped_translates(ram in any_ram(), ranges in some_ranges()) {
        let frames = frames(frames_needed(ram.size));
        let mut tables = Stage2::new(ram, &frames, FRAMES_PA).unwrap();
        let mut mapped = BTreeSet::new();
        for (first, count) in ranges {
            let start = ram.ipa + first * PAGE_SIZE;
            let inside = (first + count) * PAGE_SIZE <= ram.size && first * PAGE_SIZE < ram.size;
            let range: BTreeSet<u64> = (first..first + count).collect();
            let answer = tables.map(start..start + count * PAGE_SIZE);
            if !inside {
                prop_assert_eq!(answer, Err(Stage2Error::NotRam));
            } else if let Some(taken) = range.intersection(&mapped).min() {
                prop_assert_eq!(answer, Err(Stage2Error::AlreadyMapped));
                // It stops at the page that is taken, or at the start of the block around it.
                let blocks = (ram.ipa ^ ram.pa).is_multiple_of(BLOCK_SIZE);
                let block = (ram.ipa + taken * PAGE_SIZE) & !(BLOCK_SIZE - 1);
                let whole = block >= start && block + BLOCK_SIZE <= start + count * PAGE_SIZE;
                let stop = if blocks && whole { (block - ram.ipa) / PAGE_SIZE } else { *taken };
                mapped.extend(first..stop);
            } else {
                prop_assert_eq!(answer, Ok(()));
                mapped.extend(range);
            }
        }
        let pages = ram.size / PAGE_SIZE;
        for page in 0..pages + 4 {
            let expected = mapped.contains(&page).then(|| ram.pa + page * PAGE_SIZE + 8);
            prop_assert_eq!(tables.translate(ram.ipa + page * PAGE_SIZE + 8), expected);
        }
        let below = ram.ipa.saturating_sub(8);
        prop_assert!(below == 0 || tables.translate(below).is_none());
        for leaf in leaves(&tables) {
            prop_assert!(ram.pa().contains(&leaf), "{leaf:#x} is not in {ram:x?}");
        }
    }

    /// As EL2 answers faults: the chunk around the address, if nothing is mapped there yet.
    #[test]
    fn ram_can_be_mapped_chunk_by_chunk_in_any_order(
        ram in any_ram(),
        chunk in (0..7_u64).prop_map(|shift| PAGE_SIZE << shift),
        faults in prop::collection::vec(0..12_u64 << 20, 1..64),
    ) {
        let frames = frames(frames_needed(ram.size));
        let mut tables = Stage2::new(ram, &frames, FRAMES_PA).unwrap();
        for offset in faults {
            let start = ram.ipa + offset / chunk * chunk;
            let is_ram = ram.to_physical(start, chunk).is_some();
            let before = tables.translate(ram.ipa + offset);
            let expected = match before {
                _ if !is_ram => Err(Stage2Error::NotRam),
                None => Ok(()),
                Some(_) => Err(Stage2Error::AlreadyMapped),
            };
            prop_assert_eq!(tables.map(start..start + chunk), expected);
            let expected = is_ram.then(|| ram.pa + offset);
            prop_assert_eq!(tables.translate(ram.ipa + offset), expected);
        }
    }

    #[test]
    fn the_frames_are_enough_for_pages_everywhere(ram in any_ram()) {
        let frames = frames(frames_needed(ram.size));
        let mut tables = Stage2::new(ram, &frames, FRAMES_PA).unwrap();
        for page in 0..ram.size / PAGE_SIZE {
            let ipa = ram.ipa + page * PAGE_SIZE;
            prop_assert_eq!(tables.map(ipa..ipa + PAGE_SIZE), Ok(()));
        }
        prop_assert_eq!(leaves(&tables).len() as u64, ram.size / PAGE_SIZE);
    }
}

/// RAM as the VMs have it: 1 GiB up, on blocks.
fn plain_ram(size: u64) -> Ram {
    Ram::new(0x4000_0000, 0x8060_0000, size).unwrap()
}

#[test]
fn aligned_ram_is_mapped_by_blocks() {
    let ram = plain_ram(64 << 20);
    let frames = frames(frames_needed(ram.size));
    let mut tables = Stage2::new(ram, &frames, FRAMES_PA).unwrap();
    tables.map(ram.ipa()).unwrap();
    assert_eq!(leaves(&tables).len(), 32);
    assert_eq!(tables.used, 2);
    assert_eq!(tables.translate(0x4000_0000), Some(0x8060_0000));
    assert_eq!(tables.translate(0x43ff_ffff), Some(0x845f_ffff));
    assert_eq!(tables.translate(0x4400_0000), None);
    assert_eq!(tables.translate(0x3fff_ffff), None);
}

#[test]
fn an_ipa_beyond_the_tables_does_not_wrap_into_them() {
    let ram = plain_ram(BLOCK_SIZE);
    let frames = frames(frames_needed(ram.size));
    let mut tables = Stage2::new(ram, &frames, FRAMES_PA).unwrap();
    tables.map(ram.ipa()).unwrap();
    assert_eq!(tables.translate((1 << IPA_BITS) + 0x4000_0000), None);
}

#[test]
fn after_unmap_all_nothing_translates_and_all_can_be_mapped_again() {
    let ram = plain_ram(8 << 20);
    let frames = frames(frames_needed(ram.size));
    let mut tables = Stage2::new(ram, &frames, FRAMES_PA).unwrap();
    tables.map(ram.ipa..ram.ipa + PAGE_SIZE).unwrap();
    let second_block = ram.ipa + BLOCK_SIZE..ram.ipa + 2 * BLOCK_SIZE;
    tables.map(second_block).unwrap();
    tables.unmap_all();
    assert_eq!(tables.translate(ram.ipa), None);
    assert_eq!(tables.translate(ram.ipa + BLOCK_SIZE), None);
    tables.map(ram.ipa()).unwrap();
    assert_eq!(tables.translate(ram.ipa), Some(ram.pa));
    assert_eq!(leaves(&tables).len(), 4);
}

/// A stale table must not shine through when its frame is used again.
#[test]
fn frames_that_were_used_before_are_cleared() {
    let ram = plain_ram(8 << 20);
    let frames = frames(frames_needed(ram.size));
    let mut first = Stage2::new(ram, &frames, FRAMES_PA).unwrap();
    first.map(ram.ipa()).unwrap();
    let mut second = Stage2::new(ram, &frames, FRAMES_PA).unwrap();
    assert_eq!(second.translate(ram.ipa), None);
    second.map(ram.ipa..ram.ipa + PAGE_SIZE).unwrap();
    assert_eq!(second.translate(ram.ipa + PAGE_SIZE), None);
    assert_eq!(second.translate(ram.ipa + BLOCK_SIZE), None);
}

#[test]
fn tables_in_the_guests_reach_are_refused() {
    let ram = plain_ram(8 << 20);
    let count = frames_needed(ram.size);
    let frames = frames(count);
    let size = count as u64 * PAGE_SIZE;
    for pa in [ram.pa, ram.pa().end - PAGE_SIZE, ram.pa - size + PAGE_SIZE] {
        let answer = Stage2::new(ram, &frames, pa);
        assert_eq!(answer.err(), Some(Stage2Error::FramesInRam), "{pa:#x}");
    }
    for pa in [ram.pa - size, ram.pa().end] {
        assert!(Stage2::new(ram, &frames, pa).is_ok(), "{pa:#x}");
    }
}

#[test]
fn wrong_frames_and_ranges_are_refused() {
    let ram = plain_ram(8 << 20);
    let frames = frames(frames_needed(ram.size));
    let few = Stage2::new(ram, &frames[1..], FRAMES_PA);
    assert_eq!(few.err(), Some(Stage2Error::TooFewFrames));
    let odd = Stage2::new(ram, &frames, FRAMES_PA + 8);
    assert_eq!(odd.err(), Some(Stage2Error::Unaligned));
    let mut tables = Stage2::new(ram, &frames, FRAMES_PA).unwrap();
    let unaligned = tables.map(ram.ipa + 1..ram.ipa + PAGE_SIZE);
    assert_eq!(unaligned, Err(Stage2Error::Unaligned));
    let backwards = tables.map(ram.ipa + PAGE_SIZE..ram.ipa);
    assert_eq!(backwards, Err(Stage2Error::NotRam));
}

#[test]
fn ram_must_be_pages_that_the_tables_can_hold() {
    assert_eq!(Ram::new(0x4000_0000, 0x4000_0000, 0), None);
    assert_eq!(Ram::new(0x4000_0800, 0x4000_0000, PAGE_SIZE), None);
    assert_eq!(Ram::new(0x4000_0000, 0x4000_0000, 0x800), None);
    assert_eq!(
        Ram::new((1 << IPA_BITS) - PAGE_SIZE, 0, 2 * PAGE_SIZE),
        None
    );
    assert_eq!(Ram::new(0, (1 << PA_BITS) - PAGE_SIZE, 2 * PAGE_SIZE), None);
    assert_eq!(Ram::new(u64::MAX - 0xfff, 0, PAGE_SIZE), None);
}

#[test]
fn to_physical_knows_the_edges() {
    let ram = plain_ram(BLOCK_SIZE);
    assert_eq!(ram.to_physical(ram.ipa, BLOCK_SIZE), Some(ram.pa));
    assert_eq!(ram.to_physical(ram.ipa + 4, BLOCK_SIZE), None);
    assert_eq!(ram.to_physical(ram.ipa - 1, 1), None);
    assert_eq!(ram.to_physical(ram.ipa + BLOCK_SIZE, 0), None);
    assert_eq!(ram.to_physical(ram.ipa + 1, u64::MAX), None);
}
