//! Courses of a workload: the same guests with everything moved by about a percent that a study otherwise fixes.

/// The hypervisor's own time slice, in microseconds.
const SLICE: u32 = 10_000;

/// The most courses: each has a slice of its own.
pub const MOST_COURSES: u32 = 31;

/// The most turns of an empty loop by which a guest begins later: of a shell, some milliseconds.
const OFFSETS: u64 = 2000;

/// Seeds from one course to the next, so that no guest of one has the seed of a guest of another.
const SEEDS: u64 = 10;

/// One course that a workload takes.
///
/// Who runs when, and what the registers then hold, is chaotic where guests share a core: a slice that is longer by a
/// thousandth changes every count. So a study looks at several courses, which differ in the slice, in how far each
/// guest is when the others begin, and in the input of the guests' programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Course {
    number: u32,
}

impl Course {
    /// The course that every study takes: what the workload says, and nothing moved.
    pub const FIRST: Self = Self { number: 0 };

    /// The courses of a study of so many.
    pub fn all(count: u32) -> impl Iterator<Item = Self> {
        (0..count).map(|number| Self { number })
    }

    /// Its number, from 0.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// The slice in microseconds instead of this one, or of the hypervisor's own: another one in each course, at most
    /// 1.5 % shorter or longer.
    pub fn slice(self, slice: Option<u32>) -> Option<u32> {
        if self == Self::FIRST {
            return slice;
        }
        // 7 and 31 have no common divisor: each thousandth once.
        let thousandths = 1000 - 15 + (7 * self.number + 15) % MOST_COURSES;
        let moved = u64::from(slice.unwrap_or(SLICE)) * u64::from(thousandths) / 1000;
        u32::try_from(moved).ok()
    }

    /// The seed of the first guest's input, where that of the first course is this one.
    pub const fn seed(self, seed: u64) -> u64 {
        seed.wrapping_add(SEEDS * self.number as u64)
    }

    /// Turns of an empty loop by which a VM's work begins later.
    pub fn offset(self, vm: usize) -> u32 {
        if self == Self::FIRST {
            return 0;
        }
        (mixed(u64::from(self.number) << 32 | vm as u64) % OFFSETS) as u32
    }
}

/// A number whose bits all depend on those of another one.
///
/// Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_course_has_a_slice_near_the_workloads_and_none_has_anothers() {
        for slice in [None, Some(1000), Some(4000), Some(10_000)] {
            let whole = slice.unwrap_or(SLICE);
            let all: BTreeSet<u32> = Course::all(MOST_COURSES)
                .map(|course| course.slice(slice).unwrap_or(whole))
                .collect();
            assert_eq!(all.len(), MOST_COURSES as usize);
            let least = whole - whole * 15 / 1000;
            assert_eq!(all.first(), Some(&least));
            assert_eq!(all.last(), Some(&(whole + whole * 15 / 1000)));
        }
        assert_eq!(Course::FIRST.slice(None), None);
    }

    #[test]
    fn no_two_guests_have_the_same_seed_and_offset() {
        let mut seen = BTreeSet::new();
        for course in Course::all(MOST_COURSES).skip(1) {
            for vm in 0..SEEDS as usize {
                assert!(seen.insert(course.seed(1) + vm as u64));
                assert!(u64::from(course.offset(vm)) < OFFSETS);
            }
            assert_ne!(course.offset(0), course.offset(1));
        }
        assert_eq!((Course::FIRST.seed(7), Course::FIRST.offset(3)), (7, 0));
    }
}
