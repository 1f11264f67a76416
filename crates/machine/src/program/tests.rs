//! Tests of images: what is in them, that they are the same bytes every time, and what is refused.

use std::{fs, os::unix::fs::symlink, path::Path};

use cpio::newc;

use super::{ALL, Program, image::Builder, program};

/// The word of an ELF header that says which machine it is for.
const AARCH64: u16 = 183;
const X86_64: u16 = 62;

/// An ELF file with a dynamic section that names these libraries, and nothing that could run.
fn elf(machine: u16, libraries: &[&str]) -> Vec<u8> {
    let mut strings = vec![0u8];
    let mut dynamic = Vec::new();
    for library in libraries {
        dynamic.extend_from_slice(&1u64.to_le_bytes()); // DT_NEEDED
        dynamic.extend_from_slice(&(strings.len() as u64).to_le_bytes());
        strings.extend_from_slice(library.as_bytes());
        strings.push(0);
    }
    dynamic.extend_from_slice(&[0; 16]); // DT_NULL
    let (dynamic_at, strings_at) = (64, 64 + dynamic.len() as u64);
    let sections_at = (strings_at + strings.len() as u64).next_multiple_of(8);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend_from_slice(&3u16.to_le_bytes()); // ET_DYN
    file.extend_from_slice(&machine.to_le_bytes());
    file.extend_from_slice(&1u32.to_le_bytes());
    for offset in [0, 0, sections_at] {
        file.extend_from_slice(&offset.to_le_bytes()); // entry, program headers, section headers
    }
    file.extend_from_slice(&0u32.to_le_bytes());
    for half in [64u16, 56, 0, 64, 3, 2] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    file.extend_from_slice(&dynamic);
    file.extend_from_slice(&strings);
    file.resize(sections_at as usize, 0);
    let section = |kind: u32, at: u64, size: u64, link: u32, entry: u64| {
        let mut header = Vec::new();
        header.extend_from_slice(&0u32.to_le_bytes());
        header.extend_from_slice(&kind.to_le_bytes());
        for word in [0, 0, at, size] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        header.extend_from_slice(&link.to_le_bytes());
        header.extend_from_slice(&0u32.to_le_bytes());
        for word in [8, entry] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        header
    };
    file.extend(section(0, 0, 0, 0, 0));
    file.extend(section(6, dynamic_at, dynamic.len() as u64, 2, 16));
    file.extend(section(3, strings_at, strings.len() as u64, 0, 0));
    file
}

/// The parts of an image in a directory: a program that needs two libraries, one of them through the other.
fn parts(root: &Path) -> Builder {
    let tree = root.join("userland");
    for directory in [
        "usr/bin",
        "usr/lib/aarch64-linux-gnu",
        "lib/aarch64-linux-gnu",
        "usr/lib/data",
    ] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    fs::write(
        tree.join("usr/bin/tool-1.2"),
        elf(AARCH64, &["libone.so.1"]),
    )
    .unwrap();
    symlink("tool-1.2", tree.join("usr/bin/tool")).unwrap();
    fs::write(
        tree.join("lib/aarch64-linux-gnu/libone.so.1"),
        elf(AARCH64, &["libtwo.so.2"]),
    )
    .unwrap();
    fs::write(
        tree.join("usr/lib/aarch64-linux-gnu/libtwo.so.2.0"),
        elf(AARCH64, &[]),
    )
    .unwrap();
    symlink(
        "/usr/lib/aarch64-linux-gnu/libtwo.so.2.0",
        tree.join("usr/lib/aarch64-linux-gnu/libtwo.so.2"),
    )
    .unwrap();
    fs::write(tree.join("usr/lib/data/b"), b"text").unwrap();
    fs::write(tree.join("usr/lib/data/a"), b"text").unwrap();
    for file in ["busybox", "linux-seed", "versions.json"] {
        fs::write(root.join(file), file).unwrap();
    }
    Builder {
        busybox: root.join("busybox"),
        seed: root.join("linux-seed"),
        userland: tree,
        versions: root.join("versions.json"),
        cache: root.join("images"),
    }
}

const TOOL: Program = program(
    "tool",
    "check tool 1 1\n",
    &["usr/bin/tool", "usr/lib/data"],
);

/// The names in an archive, in their order.
fn names(image: &[u8]) -> Vec<String> {
    let (mut rest, mut names) = (image, Vec::new());
    loop {
        let reader = newc::Reader::new(rest).unwrap();
        if reader.entry().is_trailer() {
            return names;
        }
        names.push(reader.entry().name().to_string());
        rest = reader.finish().unwrap();
    }
}

/// The error of a program whose tree was changed in this way.
fn refused(change: impl FnOnce(&Path)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let builder = parts(directory.path());
    change(&builder.userland);
    builder.image(&TOOL).unwrap_err().to_string()
}

#[test]
fn an_image_holds_a_program_and_all_that_it_names() {
    let directory = tempfile::tempdir().unwrap();
    let names = names(&parts(directory.path()).image(&TOOL).unwrap());
    for wanted in [
        "bin/sh",
        "dev/urandom",
        "init",
        "script",
        "usr/bin/tool",
        "usr/lib/data/a",
        "lib/aarch64-linux-gnu/libone.so.1",
        "usr/lib/aarch64-linux-gnu/libtwo.so.2",
    ] {
        assert!(
            names.iter().any(|name| name == wanted),
            "{wanted}: {names:?}"
        );
    }
    // Linux does not create the directories by itself.
    for (at, name) in names.iter().enumerate() {
        let Some((parent, _)) = name.rsplit_once('/') else {
            continue;
        };
        assert!(
            names[..at].iter().any(|other| other == parent),
            "{name}: {names:?}"
        );
    }
}

#[test]
fn an_image_is_the_same_bytes_every_time_built_or_from_the_cache() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let builder = parts(one.path());
    let built = builder.image(&TOOL).unwrap();
    assert_eq!(built, parts(two.path()).image(&TOOL).unwrap());
    // The second time it is not looked at: only the cache can answer.
    fs::remove_dir_all(one.path().join("userland/usr")).unwrap();
    assert_eq!(built, builder.image(&TOOL).unwrap());
}

#[test]
fn other_parts_make_another_image_and_the_old_one_goes() {
    let directory = tempfile::tempdir().unwrap();
    let builder = parts(directory.path());
    let first = builder.image(&TOOL).unwrap();
    let other = Program {
        script: "check tool 2 2\n",
        ..TOOL
    };
    assert_ne!(first, builder.image(&other).unwrap());
    fs::write(&builder.versions, "newer").unwrap();
    fs::write(builder.userland.join("usr/lib/data/a"), b"other").unwrap();
    assert_ne!(first, builder.image(&TOOL).unwrap());
    assert_eq!(fs::read_dir(&builder.cache).unwrap().count(), 1);
}

#[test]
fn what_is_missing_or_of_no_use_is_named() {
    let missing = refused(|tree| fs::remove_file(tree.join("usr/bin/tool-1.2")).unwrap());
    assert!(
        missing.contains("/usr/bin/tool") && missing.contains("scripts/guest.sh"),
        "{missing}"
    );
    let library = refused(|tree| {
        fs::remove_file(tree.join("usr/lib/aarch64-linux-gnu/libtwo.so.2")).unwrap();
    });
    assert!(
        library.contains("libone.so.1 needs libtwo.so.2"),
        "{library}"
    );
    let foreign =
        refused(|tree| fs::write(tree.join("usr/bin/tool-1.2"), elf(X86_64, &[])).unwrap());
    assert!(foreign.contains("not for arm64"), "{foreign}");
    let damaged = refused(|tree| {
        let whole = elf(AARCH64, &["libone.so.1"]);
        fs::write(tree.join("usr/bin/tool-1.2"), &whole[..whole.len() - 100]).unwrap();
    });
    assert!(damaged.contains("damaged ELF"), "{damaged}");
    let out = refused(|tree| {
        fs::remove_file(tree.join("usr/bin/tool")).unwrap();
        symlink("../../../../etc/passwd", tree.join("usr/bin/tool")).unwrap();
    });
    assert!(out.contains("out of the tree"), "{out}");
    let circle = refused(|tree| {
        fs::remove_file(tree.join("usr/bin/tool")).unwrap();
        symlink("tool", tree.join("usr/bin/tool")).unwrap();
    });
    assert!(circle.contains("a link to itself"), "{circle}");
}

#[test]
fn programs_have_names_of_their_own_and_scripts_that_check() {
    let names: std::collections::BTreeSet<_> = ALL.iter().map(|program| program.name).collect();
    assert_eq!(names.len(), ALL.len());
    for program in ALL {
        let nothing_to_check = ["boot", "idle"].contains(&program.name);
        assert_ne!(
            program.script.contains("check "),
            nothing_to_check,
            "{}",
            program.name
        );
    }
}
