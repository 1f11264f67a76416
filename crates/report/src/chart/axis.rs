//! Axes: where a value is, and where the ticks are.

use super::{
    look,
    svg::{Anchor, Svg, TEXT, text_width},
};

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// By their differences.
    Linear,
    /// By their ratios; both ends must be above zero.
    Log,
}

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
    /// How values are spread.
    pub scale: Scale,
    /// The value at its begin.
    pub from: f64,
    /// The value at its end, above that.
    pub to: f64,
    /// How a tick's value is written.
    pub format: fn(f64) -> String,
}

impl Axis {
    /// The position of a value: 0 at the begin, 1 at the end. A value beyond an end is placed at it.
    pub fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log => {
                (value.max(f64::MIN_POSITIVE) / self.from).ln() / (self.to / self.from).ln()
            }
        };
        place.clamp(0.0, 1.0)
    }

    /// Round values within the axis, at most about `most`.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        let most = most.max(2);
        match self.scale {
            Scale::Linear => {
                let rough = (self.to - self.from) / most as f64;
                let power = 10_f64.powf(rough.log10().floor());
                let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
                let step = steps.into_iter().find(|step| *step >= rough * 0.999);
                let step = step.unwrap_or(rough);
                let first = (self.from / step - 1e-9).ceil() as i64;
                let last = (self.to / step + 1e-9).floor() as i64;
                (first..=last).map(|n| n as f64 * step).collect()
            }
            Scale::Log => {
                let decades = |factors: &[f64]| -> Vec<f64> {
                    let powers = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
                    let all = powers.flat_map(|power| {
                        factors
                            .iter()
                            .map(move |factor| factor * 10_f64.powi(power))
                    });
                    let within = |tick: &f64| (self.from * 0.999..=self.to * 1.001).contains(tick);
                    all.filter(within).collect()
                };
                let fine = decades(&[1.0, 2.0, 5.0]);
                if fine.len() <= most {
                    return fine;
                }
                let plain = decades(&[1.0]);
                let every = plain.len().div_ceil(most);
                plain.into_iter().step_by(every).collect()
            }
        }
    }

    /// Draws it below a plot, with a fine line up through it at each tick. Returns how much height it
    /// takes below `bottom`.
    pub(super) fn draw_below(
        &self,
        svg: &mut Svg,
        (left, right): (f64, f64),
        (top, bottom): (f64, f64),
    ) -> f64 {
        let ticks = self.ticks(((right - left) / 64.0) as usize);
        for tick in ticks {
            let x = left + self.place(tick) * (right - left);
            svg.line((x, top), (x, bottom), &look::GRID);
            let text = (self.format)(tick);
            let half = text_width(&text) / 2.0;
            let centre = x.clamp(half, svg.width() - half);
            svg.text((centre, bottom + 16.0), Anchor::Middle, &look::TICK, &text);
        }
        svg.line((left, bottom), (right, bottom), &look::AXIS);
        let middle = f64::midpoint(left, right);
        let half = text_width(&self.label) / 2.0;
        let centre = middle
            .min(svg.width() - half)
            .max(half.min(svg.width() / 2.0));
        svg.text(
            (centre, bottom + 34.0),
            Anchor::Middle,
            &look::LABEL,
            &self.label,
        );
        40.0
    }

    /// Draws it left of a plot, its label above it, with a fine line through the plot at each tick.
    pub(super) fn draw_left(
        &self,
        svg: &mut Svg,
        (left, right): (f64, f64),
        (top, bottom): (f64, f64),
    ) {
        for tick in self.ticks(((bottom - top) / 36.0) as usize) {
            let y = bottom - self.place(tick) * (bottom - top);
            svg.line((left, y), (right, y), &look::GRID);
            let text = (self.format)(tick);
            svg.text(
                (left - 6.0, y + TEXT / 3.0),
                Anchor::End,
                &look::TICK,
                &text,
            );
        }
        svg.line((left, top), (left, bottom), &look::AXIS);
        svg.text((0.0, top - 10.0), Anchor::Start, &look::LABEL, &self.label);
    }

    /// How wide the widest of its ticks' texts is.
    pub(super) fn widest_tick(&self, ticks: usize) -> f64 {
        let widths = self
            .ticks(ticks)
            .into_iter()
            .map(|tick| text_width(&(self.format)(tick)));
        widths.fold(0.0, f64::max)
    }
}
