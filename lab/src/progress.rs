//! How far a study has come: a bar on a terminal, plain lines elsewhere.

use std::{
    io::{IsTerminal, stderr},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::{Error, Result};

/// The progress of a study. Written to standard error, so that results can be redirected.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    started: Instant,
    windows: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    done: u64,
    running: Vec<String>,
}

impl Progress {
    /// Starts at nothing of `total`.
    pub fn new(total: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{bar:30} {percent:>3} %  {prefix}  {msg}  ({eta} left)",
            )
            .expect("a valid template");
            let bar = ProgressBar::new(total).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            bar,
            total,
            started: Instant::now(),
            windows: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// A run has started.
    pub fn start(&self, name: &str) {
        let mut state = self.state.lock().expect("no worker panics");
        state.running.push(name.to_string());
        self.show_running(&state);
    }

    /// A run has ended, well or not.
    pub fn end(&self, name: &str, weight: u64, error: Option<&Error>) {
        let mut state = self.state.lock().expect("no worker panics");
        state.done += weight;
        state.running.retain(|running| running != name);
        let outcome = match error {
            None => "done".to_string(),
            // The user knows; all runs that are under way end like this.
            Some(Error::Interrupted) => return,
            Some(error) => format!("FAILED: {error}"),
        };
        match &self.bar {
            None => {
                let percent = state.done * 100 / self.total.max(1);
                eprintln!(
                    "[{percent:>3} %] {name}: {outcome}{}",
                    self.time_left(state.done)
                );
            }
            Some(bar) => {
                bar.set_position(state.done);
                if error.is_some() {
                    bar.suspend(|| eprintln!("{name}: {outcome}"));
                }
            }
        }
        self.show_running(&state);
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

    fn show_running(&self, state: &State) {
        if let Some(bar) = &self.bar {
            bar.set_message(state.running.join("  "));
        }
    }

    fn time_left(&self, done: u64) -> String {
        if done == 0 || done >= self.total {
            return String::new();
        }
        let left = self.started.elapsed().as_secs() * (self.total - done) / done;
        format!(" ({left} s left)")
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
