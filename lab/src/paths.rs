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

    /// A program for EL2 or below, as built by `make build`.
    pub fn built(&self, program: &str) -> PathBuf {
        self.target
            .join("el2/aarch64-unknown-none-softfloat/release")
            .join(program)
    }

    /// The hypervisor.
    pub fn hypervisor(&self) -> PathBuf {
        self.built("trapcast-el2")
    }

    /// Something that `scripts/guest.sh` downloads.
    pub fn guest(&self, file: &str) -> PathBuf {
        self.target.join("guest").join(file)
    }

    /// The script that runs cargo for EL2, as `scripts/setup.sh` leaves it.
    pub fn el2_cargo(&self) -> PathBuf {
        self.target.join("el2-cargo")
    }
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
