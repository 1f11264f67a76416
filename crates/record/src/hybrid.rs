//! Parquet's hybrid of run lengths and bit packing, as it holds indices into a dictionary.

use bytes::Bytes;

/// Values of a packed group.
const GROUP: usize = 8;

/// Indices under way.
#[derive(Debug, Default)]
pub struct Hybrid {
    bytes: Bytes,
    /// Of the next byte that belongs to no run yet.
    next: usize,
    /// Bits of an index.
    width: usize,
    run: Run,
}

#[derive(Clone, Copy, Debug)]
enum Run {
    /// So many more of one index.
    Repeated { left: usize, index: u32 },
    /// So many more packed indices, from a bit of `bytes` on.
    Packed { left: usize, bit: usize },
}

impl Default for Run {
    fn default() -> Self {
        Self::Repeated { left: 0, index: 0 }
    }
}

impl Hybrid {
    /// Begins a page, whose first byte says how many bits an index has; `None` where it cannot be
    /// so.
    pub fn new(page: Bytes) -> Option<Self> {
        let width = usize::from(*page.first()?);
        (width <= 32).then(|| Self::with_width(page.slice(1..), width))
    }

    /// Begins indices of so many bits, at most 32.
    pub fn with_width(bytes: Bytes, width: usize) -> Self {
        Self {
            bytes,
            next: 0,
            width,
            run: Run::default(),
        }
    }

    /// Reads as many values as `values` has, looked up in the dictionary. `None` where the page ends
    /// before, or has an index that the dictionary has not.
    pub fn read(&mut self, dictionary: &[u64], mut values: &mut [u64]) -> Option<()> {
        while !values.is_empty() {
            let count;
            match &mut self.run {
                Run::Repeated { left: 0, .. } | Run::Packed { left: 0, .. } => {
                    self.run = self.begin()?;
                    continue;
                }
                Run::Repeated { left, index } => {
                    count = values.len().min(*left);
                    values[..count].fill(*dictionary.get(*index as usize)?);
                    *left -= count;
                }
                Run::Packed { left, bit } => {
                    count = values.len().min(*left);
                    unpack(
                        &self.bytes,
                        *bit,
                        self.width,
                        dictionary,
                        &mut values[..count],
                    )?;
                    *left -= count;
                    *bit += count * self.width;
                }
            }
            values = &mut values[count..];
        }
        Some(())
    }

    /// Reads the start of a run: its length and kind, and the index that it repeats.
    fn begin(&mut self) -> Option<Run> {
        let mut header = 0;
        for shift in (0..u32::BITS).step_by(7) {
            let byte = *self.bytes.get(self.next)?;
            self.next += 1;
            header |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let length = header >> 1;
        if header & 1 == 1 {
            let bit = self.next * 8;
            self.next = self.next.checked_add(length.checked_mul(self.width)?)?;
            let left = length.checked_mul(GROUP)?;
            return Some(Run::Packed { left, bit });
        }
        let bytes = self.width.div_ceil(8);
        let mut index = [0; 4];
        index[..bytes].copy_from_slice(self.bytes.get(self.next..self.next + bytes)?);
        self.next += bytes;
        // A run of nothing would be read for ever by a page of them, but ends with its bytes.
        Some(Run::Repeated {
            left: length,
            index: u32::from_le_bytes(index),
        })
    }
}

/// Unpacks indices of `width` bits from a bit on, and looks them up.
fn unpack(
    bytes: &[u8],
    mut bit: usize,
    width: usize,
    dictionary: &[u64],
    values: &mut [u64],
) -> Option<()> {
    let mask = (1u64 << width) - 1;
    // With at most a byte each, a group of eight that begins with a byte is in one word.
    if width <= 8 && bit.is_multiple_of(8) {
        let (groups, rest) = values.as_chunks_mut::<GROUP>();
        for group in groups {
            let mut word = word(bytes, bit / 8)?;
            for value in group {
                *value = *dictionary.get((word & mask) as usize)?;
                word >>= width;
            }
            bit += GROUP * width;
        }
        return unpack_singly(bytes, bit, width, dictionary, rest);
    }
    unpack_singly(bytes, bit, width, dictionary, values)
}

fn unpack_singly(
    bytes: &[u8],
    mut bit: usize,
    width: usize,
    dictionary: &[u64],
    values: &mut [u64],
) -> Option<()> {
    let mask = (1u64 << width) - 1;
    for value in values {
        let index = word(bytes, bit / 8)? >> (bit % 8) & mask;
        *value = *dictionary.get(index as usize)?;
        bit += width;
    }
    Some(())
}

/// Returns the eight bytes from a place on, with zeroes behind the end; `None` where none is left.
pub(super) fn word(bytes: &[u8], place: usize) -> Option<u64> {
    let bytes = bytes.get(place..)?;
    if let Some(word) = bytes.first_chunk() {
        return Some(u64::from_le_bytes(*word));
    }
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    (!bytes.is_empty()).then_some(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(page: &'static [u8], dictionary: &[u64], count: usize) -> Option<Vec<u64>> {
        let mut values = vec![0; count];
        Hybrid::new(Bytes::from_static(page))?.read(dictionary, &mut values)?;
        Some(values)
    }

    #[test]
    fn runs_and_packed_groups_are_read() {
        // Three bits: five times 4; then 0 to 7, as the specification packs them.
        let page = &[3, 5 << 1, 4, 1 << 1 | 1, 0x88, 0xc6, 0xfa];
        let dictionary = [10, 11, 12, 13, 14, 15, 16, 17];
        let expected = [14, 14, 14, 14, 14, 10, 11, 12, 13, 14, 15, 16, 17];
        assert_eq!(read(page, &dictionary, 13), Some(expected.to_vec()));
        assert_eq!(read(page, &dictionary[..7], 13), None);
        assert_eq!(read(page, &dictionary, 14), None);
    }

    #[test]
    fn reading_may_stop_anywhere() {
        let page = &[3, 2 << 1 | 1, 0x88, 0xc6, 0xfa, 0x88, 0xc6, 0xfa];
        let dictionary: Vec<u64> = (0..8).collect();
        let mut hybrid = Hybrid::new(Bytes::from_static(page)).unwrap();
        let mut all = Vec::new();
        for count in [3, 4, 1, 5, 3] {
            let mut values = vec![0; count];
            hybrid.read(&dictionary, &mut values).unwrap();
            all.extend(values);
        }
        let twice: Vec<u64> = (0..8).chain(0..8).collect();
        assert_eq!(all, twice);
    }

    #[test]
    fn wide_indices_cross_bytes() {
        // Eight indices of twelve bits.
        let page = &[
            12, 3, 0x01, 0x20, 0x00, 0x03, 0x40, 0x00, 0x05, 0x60, 0x00, 0x07, 0x80, 0x00,
        ];
        let dictionary: Vec<u64> = (0..9).collect();
        let expected = (1..9).collect();
        assert_eq!(read(page, &dictionary, 8), Some(expected));
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for page in [
            &[][..],
            &[33, 2, 0, 0, 0, 0, 0],
            &[1],
            &[1, 2],
            &[8, 0xff, 0xff],
        ] {
            assert_eq!(read(page, &[0, 1], 9), None, "{page:?}");
        }
    }
}
