//! How many windows a second replays take: all schemes, `forecast` also with `prompt=off`, and the
//! oracle, under one profile, on one core, from the file to the outcome.
//!
//! ```text
//! cargo run -p trapcast-replay --example speed                      # 20 million generated windows each
//! cargo run -p trapcast-replay --example speed -- records/*.parquet # records of one's own
//! ```
//!
//! A record is replayed until that has taken two seconds, and the best time counts. Short ones pay for
//! the tables, which fill first.

use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use trapcast_forecast::Scheme;
use trapcast_record::{RecordFile, Shape, generate};
use trapcast_replay::{Event, Replay, replay_record};

/// Why no time was taken.
type Failure = Box<dyn Error + Send + Sync>;

/// Windows of a generated record.
const WINDOWS: u64 = 20_000_000;

fn main() -> Result<(), Failure> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    println!("million windows a second on one core; MiB of memory at most so far");
    println!(
        "{:>10} {:>8} {:>8} {:>8} {:>8}  record",
        "windows", "decoded", "replayed", "both", "memory"
    );
    one.install(|| match arguments.as_slice() {
        [] => [1, 3, 8].into_iter().try_for_each(generated),
        files => files.iter().try_for_each(|file| time(file)),
    })
}

/// Times a record of so many vCPUs that preempt one another every ten windows or so.
fn generated(vcpus: u16) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join(format!("{vcpus}-vcpus.parquet"));
    let mut options = std::fs::File::options();
    let file = options.read(true).write(true).create(true).open(&path)?;
    let shape = Shape {
        windows: WINDOWS,
        vcpus,
        seed: 1,
        replay_only: false,
    };
    generate(file, shape, &|| false)?;
    time(&path)
}

fn time(path: &Path) -> Result<(), Failure> {
    // Of making a record nothing is to be shown; where this file is not, it is.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let record = RecordFile::open(path)?;
    let costs = trapcast_profile::of_this_machine().fp;
    let mut events: Vec<Event> = Vec::new();
    let decoded = best(|| {
        for group in 0..record.row_group_count() {
            record.read_events(group, &mut events)?;
        }
        Ok(())
    })?;
    let share = events.len() as f64 / record.windows() as f64;
    let replayed = best(|| {
        let mut replay = Replay::new(&Scheme::ALL, &[costs]);
        replay.add(&events)?;
        replay.finish();
        Ok(())
    })?;
    let both = best(|| {
        replay_record(&record, &Scheme::ALL, &[costs], &|| false)?;
        Ok(())
    })?;
    let rate =
        |share: f64, time: Duration| record.windows() as f64 * share / time.as_secs_f64() / 1e6;
    println!(
        "{:>10} {:>8.1} {:>8.1} {:>8.1} {:>8}  {}",
        record.windows(),
        rate(1.0, decoded),
        rate(share, replayed),
        rate(1.0, both),
        peak_memory(),
        path.file_name().unwrap_or_default().display()
    );
    Ok(())
}

/// Returns the shortest time that something takes, of as many as go into two seconds.
fn best(mut what: impl FnMut() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let mut best = Duration::MAX;
    let mut all = Duration::ZERO;
    while all < Duration::from_secs(2) {
        let start = on_core();
        what()?;
        let time = on_core() - start;
        best = best.min(time);
        all += time;
    }
    Ok(best)
}

/// Returns the time for which this thread has had a core.
fn on_core() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Returns the most memory that the process has had, in MiB; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) >> 10
}
