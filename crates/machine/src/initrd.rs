//! The initrd of the Linux guest: busybox, an init, and what the init is to run.

use std::path::Path;

use cpio::newc;

use trapcast_tool::error::{Error, Result};

/// The init, which runs `/script` if there is one, else a shell.
const INIT: &str = include_str!("init.sh");

/// The script of the study, with its sizes left open.
const SCRIPT: &str = include_str!("script.sh");

/// The line that a Linux guest prints when its script has finished.
pub const DONE_MARKER: &str = "TRAPCAST-LINUX-DONE";

/// What a Linux guest does once it is up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Task<'a> {
    /// Gives the user a shell.
    Shell,
    /// Runs the script of the study.
    Script {
        /// Rounds of busybox's programs.
        rounds: u32,
        /// Rounds of the SIMD program.
        simd_rounds: u32,
        /// The SIMD program.
        simd: &'a Path,
    },
    /// Runs the SIMD program alone, in many processes.
    Processes {
        /// Rounds of each process.
        rounds: u64,
        /// How many there are.
        processes: u32,
        /// Chooses what they leave in the registers.
        seed: u64,
        /// The SIMD program.
        simd: &'a Path,
    },
    /// Runs the program that debugs a child of its own.
    Debug {
        /// Its rounds.
        rounds: u32,
        /// The program.
        debug: &'a Path,
    },
    /// Prints the marker and powers off: a boot and nothing else.
    PowerOff,
}

/// Builds an initrd, the same bytes from the same input.
///
/// # Errors
/// Where `busybox` or the program cannot be read.
pub fn build(busybox: &Path, task: Task<'_>) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.directory("bin")?;
    archive.program("bin/busybox", &read(busybox)?)?;
    archive.program("init", INIT.as_bytes())?;
    match task {
        Task::Shell => {}
        Task::PowerOff => archive.program("script", format!("echo {DONE_MARKER}\n").as_bytes())?,
        Task::Script {
            rounds,
            simd_rounds,
            simd,
        } => {
            let script = SCRIPT
                .replace("@ROUNDS@", &rounds.to_string())
                .replace("@SIMD_ROUNDS@", &simd_rounds.to_string());
            archive.program("script", script.as_bytes())?;
            archive.program("bin/linux-simd", &read(simd)?)?;
        }
        Task::Debug { rounds, debug } => {
            let tracefs = "mount -t tracefs tracefs /sys/kernel/tracing";
            let script = format!("{tracefs}\nlinux-debug {rounds}\necho {DONE_MARKER}\n");
            archive.program("script", script.as_bytes())?;
            archive.program("bin/linux-debug", &read(debug)?)?;
        }
        Task::Processes {
            rounds,
            processes,
            seed,
            simd,
        } => {
            let script = format!("linux-simd {rounds} {processes} {seed}\necho {DONE_MARKER}\n");
            archive.program("script", script.as_bytes())?;
            archive.program("bin/linux-simd", &read(simd)?)?;
        }
    }
    archive.finish()
}

/// Reads a part of an image.
///
/// # Errors
/// [`Error::Input`] where it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::input(format!(
            "cannot read {}: {error}; trapcast doctor says what is missing",
            path.display()
        ))
    })
}

/// An initrd that is being built: a cpio archive in memory.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    pub(crate) fn directory(&mut self, name: &str) -> Result<()> {
        self.add(name, 0o040_755, &[])
    }

    pub(crate) fn program(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.add(name, 0o100_755, content)
    }

    pub(crate) fn link(&mut self, name: &str, target: &str) -> Result<()> {
        self.add(name, 0o120_777, target.as_bytes())
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, name: &str, major: u32, minor: u32) -> Result<()> {
        let entry = newc::Builder::new(name).mode(0o020_666);
        self.write(entry.rdev_major(major).rdev_minor(minor), name, &[])
    }

    fn add(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.write(newc::Builder::new(name).mode(mode), name, content)
    }

    fn write(&mut self, entry: newc::Builder, name: &str, mut content: &[u8]) -> Result<()> {
        let size = u32::try_from(content.len())
            .map_err(|_| Error::input(format!("{name} is too large for an initrd")))?;
        self.entries += 1;
        let mut entry = entry.ino(self.entries).write(&mut self.bytes, size);
        std::io::copy(&mut content, &mut entry).map_err(Error::run)?;
        entry.finish().map_err(Error::run)?;
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        newc::trailer(self.bytes).map_err(Error::run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_initrd_holds_its_files_and_is_the_same_every_time() {
        let directory = tempfile::tempdir().unwrap();
        let busybox = directory.path().join("busybox");
        let simd = directory.path().join("simd");
        std::fs::write(&busybox, b"a busybox").unwrap();
        std::fs::write(&simd, b"a program").unwrap();
        let task = Task::Script {
            rounds: 7,
            simd_rounds: 9,
            simd: &simd,
        };
        let archive = build(&busybox, task).unwrap();
        assert_eq!(archive, build(&busybox, task).unwrap());

        let mut rest = archive.as_slice();
        let mut names = Vec::new();
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push(reader.entry().name().to_string());
            let mut content = String::new();
            std::io::Read::read_to_string(&mut reader, &mut content).unwrap();
            if names.last().unwrap() == "script" {
                assert!(content.contains("-lt 7 ]") && content.contains("linux-simd 9"));
                assert!(content.contains(DONE_MARKER) && !content.contains('@'));
            }
            rest = reader.finish().unwrap();
        }
        assert_eq!(
            names,
            ["bin", "bin/busybox", "init", "script", "bin/linux-simd"]
        );
    }

    #[test]
    fn a_missing_busybox_is_named() {
        let sentence = build(Path::new("/no/busybox"), Task::Shell)
            .unwrap_err()
            .to_string();
        assert!(
            sentence.contains("/no/busybox") && sentence.contains("doctor"),
            "{sentence}"
        );
    }
}
