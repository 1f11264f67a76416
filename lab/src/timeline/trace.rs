//! Writes a trace in the Trace Event Format, event by event: the JSON that both ui.perfetto.dev and
//! chrome://tracing read.
//!
//! The format: "Trace Event Format" of the Chromium project's Catapult. Times are microseconds.

use std::io::{Result, Write};

use serde::Serialize;
use serde_json::Value;

/// A trace under way.
pub struct Trace<W> {
    output: W,
    is_first: bool,
}

/// One event, with the names that the format has for its parts.
#[derive(Serialize)]
struct Event<'a, A> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'a str>,
    ph: &'a str,
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    /// The scope of an instant: its own track.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'a str>,
    pid: u32,
    tid: u32,
    args: A,
}

/// A track: a thread of a process in the format's words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The process.
    pub pid: u32,
    /// The thread; no two of all processes have the same.
    pub tid: u32,
}

impl<W: Write> Trace<W> {
    /// Begins a trace.
    ///
    /// # Errors
    /// Those of the output, here and below.
    pub fn begin(mut output: W) -> Result<Self> {
        output.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
        Ok(Self {
            output,
            is_first: true,
        })
    }

    /// Something that lasts from `start` to `end`, in nanoseconds.
    ///
    /// It ends one nanosecond early if it lasts at all. Viewers that reckon microseconds in binary may lose
    /// one, and would have neighbours overlap.
    pub fn slice(
        &mut self,
        place: Place,
        (category, name): (&str, &str),
        (start, end): (u64, u64),
        args: impl Serialize,
    ) -> Result<()> {
        self.event(&Event {
            name,
            cat: Some(category),
            ph: "X",
            ts: microseconds(start),
            dur: Some(microseconds((end - start).saturating_sub(1))),
            s: None,
            pid: place.pid,
            tid: place.tid,
            args,
        })
    }

    /// Something that happens at a time, in nanoseconds.
    pub fn instant(
        &mut self,
        place: Place,
        (category, name): (&str, &str),
        time: u64,
        args: impl Serialize,
    ) -> Result<()> {
        self.event(&Event {
            name,
            cat: Some(category),
            ph: "i",
            ts: microseconds(time),
            dur: None,
            s: Some("t"),
            pid: place.pid,
            tid: place.tid,
            args,
        })
    }

    /// Says something about a track or its process: `what` is one of the format's metadata events.
    pub fn describe(&mut self, place: Place, what: &str, args: Value) -> Result<()> {
        self.event(&Event {
            name: what,
            cat: None,
            ph: "M",
            ts: 0.0,
            dur: None,
            s: None,
            pid: place.pid,
            tid: place.tid,
            args,
        })
    }

    /// Ends the trace, with what is known of it as a whole.
    pub fn end(mut self, about: &Value) -> Result<()> {
        self.output.write_all(b"\n],\"otherData\":")?;
        serde_json::to_writer(&mut self.output, about)?;
        self.output.write_all(b"}\n")?;
        self.output.flush()
    }

    fn event(&mut self, event: &Event<'_, impl Serialize>) -> Result<()> {
        let separator: &[u8] = if self.is_first { b"\n" } else { b",\n" };
        self.is_first = false;
        self.output.write_all(separator)?;
        Ok(serde_json::to_writer(&mut self.output, event)?)
    }
}

/// Microseconds of less than 2^53 nanoseconds, a hundred days: printed, they have three decimals at most.
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}
