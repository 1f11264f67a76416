//! The data behind a figure: one table, that the page shows and that lies beside it as CSV and as Parquet.

use super::words::Format;
use crate::analysis::estimate::Estimate;

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// What its files are called.
    pub name: &'static str,
    /// What it holds, in one sentence.
    pub about: &'static str,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each with a cell per column, of the column's kind.
    pub rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in files.
    pub name: &'static str,
    /// What it says, with the unit.
    pub meaning: &'static str,
    /// What its cells are, and how the page writes them.
    pub kind: Kind,
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Words.
    Text,
    /// Whole numbers.
    Whole,
    /// Numbers.
    Number(Format),
    /// A number and its interval: three columns in files, of which two end in `_low` and `_high`.
    Estimate(Format),
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A whole number.
    Whole(Option<u64>),
    /// A number.
    Number(Option<f64>),
    /// A number and its interval.
    Estimate(Estimate),
}

/// A column as files have it: name, kind, and its value in each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Flat {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// The values of a column, none where there is nothing to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Words.
    Text(Vec<String>),
    /// Whole numbers.
    Whole(Vec<Option<u64>>),
    /// Numbers.
    Number(Vec<Option<f64>>),
}

impl Column {
    /// A column of words.
    pub const fn text(name: &'static str, meaning: &'static str) -> Self {
        Self {
            name,
            meaning,
            kind: Kind::Text,
        }
    }

    /// A column of whole numbers.
    pub const fn whole(name: &'static str, meaning: &'static str) -> Self {
        Self {
            kind: Kind::Whole,
            ..Self::text(name, meaning)
        }
    }

    /// A column of numbers.
    pub const fn number(name: &'static str, meaning: &'static str, format: Format) -> Self {
        Self {
            kind: Kind::Number(format),
            ..Self::text(name, meaning)
        }
    }

    /// A column of numbers with their intervals.
    pub const fn estimate(name: &'static str, meaning: &'static str, format: Format) -> Self {
        Self {
            kind: Kind::Estimate(format),
            ..Self::text(name, meaning)
        }
    }
}

impl Table {
    /// Begins a table.
    pub fn new(name: &'static str, about: &'static str, columns: &[Column]) -> Self {
        Self {
            name,
            about,
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If its cells are not those of the columns.
    pub fn push(&mut self, row: impl Into<Vec<Cell>>) {
        let row = row.into();
        assert_eq!(row.len(), self.columns.len(), "a row of {}", self.name);
        for (cell, column) in row.iter().zip(&self.columns) {
            let fits = matches!(
                (cell, column.kind),
                (Cell::Text(_), Kind::Text)
                    | (Cell::Whole(_), Kind::Whole)
                    | (Cell::Number(_), Kind::Number(_))
                    | (Cell::Estimate(_), Kind::Estimate(_))
            );
            assert!(fits, "{} of {} is {cell:?}", column.name, self.name);
        }
        self.rows.push(row);
    }

    /// Returns the columns as files have them.
    pub fn flat(&self) -> Vec<Flat> {
        let mut flat = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            let cells = self.rows.iter().map(|row| &row[index]);
            let ends: &[&str] = match column.kind {
                Kind::Estimate(_) => &["", "_low", "_high"],
                _ => &[""],
            };
            for (part, end) in ends.iter().enumerate() {
                let cells = cells.clone();
                let values = match column.kind {
                    Kind::Text => Values::Text(cells.filter_map(Cell::text).collect()),
                    Kind::Whole => Values::Whole(cells.map(Cell::whole).collect()),
                    _ => Values::Number(cells.map(|cell| cell.number(part)).collect()),
                };
                flat.push(Flat {
                    name: format!("{}{end}", column.name),
                    values,
                });
            }
        }
        flat
    }
}

impl Cell {
    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    const fn whole(&self) -> Option<u64> {
        match self {
            Self::Whole(number) => *number,
            _ => None,
        }
    }

    /// The number, or of an estimate its value, its lower and its upper end.
    fn number(&self, part: usize) -> Option<f64> {
        match (self, part) {
            (Self::Number(number), _) => *number,
            (Self::Estimate(estimate), 0) => estimate.value,
            (Self::Estimate(estimate), 1) => estimate.ends().map(|(low, _)| low),
            (Self::Estimate(estimate), _) => estimate.ends().map(|(_, high)| high),
            _ => None,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Whole(Some(number))
    }
}

impl From<Option<u64>> for Cell {
    fn from(number: Option<u64>) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Self {
        Self::Number(number)
    }
}

impl From<Estimate> for Cell {
    fn from(estimate: Estimate) -> Self {
        Self::Estimate(estimate)
    }
}
