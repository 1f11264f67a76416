//! Writes SVG: a few kinds of elements, and text that is escaped.

use std::fmt::Write;

use super::{
    Dash, Marker, Series,
    look::{GROUND, Pen, RING, SOLID, STROKE},
};

/// Width of a letter, as a share of the size of the text: an estimate that errs to the large side.
const LETTER: f64 = 0.6;

/// What text is written in: fonts that have about the widths of [`LETTER`].
const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

/// Size of most text.
pub const TEXT: f64 = 12.0;

/// Which part of a text is at its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Anchor {
    /// Its begin.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

impl Anchor {
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// A picture under way.
#[derive(Debug)]
pub struct Svg {
    width: f64,
    body: String,
}

impl Svg {
    /// Begins a picture.
    pub fn new(width: f64) -> Self {
        Self {
            width,
            body: String::new(),
        }
    }

    /// How wide it is.
    pub const fn width(&self) -> f64 {
        self.width
    }

    /// Ends it, at this height.
    pub fn finish(self, title: &str, height: f64) -> String {
        let title = escape(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
             aria-label=\"{title}\" font-family=\"{FONTS}\" font-size=\"{TEXT}\"><title>{title}</title>\n\
             <rect x=\"0\" y=\"0\" width=\"{width:.0}\" height=\"{height:.0}\" {}/>\n{}</svg>\n",
            Pen::from(&GROUND).attributes(),
            self.body,
            width = self.width,
        )
    }

    /// Writes a text whose baseline is at `y`.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, pen: impl Into<Pen>, text: &str) {
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{}\" {}>{}</text>",
            anchor.name(),
            pen.into().attributes(),
            escape(text)
        );
    }

    /// Draws a line.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), pen: impl Into<Pen>) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {}/>",
            pen.into().attributes()
        );
    }

    /// Draws a rectangle.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), pen: impl Into<Pen>) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" {}/>",
            pen.into().attributes()
        );
    }

    /// Draws a line through points.
    pub fn polyline(&mut self, points: &[(f64, f64)], dash: Dash, pen: impl Into<Pen>) {
        let dashes = match dash {
            Dash::Solid => "",
            Dash::Long => " stroke-dasharray=\"9 4\"",
            Dash::Short => " stroke-dasharray=\"4 3\"",
            Dash::Dotted => " stroke-dasharray=\"1.5 3\"",
            Dash::Mixed => " stroke-dasharray=\"8 3 1.5 3\"",
        };
        let _ = writeln!(
            self.body,
            "<polyline points=\"{}\"{dashes} {}/>",
            list(points),
            pen.into().attributes()
        );
    }

    /// Fills what points enclose.
    pub fn polygon(&mut self, points: &[(f64, f64)], pen: impl Into<Pen>) {
        let _ = writeln!(
            self.body,
            "<polygon points=\"{}\" {}/>",
            list(points),
            pen.into().attributes()
        );
    }

    /// Draws a point of a series, with a text that is shown when it is pointed at; `fades` makes it
    /// paler.
    pub fn marker(
        &mut self,
        (x, y): (f64, f64),
        series: &Series,
        (size, fades): (f64, bool),
        hint: &str,
    ) {
        let [solid, ring, bar] =
            [&SOLID, &RING, &STROKE].map(|part| part.of(series.colour).attributes());
        let faded = if fades { " opacity=\"0.35\"" } else { "" };
        let _ = write!(self.body, "<g class=\"c-marker\"{faded}>");
        if !hint.is_empty() {
            let _ = write!(self.body, "<title>{}</title>", escape(hint));
        }
        let shape = |points: &[(f64, f64)]| {
            let points: Vec<_> = points
                .iter()
                .map(|(dx, dy)| (x + dx * size, y + dy * size))
                .collect();
            format!("<polygon points=\"{}\" {solid}/>", list(&points))
        };
        let stroke = |ends: [f64; 4]| {
            let [x1, y1, x2, y2] = ends.map(|end| end * size);
            format!(
                "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" {bar}/>",
                x + x1,
                y + y1,
                x + x2,
                y + y2
            )
        };
        self.body += &match series.marker {
            Marker::Circle => {
                format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{size:.1}\" {solid}/>")
            }
            Marker::Ring => {
                let r = size * 0.85;
                format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r:.1}\" {ring}/>")
            }
            Marker::Square => shape(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            Marker::Diamond => shape(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]),
            Marker::Up => shape(&[(0.0, -1.15), (1.15, 0.95), (-1.15, 0.95)]),
            Marker::Down => shape(&[(0.0, 1.15), (1.15, -0.95), (-1.15, -0.95)]),
            Marker::Plus => stroke([-1.1, 0.0, 1.1, 0.0]) + &stroke([0.0, -1.1, 0.0, 1.1]),
            Marker::Cross => stroke([-0.9, -0.9, 0.9, 0.9]) + &stroke([-0.9, 0.9, 0.9, -0.9]),
            Marker::Stroke => stroke([0.0, -1.2, 0.0, 1.2]),
        };
        self.body += "</g>\n";
    }
}

fn list(points: &[(f64, f64)]) -> String {
    let points: Vec<_> = points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    points.join(" ")
}

/// About how wide a text is.
pub fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * TEXT * LETTER
}

/// Escapes what has a meaning in XML and HTML, in text as in attributes; control characters, which XML
/// does not allow, become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(letter),
            control if control.is_control() => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}
