//! Vector lengths: one of them, and the set that a core has.

/// A vector length: a multiple of 128 bits, from 128 to 2048.
///
/// SVE's length (VL) and that of streaming mode (SVL) are both of this type. The architecture allows
/// powers of two only; cores and emulators that were made for its first edition have other multiples
/// of 128 too.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VectorLength(u8);

impl VectorLength {
    /// 128 bits.
    pub const MIN: Self = Self(0);
    /// 2048 bits.
    pub const MAX: Self = Self(15);

    /// Returns the length of so many bits, or `None` if there is no such length.
    pub const fn from_bits(bits: usize) -> Option<Self> {
        if bits % 128 == 0 && bits >= 128 && bits <= 2048 {
            Some(Self((bits / 128 - 1) as u8))
        } else {
            None
        }
    }

    /// Returns the length that a `LEN` field names (`ZCR_ELx`, `SMCR_ELx`); higher bits are ignored.
    pub const fn from_len(register: u64) -> Self {
        Self((register & 0xf) as u8)
    }

    /// The `LEN` field that names this length: one less than the number of 128-bit parts.
    pub const fn len_field(self) -> u64 {
        self.0 as u64
    }

    /// Bits of a Z register.
    pub const fn bits(self) -> usize {
        self.bytes() * 8
    }

    /// Bytes of a Z register.
    pub const fn bytes(self) -> usize {
        (self.0 as usize + 1) * 16
    }

    /// Bytes of a P register, and of FFR.
    pub const fn predicate_bytes(self) -> usize {
        self.bytes() / 8
    }

    /// Bytes of Z0 to Z31, P0 to P15 and FFR: 546 at 128 bits, 8,736 at 2048.
    pub const fn sve_bytes(self) -> usize {
        32 * self.bytes() + 17 * self.predicate_bytes()
    }

    /// Bytes of ZA, if this is the streaming vector length: as many rows as a row has bytes.
    pub const fn za_bytes(self) -> usize {
        self.bytes() * self.bytes()
    }
}

/// The vector lengths that a core has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct VectorLengths(u16);

impl VectorLengths {
    /// Returns the set whose lengths are given by bits: bit n means n + 1 times 128 bits.
    pub const fn from_bitmap(bitmap: u16) -> Self {
        Self(bitmap)
    }

    /// Bit n means n + 1 times 128 bits.
    pub const fn bitmap(self) -> u16 {
        self.0
    }

    /// Whether the core has this length.
    pub const fn contains(self, length: VectorLength) -> bool {
        self.0 >> length.0 & 1 == 1
    }

    /// The longest; `None` of an empty set.
    pub const fn max(self) -> Option<VectorLength> {
        self.at_most(VectorLength::MAX)
    }

    /// The longest that does not exceed `limit`: for SVE, what a core selects if asked for `limit`.
    pub const fn at_most(self, limit: VectorLength) -> Option<VectorLength> {
        match self.0 & (u16::MAX >> (15 - limit.0)) {
            0 => None,
            bits => Some(VectorLength(15 - bits.leading_zeros() as u8)),
        }
    }

    /// All of them, ascending.
    pub fn iter(self) -> impl Iterator<Item = VectorLength> {
        (0..16)
            .map(VectorLength)
            .filter(move |length| self.contains(*length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: VectorLengths = VectorLengths::from_bitmap(u16::MAX);

    #[test]
    fn sizes_are_those_of_the_architecture() {
        // Z, P and FFR; ZA.
        let table = [
            (128, 546, 256),
            (256, 1_092, 1_024),
            (512, 2_184, 4_096),
            (1024, 4_368, 16_384),
            (2048, 8_736, 65_536),
        ];
        for (bits, sve, za) in table {
            let length = VectorLength::from_bits(bits).unwrap();
            assert_eq!((length.sve_bytes(), length.za_bytes()), (sve, za), "{bits}");
        }
        for length in ALL.iter() {
            // 32 vectors of VL bits, 17 predicates of VL / 8 bits.
            assert_eq!(
                length.sve_bytes() * 8,
                32 * length.bits() + 17 * length.bits() / 8
            );
            assert_eq!(length.za_bytes() * 64, length.bits() * length.bits());
        }
    }

    #[test]
    fn only_multiples_of_128_up_to_2048_are_lengths() {
        for bits in 0..5000 {
            let expected = bits % 128 == 0 && (1..=16).contains(&(bits / 128));
            let length = VectorLength::from_bits(bits);
            assert_eq!(length.is_some(), expected, "{bits}");
            if let Some(length) = length {
                assert_eq!(length.bits(), bits);
                assert_eq!(VectorLength::from_len(length.len_field()), length);
            }
        }
        assert_eq!(VectorLength::from_len(!0), VectorLength::MAX);
    }

    #[test]
    fn a_set_selects_as_a_core_does() {
        let a64fx = VectorLengths::from_bitmap(0b1011);
        let at_most = |bits| {
            a64fx
                .at_most(VectorLength::from_bits(bits).unwrap())
                .map(VectorLength::bits)
        };
        assert_eq!(at_most(128), Some(128));
        assert_eq!(at_most(384), Some(256));
        assert_eq!(at_most(2048), Some(512));
        assert_eq!(a64fx.max(), VectorLength::from_bits(512));
        assert!(a64fx.iter().map(VectorLength::bits).eq([128, 256, 512]));
        assert_eq!(VectorLengths::default().max(), None);
        // A core may lack the shortest streaming lengths.
        assert_eq!(
            VectorLengths::from_bitmap(0b1000).at_most(VectorLength::MIN),
            None
        );
    }
}
