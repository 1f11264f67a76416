//! A plane over two logarithmic axes, cut into sectors by the ratio of y to x, with named points on it.

use super::{
    Axis, Chart, NARROW, Series, look,
    svg::{Anchor, Svg, TEXT, text_width},
};

/// The plane.
#[derive(Clone, Debug)]
pub struct Sectors {
    /// The axis below.
    pub x: Axis,
    /// The axis at the left.
    pub y: Axis,
    /// The sectors.
    pub sectors: Vec<Sector>,
    /// The points.
    pub marks: Vec<Mark>,
}

/// Where y / x lies between two ratios.
#[derive(Clone, Debug)]
pub struct Sector {
    /// The lower ratio.
    pub from: f64,
    /// The upper ratio; may be infinite.
    pub to: f64,
    /// Its name and colour.
    pub series: Series,
}

/// A named point.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Its name, where it fits.
    pub name: String,
    /// Replaces the name where it does not fit.
    pub short: String,
    /// Its x.
    pub x: f64,
    /// Its y.
    pub y: f64,
}

/// Height of a name.
const HEIGHT: f64 = TEXT + 3.0;

/// How far apart places are that are tried for the name of a sector.
const STEP: f64 = 6.0;

/// A rectangle: left, top, right, bottom.
type Bounds = [f64; 4];

impl Chart for Sectors {
    fn svg(&self, title: &str, width: f64) -> String {
        let mut svg = Svg::new(width);
        let is_narrow = width < NARROW;
        let top = 24.0;
        let bottom = top + (width * 0.62).clamp(240.0, 430.0);
        let (left, right) = (self.y.widest_tick(8) + 10.0, width - 14.0);
        let place = |x: f64, y: f64| {
            (
                left + self.x.place(x) * (right - left),
                bottom - self.y.place(y) * (bottom - top),
            )
        };
        let shape = |sector: &Sector| -> Vec<_> {
            let corners = self.cut(sector).into_iter();
            corners.map(|(x, y)| place(x.exp(), y.exp())).collect()
        };
        let shapes: Vec<Vec<_>> = self.sectors.iter().map(shape).collect();
        for (sector, shape) in self.sectors.iter().zip(&shapes) {
            if shape.len() > 2 {
                svg.polygon(shape, look::AREA.of(sector.series.colour));
            }
        }
        self.y.draw_left(&mut svg, (left, right), (top, bottom));
        let below = self.x.draw_below(&mut svg, (left, right), (top, bottom));

        let spots: Vec<_> = self
            .marks
            .iter()
            .map(|mark| place(mark.x, mark.y))
            .collect();
        let mut taken: Vec<Bounds> = spots.iter().map(|spot| around(*spot)).collect();
        let frame = [left + 2.0, top + 2.0, right - 2.0, bottom - 2.0];
        for (mark, spot) in self.marks.iter().zip(&spots) {
            let text = if is_narrow { &mark.short } else { &mark.name };
            let (bounds, leads) = free_place(*spot, text_width(text), &taken, frame);
            taken.push(bounds);
            let [x, _, _, y] = bounds;
            if leads {
                let middle = f64::midpoint(bounds[0], bounds[2]);
                let end = (
                    middle.clamp(bounds[0], bounds[2]),
                    f64::midpoint(bounds[1], y),
                );
                svg.line(
                    *spot,
                    (if spot.0 < x { x } else { end.0 }, end.1),
                    &look::LEAD,
                );
            }
            svg.text((x + 2.0, y - 3.0), Anchor::Start, &look::NAME, text);
        }
        let point = Series::default();
        for (mark, spot) in self.marks.iter().zip(&spots) {
            svg.marker(*spot, &point, (3.5, false), &mark.name);
        }
        for (sector, shape) in self.sectors.iter().zip(&shapes) {
            let name = &sector.series.name;
            if let Some(bounds) = place_within(shape, text_width(name) + 8.0, &taken, frame) {
                taken.push(bounds);
                let middle = f64::midpoint(bounds[0], bounds[2]);
                let pen = look::SECTOR.of(sector.series.colour);
                svg.text((middle, bounds[3] - 3.0), Anchor::Middle, pen, name);
            }
        }
        svg.finish(title, bottom + below)
    }
}

impl Sectors {
    /// The corners of a sector within the axes, in logarithms.
    fn cut(&self, sector: &Sector) -> Vec<(f64, f64)> {
        let (x0, x1) = (self.x.from.ln(), self.x.to.ln());
        let (y0, y1) = (self.y.from.ln(), self.y.to.ln());
        let whole = vec![(x0, y0), (x1, y0), (x1, y1), (x0, y1)];
        let above = clip(whole, |(x, y)| y - x - sector.from.ln());
        clip(above, |(x, y)| sector.to.ln() - (y - x))
    }
}

/// Cuts off what lies where `side` is negative (Sutherland and Hodgman 1974). `side` must be linear.
fn clip(shape: Vec<(f64, f64)>, side: impl Fn((f64, f64)) -> f64) -> Vec<(f64, f64)> {
    let mut kept = Vec::new();
    let next = shape.iter().cycle().skip(1);
    for (&a, &b) in shape.iter().zip(next) {
        let (at_a, at_b) = (side(a), side(b));
        if at_a >= 0.0 {
            kept.push(a);
        }
        if (at_a >= 0.0) != (at_b >= 0.0) && at_a.is_finite() && at_b.is_finite() {
            let share = at_a / (at_a - at_b);
            kept.push((a.0 + (b.0 - a.0) * share, a.1 + (b.1 - a.1) * share));
        }
    }
    kept
}

/// The mean of the corners, if there is an area.
fn centre(shape: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = shape.len() as f64;
    (shape.len() > 2).then(|| {
        let sum = shape
            .iter()
            .fold((0.0, 0.0), |sum, at| (sum.0 + at.0, sum.1 + at.1));
        (sum.0 / count, sum.1 / count)
    })
}

/// Whether a convex shape has a point in it.
pub(super) fn contains(shape: &[(f64, f64)], (x, y): (f64, f64)) -> bool {
    let next = shape.iter().cycle().skip(1);
    let mut sides = shape
        .iter()
        .zip(next)
        .map(|(a, b)| (b.0 - a.0) * (y - a.1) - (b.1 - a.1) * (x - a.0));
    sides.clone().all(|side| side >= 0.0) || sides.all(|side| side <= 0.0)
}

/// The place for a text of a width whose middle is in a shape, and of whose corners as many as can be,
/// where nothing else is; of several the one nearest to the shape's centre.
fn place_within(
    shape: &[(f64, f64)],
    width: f64,
    taken: &[Bounds],
    frame: Bounds,
) -> Option<Bounds> {
    let centre = centre(shape)?;
    let steps = |from: f64, to: f64| {
        let count = ((to - from) / STEP).max(0.0) as u32;
        (0..=count).map(move |step| from + f64::from(step) * STEP)
    };
    let (half, middle) = (width / 2.0, HEIGHT / 2.0);
    let mut best: Option<((usize, f64), Bounds)> = None;
    for y in steps(frame[1] + middle, frame[3] - middle) {
        for x in steps(frame[0] + half, frame[2] - half) {
            let bounds = [x - half, y - middle, x + half, y + middle];
            if !contains(shape, (x, y)) || !is_free(bounds, taken) {
                continue;
            }
            let [left, top, right, bottom] = bounds;
            let corners = [(left, top), (right, top), (left, bottom), (right, bottom)];
            let outside = corners.into_iter().filter(|&at| !contains(shape, at));
            let rank = (outside.count(), (x - centre.0).hypot(y - centre.1));
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, bounds));
            }
        }
    }
    best.map(|(_, bounds)| bounds)
}

fn is_free(bounds: Bounds, taken: &[Bounds]) -> bool {
    taken.iter().all(|other| {
        bounds[2] < other[0] || other[2] < bounds[0] || bounds[3] < other[1] || other[3] < bounds[1]
    })
}

fn around((x, y): (f64, f64)) -> Bounds {
    [x - 5.0, y - 5.0, x + 5.0, y + 5.0]
}

/// A place for a text of a width by a spot, where nothing else is; and whether a line has to lead to it.
fn free_place((x, y): (f64, f64), width: f64, taken: &[Bounds], frame: Bounds) -> (Bounds, bool) {
    let at = |left: f64, middle: f64| {
        let top = middle - HEIGHT / 2.0;
        [left, top, left + width + 4.0, top + HEIGHT]
    };
    let steps = (0..20).flat_map(|step| {
        let up = f64::from(step) * 8.0;
        [-up, up].into_iter().flat_map(move |dy| {
            [
                (7.0, dy, step),
                (-11.0 - width, dy, step),
                (-width / 2.0, dy, step),
            ]
        })
    });
    let within = |bounds: &Bounds| {
        bounds[0] >= frame[0]
            && bounds[1] >= frame[1]
            && bounds[2] <= frame[2]
            && bounds[3] <= frame[3]
    };
    let mut places = steps.map(|(dx, dy, step)| (at(x + dx, y + dy), step > 1));
    places
        .find(|(bounds, _)| within(bounds) && is_free(*bounds, taken))
        .unwrap_or_else(|| {
            let left = (x + 7.0).min(frame[2] - width - 4.0).max(frame[0]);
            (
                at(left, y.clamp(frame[1] + HEIGHT, frame[3] - HEIGHT)),
                false,
            )
        })
}
