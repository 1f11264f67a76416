//! Dots with intervals: a row per thing, in it a dot per series.

use super::{
    Axis, Chart, NARROW, Series,
    legend::{self, Sign},
    look,
    svg::{Anchor, Svg, TEXT, text_width},
};

/// Rows of dots over one axis.
#[derive(Clone, Debug)]
pub struct Dots {
    /// The axis, below.
    pub axis: Axis,
    /// The series.
    pub series: Vec<Series>,
    /// The rows, from above.
    pub rows: Vec<Row>,
    /// Values or ranges to compare with.
    pub references: Vec<Reference>,
    /// Whether each series has a height of its own in a row, so that intervals do not hide each other.
    pub is_dodged: bool,
}

/// One row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// A heading above it.
    pub heading: Option<String>,
    /// What it is of.
    pub label: String,
    /// The dots.
    pub dots: Vec<Dot>,
}

/// One dot.
#[derive(Clone, Debug, Default)]
pub struct Dot {
    /// Index of the series.
    pub series: usize,
    /// Its value.
    pub value: f64,
    /// From where to where it may be.
    pub interval: Option<(f64, f64)>,
    /// Smaller, and paler: one of those that another dot sums up.
    pub is_part: bool,
    /// What is shown when it is pointed at.
    pub hint: String,
}

/// A value or a range to compare with.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Where it begins.
    pub from: f64,
    /// Where it ends; the same for a value.
    pub to: f64,
    /// What it is.
    pub label: String,
}

const LINE: f64 = 17.0;
const HEADING: f64 = 34.0;

impl Chart for Dots {
    fn svg(&self, title: &str, width: f64) -> String {
        let mut svg = Svg::new(width);
        let is_narrow = width < NARROW;
        let labels = self.rows.iter().map(|row| text_width(&row.label));
        let widest = labels.fold(0.0, f64::max);
        let left = if is_narrow {
            10.0
        } else {
            (widest + 14.0).min(width * 0.4)
        };
        let right = width - 14.0;
        let at = |value: f64| left + self.axis.place(value) * (right - left);

        let series: Vec<&Series> = self.series.iter().collect();
        let after_legend = match self.series.len() {
            1 => 0.0,
            _ => legend::draw(&mut svg, &series, Sign::Marker),
        };
        let top = after_legend + self.reference_labels(&mut svg, after_legend, at);
        let places = self.places(top, is_narrow);
        let bottom = places
            .last()
            .map_or(top, |(_, y)| y + self.row_height() / 2.0)
            + 4.0;

        for reference in &self.references {
            let (from, to) = (at(reference.from), at(reference.to));
            if to - from > 1.0 {
                svg.rect((from, top), (to - from, bottom - top), &look::BAND);
            } else {
                svg.line((from, top), (from, bottom), &look::REFERENCE);
            }
        }
        let below = self.axis.draw_below(&mut svg, (left, right), (top, bottom));
        for (row, (label, y)) in self.rows.iter().zip(places) {
            if let Some(heading) = &row.heading {
                let above = if is_narrow { LINE + 5.0 } else { LINE + 4.0 };
                let place = (0.0, label - above);
                svg.text(place, Anchor::Start, &look::HEADING, heading);
            }
            match is_narrow {
                true => svg.text((left, label), Anchor::Start, &look::PLAIN, &row.label),
                false => svg.text((left - 10.0, label), Anchor::End, &look::PLAIN, &row.label),
            }
            svg.line((left, y), (right, y), &look::ROW);
            for dot in &row.dots {
                self.dot(&mut svg, dot, y + self.dodge(dot.series), at);
            }
        }
        svg.finish(title, bottom + below)
    }
}

impl Dots {
    /// The gap between series of a row.
    const DODGE: f64 = 6.5;

    fn row_height(&self) -> f64 {
        let lanes = if self.is_dodged { self.series.len() } else { 1 };
        (lanes as f64 * Self::DODGE + 12.0).max(20.0)
    }

    /// How far below the middle of a row the dots of a series are.
    fn dodge(&self, series: usize) -> f64 {
        let middle = (self.series.len() as f64 - 1.0) / 2.0;
        let lanes = if self.is_dodged {
            series as f64 - middle
        } else {
            0.0
        };
        lanes * Self::DODGE
    }

    /// Where each row has the baseline of its label, and where its dots are.
    fn places(&self, top: f64, is_narrow: bool) -> Vec<(f64, f64)> {
        let mut y = top;
        let place = |row: &Row| {
            if row.heading.is_some() {
                y += HEADING;
            }
            let place = if is_narrow {
                y += LINE;
                (y, y + self.row_height() / 2.0)
            } else {
                let middle = y + self.row_height() / 2.0;
                (middle + TEXT / 3.0, middle)
            };
            y += self.row_height();
            place
        };
        self.rows.iter().map(place).collect()
    }

    /// Writes the names of references, each in a line of its own. Returns the height they take.
    fn reference_labels(&self, svg: &mut Svg, top: f64, at: impl Fn(f64) -> f64) -> f64 {
        for (number, reference) in (0..).zip(&self.references) {
            let y = top + LINE * f64::from(number) + TEXT;
            let x = f64::midpoint(at(reference.from), at(reference.to));
            let half = text_width(&reference.label) / 2.0;
            let centre = x.min(svg.width() - half).max(half);
            let place = (centre, y);
            svg.text(place, Anchor::Middle, &look::NOTE, &reference.label);
        }
        if self.references.is_empty() {
            4.0
        } else {
            LINE * self.references.len() as f64 + 6.0
        }
    }

    fn dot(&self, svg: &mut Svg, dot: &Dot, y: f64, at: impl Fn(f64) -> f64) {
        let series = &self.series[dot.series];
        if let Some((low, high)) = dot.interval {
            svg.line(
                (at(low), y),
                (at(high), y),
                look::INTERVAL.of(series.colour),
            );
        }
        let look = if dot.is_part {
            (2.6, true)
        } else {
            (4.5, false)
        };
        svg.marker((at(dot.value), y), series, look, &dot.hint);
    }
}
