//! Upright bars side by side: a histogram of one or two series.

use super::{
    Axis, Chart, Series,
    legend::{self, Sign, fill},
    look,
    svg::{Anchor, Svg, text_width},
};

/// Bars in bins.
#[derive(Clone, Debug)]
pub struct Bars {
    /// The axis at the left.
    pub y: Axis,
    /// What the bins are of, with the unit.
    pub label: String,
    /// The name of each bin.
    pub bins: Vec<String>,
    /// The series: the first one's bars are filled, those of others empty.
    pub series: Vec<BarSeries>,
}

/// The bars of one series.
#[derive(Clone, Debug)]
pub struct BarSeries {
    /// How they look.
    pub series: Series,
    /// One value per bin.
    pub values: Vec<f64>,
}

impl Chart for Bars {
    fn svg(&self, title: &str, width: f64) -> String {
        let mut svg = Svg::new(width);
        let series: Vec<&Series> = self.series.iter().map(|each| &each.series).collect();
        let top = legend::draw(&mut svg, &series, Sign::Box) + 22.0;
        let bottom = top + (width * 0.34).clamp(150.0, 230.0);
        let (left, right) = (self.y.widest_tick(6) + 10.0, width - 4.0);
        self.y.draw_left(&mut svg, (left, right), (top, bottom));
        let bin = (right - left) / self.bins.len().max(1) as f64;
        let bar = (bin - 6.0).max(2.0) / self.series.len().max(1) as f64;
        // Names that would run into each other are left out.
        let widest = self.bins.iter().map(|name| text_width(name));
        let every = ((widest.fold(0.0, f64::max) + 6.0) / bin).ceil().max(1.0) as usize;
        for (number, name) in self.bins.iter().enumerate() {
            let start = left + bin * number as f64;
            for (index, each) in self.series.iter().enumerate() {
                let value = each.values.get(number).copied().unwrap_or(0.0);
                let height = self.y.place(value) * (bottom - top);
                let x = start + 3.0 + bar * index as f64;
                let size = ((bar - 2.0).max(1.0), height);
                svg.rect(
                    (x, bottom - height),
                    size,
                    fill(index).of(each.series.colour),
                );
            }
            if number % every == 0 {
                let half = text_width(name) / 2.0;
                let centre = (start + bin / 2.0).clamp(half, width - half);
                svg.text((centre, bottom + 16.0), Anchor::Middle, &look::TICK, name);
            }
        }
        svg.line((left, bottom), (right, bottom), &look::AXIS);
        let middle = f64::midpoint(left, right);
        svg.text(
            (middle, bottom + 34.0),
            Anchor::Middle,
            &look::LABEL,
            &self.label,
        );
        svg.finish(title, bottom + 40.0)
    }
}
