//! The image of a program: an initrd with busybox, the init, the script, and Debian's files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use twox_hash::XxHash64;

use super::Program;
use crate::{
    initrd::{Archive, read},
    userland::Userland,
};
use trapcast_tool::{error::Result, output, paths::Paths};

const INIT: &str = include_str!("init.sh");

/// Programs of busybox that inits and scripts call.
const BUSYBOX: [&str; 18] = [
    "cat",
    "cut",
    "grep",
    "head",
    "ifconfig",
    "ls",
    "md5sum",
    "mkdir",
    "mount",
    "poweroff",
    "rm",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "tail",
    "tr",
    "usleep",
];

/// Devices that programs open: name, type and permissions, major and minor number.
const DEVICES: [(&str, u32, u32); 5] = [
    ("dev/console", 5, 1),
    ("dev/null", 1, 3),
    ("dev/random", 1, 8),
    ("dev/urandom", 1, 9),
    ("dev/zero", 1, 5),
];

/// Where the parts of images are.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) busybox: PathBuf,
    pub(super) seed: PathBuf,
    pub(super) userland: PathBuf,
    pub(super) versions: PathBuf,
    pub(super) cache: PathBuf,
}

impl Builder {
    /// Takes what `scripts/guest.sh` and `make build` leave.
    ///
    /// # Errors
    /// [`Error::Input`](trapcast_tool::error::Error::Input) where something is missing.
    pub fn new(paths: &Paths) -> Result<Self> {
        let guest = paths.target().join("guest");
        Ok(Self {
            busybox: paths.guest("busybox")?,
            seed: paths.built("linux-seed")?,
            userland: guest.join("userland"),
            versions: paths.guest("versions-userland.json")?,
            cache: guest.join("images"),
        })
    }

    /// The image of a program: from the cache, if it was built of the same parts before.
    ///
    /// # Errors
    /// As [`build`], and where the cache cannot be written to.
    pub fn image(&self, program: &Program) -> Result<Vec<u8>> {
        let file = self
            .cache
            .join(format!("{}-{:016x}.cpio", program.name, self.key(program)?));
        if let Ok(image) = fs::read(&file) {
            return Ok(image);
        }
        let image = build(
            &self.busybox,
            &self.seed,
            &Userland::new(self.userland.clone()),
            program,
        )?;
        self.forget(program);
        output::write(&file, &image)?;
        Ok(image)
    }

    /// A number that changes with every part of an image: Debian's files are identified by their versions.
    fn key(&self, program: &Program) -> Result<u64> {
        let mut parts = Vec::new();
        for part in [&self.busybox, &self.seed, &self.versions] {
            parts.extend_from_slice(&XxHash64::oneshot(0, &read(part)?).to_le_bytes());
        }
        let texts = [INIT, program.script].into_iter();
        for text in texts.chain(program.files.iter().copied()).chain(BUSYBOX) {
            parts.extend_from_slice(&XxHash64::oneshot(0, text.as_bytes()).to_le_bytes());
        }
        Ok(XxHash64::oneshot(0, &parts))
    }

    /// Removes what was built of other parts. What cannot be removed does no harm.
    fn forget(&self, program: &Program) {
        for entry in fs::read_dir(&self.cache).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let hash = name
                .to_str()
                .and_then(|name| name.strip_prefix(program.name)?.strip_prefix('-'));
            if hash.is_some_and(|hash| hash.len() == "0123456789abcdef.cpio".len()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Builds the image of a program, the same bytes from the same parts.
///
/// # Errors
/// [`Error::Input`](trapcast_tool::error::Error::Input) where a part is missing or of no use.
pub fn build(
    busybox: &Path,
    seed: &Path,
    userland: &Userland,
    program: &Program,
) -> Result<Vec<u8>> {
    let files = userland.closure(program.files)?;
    let mut archive = Archive::default();
    for directory in directories(files.keys()) {
        archive.directory(&directory)?;
    }
    for (name, major, minor) in DEVICES {
        archive.device(name, major, minor)?;
    }
    archive.program("bin/busybox", &read(busybox)?)?;
    for name in BUSYBOX {
        archive.link(&format!("bin/{name}"), "busybox")?;
    }
    archive.program("bin/linux-seed", &read(seed)?)?;
    for (name, content) in &files {
        archive.program(name, content)?;
    }
    archive.program("init", INIT.as_bytes())?;
    archive.program("script", program.script.as_bytes())?;
    archive.finish()
}

/// The directories that files lie in, each before those in it.
pub(crate) fn directories<'a>(files: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let mut directories: BTreeSet<String> = ["bin", "dev", "proc", "sys", "tmp"]
        .map(str::to_string)
        .into();
    for file in files {
        for parent in Path::new(file).ancestors().skip(1) {
            directories.insert(parent.to_string_lossy().into_owned());
        }
    }
    directories.remove("");
    directories
}
