//! The kernels and initrds that `trapcast boot` takes, and those that it refuses before QEMU starts.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

#[path = "outside/fake_qemu.rs"]
mod fake_qemu;

use fake_qemu::{
    VERSION, arguments_of_qemu, booting, ended, image, refused, target, with_fake_qemu,
};

#[test]
fn a_kernel_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    std::fs::write(&text, "x".repeat(1000)).unwrap();
    let told = refused(&["boot", "--kernel", text.to_str().unwrap()]);
    assert!(
        told.contains("not an arm64 Image") && told.contains("text"),
        "{told}"
    );

    std::fs::write(&text, "x").unwrap();
    let told = refused(&["boot", "--kernel", text.to_str().unwrap()]);
    assert!(told.contains("truncated"), "{told}");

    let told = refused(&["boot", "--kernel", "/no/such/file"]);
    assert!(told.contains("/no/such/file"), "{told}");
}

#[test]
fn an_initrd_that_is_missing_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = image(directory.path(), 4096);
    let told = refused(&["boot", "--kernel", &kernel, "--initrd", "/no/such/initrd"]);
    assert!(
        told.contains("cannot read initrd /no/such/initrd"),
        "{told}"
    );
}

#[test]
fn what_does_not_fit_into_memory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = image(directory.path(), 4096);
    let initrd = directory.path().join("initrd");
    std::fs::write(&initrd, vec![0; 8 << 20]).unwrap();
    let initrd = initrd.to_str().unwrap();
    let told = refused(&[
        "boot", "--kernel", &kernel, "--initrd", initrd, "--memory", "8M",
    ]);
    assert!(told.contains("give a larger --memory"), "{told}");
    let told = refused(&[
        "boot", "--kernel", &kernel, "--memory", "500G", "--vms", "64",
    ]);
    assert!(told.contains("fewer --vms"), "{told}");
    let told = refused(&["boot", "--kernel", &kernel, "--memory", "lots"]);
    assert!(told.contains("is not a size"), "{told}");
}

/// Passes for a QEMU that keeps the kernel that it is given as the file `loaded` beside itself.
fn keeping(directory: &Path) -> String {
    let word = "kernel=\\([^,]*\\),.*";
    format!(
        "{VERSION}for word; do\n\
         path=$(echo \"$word\" | sed -n 's/guest-loader,addr=[^,]*,{word}/\\1/p')\n\
         [ -z \"$path\" ] || cat \"$path\" >{}/loaded\ndone",
        directory.display()
    )
}

#[test]
fn a_kernel_may_have_any_name_and_come_from_a_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let image = std::fs::read(image(path, 5000)).unwrap();
    let odd = path.join(OsStr::from_bytes(b"a, b=\xff"));
    std::fs::write(&odd, &image).unwrap();
    let fifo = path.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    for kernel in [&odd, &fifo] {
        let mut command = booting(path, kernel.as_os_str(), &keeping(path));
        command.args(["--vms", "2"]);
        let trapcast = command.spawn().unwrap();
        if *kernel == fifo {
            std::fs::write(&fifo, &image).unwrap();
        }
        let output = trapcast.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{kernel:?}: {told}");
        let loaded = path.join("loaded");
        assert!(std::fs::read(&loaded).unwrap() == image, "{kernel:?}");
        std::fs::remove_file(loaded).unwrap();
    }
}

/// What fuzzers begin with: one kernel in every form that is unpacked, made by the tools that Linux is built with.
fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/kernel")
}

#[test]
fn a_kernel_may_be_compressed_as_distributions_do_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let plain = std::fs::read(corpus().join("good_plain")).unwrap();
    let mut forms = 0;
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let kernel = entry.unwrap().path();
        if !kernel.file_name().unwrap().as_bytes().starts_with(b"good") {
            continue;
        }
        let (code, told) = ended(booting(path, kernel.as_os_str(), &keeping(path)));
        assert_eq!(code, Some(0), "{kernel:?}: {told}");
        assert!(
            std::fs::read(path.join("loaded")).unwrap() == plain,
            "{kernel:?}"
        );
        forms += 1;
    }
    assert!(forms >= 11, "{forms}");
}

#[test]
fn a_kernel_that_cannot_be_unpacked_is_told_with_the_reason() {
    for (name, wanted) in [
        (
            "bad_cut_gzip",
            "compressed by gzip and cannot be unpacked, as its end is missing",
        ),
        (
            "bad_cut_zstd",
            "compressed by zstd and cannot be unpacked, as its end is missing",
        ),
        (
            "bad_cut_xz",
            "compressed by xz and cannot be unpacked, as its end is missing",
        ),
        (
            "bad_cut_lzma",
            "compressed by lzma and cannot be unpacked, as its end is missing",
        ),
        (
            "bad_cut_lz4",
            "compressed by lz4 and cannot be unpacked, as its end is missing",
        ),
        (
            "bad_dictionary_lzma",
            "its dictionary is larger than any of Linux's",
        ),
        (
            "bad_zboot_cut",
            "an EFI zboot image of which a part is missing",
        ),
        (
            "bad_zboot_lzo",
            "compressed by \"lzo\", which is not unpacked here, but gzip",
        ),
        ("bad_gzip_text", "the kernel is not an arm64 Image"),
    ] {
        let file = corpus().join(name);
        let told = refused(&["boot", "--kernel", file.to_str().unwrap()]);
        assert!(told.contains(wanted), "{name}: {told}");
    }
    let directory = tempfile::tempdir().unwrap();
    let mut damaged = std::fs::read(corpus().join("good_gzip")).unwrap();
    damaged[1000] ^= 0x10;
    let file = directory.path().join("damaged");
    std::fs::write(&file, damaged).unwrap();
    let told = refused(&["boot", "--kernel", file.to_str().unwrap()]);
    assert!(told.contains("as it is damaged ("), "{told}");
}

/// Four gibibytes of zeroes, in 128 KiB: a machine that has not that much must not try to unpack them.
#[test]
fn a_kernel_that_unpacks_to_more_than_any_is_refused_in_bounded_memory() {
    // A frame of RFC 8878: its magic, no size, checksum or dictionary, a window of 128 KiB; then blocks of one
    // repeated byte.
    let mut bomb = b"\x28\xb5\x2f\xfd\x00\x38".to_vec();
    const BLOCKS: u32 = 1 << 15;
    for block in 1..=BLOCKS {
        let header = u32::from(block == BLOCKS) | 1 << 1 | (128 << 10) << 3;
        bomb.extend_from_slice(&header.to_le_bytes()[..3]);
        bomb.push(0);
    }
    let directory = target();
    let file = directory.path().join("bomb");
    std::fs::write(&file, bomb).unwrap();
    let output = Command::new("/bin/sh")
        .args(["-c", "ulimit -v 2500000; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_trapcast"))
        .arg("--target")
        .arg(directory.path())
        .args(["boot", "--kernel"])
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("compressed by zstd and unpacks to more than 512 MiB"),
        "{told}"
    );
}

#[test]
fn what_is_read_whole_is_read_up_to_a_limit() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = image(directory.path(), 4096);
    for (arguments, wanted) in [
        (
            &["boot", "--kernel", "/dev/zero"][..],
            "cannot read kernel /dev/zero: it is longer than 512 MiB",
        ),
        (
            &["boot", "--kernel", &kernel, "--initrd", "/dev/zero"],
            "cannot read initrd /dev/zero: it is longer than 256 MiB",
        ),
        (
            &["replay", "--profile", "/dev/zero", "x"],
            "cannot read the profile /dev/zero: it is longer than 1 MiB",
        ),
        (&["inspect", "/dev/zero"], "/dev/zero is no regular file"),
    ] {
        let told = refused(arguments);
        assert!(told.contains(wanted), "{told}");
    }
}

#[test]
fn what_the_hypervisor_or_linux_would_not_take_is_refused_before() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let refused = |arguments: &[&str]| {
        // With a QEMU that serves, lest one that runs keep the test waiting.
        let mut boot = with_fake_qemu(directory.path(), VERSION);
        boot.args(arguments);
        let (code, told) = ended(boot);
        assert_eq!(code, Some(2), "{arguments:?}: {told}");
        told
    };
    let told = refused(&["--initrd", empty.to_str().unwrap()]);
    assert!(told.contains("VM 0 has an initrd of no bytes"), "{told}");

    let (long, longest) = ("x".repeat(2048), "x".repeat(2047));
    let told = refused(&["--append", &long]);
    assert!(
        told.contains("2048 bytes, of which Linux takes 2047"),
        "{told}"
    );
    assert!(arguments_of_qemu(&["--append", &longest]).contains(&longest));

    // Flags: bits 2:1, 2 for pages of 16 KiB.
    let kernel = image(directory.path(), 4096);
    let mut bytes = std::fs::read(&kernel).unwrap();
    bytes[24] = 2 << 1;
    std::fs::write(&kernel, bytes).unwrap();
    let mut boot = booting(directory.path(), OsStr::new(&kernel), VERSION);
    boot.args(["--cpu", "cortex-a57"]);
    let (code, told) = ended(boot);
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("pages of 16 KiB, which cortex-a57 does not have: take --cpu neoverse-n1"),
        "{told}"
    );
}
