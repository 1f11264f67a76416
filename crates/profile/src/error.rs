//! What is wrong with a choice of profiles or with a profile's text.

use std::{io, path::PathBuf};

use crate::{ALL, built_in};

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is neither a built-in profile nor a file of this name.
    #[error(
        "there is no profile and no file named {choice}; built in are {ALL}, {}",
        built_in().iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>().join(", ")
    )]
    Unknown {
        /// What was asked for.
        choice: String,
    },
    /// The file cannot be read.
    #[error("cannot read the profile {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is longer than any profile.
    #[error("cannot read the profile {}: it is longer than 1 MiB", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Two of the chosen profiles differ and have one name.
    #[error(
        "{choice}: there are two different profiles named `{name}`; give one of them another name"
    )]
    SameName {
        /// The choice that brought the second one.
        choice: String,
        /// The name.
        name: String,
    },
    /// The text is no profile.
    #[error("{origin}, line {line}: {what}")]
    Malformed {
        /// Where the text comes from, as the caller said.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there, and what was expected.
        what: String,
    },
}

/// A profile, or why there is none.
pub type Result<T> = std::result::Result<T, Error>;
