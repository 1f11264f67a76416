//! Lines over two axes, such as cumulated distributions.

use super::{
    Axis, Chart, Series,
    legend::{self, Sign},
    look::Part,
    svg::Svg,
};

/// Lines over two axes.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The axis below.
    pub x: Axis,
    /// The axis at the left.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// How it looks; without a name it is not in the legend.
    pub series: Series,
    /// Its points, the first coordinate ascending.
    pub points: Vec<(f64, f64)>,
    /// How wide it is.
    pub part: &'static Part,
    /// Whether it goes in steps: each value holds up to the next point.
    pub is_stepped: bool,
}

impl Chart for Lines {
    fn svg(&self, title: &str, width: f64) -> String {
        let mut svg = Svg::new(width);
        let series = self.lines.iter().map(|line| &line.series);
        let series: Vec<&Series> = series.filter(|series| !series.name.is_empty()).collect();
        let top = legend::draw(&mut svg, &series, Sign::Line) + 22.0;
        let bottom = top + (width * 0.42).clamp(190.0, 300.0);
        let (left, right) = (self.y.widest_tick(7) + 10.0, width - 14.0);
        self.y.draw_left(&mut svg, (left, right), (top, bottom));
        let below = self.x.draw_below(&mut svg, (left, right), (top, bottom));
        for line in &self.lines {
            let mut points: Vec<(f64, f64)> = Vec::new();
            for &(x, y) in &line.points {
                let place = (
                    left + self.x.place(x) * (right - left),
                    bottom - self.y.place(y) * (bottom - top),
                );
                if let Some(&(last_x, last_y)) = points.last() {
                    // A step of less than half a unit is invisible.
                    if (place.0 - last_x).abs() < 0.5 && (place.1 - last_y).abs() < 0.5 {
                        continue;
                    }
                    if line.is_stepped {
                        points.push((place.0, last_y));
                    }
                }
                points.push(place);
            }
            svg.polyline(&points, line.series.dash, line.part.of(line.series.colour));
        }
        svg.finish(title, bottom + below)
    }
}
