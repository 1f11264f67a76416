//! The workloads that run Debian's programs: one guest each, and mixes of two and three on one core.

use super::{Extent, Guest, PLAIN, Workload};
use trapcast_machine::program::{
    BOOT, COMPRESS, CYCLICTEST, GCC, HACKBENCH, IDLE, OPENSSL, PERL, PYTHON, Program, REDIS, SHELL,
    SQLITE, STRESS_FP, STRESS_SWITCH,
};

/// All of them.
pub(super) const ALL: &[Workload] = &[
    one(
        &[Guest::Program(&BOOT)],
        "Debian's kernel from its first instruction to power-off",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&IDLE)],
        "an idle Linux that keeps its tick of 4 ms",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&OPENSSL)],
        "OpenSSL: AES-256, ChaCha20, SHA-256",
        Extent::Quick,
    ),
    one(
        &[Guest::Program(&COMPRESS)],
        "zstd, xz and gzip, there and back",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&SQLITE)],
        "SQLite: a table, an index, an aggregate",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&PYTHON)],
        "Python: fractions, a dictionary, strings",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&PERL)],
        "Perl: a hash, a regular expression, fractions",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&REDIS)],
        "Redis and redis-benchmark over loopback",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&GCC)],
        "GCC's cc1 -O2 on a small program",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&HACKBENCH)],
        "hackbench: processes over sockets, threads over pipes",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&CYCLICTEST)],
        "cyclictest: two threads that wake by timers",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&STRESS_FP)],
        "stress-ng: Fourier transform, vectors",
        Extent::Full,
    ),
    one(
        &[Guest::Program(&STRESS_SWITCH)],
        "stress-ng: context switches and a pipe, as lmbench has them",
        Extent::Full,
    ),
    mix(
        "mix-simd",
        "OpenSSL beside a shell that counts, in slices of 10 ms",
        SIMD_BESIDE_NONE,
        10_000,
        Extent::Full,
    ),
    mix(
        "mix-simd-4ms",
        "OpenSSL beside a shell that counts, in slices of 4 ms",
        SIMD_BESIDE_NONE,
        4_000,
        Extent::Full,
    ),
    mix(
        "mix-simd-1ms",
        "OpenSSL beside a shell that counts, in slices of 1 ms",
        SIMD_BESIDE_NONE,
        1_000,
        Extent::Full,
    ),
    mix(
        "mix-idle",
        "Python beside an idle Linux that keeps its tick",
        &[Guest::Program(&PYTHON), Guest::Program(&IDLE)],
        10_000,
        Extent::Full,
    ),
    mix(
        "mix-three",
        "OpenSSL, SQLite and Redis on one core, in slices of 4 ms",
        &[
            Guest::Program(&OPENSSL),
            Guest::Program(&SQLITE),
            Guest::Program(&REDIS),
        ],
        4_000,
        Extent::Full,
    ),
];

const SIMD_BESIDE_NONE: &[Guest] = &[Guest::Program(&OPENSSL), Guest::Program(&SHELL)];

/// A program alone; the workload has its name.
const fn one(guest: &'static [Guest], about: &'static str, extent: Extent) -> Workload {
    let [Guest::Program(program)] = guest else {
        panic!("one program");
    };
    let program: &Program = program;
    Workload {
        name: program.name,
        about,
        guests: guest,
        extent,
        ..PLAIN
    }
}

/// Several on one core, in time slices of so many microseconds.
const fn mix(
    name: &'static str,
    about: &'static str,
    guests: &'static [Guest],
    slice: u32,
    extent: Extent,
) -> Workload {
    Workload {
        name,
        about,
        guests,
        slice: Some(slice),
        extent,
        ..PLAIN
    }
}
