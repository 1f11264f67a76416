//! How far a study has come: a bar on a terminal, plain lines elsewhere.

mod estimate;

use std::{
    io::{IsTerminal, stderr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use self::estimate::Estimate;
use crate::error::{Error, Result};

/// The progress of a study. Written to standard error, so that results can be redirected.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    started: Instant,
    windows: AtomicU64,
    state: Mutex<State>,
    /// When all is thought to be done. Behind a lock of its own, as the bar looks at it while it draws.
    end: Arc<Mutex<Option<Instant>>>,
}

#[derive(Debug, Default)]
struct State {
    done: u64,
    running: Vec<(String, Instant)>,
    /// What is known of each task, where the tasks are known.
    estimate: Option<Estimate>,
}

impl Progress {
    /// Starts at nothing of `total`.
    pub fn new(total: u64) -> Self {
        Self::with(total, None)
    }

    /// Starts at nothing of these tasks, each with its name and weight, `workers` of which are done at
    /// a time. Tasks whose names begin alike, up to the first `/`, take about as long as each other:
    /// the time left is estimated from those that are done.
    pub fn of<'a>(
        tasks: impl IntoIterator<Item = (&'a str, u64), IntoIter: Clone>,
        workers: usize,
    ) -> Self {
        let tasks = tasks.into_iter();
        let total = tasks.clone().map(|(_, weight)| weight).sum();
        Self::with(total, Some(Estimate::new(tasks, workers)))
    }

    fn with(total: u64, estimate: Option<Estimate>) -> Self {
        let end = Arc::default();
        Self {
            bar: stderr().is_terminal().then(|| bar(total, Arc::clone(&end))),
            total,
            started: Instant::now(),
            windows: AtomicU64::new(0),
            state: Mutex::new(State {
                estimate,
                ..State::default()
            }),
            end,
        }
    }

    /// A task was done before, and took so many seconds.
    pub fn taken_over(&self, name: &str, weight: u64, seconds: f64) {
        let mut state = self.state.lock().expect("no worker panics");
        state.ended(name, weight, seconds);
        self.show(&state);
    }

    /// A run has started.
    pub fn start(&self, name: &str) {
        let mut state = self.state.lock().expect("no worker panics");
        state.running.push((name.to_string(), Instant::now()));
        self.show(&state);
    }

    /// A run has ended, well or not.
    pub fn end(&self, name: &str, weight: u64, error: Option<&Error>) {
        let mut state = self.state.lock().expect("no worker panics");
        let began = state.running.iter().find(|(running, _)| running == name);
        let seconds = began.map_or(0.0, |(_, began)| began.elapsed().as_secs_f64());
        state.running.retain(|(running, _)| running != name);
        let outcome = match error {
            None => "done".to_string(),
            // The user knows; all runs that are under way end like this.
            Some(Error::Stopped(_)) => return,
            Some(error) => format!("FAILED: {error}"),
        };
        state.ended(name, weight, seconds);
        self.show(&state);
        match &self.bar {
            None => {
                let percent = state.done * 100 / self.total.max(1);
                let left = time_left(*self.end.lock().expect("no thread panics"));
                eprintln!("[{percent:>3} %] {}{name}: {outcome}{left}", state.count());
            }
            Some(bar) if error.is_some() => bar.suspend(|| eprintln!("{name}: {outcome}")),
            Some(_) => {}
        }
    }

    /// So many more windows were recorded.
    pub fn add_windows(&self, windows: u64) {
        let windows = self.windows.fetch_add(windows, Ordering::Relaxed) + windows;
        if let Some(bar) = &self.bar {
            let rate = windows as f64 / self.started.elapsed().as_secs_f64().max(0.001);
            bar.set_prefix(format!("{windows} windows, {rate:.0}/s"));
        }
    }

    /// Does one run of weight 1 and tells how it went.
    ///
    /// # Errors
    /// The run's own.
    pub fn one<T>(&self, name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.start(name);
        let outcome = run();
        self.end(name, 1, outcome.as_ref().err());
        outcome
    }

    /// All runs have ended.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Shows what is known by now.
    fn show(&self, state: &State) {
        let seconds = match &state.estimate {
            Some(estimate) => estimate.seconds_left(
                state
                    .running
                    .iter()
                    .map(|(name, began)| (name.as_str(), began.elapsed().as_secs_f64())),
            ),
            None if state.done == 0 => None,
            None => {
                let left = self.total.saturating_sub(state.done) as f64;
                Some(self.started.elapsed().as_secs_f64() * left / state.done as f64)
            }
        };
        let end = seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
        *self.end.lock().expect("no thread panics") = end;
        if let Some(bar) = &self.bar {
            let running: Vec<&str> = state
                .running
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            bar.set_position(state.done);
            bar.set_message(format!("{}{}", state.count(), running.join("  ")));
        }
    }
}

impl State {
    fn ended(&mut self, name: &str, weight: u64, seconds: f64) {
        self.done += weight;
        if let Some(estimate) = &mut self.estimate {
            estimate.done(name, seconds);
        }
    }

    /// How many tasks of how many are done, as a prefix.
    fn count(&self) -> String {
        let count = self.estimate.as_ref().map(Estimate::count);
        count.map_or(String::new(), |(done, tasks)| format!("{done}/{tasks}  "))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A bar that shows the time until `end`.
fn bar(total: u64, end: Arc<Mutex<Option<Instant>>>) -> ProgressBar {
    let left = move |_: &ProgressState, into: &mut dyn std::fmt::Write| {
        // An error of the terminal cannot be reported.
        let _ = into.write_str(&time_left(*end.lock().expect("no thread panics")));
    };
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {prefix}  {msg}{left}")
        .expect("a valid template")
        .with_key("left", left);
    let bar = ProgressBar::new(total).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// The time until then, as a suffix.
fn time_left(end: Option<Instant>) -> String {
    let left = end.map(|end| end.saturating_duration_since(Instant::now()));
    match left.map(|left| left.as_secs_f64().round()) {
        Some(seconds) if seconds > 0.0 => format!("  ({seconds} s left)"),
        _ => String::new(),
    }
}
