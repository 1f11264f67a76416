//! The classes of registers, and sets of them.

/// Registers that trap and move together. Those of a class include those of the classes below it.
///
/// The numbers are sets of bits, one for each class that is included, and 0 is none: so neither sets nor
/// comparisons take more than an instruction.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Class {
    /// V0 to V31, FPSR, FPCR.
    Fp = 0b001,
    /// With all of Z0 to Z31, P0 to P15, FFR.
    Sve = 0b011,
    /// With streaming mode, ZA, ZT0.
    Sme = 0b111,
}

impl Class {
    /// Every class, the lowest first.
    pub const ALL: [Self; 3] = [Self::Fp, Self::Sve, Self::Sme];

    /// The classes above FP/SIMD up to this one, the lowest first.
    pub(crate) fn above_fp(self) -> impl Iterator<Item = Self> {
        let classes = Self::ALL.into_iter().skip(1);
        classes.take_while(move |class| *class <= self)
    }

    /// Whether it is more than FP/SIMD.
    #[inline]
    pub(crate) const fn is_above_fp(self) -> bool {
        // Every class above FP/SIMD includes SVE. One bit is faster to test than a comparison.
        self as u8 & (Self::Sve as u8 & !(Self::Fp as u8)) != 0
    }

    /// Its place among all.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Fp => 0,
            Self::Sve => 1,
            Self::Sme => 2,
        }
    }
}

/// Returns whether `one` reaches less far than `other`; `None` reaches nowhere.
///
/// As `one < Some(other)`, but by numbers.
#[inline]
pub(crate) const fn is_less(one: Option<Class>, other: Class) -> bool {
    number(one) < other as u8
}

/// The number of a class, 0 for none.
#[inline]
pub(crate) const fn number(class: Option<Class>) -> u8 {
    match class {
        Some(class) => class as u8,
        None => 0,
    }
}

/// Some of the classes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct ClassSet(u8);

impl ClassSet {
    /// `top` and what is below it; nothing if there is none.
    #[inline]
    pub const fn up_to(top: Option<Class>) -> Self {
        Self(number(top))
    }

    /// What is in the set, and all below.
    #[inline]
    pub const fn and_below(self) -> Self {
        Self(self.0 | self.0 >> 1 | self.0 >> 2)
    }

    #[inline]
    pub const fn contains(self, class: Class) -> bool {
        self.0 >> class.index() & 1 != 0
    }

    #[inline]
    pub const fn insert(&mut self, class: Class) {
        self.0 |= 1 << class.index();
    }

    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either.
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is not in `other`.
    #[inline]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        for class in Class::ALL {
            let set = ClassSet::up_to(Some(class));
            for each in Class::ALL {
                assert_eq!(set.contains(each), each <= class);
                assert_eq!(is_less(Some(each), class), each < class);
            }
            let mut alone = ClassSet::default();
            alone.insert(class);
            assert_eq!(alone.and_below(), set);
            assert_eq!(set.without(alone).union(alone), set);
            assert!(is_less(None, class));
        }
        assert!(ClassSet::up_to(None).is_empty());
    }
}
