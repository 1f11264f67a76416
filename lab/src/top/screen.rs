//! A snapshot on a terminal.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Style, Stylize},
    text::{Line, Text},
    widgets::{Cell, Row, Table, TableState},
};

use super::{
    columns::{self, Sheet},
    snapshot::Snapshot,
};

/// What the last line says.
const KEYS: &str = "q leaves  arrows, Page Up, Page Down: scroll  -: not known";

/// The most lines that cores take; more scroll with nothing.
const MOST_CORES: u16 = 16;

/// Draws a snapshot, its vCPUs from the line `scroll` on. Returns that line, or the last if there are fewer.
pub fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot, scroll: usize) -> usize {
    let [cores, vcpus] = [columns::cores(snapshot), columns::vcpus(snapshot)];
    let height = 1 + (cores.lines.len() as u16).min(MOST_CORES);
    let [title, _, upper, _, lower, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(height),
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Line::from(columns::title(snapshot)).bold(), title);
    table(frame, upper, &cores, 0);
    // The heading takes a line.
    let height = usize::from(lower.height.saturating_sub(1));
    let scroll = scroll.min(vcpus.lines.len().saturating_sub(height));
    table(frame, lower, &vcpus, scroll);
    frame.render_widget(Line::from(KEYS).dim(), keys);
    scroll
}

fn table(frame: &mut Frame<'_>, area: Rect, sheet: &Sheet, scroll: usize) {
    let cell = |text: &str| Cell::from(Text::from(text.to_string()).right_aligned());
    let widths = sheet
        .headings
        .iter()
        .map(|(_, width)| Constraint::Length(*width));
    let rows = sheet.lines.iter().map(|(is_vm, line)| {
        let style = if *is_vm {
            Style::new().bold()
        } else {
            Style::new()
        };
        Row::new(line.iter().map(|text| cell(text))).style(style)
    });
    let headings = sheet.headings.iter().map(|(heading, _)| cell(heading));
    let table = Table::new(rows, widths)
        .header(Row::new(headings).style(Style::new().reversed()))
        .column_spacing(1);
    let mut state = TableState::new().with_offset(scroll);
    frame.render_stateful_widget(table, area, &mut state);
}
