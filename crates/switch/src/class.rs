//! The classes of registers, and sets of them.

/// Registers that trap and move together. Those of a class include those of the classes below it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Class {
    /// V0 to V31, FPSR, FPCR.
    Fp,
    /// With all of Z0 to Z31, P0 to P15, FFR.
    Sve,
    /// With streaming mode, ZA, ZT0.
    Sme,
}

impl Class {
    /// Every class, the lowest first.
    pub const ALL: [Self; 3] = [Self::Fp, Self::Sve, Self::Sme];

    /// This class and those below it, the lowest first.
    #[inline]
    pub fn and_below(self) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .take_while(move |class| *class <= self)
    }
}

/// Some of the classes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct ClassSet(u8);

impl ClassSet {
    /// `top` and what is below it; nothing if there is none.
    #[inline]
    pub const fn up_to(top: Option<Class>) -> Self {
        match top {
            Some(top) => Self((2 << top as u8) - 1),
            None => Self(0),
        }
    }

    /// The highest class of the set.
    #[inline]
    pub fn top(self) -> Option<Class> {
        let mut classes = Class::ALL.into_iter().rev();
        classes.find(|class| self.contains(*class))
    }

    #[inline]
    pub const fn contains(self, class: Class) -> bool {
        self.0 >> class as u8 & 1 != 0
    }

    #[inline]
    pub const fn insert(&mut self, class: Class) {
        self.0 |= 1 << class as u8;
    }

    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub const fn len(self) -> u64 {
        self.0.count_ones() as u64
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
        for (count, class) in (1..).zip(Class::ALL) {
            let set = ClassSet::up_to(Some(class));
            assert_eq!((set.len(), set.top()), (count, Some(class)));
            assert!(class.and_below().all(|below| set.contains(below)));
            assert_eq!(class.and_below().count() as u64, count);
            let mut alone = ClassSet::default();
            alone.insert(class);
            assert_eq!((alone.len(), alone.top()), (1, Some(class)));
            assert_eq!(set.without(alone).union(alone), set);
        }
        assert!(ClassSet::up_to(None).is_empty());
        assert_eq!(ClassSet::default().top(), None);
    }
}
