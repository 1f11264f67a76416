//! Files that take their name only when they are whole.

use std::{
    fs::Permissions,
    io::{Error, Result},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use tempfile::NamedTempFile;

/// Begins a file that is to become `path`, in its directory, which is made if need be. It is gone if it
/// is not persisted.
///
/// # Errors
/// Where `path` is a directory, or its directory cannot be made or written to.
pub fn begin(path: &Path) -> Result<NamedTempFile> {
    if path.is_dir() {
        return Err(Error::other("it is a directory"));
    }
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(directory)?;
    // What the umask leaves of it: such a file is for others to read, too.
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
}
