//! The arguments of `trapcast timeline`.

use std::path::PathBuf;

use clap::Args;
use trapcast_forecast::Scheme;

use super::{Plan, beside};
use trapcast_tool::error::{Error, Result};

/// Windows of a trace unless it is asked for more: some 60 MB, which both viewers open in seconds.
const WINDOWS: u64 = 100_000;

/// What its help ends with.
pub const EXAMPLES: &str = "\
Examples:
  trapcast record linux-mix -o records
  trapcast timeline records/linux-mix.parquet       records/linux-mix.trace.json: open it in ui.perfetto.dev
  trapcast timeline records/linux-mix.parquet --scheme eager -o eager.json
  trapcast timeline records/linux-mix.parquet --from 120.5 --to 121

Who owns the registers and what moves follows from the scheme: the code that runs at EL2 replays the
record. docs/timeline.md says what each track shows.";

/// Arguments of `trapcast timeline`.
#[derive(Debug, Args)]
pub struct TimelineArgs {
    /// A record
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The trace [default: FILE with the ending .trace.json]
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
    /// The scheme that moves the registers [default: the one under which the record was made]
    #[arg(long, value_name = "NAME")]
    pub scheme: Option<Scheme>,
    /// Begins so many milliseconds after the record's start
    #[arg(long, value_name = "MS", default_value = "0", value_parser = nanoseconds)]
    pub from: u64,
    /// Shows what begins before this time
    #[arg(long, value_name = "MS", value_parser = nanoseconds)]
    pub to: Option<u64>,
    /// Shows so many windows at most [default: 100000, or all with --to]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub windows: Option<u64>,
    /// Shows the whole record, however long
    #[arg(long, conflicts_with = "windows")]
    pub all: bool,
}

impl TimelineArgs {
    /// What is to be shown.
    ///
    /// # Errors
    /// Where the end is not after the beginning.
    pub fn plan(&self) -> Result<Plan> {
        if self.to.is_some_and(|to| to <= self.from) {
            return Err(Error::input("--to must be later than --from"));
        }
        let default = self.cuts_by_default().then_some(WINDOWS);
        Ok(Plan {
            scheme: self.scheme,
            from: self.from,
            to: self.to,
            windows: self.windows.or(default),
        })
    }

    /// Whether the user has left it open how much to show.
    pub const fn cuts_by_default(&self) -> bool {
        self.windows.is_none() && self.to.is_none() && !self.all
    }

    /// Where the trace goes.
    pub fn output(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| beside(&self.file))
    }
}

/// Nanoseconds from milliseconds with a fraction.
fn nanoseconds(text: &str) -> std::result::Result<u64, String> {
    let wrong = || format!("'{text}' is not a time in milliseconds, such as 120 or 0.5");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let fraction: u64 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
    whole
        .checked_mul(1_000_000)
        .and_then(|whole| whole.checked_add(fraction))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::milliseconds;

    #[test]
    fn times_are_read_and_shown_to_the_nanosecond() {
        for (text, expected) in [
            ("0", 0),
            ("12", 12_000_000),
            ("0.5", 500_000),
            ("3.000001", 3_000_001),
        ] {
            assert_eq!(nanoseconds(text), Ok(expected));
            assert_eq!(milliseconds(expected), text);
        }
        for text in [
            "",
            "-1",
            "1e3",
            ".5",
            "1.",
            "1.0000001",
            "+1",
            "18446744073710",
        ] {
            assert!(nanoseconds(text).is_err(), "{text}");
        }
    }
}
