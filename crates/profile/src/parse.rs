//! Reads a profile's TOML, or says which key on which line does not fit and what was expected.

use std::fmt::Display;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use trapcast_forecast::Costs;

use crate::{ALL, Certainty, Error, Profile, Result, TrapIs, Unit};

const ROOT_KEYS: [&str; 11] = [
    "name",
    "about",
    "unit",
    "source",
    "certainty",
    "note",
    "trap_is",
    "instructions_per_100_cycles",
    "fp",
    "sve",
    "za",
];
const COST_KEYS: [&str; 6] = ["trap", "probe", "save", "load", "gate", "isb"];
const LENGTH_KEY: &str = "vector_length";
const LENGTHS: [u32; 5] = [128, 256, 512, 1024, 2048];
const LONGEST_NAME: usize = 24;

const COST: &str = "a whole number from 0 to 4294967295";
const NAME: &str = "a name of at most 24 lower-case letters, digits, `-` and `.` that begins with a \
                    letter or digit and is not `all`";
const SENTENCE: &str = "a text of one line, in quotes";

/// Reads a profile. `origin` says in errors where `text` comes from.
///
/// # Errors
/// [`Error::Malformed`] that names the origin, the line and the key, and says what was expected.
pub fn parse(text: &str, origin: &str) -> Result<Profile> {
    let source = Source { text, origin };
    let table = DeTable::parse(text).map_err(|error| source.not_toml(&error))?;
    let root = Section {
        source,
        name: "",
        at: 0,
        keys: table.get_ref(),
    };
    root.refuse_others(&ROOT_KEYS)?;
    let fp = root.required("fp", "a table of FP/SIMD costs")?;
    Ok(Profile {
        name: root.name()?,
        about: root.text("about")?,
        unit: root.choice("unit", &Unit::ALL, |unit| unit.name())?,
        source: root.text("source")?,
        certainty: root.choice("certainty", &Certainty::ALL, |certainty| certainty.name())?,
        note: root
            .keys
            .get("note")
            .map(|_| root.text("note"))
            .transpose()?,
        trap_is: match root.keys.get("trap_is") {
            Some(_) => root.choice("trap_is", &TrapIs::ALL, |trap_is| trap_is.name())?,
            None => TrapIs::Trap,
        },
        instructions_per_100_cycles: root.instructions_per_100_cycles()?,
        fp: root.section("fp", fp)?.only_costs()?,
        sve: root.by_length("sve")?,
        za: root.by_length("za")?,
    })
}

/// The text that is read, for errors.
#[derive(Clone, Copy)]
struct Source<'a> {
    text: &'a str,
    origin: &'a str,
}

impl Source<'_> {
    /// The number of the line that contains the byte at `offset`, from 1.
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|&&byte| byte == b'\n').count()
    }

    fn error(&self, offset: usize, what: impl Display) -> Error {
        Error::Malformed {
            origin: self.origin.to_string(),
            line: self.line(offset),
            what: what.to_string(),
        }
    }

    fn not_toml(&self, error: &toml::de::Error) -> Error {
        let span = error.span().unwrap_or(self.text.len()..self.text.len());
        let at = self.text.get(span.clone()).unwrap_or_default();
        let at = match shortened(at) {
            near if near.is_empty() => near,
            near => format!(" at `{near}`"),
        };
        self.error(span.start, format!("not TOML: {}{at}", error.message()))
    }
}

/// One table of the profile: `name` is empty for the outermost.
#[derive(Clone, Copy)]
struct Section<'a> {
    source: Source<'a>,
    name: &'a str,
    /// Offset of its header.
    at: usize,
    keys: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    /// The key as the user would look for it.
    fn path(&self, key: &str) -> String {
        match self.name {
            "" => format!("`{}`", shortened(key)),
            name => format!("`{name}.{}`", shortened(key)),
        }
    }

    fn unexpected(&self, key: &str, value: &Spanned<DeValue>, expected: impl Display) -> Error {
        self.source.error(
            value.span().start,
            format!(
                "{} is {}; expected {expected}",
                self.path(key),
                shown(value.get_ref())
            ),
        )
    }

    /// Refuses the first key that is none of `known`.
    fn refuse_others(&self, known: &[&str]) -> Result<()> {
        let unknown = self
            .keys
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()));
        match unknown.min_by_key(|key| key.span().start) {
            None => Ok(()),
            Some(key) => Err(self.source.error(
                key.span().start,
                format!(
                    "unknown key {}; expected one of {}",
                    self.path(key.get_ref()),
                    known.join(", ")
                ),
            )),
        }
    }

    fn required(&self, key: &str, expected: impl Display) -> Result<&'a Spanned<DeValue<'a>>> {
        self.keys.get(key).ok_or_else(|| {
            let what = format!("{} is missing; expected {expected}", self.path(key));
            self.source.error(self.at, what)
        })
    }

    /// The table that is the `value` of `key`.
    fn section(&self, key: &'a str, value: &'a Spanned<DeValue<'a>>) -> Result<Self> {
        let keys = value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.unexpected(key, value, format!("a table: [{key}]")))?;
        Ok(Self {
            source: self.source,
            name: key,
            at: value.span().start,
            keys,
        })
    }

    fn string(&self, key: &str, expected: &str) -> Result<(&'a Spanned<DeValue<'a>>, &'a str)> {
        let value = self.required(key, expected)?;
        match value.get_ref().as_str() {
            Some(text) => Ok((value, text)),
            None => Err(self.unexpected(key, value, expected)),
        }
    }

    fn text(&self, key: &str) -> Result<String> {
        let (value, text) = self.string(key, SENTENCE)?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(self.unexpected(key, value, SENTENCE));
        }
        Ok(text.to_string())
    }

    fn name(&self) -> Result<String> {
        let (value, name) = self.string("name", NAME)?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        let fits = name.len() <= LONGEST_NAME
            && name.starts_with(|c: char| allowed(c) && c.is_ascii_alphanumeric())
            && name.chars().all(allowed)
            && name != ALL;
        if fits {
            Ok(name.to_string())
        } else {
            Err(self.unexpected("name", value, NAME))
        }
    }

    fn choice<T: Copy>(&self, key: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T> {
        let names: Vec<String> = all
            .iter()
            .map(|&each| format!("{:?}", name(each)))
            .collect();
        let expected = format!("one of {}", names.join(", "));
        let (value, text) = self.string(key, &expected)?;
        all.iter()
            .copied()
            .find(|&each| name(each) == text)
            .ok_or_else(|| self.unexpected(key, value, expected))
    }

    fn number(&self, key: &str, value: &Spanned<DeValue>, expected: impl Display) -> Result<u32> {
        value
            .get_ref()
            .as_integer()
            .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok())
            .ok_or_else(|| self.unexpected(key, value, expected))
    }

    fn instructions_per_100_cycles(&self) -> Result<u32> {
        const KEY: &str = "instructions_per_100_cycles";
        const EXPECTED: &str = "a whole number from 1 to 4294967295";
        let Some(value) = self.keys.get(KEY) else {
            return Ok(100);
        };
        match self.number(KEY, value, EXPECTED)? {
            0 => Err(self.unexpected(KEY, value, EXPECTED)),
            number => Ok(number),
        }
    }

    fn cost(&self, key: &str) -> Result<u32> {
        self.number(key, self.required(key, COST)?, COST)
    }

    fn costs(&self) -> Result<Costs> {
        let trap = self.cost("trap")?;
        Ok(Costs {
            trap,
            probe: match self.keys.get("probe") {
                Some(probe) => self.number("probe", probe, COST)?,
                None => trap,
            },
            save: self.cost("save")?,
            load: self.cost("load")?,
            gate: self.cost("gate")?,
            isb: self.cost("isb")?,
        })
    }

    fn only_costs(&self) -> Result<Costs> {
        self.refuse_others(&COST_KEYS)?;
        self.costs()
    }

    /// The costs of a list of tables `key`, each with its vector length; none if there is no list.
    fn by_length(&self, key: &'a str) -> Result<Vec<(u32, Costs)>> {
        let Some(value) = self.keys.get(key) else {
            return Ok(Vec::new());
        };
        let tables = value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.unexpected(key, value, format!("tables: [[{key}]]")))?;
        let mut known = COST_KEYS.to_vec();
        known.push(LENGTH_KEY);
        let mut list: Vec<(u32, Costs)> = Vec::new();
        for table in tables.iter() {
            let section = self.section(key, table)?;
            section.refuse_others(&known)?;
            let length = section.length()?;
            if list.iter().any(|&(other, _)| other == length) {
                let what = format!(
                    "{} {length} is there twice; expected each length once",
                    section.path(LENGTH_KEY)
                );
                return Err(self.source.error(section.at, what));
            }
            list.push((length, section.costs()?));
        }
        list.sort_unstable_by_key(|&(length, _)| length);
        Ok(list)
    }

    fn length(&self) -> Result<u32> {
        let expected = format!("one of {LENGTHS:?}");
        let value = self.required(LENGTH_KEY, &expected)?;
        let length = self.number(LENGTH_KEY, value, &expected)?;
        if LENGTHS.contains(&length) {
            Ok(length)
        } else {
            Err(self.unexpected(LENGTH_KEY, value, expected))
        }
    }
}

/// A value as an error shows it.
fn shown(value: &DeValue) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", shortened(text)),
        DeValue::Integer(number) => shortened(&number.to_string()),
        DeValue::Float(number) => shortened(&number.to_string()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_string(),
        DeValue::Table(_) => "a table".to_string(),
    }
}

/// The beginning of a text of the user's, without anything that could disturb a terminal.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut start: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        start += "…";
    }
    start
}

#[cfg(test)]
mod tests;
