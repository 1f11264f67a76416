//! Debian's programs that a Linux guest runs: what is in their images, and what they do.
//!
//! A script is one round, and checks each result. How many rounds there are, and the seed, are words of
//! the kernel's command line: an image serves every scale.

mod image;
#[cfg(test)]
mod tests;

pub(crate) use image::directories;
pub use image::{Builder, build};

/// The command line of every kernel under a program. It disables what takes long at a boot and no program
/// needs: the kernel's tests of its own ciphers, which use the registers all that time, and the preparation
/// of its tracers and of BPF's types. So a boot takes an eighth of the instructions.
pub(crate) const BOOTARGS: &str = "console=ttyAMA0 rdinit=/init panic=-1 quiet cma=0 cryptomgr.notests \
                        initcall_blacklist=trace_eval_init,tracer_init_tracefs,init_blk_tracer,\
                        init_kprobe_trace,cubictcp_register";

/// One program, or a few that belong together, on a guest of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// What one round does.
    pub script: &'static str,
    /// Files and directories of Debian's packages that it needs, besides libraries that programs name.
    pub files: &'static [&'static str],
    /// Bytes of the guest's memory.
    pub memory: u64,
    /// Further words of its kernel's command line.
    pub bootargs: &'static str,
    /// Milliseconds of the guest's time that a round may take, beside two other guests on its core.
    pub patience: u32,
}

/// Milliseconds of the guest's time that the boots of three guests on a core may take together.
const BOOT_PATIENCE: u32 = 600;

const fn program(
    name: &'static str,
    script: &'static str,
    files: &'static [&'static str],
) -> Program {
    Program {
        name,
        script,
        files,
        memory: 128 << 20,
        bootargs: "",
        patience: 500,
    }
}

/// OpenSSL's ciphers and hashes.
pub const OPENSSL: Program = program(
    "openssl",
    include_str!("program/openssl.sh"),
    &["usr/bin/openssl"],
);

/// Three compressors.
pub const COMPRESS: Program = program(
    "compress",
    include_str!("program/compress.sh"),
    &["usr/bin/zstd", "usr/bin/xz", "bin/gzip"],
);

/// A database.
pub const SQLITE: Program = program(
    "sqlite",
    include_str!("program/sqlite.sh"),
    &["usr/bin/sqlite3"],
);

/// Python, which compiles the modules that it starts with.
pub const PYTHON: Program = program(
    "python",
    include_str!("program/python.sh"),
    &["usr/bin/python3.11", "usr/lib/python3.11/encodings"],
);

/// Perl without modules.
pub const PERL: Program = program("perl", include_str!("program/perl.sh"), &["usr/bin/perl"]);

/// A server and its clients over the loopback interface.
pub const REDIS: Program = program(
    "redis",
    include_str!("program/redis.sh"),
    &[
        "usr/bin/redis-server",
        "usr/bin/redis-cli",
        "usr/bin/redis-benchmark",
    ],
);

/// GCC's compiler proper.
pub const GCC: Program = Program {
    memory: 256 << 20, // the initrd is as large as the compiler, and unpacked beside itself
    ..program(
        "gcc",
        include_str!("program/gcc.sh"),
        &["usr/lib/gcc/aarch64-linux-gnu/12/cc1"],
    )
};

/// The scheduler's benchmark of the rt-tests.
pub const HACKBENCH: Program = program(
    "hackbench",
    include_str!("program/hackbench.sh"),
    &["usr/bin/hackbench"],
);

/// The rt-tests' threads that sleep and wake.
pub const CYCLICTEST: Program = program(
    "cyclictest",
    include_str!("program/cyclictest.sh"),
    &["usr/bin/cyclictest"],
);

/// Stressors that compute with the registers.
pub const STRESS_FP: Program = program(
    "stress-fp",
    include_str!("program/stress-fp.sh"),
    &["usr/bin/stress-ng"],
);

/// Stressors that switch contexts, as lmbench's lat_ctx and lat_pipe do.
pub const STRESS_SWITCH: Program = program(
    "stress-switch",
    include_str!("program/stress-switch.sh"),
    &["usr/bin/stress-ng"],
);

/// A shell that counts.
pub const SHELL: Program = program("shell", include_str!("program/shell.sh"), &[]);

/// A guest with nothing to do, whose kernel keeps its tick.
pub const IDLE: Program = Program {
    bootargs: "nohz=off",
    patience: 1500,
    ..program("idle", include_str!("program/idle.sh"), &[])
};

/// The boot, and nothing after it.
pub const BOOT: Program = program("boot", "", &[]);

/// All of them.
pub const ALL: &[&Program] = &[
    &OPENSSL,
    &COMPRESS,
    &SQLITE,
    &PYTHON,
    &PERL,
    &REDIS,
    &GCC,
    &HACKBENCH,
    &CYCLICTEST,
    &STRESS_FP,
    &STRESS_SWITCH,
    &SHELL,
    &IDLE,
    &BOOT,
];

/// Seeds that a shell and Python take as numbers.
const SEEDS: u64 = 1 << 31;

/// How a guest runs a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Call {
    /// How often each worker runs the script.
    pub rounds: u32,
    /// Chooses the input.
    pub seed: u64,
    /// Processes that run the script at a time.
    pub workers: u32,
    /// Milliseconds after the boot before which the work does not begin.
    pub begin: u32,
    /// Turns of an empty loop before the work begins.
    pub offset: u32,
    /// How many times longer than with two other guests on one core it may take.
    pub patience: u32,
}

impl Call {
    /// One worker that begins at once.
    pub const fn new(rounds: u32, seed: u64) -> Self {
        Self {
            rounds,
            seed,
            workers: 1,
            begin: 0,
            offset: 0,
            patience: 1,
        }
    }
}

impl Program {
    /// Its kernel's command line, with words for the init: how often the script runs, the seed, how many do so at a
    /// time, when they begin, and after how many milliseconds to give up. Linux passes unknown words to the init as
    /// variables.
    pub fn bootargs(&self, call: &Call) -> String {
        let own = self.bootargs;
        let Call {
            rounds,
            seed,
            workers,
            begin,
            offset,
            ..
        } = call;
        let seed = seed % SEEDS;
        let patience = begin + call.patience * (BOOT_PATIENCE + rounds * self.patience);
        format!(
            "{BOOTARGS} {own} rounds={rounds} seed={seed} patience={patience} workers={workers} begin={begin} offset={offset}"
        )
        .replace("  ", " ")
    }
}
