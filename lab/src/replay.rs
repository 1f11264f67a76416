//! Replays: every scheme over a record of what the guests did, with the code that runs at EL2.

mod event;

pub use event::Event;
