//! Tells the linker which shape each guest has: a flat arm64 Image, or an ELF program for Linux.

use std::env;

/// Programs that boot on the bare board, and the linker script that lays each out.
const IMAGES: &[(&str, &str)] = &[
    ("checker", "image.ld"),
    ("bench", "image.ld"),
    ("features", "image.ld"),
    ("exceptions", "image.ld"),
    ("debug", "image.ld"),
    ("pmu", "image.ld"),
    ("firmware", "image.ld"),
    ("streaming", "image.ld"),
    ("hostile", "image.ld"),
    ("reader", "image.ld"),
    ("timers", "image.ld"),
    ("checker32", "image32.ld"),
    ("timers32", "image32.ld"),
    ("features32", "image32.ld"),
    ("scan", "image.ld"),
    ("scan32", "image32.ld"),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=image.ld");
    println!("cargo:rerun-if-changed=image32.ld");
    println!("cargo:rerun-if-env-changed=CARGO_CFG_TARGET_OS");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let is_aarch32 = env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("arm");
    for &(image, script) in IMAGES {
        if (script == "image32.ld") != is_aarch32 {
            continue;
        }
        println!("cargo:rustc-link-arg-bin={image}=-T{here}/{script}");
        println!("cargo:rustc-link-arg-bin={image}=--oformat=binary");
    }
    // Linux starts a program at its entry point; pages may be up to 64 KiB large.
    for argument in [
        "--entry=_start",
        "--image-base=0x400000",
        "-zmax-page-size=65536",
        "--strip-all",
    ] {
        for program in ["linux-simd", "linux-seed", "linux-debug"] {
            println!("cargo:rustc-link-arg-bin={program}={argument}");
        }
    }
}
