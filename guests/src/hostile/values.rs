//! Random numbers that are more often special than chance would have it, and random addresses.

use crate::rng::SplitMix64;

/// The devices of the board that the guest is promised, as half-open ranges of addresses, with one
/// redistributor.
pub const DEVICES: [(u64, u64); 3] = [
    (0x0800_0000, 0x0801_0000),
    (0x080a_0000, 0x080c_0000),
    (0x0900_0000, 0x0900_1000),
];

/// A redistributor more follows for each further vCPU.
pub const REDISTRIBUTOR: u64 = 0x2_0000;

/// Devices of QEMU's board that the guest has not: they read as zero.
const ABSENT: [(u64, u64); 8] = [
    (0x0000_0000, 0x0800_0000),
    (0x0802_0000, 0x0802_1000),
    (0x0808_0000, 0x080a_0000),
    (0x0901_0000, 0x0902_0018),
    (0x0903_0000, 0x0904_1000),
    (0x0905_0000, 0x0907_0000),
    (0x0a00_0000, 0x0a00_4000),
    (0x1000_0000, 0x4000_0000),
];

/// How far below the address in its base register an access may begin, in bytes, by an offset that is
/// added before it.
pub const BELOW: u64 = 16;

/// How far above it one ends.
const ABOVE: u64 = 32;

/// Whether `far`, from `FAR_EL1`, is the address of a byte that an access with `base` in its base
/// register may touch. Addresses are numbers modulo 2^64: 16 below 0 is `0xffff_ffff_ffff_fff0`.
///
/// Source: Arm ARM, "FAR_EL1": the address that the instruction made, with none of its bits changed;
/// "STP", "LDR (immediate)": `address = address + offset`, of 64 bits.
#[must_use]
pub const fn is_of_access(far: u64, base: u64) -> bool {
    far.wrapping_sub(base).wrapping_add(BELOW) < BELOW + ABOVE
}

/// Offsets of registers of the GIC and the PL011 at which something happens.
const OFFSETS: [u64; 24] = [
    0x0000, 0x0004, 0x0008, 0x0014, 0x0018, 0x0030, 0x0038, 0x0044, 0x0080, 0x0100, 0x0180, 0x0200,
    0x0280, 0x0300, 0x0380, 0x0400, 0x0c00, 0x0fe0, 0x6000, 0x6100, 0xffe8, 0x1_0080, 0x1_0200,
    0x1_0400,
];

/// What lies at an address of the guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// Its memory.
    Ram,
    /// A device that EL2 emulates, or one that reads as zero.
    Device,
    /// Nothing.
    Nothing,
}

/// Where the guest has what.
#[derive(Clone, Copy, Debug)]
pub struct Map {
    /// Its memory, as a half-open range of addresses.
    pub ram: (u64, u64),
    /// What of it must not change, as its own code is there.
    pub image: (u64, u64),
    /// Its vCPUs.
    pub vcpus: u64,
}

impl Map {
    /// What the `size` bytes at `address` are, as a whole; what is not one thing as a whole counts as
    /// a device.
    #[must_use]
    pub fn place(&self, address: u64, size: u64) -> Place {
        let last = address.saturating_add(size);
        let meets = |(start, end): (u64, u64)| address < end && last > start;
        let (gicr, gicr_end) = DEVICES[1];
        let redistributors = (gicr, gicr_end + (self.vcpus - 1) * REDISTRIBUTOR);
        let (start, end) = self.ram;
        if start <= address && last <= end {
            Place::Ram
        } else if DEVICES.into_iter().chain(ABSENT).any(meets)
            || meets(redistributors)
            || meets(self.ram)
        {
            Place::Device
        } else {
            Place::Nothing
        }
    }

    /// Whether a store of up to 128 bytes around `address` leaves the guest's own code alone.
    #[must_use]
    pub const fn spares_image(&self, address: u64) -> bool {
        let (start, end) = self.image;
        address.saturating_add(256) <= start || address >= end.saturating_add(256)
    }
}

/// A generator of numbers and addresses.
#[derive(Clone, Debug)]
pub struct Values {
    rng: SplitMix64,
    map: Map,
}

impl Values {
    /// A generator that starts at `seed`, for a guest with this map.
    #[must_use]
    pub const fn new(seed: u64, map: Map) -> Self {
        Self {
            rng: SplitMix64::new(seed),
            map,
        }
    }

    /// Where the guest has what.
    #[must_use]
    pub const fn map(&self) -> &Map {
        &self.map
    }

    /// A number below `bound`, which is at most 2^32.
    ///
    /// # Panics
    ///
    /// Panics if `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    /// One of `choices`.
    ///
    /// # Panics
    ///
    /// Panics if there is none.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// True once in `n` times.
    pub const fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// 32 bits, each as likely as the other.
    pub const fn word(&mut self) -> u32 {
        self.rng.next_u64() as u32
    }

    /// A number: zero, all ones, one bit, a run of ones, a small one, or any.
    pub const fn number(&mut self) -> u64 {
        let any = self.rng.next_u64();
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << (any % 64),
            3 => u64::MAX >> (any % 64),
            4 => any % 256,
            5 => any & 0xffff_ffff,
            _ => any,
        }
    }

    /// An address in a device, or a little beside it.
    pub fn device(&mut self) -> u64 {
        let (start, end) = self.one_of(&DEVICES);
        let size = end - start
            + if start == DEVICES[1].0 {
                REDISTRIBUTOR
            } else {
                0
            };
        let address = match self.below(8) {
            0 => start.wrapping_sub(self.below(64)),
            1 => end.wrapping_add(self.below(0x1000)).wrapping_sub(32),
            2 => start + self.below(size),
            3 => start + (self.below(size) & !7),
            _ => start + self.one_of(&OFFSETS) % size + 4 * self.below(16),
        };
        // Mostly aligned.
        match self.below(8) {
            0 => address,
            1 => address & !1,
            2..=4 => address & !3,
            _ => address & !7,
        }
    }

    /// An address of up to 48 bits where nothing is, and nothing for 256 bytes around it.
    pub fn nothing(&mut self) -> u64 {
        loop {
            let bits = 12 + self.below(37);
            let mut address = self.rng.next_u64() & ((1 << bits) - 1);
            if self.once_in(4) {
                // Beside its own memory.
                let (start, end) = self.map.ram;
                let distance = 512 + self.below(0x1_0000);
                address = self.one_of(&[start - distance, end + distance]);
            }
            let from = address.saturating_sub(256);
            if self.map.place(from, 512) == Place::Nothing {
                return address;
            }
        }
    }

    /// An address in its own memory that may be changed.
    pub fn memory(&mut self) -> u64 {
        loop {
            let (start, end) = self.map.ram;
            let address = start + self.rng.next_u64() % (end - start - 512);
            if self.map.spares_image(address) {
                return address;
            }
        }
    }

    /// Any address, that changes nothing of the guest's own code.
    pub fn address(&mut self) -> u64 {
        match self.below(4) {
            0 => self.device(),
            1 => self.memory(),
            2 => self.nothing(),
            _ => loop {
                let address = self.number();
                // Tags and signs may be left out of account, so none are there.
                if self.map.spares_image(address & ((1 << 48) - 1)) {
                    return address;
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAP: Map = Map {
        ram: (0x4000_0000, 0x4100_0000),
        image: (0x4020_0000, 0x4028_0000),
        vcpus: 1,
    };

    #[test]
    fn places_are_told_apart() {
        assert_eq!(MAP.place(0x4000_0000, 8), Place::Ram);
        assert_eq!(MAP.place(0x40ff_fffc, 4), Place::Ram);
        assert_eq!(MAP.place(0x40ff_fffc, 8), Place::Device);
        assert_eq!(MAP.place(0x08ff_fffd, 4), Place::Device);
        assert_eq!(MAP.place(0x080b_fff8, 8), Place::Device);
        assert_eq!(MAP.place(0x0a00_3fff, 2), Place::Device);
        assert_eq!(MAP.place(0x0a00_4000, 8), Place::Nothing);
        assert_eq!(MAP.place(0x080c_0000, 8), Place::Nothing);
        assert_eq!(Map { vcpus: 2, ..MAP }.place(0x080c_0000, 8), Place::Device);
        assert_eq!(MAP.place(u64::MAX, 8), Place::Nothing);
    }

    #[test]
    fn an_abort_is_of_an_access_around_its_base_modulo_the_address_space() {
        for base in [0_u64, 8, 0x5000_0000, (1 << 48) - 4] {
            for offset in [-16_i64, -8, 0, 1, 31] {
                let far = base.wrapping_add_signed(offset);
                assert!(is_of_access(far, base), "{far:#x} of {base:#x}");
            }
            for offset in [-4096_i64, -17, 32, 1 << 32, 1 << 48, i64::MIN] {
                let far = base.wrapping_add_signed(offset);
                assert!(!is_of_access(far, base), "{far:#x} of {base:#x}");
            }
        }
    }

    proptest! {
        #![proptest_config(crate::fixed_seed())]

        #[test]
        fn addresses_are_where_they_have_to_be(seed: u64) {
            let mut values = Values::new(seed, MAP);
            for _ in 0..50 {
                let nothing = values.nothing();
                prop_assert_eq!(MAP.place(nothing, 16), Place::Nothing);
                prop_assert!(nothing < 1 << 48);
                let memory = values.memory();
                prop_assert_eq!(MAP.place(memory, 64), Place::Ram);
                prop_assert!(MAP.spares_image(memory));
                prop_assert!(MAP.spares_image(values.address()));
                prop_assert!(MAP.spares_image(values.device()));
            }
        }
    }
}
