//! What the reader is to read.

use super::{Error, number};

/// The keys that [`Reader`] knows.
const KEYS: &str = "bytes, no-fifos";

/// What the reader is to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reader {
    /// `bytes=N`: how many bytes.
    pub bytes: u64,
    /// `no-fifos`: the UART holds one byte.
    pub fifos: bool,
}

impl Reader {
    /// Reads bootargs: words separated by spaces, in any order; the last of two equal keys counts.
    ///
    /// # Errors
    ///
    /// Names the first word that cannot be followed.
    pub fn parse(bootargs: &str) -> Result<Self, Error<'_>> {
        let mut settings = Self {
            bytes: 1000,
            fifos: true,
        };
        for word in bootargs.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("bytes", value)) => settings.bytes = number("bytes", value)?,
                None if word == "no-fifos" => settings.fifos = false,
                _ => return Err(Error::Word(word, KEYS)),
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn every_reader_key_counts() {
        let expected = Reader {
            bytes: 7,
            fifos: false,
        };
        assert_eq!(Reader::parse("no-fifos bytes=7"), Ok(expected));
        assert_eq!(Reader::parse("").map(|settings| settings.fifos), Ok(true));
        let error = Reader::parse("fifos=on").map_err(|error| format!("{error}"));
        assert_eq!(
            error,
            Err("unknown word \"fifos=on\"; one of bytes, no-fifos".into())
        );
    }
}
