//! What a study runs on.

use std::{fs, process::Command};

use trapcast_machine::{qemu, toolchain};
use trapcast_results::Versions;
use trapcast_tool::{error::Result, paths::Paths};

/// Looks at what is here.
///
/// # Errors
/// Where there is no QEMU.
pub fn look(paths: &Paths) -> Result<Versions> {
    let written = |file: &str| {
        let text = fs::read_to_string(paths.target().join("guest").join(file)).ok();
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    };
    Ok(Versions {
        trapcast: env!("CARGO_PKG_VERSION").to_string(),
        commit: toolchain::first_line(
            Command::new("git")
                .args(["describe", "--always", "--dirty", "--abbrev=12"])
                .current_dir(paths.checkout()),
        ),
        qemu: qemu::version()?,
        rustc: toolchain::version(paths),
        guest: written("versions.json"),
        userland: written("versions-userland.json"),
    })
}
