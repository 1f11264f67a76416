//! The legend of a chart: each series with its name, in as many lines as it takes.

use super::{
    Dash, Series,
    look::{self, Part},
    svg::{Anchor, Svg, TEXT, text_width},
};

const LINE: f64 = 20.0;
const SIGN: f64 = 28.0;
const GAP: f64 = 16.0;

/// The sign before a series' name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sign {
    /// Its marker.
    Marker,
    /// A piece of its line.
    Line,
    /// A box: filled for the first series, empty for the others.
    Box,
}

/// Draws a legend at the top. Returns the height that it takes.
pub fn draw(svg: &mut Svg, series: &[&Series], sign: Sign) -> f64 {
    let (mut x, mut y) = (0.0, 0.0);
    for (number, each) in series.iter().enumerate() {
        let width = SIGN + text_width(&each.name);
        if x > 0.0 && x + width > svg.width() {
            (x, y) = (0.0, y + LINE);
        }
        let middle = y + LINE / 2.0;
        match sign {
            Sign::Marker => svg.marker((x + SIGN / 2.0, middle), each, (4.5, false), ""),
            Sign::Line => {
                let ends = [(x + 1.0, middle), (x + SIGN - 5.0, middle)];
                svg.polyline(&ends, each.dash, look::CURVE.of(each.colour));
            }
            Sign::Box => svg.rect(
                (x + 8.0, middle - 5.5),
                (14.0, 11.0),
                fill(number).of(each.colour),
            ),
        }
        let place = (x + SIGN, middle + TEXT / 3.0);
        svg.text(place, Anchor::Start, &look::PLAIN, &each.name);
        x += width + GAP;
    }
    if series.is_empty() {
        0.0
    } else {
        y + LINE + 8.0
    }
}

/// A box of the series of this number.
pub fn fill(number: usize) -> &'static Part {
    if number == 0 {
        &look::FILLED
    } else {
        &look::EMPTY
    }
}

/// A series that is drawn as a line without a gap.
impl Default for Series {
    fn default() -> Self {
        Self {
            name: String::new(),
            colour: &look::INK,
            marker: super::Marker::Circle,
            dash: Dash::Solid,
        }
    }
}
