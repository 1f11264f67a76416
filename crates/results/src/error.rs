//! Why a text holds no results.

use crate::FORMAT;

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a text holds no results of this version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is of another version.
    #[error("its format is {found}, and this version's is {FORMAT}")]
    Format {
        /// The version of its layout.
        found: u32,
    },
    /// It is no JSON, or not that of results.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}
