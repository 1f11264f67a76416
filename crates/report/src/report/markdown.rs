//! Tables as Markdown.

use super::{
    data::{Cell, Kind, Table},
    words::{self, Format, NOTHING},
};

/// A table.
pub fn table(table: &Table) -> String {
    let names = table
        .columns
        .iter()
        .map(|column| escaped(&column.name.replace('_', " ")));
    let mut text = line(names);
    text += &line(table.columns.iter().map(|column| match column.kind {
        Kind::Text => "---".to_string(),
        _ => "--:".to_string(),
    }));
    for row in &table.rows {
        let cells = row.iter().zip(&table.columns);
        text += &line(cells.map(|(cell, column)| self::cell(cell, column.kind)));
    }
    text.truncate(text.trim_end().len());
    text
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = cells.collect();
    format!("| {} |\n", cells.join(" | "))
}

fn escaped(text: &str) -> String {
    text.replace('|', r"\|")
}

fn cell(cell: &Cell, kind: Kind) -> String {
    let format = match kind {
        Kind::Number(format) | Kind::Estimate(format) => format,
        Kind::Text | Kind::Whole => Format::Plain,
    };
    let written = match cell {
        Cell::Text(text) => Some(escaped(text)),
        Cell::Whole(number) => number.map(words::whole),
        Cell::Number(number) => number.map(|number| format.write(number)),
        Cell::Estimate(estimate) => Some(format.estimate(estimate)),
    };
    written.unwrap_or_else(|| NOTHING.to_string())
}
