//! One forecaster over a record: what it would cost there.

use trapcast_forecast::{Costs, Resume};
use trapcast_replay::{Asked, Event};
use trapcast_switch::Forecast;
use trapcast_tool::error::Result;

use trapcast_report::record;

/// A forecaster of some kind, and what it has come to so far.
pub(super) trait Trial: Send {
    /// Takes the windows that come next, of each of which `told` says what the forecaster is told.
    fn add(&mut self, events: &[Event], told: &dyn Fn(usize) -> Resume) -> Result<()>;

    /// What it costs.
    fn cost(self: Box<Self>) -> u64;
}

/// Returns a trial of the forecasters that `make` returns for the numbers of vCPUs.
pub(super) fn trial<F: Forecast + Send + 'static>(
    make: impl Fn(u16) -> F + Send + 'static,
    costs: Costs,
) -> Box<dyn Trial> {
    Box::new((Asked::new(make), costs))
}

impl<F: Forecast + Send, N: Fn(u16) -> F + Send> Trial for (Asked<F, N>, Costs) {
    fn add(&mut self, events: &[Event], told: &dyn Fn(usize) -> Resume) -> Result<()> {
        self.0.add(events, told).map_err(record::told)
    }

    fn cost(self: Box<Self>) -> u64 {
        let (asked, costs) = *self;
        asked.finish().moves().cost(&costs)
    }
}

/// How `forecast` is asked and when it gives the registers back.
macro_rules! as_forecast {
    () => {
        fn window(&self) -> trapcast_forecast::Window {
            trapcast_forecast::Scheme::Forecast.window()
        }

        fn release(&self) -> trapcast_forecast::Release {
            trapcast_forecast::Scheme::Forecast.release()
        }
    };
}
pub(super) use as_forecast;
