//! The Rust that builds for EL2, as `scripts/setup.sh` chose it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
};

/// The target that EL2 and the guests are built for.
const TRIPLE: &str = "aarch64-unknown-none-softfloat";

/// Where the compiler and its core library come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// rustup, with the target's libraries prebuilt.
    Rustup,
    /// Debian's packages, with the core library built from its source.
    Debian,
}

/// The chosen compiler's version, if its libraries are there.
///
/// # Errors
/// [`Error::Input`] where nothing was chosen yet, or what was chosen has gone since.
pub fn check(paths: &Paths) -> Result<String> {
    let way = way(paths)?;
    let version = rustc(way, &["--version"]).ok_or_else(|| gone("the compiler does not run"))?;
    match way {
        Way::Rustup => {
            let libraries = rustc(way, &["--print", "target-libdir", "--target", TRIPLE]);
            exists(libraries.map(PathBuf::from))
                .ok_or_else(|| gone(&format!("rustup has no target {TRIPLE}")))?;
            Ok(format!("rustup's {version}"))
        }
        Way::Debian => {
            let root = rustc(way, &["--print", "sysroot"]).map(PathBuf::from);
            exists(root.map(|root| root.join("lib/rustlib/src/rust/library/core")))
                .ok_or_else(|| gone("rust-web-src is not installed"))?;
            exists(Some("/usr/bin/ld.lld".into())).ok_or_else(|| gone("lld is not installed"))?;
            Ok(format!("Debian's {version}"))
        }
    }
}

/// The chosen compiler's version.
pub fn version(paths: &Paths) -> Option<String> {
    rustc(way(paths).ok()?, &["--version"])
}

fn way(paths: &Paths) -> Result<Way> {
    let path = paths.el2_cargo()?;
    let script = std::fs::read_to_string(&path)
        .map_err(|error| Error::input(format!("cannot read {}: {error}", path.display())))?;
    way_of(&script).ok_or_else(|| gone(&format!("{} is damaged", path.display())))
}

/// The second line of the script begins with the way that it takes.
fn way_of(script: &str) -> Option<Way> {
    let line = script.lines().nth(1)?;
    match line.strip_prefix("# ")?.split_once(':')?.0 {
        "rustup" => Some(Way::Rustup),
        "debian" => Some(Way::Debian),
        _ => None,
    }
}

/// The first line that the compiler answers with.
fn rustc(way: Way, arguments: &[&str]) -> Option<String> {
    let program = match way {
        Way::Rustup => "rustc",
        Way::Debian => "/usr/bin/rustc",
    };
    first_line(Command::new(program).args(arguments))
}

/// The first line that a command prints; none if it fails.
pub fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.to_string();
    output.status.success().then_some(line)
}

fn exists(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path| Path::exists(path))
}

fn gone(what: &str) -> Error {
    Error::input(format!("{what}: run scripts/setup.sh"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_read_from_the_script() {
        assert_eq!(
            way_of("#!/bin/sh\n# rustup: runs cargo\n"),
            Some(Way::Rustup)
        );
        assert_eq!(
            way_of("#!/bin/sh\n# debian: runs cargo\n"),
            Some(Way::Debian)
        );
        assert_eq!(way_of("#!/bin/sh\n"), None);
        assert_eq!(way_of("#!/bin/sh\n# other: x\n"), None);
    }
}
