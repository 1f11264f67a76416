//! What Trapcast's commands share: errors with exit statuses, files, signals, progress, worker threads.

pub mod error;
pub mod input;
pub mod output;
pub mod parallel;
pub mod paths;
pub mod print;
pub mod progress;
pub mod signals;

pub use trapcast_trace::random;
