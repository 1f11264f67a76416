//! Parquet's differences: DELTA_BINARY_PACKED, as it holds numbers that rise.

use bytes::Bytes;

use super::hybrid::word;

/// Numbers under way.
#[derive(Debug, Default)]
pub struct Delta {
    bytes: Bytes,
    /// Of the next byte that belongs to no packed difference yet.
    next: usize,
    /// Packs of a block, and differences of a pack.
    packs: usize,
    pack: usize,
    /// Numbers that are left, the first one among them until it was read.
    left: u64,
    is_first: bool,
    value: u64,
    /// What is added to every difference of the block.
    least: u64,
    /// Where the widths of the packs of the block that are left stand.
    widths: std::ops::Range<usize>,
    /// Differences that are left in the pack, from a bit of `bytes` on, each of so many bits.
    in_pack: usize,
    bit: usize,
    width: usize,
}

impl Delta {
    /// Begins a page; `None` where it cannot be so.
    pub fn new(page: Bytes) -> Option<Self> {
        let mut delta = Self {
            bytes: page,
            is_first: true,
            ..Self::default()
        };
        let block = usize::try_from(delta.number()?).ok()?;
        delta.packs = usize::try_from(delta.number()?).ok()?;
        delta.left = delta.number()?;
        delta.value = delta.signed()?;
        delta.pack = block.checked_div(delta.packs)?;
        (delta.pack > 0).then_some(delta)
    }

    /// Reads as many values as `values` has. `None` where the page ends before.
    pub fn read(&mut self, values: &mut [u64]) -> Option<()> {
        self.left = self.left.checked_sub(values.len() as u64)?;
        for value in values {
            if std::mem::take(&mut self.is_first) {
                *value = self.value;
                continue;
            }
            if self.in_pack == 0 {
                self.begin()?;
            }
            let difference = match self.width {
                0 => 0,
                width => bits(&self.bytes, self.bit, width)?,
            };
            self.bit += self.width;
            self.in_pack -= 1;
            let difference = difference.wrapping_add(self.least);
            self.value = self.value.wrapping_add(difference);
            *value = self.value;
        }
        Some(())
    }

    /// Begins a pack, and a block if there is none.
    fn begin(&mut self) -> Option<()> {
        if self.widths.is_empty() {
            self.least = self.signed()?;
            self.widths = self.next..self.next.checked_add(self.packs)?;
            self.next = self.widths.end;
        }
        self.width = usize::from(*self.bytes.get(self.widths.next()?)?);
        self.bit = self.next.checked_mul(8)?;
        self.in_pack = self.pack;
        let bytes = self.pack.checked_mul(self.width)?.div_ceil(8);
        self.next = self.next.checked_add(bytes)?;
        (self.width <= 64).then_some(())
    }

    /// Reads a number of seven bits a byte.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = *self.bytes.get(self.next)?;
            self.next += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Reads a number whose lowest bit is its sign.
    fn signed(&mut self) -> Option<u64> {
        let number = self.number()?;
        Some(number >> 1 ^ (number & 1).wrapping_neg())
    }
}

/// Returns the `width` bits, at least one, from a bit on.
fn bits(bytes: &[u8], bit: usize, width: usize) -> Option<u64> {
    let (place, shift) = (bit / 8, bit % 8);
    let mut value = word(bytes, place)? >> shift;
    if shift + width > 64 {
        value |= word(bytes, place + 8)? << (64 - shift);
    }
    Some(value & u64::MAX >> (64 - width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_whatever_the_pieces() {
        // The example of Parquet's specification: 7, 5, 3, 1, 2, 3, 4, 5, in one block of 128.
        let mut page = vec![0x80, 0x01, 4, 8, 14, 3, 2, 0, 0, 0, 0xc0, 0x3f];
        page.resize(page.len() + 6, 0);
        let mut delta = Delta::new(page.into()).unwrap();
        let mut all = Vec::new();
        for count in [1, 3, 4] {
            let mut values = vec![0; count];
            delta.read(&mut values).unwrap();
            all.extend(values);
        }
        assert_eq!(all, [7, 5, 3, 1, 2, 3, 4, 5]);
        assert_eq!(delta.read(&mut [0]), None);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for page in [&[][..], &[0x80, 1], &[0x80, 1, 0, 8, 14], &[1, 4, 8, 14]] {
            assert!(Delta::new(Bytes::copy_from_slice(page)).is_none());
        }
        // A width of 65 bits, and a block that is not there.
        for rest in [&[3, 65, 0, 0, 0][..], &[]] {
            let page = [&[0x80, 1, 4, 8, 14][..], rest].concat();
            let mut delta = Delta::new(page.into()).unwrap();
            assert_eq!(delta.read(&mut [0; 8]), None);
        }
    }
}
