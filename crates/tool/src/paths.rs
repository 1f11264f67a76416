//! Where the built images and the downloaded packages lie.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The `target` directory of a checkout.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Paths {
    target: PathBuf,
}

impl Paths {
    /// Uses this `target` directory, or the one of the checkout that the working directory or the
    /// running program lies in.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none.
    pub fn find(target: Option<PathBuf>) -> Result<Self> {
        if let Some(target) = target {
            return Ok(Self { target });
        }
        let here = std::env::current_dir().ok();
        let program = std::env::current_exe().ok();
        [here, program]
            .into_iter()
            .flatten()
            .find_map(|start| checkout_above(&start))
            .map(|checkout| Self {
                target: checkout.join("target"),
            })
            .ok_or_else(|| {
                Error::input(
                    "this is not inside a checkout of Trapcast: change into one, or name its target \
                     directory by --target",
                )
            })
    }

    /// The directory itself.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The checkout that the directory belongs to.
    pub fn checkout(&self) -> &Path {
        self.target.parent().unwrap_or(Path::new("."))
    }

    /// A program for EL2 or below, as `make build` leaves it.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not there.
    pub fn built(&self, program: &str) -> Result<PathBuf> {
        let directory = self
            .target
            .join("el2/aarch64-unknown-none-softfloat/release");
        required(directory.join(program), "make build")
    }

    /// A bare-metal guest of AArch32, as `make build` leaves it.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not there.
    pub fn aarch32(&self, program: &str) -> Result<PathBuf> {
        let directory = self.target.join("aarch32/armv7a-none-eabi/release");
        required(directory.join(program), "make build")
    }

    /// The hypervisor.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not there.
    pub fn hypervisor(&self) -> Result<PathBuf> {
        self.built("trapcast-el2")
    }

    /// Something that `scripts/guest.sh` downloads.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not there.
    pub fn guest(&self, file: &str) -> Result<PathBuf> {
        required(self.target.join("guest").join(file), "scripts/guest.sh")
    }

    /// Something that `scripts/hosts.sh` downloads: a file, or the directory of a tree.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not there.
    pub fn hosts(&self, name: &str) -> Result<PathBuf> {
        let path = self.target.join("hosts").join(name);
        if path.is_dir() {
            return Ok(path);
        }
        required(path, "scripts/hosts.sh")
    }

    /// The script that runs cargo for EL2, as `scripts/setup.sh` leaves it.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not there.
    pub fn el2_cargo(&self) -> Result<PathBuf> {
        required(self.target.join("el2-cargo"), "scripts/setup.sh")
    }
}

/// A file that a command leaves, with the sentence that names the command where it is not there.
///
/// # Errors
/// [`Error::Input`] where the file is not there.
fn required(path: PathBuf, command: &str) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::input(format!(
        "there is no {}: run {command}",
        path.display()
    )))
}

fn checkout_above(start: &Path) -> Option<PathBuf> {
    start
        .ancestors()
        .find(|directory| directory.join("scripts/setup.sh").is_file())
        .map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_found_from_within() {
        let inside = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let checkout = checkout_above(&inside).unwrap();
        assert!(checkout.join("lab").is_dir());
        assert_eq!(checkout_above(Path::new("/")), None);
    }
}
