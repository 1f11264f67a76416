//! Results as the checkout keeps them: JSON in which each line is one thing, so that it is small and what
//! changes can be seen.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use trapcast_results::Results;
use trapcast_tool::error::{Error, Result};

/// The depth down to which the members of an object are on lines of their own: the parts of a row.
const OBJECTS: usize = 3;

/// The same for arrays: the profiles of a replay.
const ARRAYS: usize = 4;

/// Returns results as they are kept.
///
/// # Errors
/// Never, in practice: all of them can be written as JSON.
pub(super) fn json(results: &Results) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, Lines::default());
    results.serialize(&mut serializer).map_err(Error::run)?;
    text.push(b'\n');
    Ok(text)
}

/// Breaks lines near the root only.
#[derive(Default)]
struct Lines {
    depth: usize,
    /// Whether the value that has just ended had lines of its own.
    broken: bool,
}

impl Lines {
    fn member<W: Write + ?Sized>(
        &self,
        writer: &mut W,
        first: bool,
        deepest: usize,
    ) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        if self.depth <= deepest {
            return self.line(writer);
        }
        if first {
            Ok(())
        } else {
            writer.write_all(b" ")
        }
    }

    fn line<W: Write + ?Sized>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b" "))
    }

    fn end<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        bracket: &[u8],
        deepest: usize,
    ) -> io::Result<()> {
        let broken = self.depth <= deepest && self.broken;
        self.depth -= 1;
        if broken {
            self.line(writer)?;
        }
        writer.write_all(bracket)
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.broken = false;
        writer.write_all(b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]", ARRAYS)
    }

    fn begin_array_value<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.member(writer, first, ARRAYS)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.broken = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.broken = false;
        writer.write_all(b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}", OBJECTS)
    }

    fn begin_object_key<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.member(writer, first, OBJECTS)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.broken = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapcast_results::example::results;

    #[test]
    fn what_is_kept_is_what_was_found_with_one_thing_a_line() {
        let text = String::from_utf8(json(&results()).unwrap()).unwrap();
        let read: Results = serde_json::from_str(&text).unwrap();
        assert_eq!(read, results());
        assert!(text.starts_with("{\n \"format\": "), "{text}");
        for line in [
            "\n   \"workload\": \"linux\",\n",
            "\n   \"integrity\": {\"verdict\": \"corrupt\", \"guest_mismatches\": 0, ",
            "\n    {\"profile\": \"mine [?]\", \"unit\": \"cycles\", \"oracle\": 8, \"schemes\": {\"eager\": 9}, \"decisions\": {\"eager\": 10}}\n   ]\n  }\n ],",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        let mut empty = results();
        empty.replays.clear();
        let text = String::from_utf8(json(&empty).unwrap()).unwrap();
        assert!(text.contains("\n \"replays\": [],\n"), "{text}");
    }
}
