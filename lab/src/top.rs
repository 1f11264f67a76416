//! `trapcast top`: what a running hypervisor does, live on the terminal or as one snapshot.
//!
//! It reads the counters in the board's RAM, which QEMU keeps in a file; the hypervisor does not notice.

use std::{
    io::{IsTerminal, stdout},
    thread,
    time::{Duration, Instant},
};

use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};

use trapcast_machine::memory::MemoryFile;
use trapcast_tool::print::{print, print_json};
use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
    signals,
};

mod args;
mod columns;
mod sample;
mod screen;
pub mod share;
mod snapshot;
#[cfg(test)]
mod tests;
mod text;

pub use args::{EXAMPLES, TopArgs};
use sample::Sample;
use share::Running;
use snapshot::Snapshot;

/// How often a wait looks whether the user wants to stop.
const POLL: Duration = Duration::from_millis(50);

/// How long a hypervisor may take until it counts.
const START: Duration = Duration::from_secs(10);

/// Does what `trapcast top` was asked.
///
/// # Errors
/// [`Error::Input`] where there is nothing to look at, or too much; [`Error::Run`] where the terminal or
/// the counters cannot be used.
pub fn run(arguments: &TopArgs, paths: &Paths) -> Result<()> {
    let running = share::find(paths, arguments.process)?;
    let mut watch = Watch::new(running)?;
    if arguments.once || arguments.json || !stdout().is_terminal() {
        watch.pause(arguments.interval)?;
        let snapshot = watch.look()?;
        return match arguments.json {
            true => print_json(&snapshot),
            false => print(&text::render(&snapshot)),
        };
    }
    let terminal = ratatui::try_init().map_err(terminal_failed)?;
    let ended = live(terminal, &mut watch, arguments.interval);
    ratatui::try_restore().map_err(terminal_failed)?;
    if let Ended::Hypervisor(snapshot) = ended? {
        print(&text::render(&snapshot))?;
        eprintln!(
            "trapcast: the hypervisor of process {} has ended; these are its last counters",
            snapshot.pid
        );
    }
    Ok(())
}

/// Why there is nothing more to show.
enum Ended {
    /// The user has seen enough.
    User,
    /// The hypervisor is gone; this was the last look.
    Hypervisor(Box<Snapshot>),
}

/// Shows snapshot after snapshot.
fn live(mut terminal: DefaultTerminal, watch: &mut Watch, interval: Duration) -> Result<Ended> {
    let mut scroll = 0;
    loop {
        let snapshot = watch.look()?;
        if watch.is_over() {
            return Ok(Ended::Hypervisor(Box::new(snapshot)));
        }
        let next = Instant::now() + interval;
        loop {
            terminal
                .draw(|frame| scroll = screen::draw(frame, &snapshot, scroll))
                .map_err(terminal_failed)?;
            match wait_for_key(next)? {
                None => break,
                Some(Wish::Leave) => return Ok(Ended::User),
                Some(Wish::Scroll(lines)) => scroll = scroll.saturating_add_signed(lines),
                Some(Wish::Draw) => {}
            }
        }
    }
}

/// What the user wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wish {
    Leave,
    Scroll(isize),
    Draw,
}

/// Waits for what the user does, until `end`.
fn wait_for_key(end: Instant) -> Result<Option<Wish>> {
    loop {
        signals::check()?;
        let left = end.saturating_duration_since(Instant::now());
        if event::poll(left.min(POLL)).map_err(terminal_failed)? {
            let wish = match event::read().map_err(terminal_failed)? {
                Event::Key(key) => wish(key),
                Event::Resize(..) => Some(Wish::Draw),
                _ => None,
            };
            if wish.is_some() {
                return Ok(wish);
            }
        }
        if left.is_zero() {
            return Ok(None);
        }
    }
}

/// What a key means. In raw mode Ctrl-C is one.
fn wish(key: KeyEvent) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::Leave),
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::Leave),
        KeyCode::Up => Some(Wish::Scroll(-1)),
        KeyCode::Down => Some(Wish::Scroll(1)),
        KeyCode::PageUp => Some(Wish::Scroll(-10)),
        KeyCode::PageDown => Some(Wish::Scroll(10)),
        _ => None,
    }
}

fn terminal_failed(error: std::io::Error) -> Error {
    Error::input(format!("cannot use the terminal: {error}"))
}

/// A hypervisor that is looked at again and again.
struct Watch {
    running: Running,
    ram: MemoryFile,
    last: (Instant, Sample),
}

impl Watch {
    /// Looks for the first time, as soon as the hypervisor counts.
    fn new(running: Running) -> Result<Self> {
        let ram = running.ram()?;
        let limit = Instant::now() + START;
        let sample = loop {
            signals::check()?;
            match Sample::take(&ram)? {
                Some(sample) => break sample,
                None if !running.lives() || Instant::now() > limit => {
                    return Err(Error::run(format!(
                        "the hypervisor of process {} has not started to count: its console says why",
                        running.about.pid
                    )));
                }
                None => thread::sleep(POLL),
            }
        };
        Ok(Self {
            running,
            ram,
            last: (Instant::now(), sample),
        })
    }

    /// Looks again. What the snapshot has of rates is of the time since the last look.
    fn look(&mut self) -> Result<Snapshot> {
        // A mailbox that was set up stays.
        let sample = Sample::take(&self.ram)?.unwrap_or_else(|| self.last.1.clone());
        let now = Instant::now();
        let (then, before) = &self.last;
        let seconds = now.duration_since(*then).as_secs_f64();
        let snapshot = Snapshot::new(&self.running.about, Some(before), &sample, seconds);
        self.last = (now, sample);
        Ok(snapshot)
    }

    /// Whether there is nothing more to come.
    fn is_over(&self) -> bool {
        self.last.1.is_over() || !self.running.lives()
    }

    /// Waits so long, or until there is nothing more to come.
    fn pause(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end && self.running.lives() {
            signals::check()?;
            thread::sleep(POLL.min(end.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}
