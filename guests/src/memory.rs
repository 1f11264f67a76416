//! Fresh pages: memory that nobody has touched yet, in the order in which a guest walks it.

/// Size of a page in bytes.
pub const PAGE: u64 = 4096;

/// Size of a level 2 block in bytes.
pub const BLOCK: u64 = 2 << 20;

/// Pages that a walk touches in one block before it goes on to the next.
pub const PAGES_PER_BLOCK: u64 = 8;

/// The larger of the two parts of `ram` that lie around the region `hole`.
///
/// All are half-open ranges of addresses, as `(start, end)`.
#[must_use]
pub fn larger_part(ram: (u64, u64), hole: (u64, u64)) -> (u64, u64) {
    let below = (ram.0, hole.0.clamp(ram.0, ram.1));
    let above = (hole.1.clamp(ram.0, ram.1), ram.1);
    if below.1 - below.0 >= above.1 - above.0 {
        below
    } else {
        above
    }
}

/// Takes `size` bytes from the end of `range`, a half-open range of addresses, at a multiple of
/// `alignment`; `None` if there is too little.
#[must_use]
pub fn take_from_end(range: &mut (u64, u64), size: u64, alignment: u64) -> Option<u64> {
    let start = range.1.checked_sub(size)? / alignment * alignment;
    (start >= range.0).then(|| {
        range.1 = start;
        start
    })
}

/// Part `part` of `parts` of a half-open range of addresses, in whole blocks.
///
/// # Panics
///
/// Panics if there are no parts.
#[must_use]
pub fn share(range: (u64, u64), part: u64, parts: u64) -> (u64, u64) {
    if parts == 1 {
        return range;
    }
    let first = range.0.next_multiple_of(BLOCK);
    let blocks = range.1.saturating_sub(first) / BLOCK;
    let start = |part| first + blocks * part / parts * BLOCK;
    (start(part), start(part + 1))
}

/// The addresses of pages in a range, each once, upwards: the first [`PAGES_PER_BLOCK`] of each
/// 2 MiB block, so that a walk soon crosses from one block to the next.
#[derive(Clone, Debug)]
pub struct FreshPages {
    next: u64,
    end: u64,
    left_in_block: u64,
}

impl FreshPages {
    /// A walk over the whole pages of `range`, a half-open range of addresses.
    #[must_use]
    pub fn new(range: (u64, u64)) -> Self {
        Self {
            next: range.0.next_multiple_of(PAGE),
            end: range.1,
            left_in_block: PAGES_PER_BLOCK,
        }
    }
}

impl Iterator for FreshPages {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let page = self.next;
        if page + PAGE > self.end {
            return None;
        }
        self.left_in_block -= 1;
        self.next = if self.left_in_block == 0 {
            (page + 1).next_multiple_of(BLOCK)
        } else {
            page + PAGE
        };
        if self.next.is_multiple_of(BLOCK) {
            self.left_in_block = PAGES_PER_BLOCK;
        }
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn walks_eight_pages_of_each_block() {
        let pages: Vec<_> = FreshPages::new((BLOCK - 2 * PAGE, 3 * BLOCK)).collect();
        assert_eq!(pages.len(), 2 + 8 + 8);
        assert_eq!(pages[1..3], [BLOCK - PAGE, BLOCK]);
        assert_eq!(pages[9..11], [BLOCK + 7 * PAGE, 2 * BLOCK]);
    }

    #[test]
    fn the_hole_may_lie_anywhere() {
        assert_eq!(larger_part((10, 100), (20, 30)), (30, 100));
        assert_eq!(larger_part((10, 100), (80, 90)), (10, 80));
        assert_eq!(larger_part((10, 100), (0, 5)), (10, 100));
        assert_eq!(larger_part((10, 100), (200, 300)), (10, 100));
        assert_eq!(larger_part((10, 100), (0, 300)), (10, 10));
    }

    #[test]
    fn what_is_taken_is_nobody_elses() {
        let mut range = (100, 1000);
        assert_eq!(take_from_end(&mut range, 90, 100), Some(900));
        assert_eq!(take_from_end(&mut range, 700, 100), Some(200));
        assert_eq!(take_from_end(&mut range, 101, 100), None);
        assert_eq!(range, (100, 200));
    }

    proptest! {
        #![proptest_config(crate::fixed_seed())]

        #[test]
        fn shares_lie_inside_and_apart(
            start in 0..10 * BLOCK,
            size in 0..40 * BLOCK,
            parts in 1..=8u64,
        ) {
            let range = (start, start + size);
            let mut end = range.0;
            for part in 0..parts {
                let share = share(range, part, parts);
                prop_assert!(end <= share.0 && share.0 <= share.1);
                end = share.1;
            }
            prop_assert!(end <= range.1 || end < range.0 + BLOCK);
            prop_assert_eq!(share(range, 0, 1), range);
        }

        #[test]
        fn pages_are_new_aligned_and_inside(start in 0..10 * BLOCK, size in 0..10 * BLOCK) {
            let mut last = None;
            for page in FreshPages::new((start, start + size)) {
                prop_assert!(page.is_multiple_of(PAGE));
                prop_assert!(page >= start && page + PAGE <= start + size);
                prop_assert!(last < Some(page));
                last = Some(page);
            }
        }
    }
}
