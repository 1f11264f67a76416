//! The architectures that Linux guests are downloaded for, and their files.

use std::path::PathBuf;

use crate::{image::Image, machine::Cpu};
use trapcast_tool::{error::Result, paths::Paths};

/// An architecture, by Debian's name of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Arch {
    /// 64-bit: AArch64 at EL1.
    #[default]
    Arm64,
    /// 32-bit: AArch32 at EL1.
    Armhf,
}

impl Arch {
    /// A core that runs it.
    pub const fn cpu(self) -> Cpu {
        match self {
            Self::Arm64 => Cpu::NeoverseN1,
            Self::Armhf => Cpu::CortexA57,
        }
    }

    /// Debian's kernel.
    ///
    /// # Errors
    /// Where it is not there, or damaged.
    pub fn kernel(self, paths: &Paths) -> Result<Image> {
        Image::open(&paths.guest(match self {
            Self::Arm64 => "Image",
            Self::Armhf => "zImage",
        })?)
    }

    /// Debian's busybox.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn busybox(self, paths: &Paths) -> Result<PathBuf> {
        paths.guest(match self {
            Self::Arm64 => "busybox",
            Self::Armhf => "busybox-armhf",
        })
    }

    /// What says which versions these are of.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn versions(self, paths: &Paths) -> Result<PathBuf> {
        paths.guest(match self {
            Self::Arm64 => "versions.json",
            Self::Armhf => "versions-armhf.json",
        })
    }
}
