//! Pieces of the page: figures, tables, text.

use std::fmt::Write;

use crate::chart::Chart;
pub use crate::chart::escape;

use super::{
    data::{Cell, Kind, Table},
    words::{self, Format, NOTHING},
};

/// How wide figures are drawn, for a desk and for a telephone.
const WIDTHS: [(f64, &str); 2] = [(720.0, "wide"), (340.0, "narrow")];

/// Rows that a table may have in the page; a longer one is in its files only.
const MOST_ROWS: usize = 400;

/// What an answer shows, piece by piece, and what of it becomes files of its own.
#[derive(Debug, Default)]
pub struct Content {
    /// The pieces, as they are on the page.
    pub html: String,
    /// The figures, to be shown without the page.
    pub pictures: Vec<Picture>,
    /// The data behind them.
    pub tables: Vec<Table>,
}

/// A figure that can be shown by itself.
#[derive(Debug)]
pub struct Picture {
    /// Its name.
    pub name: &'static str,
    /// An SVG document with all that it needs.
    pub svg: String,
}

impl Content {
    /// Adds HTML.
    pub fn push(&mut self, html: &str) {
        self.html += html;
    }

    /// Adds a paragraph of text that is no HTML.
    pub fn paragraph(&mut self, text: &str) {
        self.html += &paragraph(text);
    }

    /// Adds a figure: the chart at both widths, how to read it, and the data behind it, which is to be
    /// [kept](Self::keep).
    pub fn figure(
        &mut self,
        name: &'static str,
        title: &str,
        how_to_read: &str,
        chart: &dyn Chart,
        data: &Table,
    ) {
        let drawn = WIDTHS.map(|(width, class)| (chart.svg(title, width), class));
        let _ = writeln!(
            self.html,
            "<figure id=\"figure-{name}\">\n<h3>{}</h3>",
            escape(title)
        );
        for (svg, class) in &drawn {
            let _ = writeln!(self.html, "<div class=\"{class}\">{svg}</div>");
        }
        let _ = write!(
            self.html,
            "<figcaption><b>How to read it.</b> {} <a class=\"file\" href=\"report/{name}.svg\">{name}.svg</a>\
             </figcaption>\n</figure>\n{}",
            escape(how_to_read),
            details(data)
        );
        let [(svg, _), _] = drawn;
        self.pictures.push(Picture { name, svg });
    }

    /// Keeps a table, whose data become files.
    pub fn keep(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// Adds what another one has.
    pub fn append(&mut self, other: Self) {
        self.html += &other.html;
        self.pictures.extend(other.pictures);
        self.tables.extend(other.tables);
    }
}

/// A paragraph of text that is no HTML.
pub fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

/// A table behind a line that opens it, with the names of its files.
pub fn details(table: &Table) -> String {
    let (name, about) = (table.name, escape(table.about));
    let shown = if table.rows.len() > MOST_ROWS {
        format!(
            "<p>{} rows: too many for a page; they are in the files.</p>",
            words::whole(table.rows.len() as u64)
        )
    } else {
        self::table(table)
    };
    format!(
        "<details><summary>Data: {about}</summary>\n{shown}\n<p class=\"files\">As files: \
         <a href=\"report/{name}.csv\">{name}.csv</a>, \
         <a href=\"report/{name}.parquet\">{name}.parquet</a></p>\n</details>\n"
    )
}

/// A table, in a container of its own to scroll in.
pub fn table(table: &Table) -> String {
    let mut text = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table>\n<thead><tr>",
        escape(table.about)
    );
    for column in &table.columns {
        let class = match column.kind {
            Kind::Text => "",
            _ => " class=\"n\"",
        };
        let _ = write!(
            text,
            "<th scope=\"col\"{class} title=\"{}\">{}</th>",
            escape(column.meaning),
            escape(&column.name.replace('_', " "))
        );
    }
    text += "</tr></thead>\n<tbody>\n";
    for row in &table.rows {
        text += "<tr>";
        for (cell, column) in row.iter().zip(&table.columns) {
            text += &self::cell(cell, column.kind);
        }
        text += "</tr>\n";
    }
    text + "</tbody></table></div>"
}

fn cell(cell: &Cell, kind: Kind) -> String {
    let format = match kind {
        Kind::Number(format) | Kind::Estimate(format) => format,
        Kind::Text | Kind::Whole => Format::Plain,
    };
    let written = match cell {
        Cell::Text(text) => return format!("<td>{}</td>", escape(text)),
        Cell::Whole(number) => number.map(words::whole),
        Cell::Number(number) => number.map(|number| format.write(number)),
        Cell::Estimate(estimate) => estimate.value.map(|value| {
            let ends = estimate
                .ends()
                .map(|ends| format!("<span class=\"ci\">{}</span>", format.write_interval(ends)));
            format.write(value) + &ends.unwrap_or_default()
        }),
    };
    let written = written.unwrap_or_else(|| NOTHING.to_string());
    format!("<td class=\"n\">{written}</td>")
}
