//! `trapcast doctor`: what is missing on this machine, and the command that installs it.

use std::path::PathBuf;

use trapcast_machine::{arch::Arch, image::Image, qemu, toolchain};
use trapcast_tool::{error::Result, paths::Paths};

/// One thing that is needed.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Check {
    /// What it is.
    pub name: &'static str,
    /// Whether it is there.
    pub ok: bool,
    /// What was found, or what is wrong.
    pub found: String,
    /// The command that fixes it, where something is wrong.
    pub command: Option<&'static str>,
}

impl Check {
    fn new(name: &'static str, found: Result<String>, command: &'static str) -> Self {
        match found {
            Ok(found) => Self {
                name,
                ok: true,
                found,
                command: None,
            },
            Err(error) => Self {
                name,
                ok: false,
                found: error.to_string(),
                command: Some(command),
            },
        }
    }
}

/// Looks at everything, without changing anything.
pub fn checks(paths: &Paths) -> Vec<Check> {
    let mut checks = vec![
        Check::new("QEMU", qemu::version(), "scripts/setup.sh"),
        Check::new(
            "QEMU with plugins",
            qemu::Installed::with_plugins(paths).map(|qemu| qemu.version),
            "scripts/qemu.sh",
        ),
        Check::new("Rust for EL2", toolchain::check(paths), "scripts/setup.sh"),
        Check::new(
            "Linux kernel",
            kernel(Arch::Arm64, paths),
            "scripts/guest.sh",
        ),
        Check::new(
            "busybox",
            shown(Arch::Arm64.busybox(paths)),
            "scripts/guest.sh",
        ),
        Check::new(
            "armhf kernel",
            kernel(Arch::Armhf, paths),
            "scripts/guest.sh",
        ),
        Check::new(
            "armhf busybox",
            shown(Arch::Armhf.busybox(paths)),
            "scripts/guest.sh",
        ),
        Check::new(
            "newest kernel",
            shown(paths.hosts("Image-backports")),
            "scripts/hosts.sh",
        ),
        Check::new(
            "VMM for arm64",
            shown(paths.hosts("vmm")),
            "scripts/hosts.sh",
        ),
        Check::new("Xen", shown(paths.hosts("xen")), "scripts/hosts.sh"),
        Check::new("Debian's programs", userland(paths), "scripts/guest.sh"),
        Check::new("hypervisor", shown(paths.hypervisor()), "make build"),
    ];
    for (name, program) in [("guest: checker", "checker"), ("guest: bench", "bench")] {
        let found = image(paths.built(program));
        checks.push(Check::new(name, found, "make build"));
    }
    checks.push(Check::new(
        "guest: checker32",
        image(paths.aarch32("checker32")),
        "make build",
    ));
    checks.push(Check::new(
        "guest: linux-simd",
        shown(paths.built("linux-simd")),
        "make build",
    ));
    checks.push(Check::new(
        "guest: linux-seed",
        shown(paths.built("linux-seed")),
        "make build",
    ));
    checks
}

/// The checks as people read them.
pub fn render(checks: &[Check]) -> String {
    checks
        .iter()
        .map(|check| match check.command {
            None => format!("ok       {:<18} {}\n", check.name, check.found),
            Some(command) => format!(
                "MISSING  {:<18} {}\n         {:<18} to do: {command}\n",
                check.name, check.found, ""
            ),
        })
        .collect()
}

fn kernel(arch: Arch, paths: &Paths) -> Result<String> {
    let image = arch.kernel(paths)?;
    let versions = std::fs::read_to_string(arch.versions(paths)?).unwrap_or_default();
    let versions: serde_json::Value = serde_json::from_str(&versions).unwrap_or_default();
    let package = versions["kernel_package"]
        .as_str()
        .unwrap_or("of unknown version");
    Ok(format!("{package}, {} bytes", image.file_size))
}

fn userland(paths: &Paths) -> Result<String> {
    let versions = std::fs::read_to_string(paths.guest("versions-userland.json")?);
    let versions: serde_json::Value =
        serde_json::from_str(&versions.unwrap_or_default()).unwrap_or_default();
    let packages = versions.as_object().map_or(0, serde_json::Map::len);
    Ok(format!("{packages} packages"))
}

fn shown(path: Result<PathBuf>) -> Result<String> {
    path.map(|path| path.display().to_string())
}

fn image(path: Result<PathBuf>) -> Result<String> {
    Ok(Image::open(&path?)?.path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_missing_is_told_with_its_command() {
        let empty = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(empty.path().to_path_buf())).unwrap();
        let checks = checks(&paths);
        let missing: Vec<_> = checks.iter().filter_map(|check| check.command).collect();
        assert_eq!(
            missing
                .iter()
                .filter(|command| **command == "make build")
                .count(),
            6
        );
        assert_eq!(
            missing
                .iter()
                .filter(|command| **command == "scripts/guest.sh")
                .count(),
            5
        );
        let text = render(&checks);
        assert!(text.contains("MISSING  hypervisor"), "{text}");
        assert!(text.contains("to do: make build"), "{text}");
    }
}
