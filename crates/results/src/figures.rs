//! The figures that are derived from counters.

use serde::{Deserialize, Serialize};
use trapcast_forecast::{Scheme, Window};
use trapcast_trace::{
    histogram::Histogram,
    report::{CoreReport, WindowReport},
};

use crate::{Counters, ratio};

/// The share of windows that used the registers.
fn used_share(windows: &WindowReport) -> Option<f64> {
    ratio(windows.used, windows.windows)
}

/// P(use | the window before used them, or did not).
fn use_after(windows: &WindowReport, used_before: bool) -> Option<f64> {
    let [unused, used] = windows.pairs[usize::from(used_before)];
    ratio(used, unused + used)
}

/// What an observer saw of the windows of one kind.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct WindowFigures {
    /// Windows.
    pub windows: u64,
    /// In how many of them the registers were used.
    pub used: u64,
    /// Their share.
    pub used_share: Option<f64>,
    /// P(use | used before).
    pub use_after_use: Option<f64>,
    /// P(use | not used before).
    pub use_after_none: Option<f64>,
}

impl From<&WindowReport> for WindowFigures {
    fn from(windows: &WindowReport) -> Self {
        Self {
            windows: windows.windows,
            used: windows.used,
            used_share: used_share(windows),
            use_after_use: use_after(windows, true),
            use_after_none: use_after(windows, false),
        }
    }
}

/// Windows as results tell them apart.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowKind {
    /// From an entry to its exit.
    Entry,
    /// From the load of a vCPU to its put.
    Load,
}

impl WindowKind {
    /// The windows in which what a scheme decided is seen.
    pub const fn of(scheme: Scheme) -> Self {
        match scheme.window() {
            Window::Entry => Self::Entry,
            // Where the scheme is asked anew at any entry, what it did is seen at the put.
            Window::Load | Window::Absence => Self::Load,
        }
    }

    /// By which tables tell it apart.
    pub const fn letter(self) -> char {
        match self {
            Self::Entry => 'e',
            Self::Load => 'l',
        }
    }
}

/// Distributions that a plain run left.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Latency {
    /// IRQs-off sections, in instructions at EL2, on one core.
    pub masked: Option<Histogram>,
    /// From the expiry of a guest's virtual timer to its handler, of guests that measure it.
    pub timer_delay: Option<Histogram>,
}

/// What the counters of a scheme on a workload amount to.
///
/// Counts and instructions come from the plain run; what only an observer sees (windows, the
/// forecast's quality, wasted loads) comes from the observed run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Figures {
    /// Which windows the scheme's decisions cover.
    pub window_kind: WindowKind,
    /// Windows from an entry to its exit.
    pub entry_windows: WindowFigures,
    /// Windows from the load of a vCPU to its put.
    pub load_windows: WindowFigures,
    /// Share of forecasts that came true.
    pub accuracy: Option<f64>,
    /// Share of forecasts of use that came true.
    pub precision: Option<f64>,
    /// Share of uses that were forecast.
    pub recall: Option<f64>,
    /// Loads that a window then did not use.
    pub wasted_loads: u64,
    /// EL2 instructions per entry that switched the registers or decided about it. These and those
    /// below are known on one core only: QEMU counts the instructions of all cores in each one's
    /// counters.
    pub switch_per_entry: Option<f64>,
    /// EL2 instructions per entry.
    pub el2_per_entry: Option<f64>,
    /// The longest IRQs-off section, in instructions at EL2.
    pub longest_masked: Option<u64>,
    /// All IRQs-off sections of the plain run.
    pub masked: Option<Histogram>,
    /// From the expiry of a guest's virtual timer to its handler, while the guest was on the core, in the
    /// plain run; of guests that measure it.
    pub timer_delay: Option<Histogram>,
}

impl Figures {
    /// Derives the figures of a scheme from its two runs.
    pub fn derive(
        scheme: Scheme,
        plain: &Counters,
        observed: &Counters,
        cores: &[CoreReport],
    ) -> Self {
        let [[true_none, false_none], [false_use, true_use]] = observed.forecast;
        let forecasts = true_use + true_none + false_use + false_none;
        let instructions = match cores {
            [core] => Some(core),
            _ => None,
        };
        let per_entry = |count| instructions.and_then(|_| ratio(count, plain.entries));
        Self {
            window_kind: WindowKind::of(scheme),
            entry_windows: (&observed.entry_windows).into(),
            load_windows: (&observed.load_windows).into(),
            accuracy: ratio(true_use + true_none, forecasts),
            precision: ratio(true_use, true_use + false_use),
            recall: ratio(true_use, true_use + false_none),
            wasted_loads: observed.wasted_loads,
            switch_per_entry: per_entry(plain.switch_instructions),
            el2_per_entry: per_entry(plain.el2_instructions),
            longest_masked: instructions.map(|core| core.longest_masked),
            masked: None,
            timer_delay: None,
        }
    }

    /// The same with the distributions that the plain run left.
    pub fn with_latency(self, plain: Latency) -> Self {
        let Latency {
            masked,
            timer_delay,
        } = plain;
        Self {
            masked,
            timer_delay,
            ..self
        }
    }

    /// The windows that the scheme's decisions cover.
    pub fn own_windows(&self) -> &WindowFigures {
        match self.window_kind {
            WindowKind::Entry => &self.entry_windows,
            WindowKind::Load => &self.load_windows,
        }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;

    fn counters() -> Counters {
        Counters {
            entries: 10,
            exits: [("wait".to_string(), 4), ("mmio".to_string(), 6)].into(),
            switch_instructions: 50,
            el2_instructions: 1000,
            load_windows: WindowReport {
                windows: 8,
                used: 4,
                pairs: [[1, 2], [3, 1]],
            },
            forecast: [[5, 1], [2, 2]],
            wasted_loads: 2,
            ..Counters::default()
        }
    }

    #[test]
    fn figures_follow_from_the_counters() {
        let core = CoreReport {
            longest_masked: 70,
            ..CoreReport::new_zeroed()
        };
        let figures = Figures::derive(Scheme::UntilPut, &counters(), &counters(), &[core]);
        let windows = figures.own_windows();
        assert_eq!(
            (figures.window_kind, windows.windows, windows.used),
            (WindowKind::Load, 8, 4)
        );
        assert_eq!(windows.used_share, Some(0.5));
        assert_eq!(windows.use_after_use, Some(0.25));
        assert_eq!(windows.use_after_none, Some(2.0 / 3.0));
        assert_eq!(figures.entry_windows, WindowFigures::default());
        assert_eq!(figures.accuracy, Some(0.7));
        assert_eq!(figures.precision, Some(0.5));
        assert_eq!(figures.recall, Some(2.0 / 3.0));
        assert_eq!(figures.switch_per_entry, Some(5.0));
        assert_eq!(figures.el2_per_entry, Some(100.0));
        assert_eq!(figures.longest_masked, Some(70));
        let figures = Figures::derive(Scheme::UntilPut, &counters(), &counters(), &[core; 2]);
        assert_eq!(figures.accuracy, Some(0.7));
        assert_eq!(
            (figures.el2_per_entry, figures.longest_masked),
            (None, None)
        );
    }

    #[test]
    fn nothing_counted_gives_no_figure() {
        let nothing = Counters::default();
        let figures = Figures::derive(Scheme::Eager, &nothing, &nothing, &[]);
        assert_eq!(figures.window_kind, WindowKind::Entry);
        assert_eq!(
            (
                figures.own_windows().used_share,
                figures.accuracy,
                figures.el2_per_entry
            ),
            (None, None, None)
        );
    }
}
