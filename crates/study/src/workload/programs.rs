//! The workloads that run Debian's programs: one guest each, and mixes of two and three on one core.

use super::{Extent, Guest, PLAIN, Runs, Workload};
use trapcast_machine::program::{
    BOOT, COMPRESS, CYCLICTEST, GCC, HACKBENCH, IDLE, OPENSSL, PERL, PYTHON, REDIS, SHELL, SQLITE,
    STRESS_FP, STRESS_SWITCH,
};

/// All of them.
pub(super) const ALL: &[Workload] = &[
    one(
        &[Guest::Program(Runs::once(&BOOT))],
        "Debian's kernel from its first instruction to power-off",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&IDLE))],
        "an idle Linux that keeps its tick of 4 ms",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&OPENSSL))],
        "OpenSSL: AES-256, ChaCha20, SHA-256",
        Extent::Quick,
    ),
    one(
        &[Guest::Program(Runs::once(&COMPRESS))],
        "zstd, xz and gzip, there and back",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&SQLITE))],
        "SQLite: a table, an index, an aggregate",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&PYTHON))],
        "Python: fractions, a dictionary, strings",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&PERL))],
        "Perl: a hash, a regular expression, fractions",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&REDIS))],
        "Redis and redis-benchmark over loopback",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&GCC))],
        "GCC's cc1 -O2 on a small program",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&HACKBENCH))],
        "hackbench: processes over sockets, threads over pipes",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&CYCLICTEST))],
        "cyclictest: two threads that wake by timers",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&STRESS_FP))],
        "stress-ng: Fourier transform, vectors",
        Extent::Full,
    ),
    one(
        &[Guest::Program(Runs::once(&STRESS_SWITCH))],
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
        &[
            Guest::Program(Runs::of(&PYTHON, 1, 17)),
            Guest::Program(Runs::of(&IDLE, 1, 1)),
        ],
        10_000,
        Extent::Full,
    ),
    mix(
        "mix-three",
        "OpenSSL, SQLite and Redis on one core, in slices of 4 ms",
        &[
            Guest::Program(Runs::of(&OPENSSL, 1, 6)),
            Guest::Program(Runs::of(&SQLITE, 1, 48)),
            Guest::Program(Runs::of(&REDIS, 1, 6)),
        ],
        4_000,
        Extent::Full,
    ),
    cores(
        "openssl-on-2",
        "OpenSSL on two vCPUs, on two cores",
        2,
        0,
        &[Guest::Program(Runs::of(&OPENSSL, 2, 4))],
    ),
    cores(
        "openssl-redis-on-2",
        "OpenSSL on two vCPUs beside Redis on two, on two cores, in slices of 3 ms",
        2,
        700,
        &[
            Guest::Program(Runs::of(&OPENSSL, 2, 2)),
            Guest::Program(Runs::of(&REDIS, 2, 1)),
        ],
    ),
    cores(
        "hackbench-gcc-on-2",
        "hackbench on two vCPUs beside GCC on two, on two cores, in slices of 3 ms",
        2,
        700,
        &[
            Guest::Program(Runs::of(&HACKBENCH, 2, 9)),
            Guest::Program(Runs::of(&GCC, 2, 2)),
        ],
    ),
    cores(
        "four-vms-on-2",
        "OpenSSL, SQLite, Redis and a shell that counts, on two cores, in slices of 3 ms",
        2,
        1900,
        &[
            Guest::Program(Runs::of(&OPENSSL, 1, 7)),
            Guest::Program(Runs::of(&SQLITE, 1, 24)),
            Guest::Program(Runs::of(&REDIS, 1, 3)),
            Guest::Program(Runs::of(&SHELL, 1, 27)),
        ],
    ),
    cores(
        "stress-fp-on-4",
        "stress-ng on four vCPUs, on four cores",
        4,
        0,
        &[Guest::Program(Runs::of(&STRESS_FP, 4, 5))],
    ),
    cores(
        "openssl-hackbench-on-4",
        "OpenSSL on four vCPUs beside hackbench on four, on four cores, in slices of 3 ms",
        4,
        1600,
        &[
            Guest::Program(Runs::of(&OPENSSL, 4, 1)),
            Guest::Program(Runs::of(&HACKBENCH, 4, 5)),
        ],
    ),
];

// So many rounds that guests beside each other end at about the same time.
const SIMD_BESIDE_NONE: &[Guest] = &[
    Guest::Program(Runs::of(&OPENSSL, 1, 8)),
    Guest::Program(Runs::of(&SHELL, 1, 32)),
];

/// A program alone; the workload has its name.
const fn one(guest: &'static [Guest], about: &'static str, extent: Extent) -> Workload {
    let [Guest::Program(runs)] = guest else {
        panic!("one program");
    };
    Workload {
        name: runs.program.name,
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

/// Linux guests at work on several cores, from so many milliseconds after their boot on: each core goes at a pace of its
/// own under QEMU, and so do boots. Those that share cores do so in slices of 3 ms, as Linux has them on eight cores and
/// more (`sysctl_sched_base_slice`, kernel/sched/fair.c).
const fn cores(
    name: &'static str,
    about: &'static str,
    cores: u32,
    begin: u32,
    guests: &'static [Guest],
) -> Workload {
    Workload {
        name,
        about,
        guests,
        cores,
        begin,
        slice: if guests.len() > 1 { Some(3_000) } else { None },
        extent: Extent::Full,
        ..PLAIN
    }
}
