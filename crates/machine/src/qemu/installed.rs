//! The QEMUs that a machine has, and which of them serves.

use std::{
    ffi::OsStr,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
};

/// The program that is run.
pub const PROGRAM: &str = "qemu-system-aarch64";

/// The oldest version that serves: earlier ones lack options that are used, or were never tried.
pub const OLDEST: (u32, u32) = (7, 2);

/// The oldest version whose plugins can read registers.
pub const OLDEST_WITH_PLUGINS: (u32, u32) = (10, 0);

/// A QEMU, and which it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Installed {
    /// What to run.
    pub program: PathBuf,
    /// The first line of what it tells of itself.
    pub version: String,
    /// Its major and minor version.
    pub number: (u32, u32),
}

impl Installed {
    /// A QEMU whose plugins can read registers: this machine's own, or else the one that `scripts/qemu.sh` has
    /// unpacked.
    ///
    /// # Errors
    /// [`Error::Input`] where neither is there and new enough.
    pub fn with_plugins(paths: &Paths) -> Result<Self> {
        Self::newest_of(
            Path::new(PROGRAM),
            &paths.target().join("qemu").join(PROGRAM),
        )
    }

    /// The QEMU that a command line names, if its plugins can read registers. The bare name of the program is
    /// [`with_plugins`](Self::with_plugins).
    ///
    /// # Errors
    /// [`Error::Input`] where it is none, too old, or was built without plugins.
    pub fn named(program: &Path, paths: &Paths) -> Result<Self> {
        let found = match program == Path::new(PROGRAM) {
            true => Self::with_plugins(paths)?,
            false => Self::ask(program)?,
        };
        if found.number < OLDEST_WITH_PLUGINS {
            return Err(Error::input(format!(
                "{} is version {}, and plugins that read registers need {} or later",
                program.display(),
                shown(found.number),
                shown(OLDEST_WITH_PLUGINS)
            )));
        }
        let help = Command::new(&found.program).arg("--help").output();
        let help = help.map_err(|error| cannot_start(found.program.as_os_str(), &error))?;
        if !String::from_utf8_lossy(&help.stdout).contains("-plugin") {
            return Err(Error::input(format!(
                "{} was built without plugins (--enable-plugins): take another one, such as Debian's",
                found.program.display()
            )));
        }
        Ok(found)
    }

    fn newest_of(own: &Path, unpacked: &Path) -> Result<Self> {
        let why = match Self::ask(own) {
            Ok(own) if own.number >= OLDEST_WITH_PLUGINS => return Ok(own),
            Ok(own) => format!("this machine's QEMU is version {}", shown(own.number)),
            Err(error) => error.to_string(),
        };
        let wanted = format!(
            "plugins that read registers need {} or later: run scripts/qemu.sh, which unpacks Debian's \
             backport under target/qemu",
            shown(OLDEST_WITH_PLUGINS)
        );
        if !unpacked.exists() {
            return Err(Error::input(format!("{why}, and {wanted}")));
        }
        match Self::ask(unpacked) {
            Ok(found) if found.number >= OLDEST_WITH_PLUGINS => Ok(found),
            Ok(found) => Err(Error::input(format!(
                "{} is version {}, and {wanted}",
                unpacked.display(),
                shown(found.number)
            ))),
            Err(error) => Err(Error::input(format!(
                "{error}; {} is of no use: remove target/qemu and run scripts/qemu.sh",
                unpacked.display()
            ))),
        }
    }

    /// Asks a QEMU for its version.
    fn ask(program: &Path) -> Result<Self> {
        let output = Command::new(program)
            .arg("--version")
            .output()
            .map_err(|error| cannot_start(program.as_os_str(), &error))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().to_string();
        let number = parse_version(&version).ok_or_else(|| {
            Error::input(format!(
                "{} --version says '{version}', which is not a version of QEMU{}",
                program.display(),
                complaint(&output.stderr)
            ))
        })?;
        Ok(Self {
            program: program.to_path_buf(),
            version,
            number,
        })
    }
}

/// The version of the QEMU on this machine, as it tells it: the whole first line.
///
/// # Errors
/// Where there is none, or it is older than [`OLDEST`].
pub fn version() -> Result<String> {
    let own = Installed::ask(Path::new(PROGRAM))?;
    if own.number >= OLDEST {
        return Ok(own.version);
    }
    Err(Error::input(format!(
        "{PROGRAM} is version {}, which is too old: {} or later is needed, such as Debian 12's \
         qemu-system-arm",
        shown(own.number),
        shown(OLDEST)
    )))
}

/// Why a QEMU cannot be started.
pub(super) fn cannot_start(program: &OsStr, error: &std::io::Error) -> Error {
    let program = program.display();
    if error.kind() == ErrorKind::NotFound {
        return Error::input(format!(
            "there is no {program} on this machine: run scripts/setup.sh, or apt-get install \
             qemu-system-arm"
        ));
    }
    Error::input(format!("cannot start {program}: {error}"))
}

/// The first line of what a program complained about, to follow a sentence.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines()
        .next()
        .map(|line| format!(" ({line})"))
        .unwrap_or_default()
}

fn shown((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

fn parse_version(line: &str) -> Option<(u32, u32)> {
    let number = line.strip_prefix("QEMU emulator version ")?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn versions_are_read_from_what_qemu_says() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)";
        assert_eq!(parse_version(debian), Some((7, 2)));
        assert_eq!(parse_version("QEMU emulator version 10.0.2"), Some((10, 0)));
        assert_eq!(parse_version("busybox"), None);
        assert!((6, 9) < OLDEST && (10, 0) > OLDEST);
    }

    /// Which of two scripts is taken that tell these versions; a script without one fails.
    fn chosen(own: Option<&str>, unpacked: Option<&str>) -> Result<(String, String)> {
        let directory = tempfile::tempdir().unwrap();
        let script = |name: &str, says: Option<&str>| {
            let path = directory.path().join(name);
            if let Some(says) = says {
                let text = format!("#!/bin/sh\necho '{says}'\necho missing library >&2\n");
                fs::write(&path, text).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            path
        };
        let (own, unpacked) = (script("own", own), script("unpacked", unpacked));
        let found = Installed::newest_of(&own, &unpacked)?;
        let name = found.program.file_name().unwrap().to_string_lossy();
        Ok((name.into_owned(), found.version))
    }

    #[test]
    fn the_own_qemu_is_taken_if_it_is_new_enough_and_else_the_unpacked_one() {
        let old = "QEMU emulator version 7.2.22 (Debian)";
        let new = "QEMU emulator version 10.0.2 (Debian)";
        let taken = |name: &str| Ok((name.to_string(), new.to_string()));
        assert_eq!(chosen(Some(new), Some(new)), taken("own"));
        assert_eq!(chosen(Some(old), Some(new)), taken("unpacked"));
        assert_eq!(chosen(None, Some(new)), taken("unpacked"));
    }

    #[test]
    fn what_is_missing_is_named_with_what_helps() {
        let old = Some("QEMU emulator version 7.2.22 (Debian)");
        for (own, unpacked, wanted) in [
            (old, None, "this machine's QEMU is version 7.2, and"),
            (None, None, "there is no "),
            (old, old, "unpacked is version 7.2, and plugins"),
            (
                old,
                Some(""),
                "says '', which is not a version of QEMU (missing library);",
            ),
        ] {
            let told = chosen(own, unpacked).unwrap_err().to_string();
            assert!(told.contains(wanted), "{told}");
            assert!(told.contains("run scripts/qemu.sh"), "{told}");
        }
    }
}
