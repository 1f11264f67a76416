//! Debian's programs for the Linux guest: from their names to all the files that they need.
//!
//! `scripts/guest.sh` leaves their packages unpacked in one tree. A file keeps its path in the guest;
//! links are followed here, so that the guest has none. The libraries that a program names (`DT_NEEDED`)
//! are looked for where the dynamic linker looks.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use object::{
    Endianness,
    elf::{DT_NEEDED, EM_AARCH64, FileHeader64},
    read::elf::{FileHeader, ProgramHeader},
};

use trapcast_tool::error::{Error, Result};

/// Where the dynamic linker looks, in its order.
const LIBRARIES: [&str; 4] = [
    "lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib",
    "usr/lib",
];

/// Links that are followed one after the other before they count as a circle.
const MOST_LINKS: u32 = 16;

/// A tree of unpacked packages.
#[derive(Clone, Debug)]
pub struct Userland {
    root: PathBuf,
    /// The script that leaves the tree.
    script: &'static str,
}

/// Files by their path in the guest, which does not begin with `/`, in ascending order.
pub type Files = BTreeMap<String, Vec<u8>>;

impl Userland {
    /// The tree that begins at `root`.
    pub fn new(root: PathBuf) -> Self {
        Self::of(root, "scripts/guest.sh")
    }

    /// The tree that begins at `root`, and that this script leaves.
    pub fn of(root: PathBuf, script: &'static str) -> Self {
        Self { root, script }
    }

    /// All that these files and directories, named by their paths in the tree, need to be of use.
    ///
    /// # Errors
    /// [`Error::Input`] where a file or a library is missing or is no arm64 program, and says who wants it.
    pub fn closure(&self, names: &[&str]) -> Result<Files> {
        let mut files = Files::new();
        for name in names {
            self.add(name, &mut files)?;
        }
        Ok(files)
    }

    fn add(&self, name: &str, files: &mut Files) -> Result<()> {
        if files.contains_key(name) {
            return Ok(());
        }
        let path = self.resolve(name)?;
        if path.is_dir() {
            return self.add_directory(name, &path, files);
        }
        let content = fs::read(&path).map_err(|error| {
            Error::input(format!(
                "there is no /{name} among Debian's programs ({}: {error}): run {}",
                path.display(),
                self.script
            ))
        })?;
        let needs = needs(&content)
            .map_err(|reason| Error::input(format!("{} is of no use: {reason}", path.display())))?;
        files.insert(name.to_string(), content);
        if let Some(interpreter) = needs.interpreter {
            self.add(interpreter.trim_start_matches('/'), files)?;
        }
        for library in &needs.libraries {
            self.add(&self.path_of(library, name)?, files)?;
        }
        Ok(())
    }

    fn add_directory(&self, name: &str, path: &Path, files: &mut Files) -> Result<()> {
        let unreadable = |error| Error::input(format!("cannot read {}: {error}", path.display()));
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.file_name();
            self.add(&format!("{name}/{}", entry.to_string_lossy()), files)?;
        }
        Ok(())
    }

    /// The path of a library in the tree.
    fn path_of(&self, library: &str, wanted_by: &str) -> Result<String> {
        LIBRARIES
            .iter()
            .map(|directory| format!("{directory}/{library}"))
            .find(|path| self.resolve(path).is_ok_and(|path| path.is_file()))
            .ok_or_else(|| {
                Error::input(format!(
                    "/{wanted_by} needs {library}, which none of Debian's packages here holds: add its \
                     package to {}",
                    self.script
                ))
            })
    }

    /// Follows a file's own links, as they are meant in the guest.
    fn resolve(&self, name: &str) -> Result<PathBuf> {
        let mut path = PathBuf::from(name);
        for _ in 0..MOST_LINKS {
            let Ok(target) = fs::read_link(self.root.join(&path)) else {
                return Ok(self.root.join(path));
            };
            let from = path.parent().unwrap_or(Path::new("")).join(target);
            path = within(&from).ok_or_else(|| {
                Error::input(format!("/{name} is a link that leads out of the tree"))
            })?;
        }
        Err(Error::input(format!("/{name} is a link to itself")))
    }
}

/// The path from the tree's root, without `.` and `..`; `None` if it leads above it.
fn within(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::RootDir => clean.clear(),
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => clean.pop().then_some(())?,
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(clean)
}

/// What a file asks of the dynamic linker.
#[derive(Debug, Default)]
struct Needs {
    interpreter: Option<String>,
    libraries: Vec<String>,
}

/// Reads an ELF file's program headers and dynamic section; another file needs nothing.
fn needs(content: &[u8]) -> std::result::Result<Needs, String> {
    if !content.starts_with(b"\x7fELF") {
        return Ok(Needs::default());
    }
    let damaged = |error: object::read::Error| format!("a damaged ELF file: {error}");
    let header = FileHeader64::<Endianness>::parse(content).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    if header.e_machine(endian) != EM_AARCH64 {
        return Err("an ELF file, but not for arm64".to_string());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut needs = Needs::default();
    for segment in header.program_headers(endian, content).map_err(damaged)? {
        if let Some(path) = segment.interpreter(endian, content).map_err(damaged)? {
            needs.interpreter = Some(text(path));
        }
    }
    let sections = header.sections(endian, content).map_err(damaged)?;
    let dynamic = sections.dynamic_table(endian, content).map_err(damaged)?;
    for entry in &dynamic {
        if entry.tag == DT_NEEDED {
            needs
                .libraries
                .push(text(dynamic.string(entry).map_err(damaged)?));
        }
    }
    Ok(needs)
}
