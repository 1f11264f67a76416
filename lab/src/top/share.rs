//! How `trapcast top` finds what `trapcast boot` runs: by a small file in `target/run` that exists as long
//! as the hypervisor runs.
//!
//! The file is named after the process, says where the board's RAM can be opened, and is locked while the
//! process runs: one that is not locked was left behind by a process that was killed.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use trapcast_machine::memory::MemoryFile;
use trapcast_tool::{
    error::{Error, Result},
    output,
    paths::Paths,
};

/// What is known of a hypervisor that runs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct About {
    /// The process that runs it.
    pub pid: u32,
    /// QEMU's core.
    pub cpu: String,
    /// What the VMs are, in a few words.
    pub vms: String,
    /// Where the board's RAM can be opened.
    ram: PathBuf,
}

/// The announcement of a hypervisor, taken back when this is dropped.
#[derive(Debug)]
pub struct Announced {
    path: PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

/// A hypervisor that was found.
#[derive(Debug)]
pub struct Running {
    /// What is known of it.
    pub about: About,
    file: File,
}

impl Announced {
    /// Announces the hypervisor that this process runs on a board with this RAM.
    ///
    /// # Errors
    /// [`Error::Input`] where its file cannot be written.
    pub fn new(paths: &Paths, cpu: &str, vms: &str, ram: &MemoryFile) -> Result<Self> {
        let directory = directory(paths);
        sweep(&directory);
        let about = About {
            pid: std::process::id(),
            cpu: cpu.to_string(),
            vms: vms.to_string(),
            ram: ram.path(),
        };
        let path = directory.join(format!("{}.json", about.pid));
        let failed = |error: std::io::Error| output::cannot_write(&path, &error);
        let output = output::begin(&path)?;
        let file = output.file().try_clone().map_err(failed)?;
        // Locked before it has its name, so that it is never taken for one that was left behind.
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| failed(error.into()))?;
        output.put(&output::json(&about)?)?;
        Ok(Self { path, _file: file })
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Running {
    /// Whether the process still runs.
    pub fn lives(&self) -> bool {
        is_locked(&self.file)
    }

    /// Opens the board's RAM.
    ///
    /// # Errors
    /// [`Error::Input`] where the process has just ended, or is another user's.
    pub fn ram(&self) -> Result<MemoryFile> {
        MemoryFile::open(&self.about.ram).map_err(|error| {
            Error::input(format!(
                "cannot look into the hypervisor of process {}: {error}",
                self.about.pid
            ))
        })
    }
}

/// Returns the hypervisor of a process, or else the only one that runs.
///
/// # Errors
/// [`Error::Input`] where there is none, or where there are several to choose from.
pub fn find(paths: &Paths, process: Option<u32>) -> Result<Running> {
    let directory = directory(paths);
    let mut running = all(&directory);
    running.sort_by_key(|running| running.about.pid);
    if let Some(pid) = process {
        let found = running.into_iter().find(|running| running.about.pid == pid);
        return found.ok_or_else(|| {
            Error::input(format!(
                "process {pid} runs no hypervisor in {}: trapcast top without a number finds one",
                paths.target().display()
            ))
        });
    }
    match running.len() {
        0 => Err(Error::input(format!(
            "no hypervisor runs in {}: start one by trapcast boot, on another terminal",
            paths.target().display()
        ))),
        1 => Ok(running.remove(0)),
        _ => {
            let name = |running: &Running| format!("{} ({})", running.about.pid, running.about.vms);
            let names: Vec<_> = running.iter().map(name).collect();
            Err(Error::input(format!(
                "several hypervisors run: {}; name one by its number",
                names.join(", ")
            )))
        }
    }
}

fn directory(paths: &Paths) -> PathBuf {
    paths.target().join("run")
}

/// Returns every hypervisor that is announced in a directory and runs.
fn all(directory: &Path) -> Vec<Running> {
    let read = |path: PathBuf| {
        let file = File::open(path).ok()?;
        let about = serde_json::from_reader(BufReader::new(&file)).ok()?;
        let running = Running { about, file };
        running.lives().then_some(running)
    };
    announcements(directory).filter_map(read).collect()
}

/// Removes what processes that were killed have left.
fn sweep(directory: &Path) {
    for path in announcements(directory) {
        if File::open(&path).is_ok_and(|file| !is_locked(&file)) {
            let _ = fs::remove_file(path);
        }
    }
}

fn announcements(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"))
}

/// Whether another opening of the file holds its lock.
fn is_locked(file: &File) -> bool {
    let free = flock(file, FlockOperation::NonBlockingLockShared).is_ok();
    if free {
        let _ = flock(file, FlockOperation::Unlock);
    }
    !free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_found_while_it_lives_and_no_longer() {
        let target = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(target.path().to_path_buf())).unwrap();
        let told = find(&paths, None).unwrap_err().to_string();
        assert!(told.contains("trapcast boot"), "{told}");

        let ram = MemoryFile::with_content(b"ram").unwrap();
        let announced = Announced::new(&paths, "max", "1 VM", &ram).unwrap();
        let running = find(&paths, None).unwrap();
        assert_eq!(
            (running.about.pid, running.about.vms.as_str()),
            (std::process::id(), "1 VM")
        );
        let mut bytes = [0; 3];
        running.ram().unwrap().read_at(&mut bytes, 0).unwrap();
        assert_eq!((&bytes, running.lives()), (b"ram", true));
        assert!(find(&paths, Some(1)).is_err());

        drop(announced);
        assert!(!running.lives() && find(&paths, None).is_err());
        assert_eq!(announcements(&directory(&paths)).count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_passed_over_and_swept() {
        let target = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(target.path().to_path_buf())).unwrap();
        let run = directory(&paths);
        fs::create_dir(&run).unwrap();
        let left = r#"{"pid":1,"cpu":"max","vms":"1 VM","ram":"/proc/1/fd/3"}"#;
        fs::write(run.join("1.json"), left).unwrap();
        assert!(find(&paths, None).is_err() && find(&paths, Some(1)).is_err());
        let ram = MemoryFile::with_content(b"ram").unwrap();
        let _announced = Announced::new(&paths, "max", "1 VM", &ram).unwrap();
        assert!(!run.join("1.json").exists() && find(&paths, None).is_ok());
    }
}
