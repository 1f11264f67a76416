//! Times of a replay's stages, from making a record to all schemes and the oracle over it, and a
//! replay of a billion windows.
//!
//! The records are made by the generator with a fixed seed, of one vCPU and of three that preempt one
//! another every ten windows or so. What is timed runs on one thread, but for `together::all_cores`.
//!
//! A billion windows take minutes, and 300 MB of the directory for temporary files. They are replayed
//! only if it is asked for, before the rest:
//!
//! ```text
//! TRAPCAST_BILLION=3 cargo bench -p trapcast --bench replay
//! ```
//!
//! where 3 is the number of vCPUs. This ends with a panic if a hundred times the windows take more
//! memory.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Instant,
};

use divan::{Bencher, counter::ItemsCount};
use rayon::ThreadPool;
use tempfile::TempDir;
use trapcast::{
    record::{RecordFile, Shape, generate},
    replay::{Event, Method, Outcome, Replay, replay},
};
use trapcast_forecast::{Costs, Scheme};

/// Asks for the billion windows; its value is the number of vCPUs.
const BILLION: &str = "TRAPCAST_BILLION";

/// Where the records are, until the end of `main`.
static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

fn main() {
    let directory = TempDir::new().expect("a directory can be made");
    DIRECTORY.get_or_init(|| directory.path().to_path_buf());
    match std::env::var(BILLION) {
        Ok(vcpus) => billion(vcpus.parse().expect("it is a number of vCPUs")),
        Err(_) => println!("A billion windows are replayed with {BILLION}=1 or =3: minutes."),
    }
    divan::main();
}

/// Windows of a record that is timed.
const WINDOWS: usize = 1 << 22;

/// Windows that are written to time that.
const WRITTEN: usize = 1 << 20;

/// A profile that is as good as any: what is timed does not hang on it.
const COSTS: Costs = Costs {
    trap: 2000,
    probe: 1900,
    save: 120,
    load: 140,
    gate: 20,
    isb: 30,
};

/// Makes a record, always the same one.
fn make(name: &str, windows: usize, vcpus: u16, replay_only: bool) -> PathBuf {
    let path = DIRECTORY.get().expect("main made it").join(name);
    let shape = Shape {
        windows: windows as u64,
        vcpus,
        seed: 1,
        replay_only,
    };
    generate(&path, shape).expect("a record can be made");
    path
}

/// Opens the record of one vCPU or of three, which is made when it is first asked for.
fn record(vcpus: u16) -> RecordFile {
    static ONE: OnceLock<PathBuf> = OnceLock::new();
    static THREE: OnceLock<PathBuf> = OnceLock::new();
    let path = if vcpus == 1 { &ONE } else { &THREE };
    open(path.get_or_init(|| make(&format!("{vcpus}.parquet"), WINDOWS, vcpus, true)))
}

fn open(path: &Path) -> RecordFile {
    RecordFile::open(path).expect("it is a record")
}

fn decode(file: &RecordFile, row_group: usize) -> trapcast_tool::error::Result<Vec<Event>> {
    let mut events = Vec::new();
    file.read_events(row_group, &mut events)?;
    Ok(events)
}

fn events(vcpus: u16) -> Vec<Event> {
    let file = record(vcpus);
    let parts = (0..file.row_group_count()).map(|part| decode(&file, part).expect("it is whole"));
    parts.collect::<Vec<_>>().concat()
}

/// Replays all schemes and one oracle over a file on the threads of a pool.
fn replay_all(pool: &ThreadPool, file: &RecordFile) -> Outcome {
    let parts =
        (0..file.row_group_count()).map(|part| move || Ok((decode(file, part)?, Vec::new())));
    pool.install(|| replay(&Scheme::RULES, &[COSTS], parts))
        .expect("no vCPU moves")
}

/// Returns a pool of so many threads; 0 is one for each core.
fn pool(threads: usize) -> ThreadPool {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
    builder.build().expect("threads can be had")
}

/// Times schemes and oracles over windows that are in memory.
fn time(bencher: Bencher, vcpus: u16, schemes: &[(Scheme, Method)], profiles: &[Costs]) {
    let events = events(vcpus);
    bencher.counter(ItemsCount::new(WINDOWS)).bench_local(|| {
        let mut replay = Replay::with_methods(schemes, profiles, 1);
        replay.add(&events, &[]).expect("no vCPU moves");
        replay.finish()
    });
}

/// Making a record.
mod generate_record {
    use super::*;

    /// With the columns that a replay reads.
    #[divan::bench(args = [1, 3], sample_count = 5)]
    fn replay_only(bencher: Bencher, vcpus: u16) {
        let write = || make("written.parquet", WRITTEN, vcpus, true);
        bencher.counter(ItemsCount::new(WRITTEN)).bench_local(write);
    }

    /// With all columns.
    #[divan::bench(args = [1, 3], sample_count = 2)]
    fn all_columns(bencher: Bencher, vcpus: u16) {
        let write = || make("written.parquet", WRITTEN, vcpus, false);
        bencher.counter(ItemsCount::new(WRITTEN)).bench_local(write);
    }
}

/// From the file to windows in memory.
#[divan::bench(args = [1, 3], sample_count = 20)]
fn decode_alone(bencher: Bencher, vcpus: u16) {
    let file = record(vcpus);
    let mut events = Vec::new();
    bencher.counter(ItemsCount::new(WINDOWS)).bench_local(|| {
        for part in 0..file.row_group_count() {
            file.read_events(part, &mut events).expect("it is whole");
        }
    });
}

/// What is done whatever the scheme: cutting up, counting windows.
#[divan::bench(args = [1, 3], sample_count = 20)]
fn windows_alone(bencher: Bencher, vcpus: u16) {
    time(bencher, vcpus, &[], &[]);
}

/// All schemes.
#[divan::bench(args = [1, 3], sample_count = 20)]
fn schemes(bencher: Bencher, vcpus: u16) {
    let all = Scheme::RULES.map(|scheme| (scheme, Method::Tables));
    time(bencher, vcpus, &all, &[]);
}

/// Each scheme alone, over three vCPUs.
#[divan::bench(args = Scheme::RULES, sample_count = 10)]
fn scheme(bencher: Bencher, scheme: Scheme) {
    time(bencher, 3, &[(scheme, Method::Tables)], &[]);
}

/// All schemes by the state machine, without tables.
#[divan::bench(sample_count = 2)]
fn schemes_direct(bencher: Bencher) {
    let all = Scheme::RULES.map(|scheme| (scheme, Method::Direct));
    time(bencher, 3, &all, &[]);
}

/// The oracle.
#[divan::bench(args = [1, 3], sample_count = 20)]
fn oracle(bencher: Bencher, vcpus: u16) {
    time(bencher, vcpus, &[], &[COSTS]);
}

/// From the file to the outcome: all schemes and the oracle under one profile.
mod together {
    use super::*;

    fn time(bencher: Bencher, vcpus: u16, threads: usize) {
        let file = record(vcpus);
        let pool = pool(threads);
        bencher
            .counter(ItemsCount::new(WINDOWS))
            .bench_local(|| replay_all(&pool, &file));
    }

    #[divan::bench(args = [1, 3], sample_count = 20)]
    fn one_thread(bencher: Bencher, vcpus: u16) {
        time(bencher, vcpus, 1);
    }

    #[divan::bench(args = [1, 3], sample_count = 20)]
    fn all_cores(bencher: Bencher, vcpus: u16) {
        time(bencher, vcpus, 0);
    }
}

/// Makes and replays ten million windows and then a billion, and says how long it took.
///
/// # Panics
/// If the billion took 64 MiB more.
fn billion(vcpus: u16) {
    const MORE: u64 = 64 << 10;
    let small = run("small.parquet", 10_000_000, vcpus);
    let large = run("large.parquet", 1_000_000_000, vcpus);
    assert!(
        large <= small + MORE,
        "memory grew with the file: {small} KiB, then {large} KiB"
    );
}

/// Makes and replays a record. Returns the process's peak memory so far, in KiB.
fn run(name: &str, windows: usize, vcpus: u16) -> u64 {
    let say = |what: &str, start: Instant| {
        let seconds = start.elapsed().as_secs_f64();
        let rate = windows as f64 / seconds / 1e6;
        println!("{windows} windows, {vcpus} vCPUs: {what} {seconds:.1} s, {rate:.1} million/s");
    };
    let start = Instant::now();
    let path = make(name, windows, vcpus, true);
    say("made in", start);
    let file = open(&path);
    for (threads, what) in [
        (1, "replayed on one thread in"),
        (0, "replayed on all cores in"),
    ] {
        let pool = pool(threads);
        let start = Instant::now();
        let outcome = replay_all(&pool, &file);
        say(what, start);
        assert_eq!(outcome.windows.entry.windows, windows as u64);
    }
    let peak = peak_memory();
    println!(
        "{} bytes of file, at most {peak} KiB of memory",
        file.bytes()
    );
    std::fs::remove_file(&path).expect("it was made here");
    peak
}

/// Returns the most memory that the process has had, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|kib| kib.parse().ok())
        .expect("it is a number of KiB")
}
