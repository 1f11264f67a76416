//! Reads what the plugin wrote.

use std::{fs, path::Path};

use trapcast_trace::{
    observed::{ObservedHeader, ObservedWindow},
    report::MAX_CORES,
};
use zerocopy::FromBytes;

/// Why what the plugin wrote cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened.
    #[error("what the observer saw cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// Nothing of a plugin, or of one of another version.
    #[error("the plugin is not of this version of trapcast: build both anew, by make lab")]
    Foreign,
    /// Windows of more cores than a record has.
    #[error("guests ran on core {0}, and a record has cores 0 to {last}: give the board fewer", last = MAX_CORES - 1)]
    TooManyCores(u16),
}

/// Reads the windows, in the order of their entries. One that was not written to its end, as QEMU was killed
/// meanwhile, is left out.
///
/// # Errors
/// As [`Error`] says.
pub fn read(path: &Path) -> Result<Vec<ObservedWindow>, Error> {
    let bytes = fs::read(path).map_err(Error::Unreadable)?;
    parse(&bytes)
}

/// As [`read`], from memory.
///
/// # Errors
/// [`Error::Foreign`] and [`Error::TooManyCores`].
pub fn parse(bytes: &[u8]) -> Result<Vec<ObservedWindow>, Error> {
    let (header, rest) = ObservedHeader::read_from_prefix(bytes).map_err(|_| Error::Foreign)?;
    if header != ObservedHeader::new() {
        return Err(Error::Foreign);
    }
    let whole = rest.chunks_exact(size_of::<ObservedWindow>());
    let windows = whole.map(ObservedWindow::read_from_bytes);
    let mut windows: Vec<_> = windows.filter_map(Result::ok).collect();
    let mut cores = windows.iter().map(|window| window.core);
    if let Some(core) = cores.find(|core| usize::from(*core) >= MAX_CORES) {
        return Err(Error::TooManyCores(core));
    }
    windows.sort_by_key(|window| window.number);
    Ok(windows)
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    #[test]
    fn windows_are_put_in_order_and_a_half_one_is_left_out() {
        let window = |number| ObservedWindow {
            number,
            ..ObservedWindow::default()
        };
        let mut bytes = ObservedHeader::new().as_bytes().to_vec();
        for number in [2, 0, 1] {
            bytes.extend(window(number).as_bytes());
        }
        bytes.extend(&window(3).as_bytes()[..100]);
        let numbers = parse(&bytes).unwrap().into_iter().map(|seen| seen.number);
        assert_eq!(numbers.collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn windows_of_more_cores_than_a_record_has_are_refused_and_not_left_out() {
        let mut bytes = ObservedHeader::new().as_bytes().to_vec();
        for core in [0, MAX_CORES as u16] {
            let window = ObservedWindow {
                core,
                ..ObservedWindow::default()
            };
            bytes.extend(window.as_bytes());
        }
        let told = parse(&bytes).unwrap_err().to_string();
        assert!(
            told.contains("on core 16, and a record has cores 0 to 15"),
            "{told}"
        );
    }

    #[test]
    fn what_no_plugin_of_this_version_wrote_is_refused() {
        let other = ObservedHeader {
            version: 0,
            ..ObservedHeader::new()
        };
        for bytes in [&b"PAR1"[..], &[0; 64], other.as_bytes()] {
            assert!(matches!(parse(bytes), Err(Error::Foreign)));
        }
        assert!(parse(ObservedHeader::new().as_bytes()).unwrap().is_empty());
    }
}
