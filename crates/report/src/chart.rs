//! Charts as SVG: types in, text out. They know nothing of what they show.
//!
//! Each element carries its colours in plain attributes, so that any renderer shows a chart by itself. On a
//! page, [`style`] replaces them by those of the dark and of print. Series differ by marker, dashes or filling, too, never by colour alone. Each chart can be drawn
//! at any width, as text does not shrink with a picture: once for a desk, once for a telephone.

mod axis;
mod bars;
mod dots;
mod legend;
mod lines;
mod look;
mod sectors;
mod svg;
#[cfg(test)]
mod tests;

pub use axis::{Axis, Scale};
pub use bars::{BarSeries, Bars};
pub use dots::{Dot, Dots, Reference, Row};
pub use lines::{Line, Lines};
pub use look::{CURVE, Colour, INK, Part, THICK, THIN, style};
pub use sectors::{Mark, Sector, Sectors};
pub use svg::escape;

/// Below this width labels are above what they name, and not beside it.
const NARROW: f64 = 520.0;

/// How a series is distinguished from others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its colour.
    pub colour: &'static Colour,
    /// How its points look.
    pub marker: Marker,
    /// How its line looks.
    pub dash: Dash,
}

/// How a point looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Marker {
    /// A filled circle.
    Circle,
    /// An empty circle.
    Ring,
    /// A filled square.
    Square,
    /// A filled diamond.
    Diamond,
    /// A triangle that points up.
    Up,
    /// A triangle that points down.
    Down,
    /// A plus.
    Plus,
    /// A cross.
    Cross,
    /// A vertical line.
    Stroke,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dash {
    /// Without gaps.
    Solid,
    /// Long dashes.
    Long,
    /// Short dashes.
    Short,
    /// Dots.
    Dotted,
    /// A dash, a dot.
    Mixed,
}

/// A chart.
pub trait Chart {
    /// Draws it, so many units wide. `title` says what it shows, for those who cannot see it.
    fn svg(&self, title: &str, width: f64) -> String;
}
