//! One vCPU as the state machine sees it: its context, its forecaster, and the window it is in.

use trapcast_forecast::{Decision, Evidence, Forecaster, Scheme, Window};

use crate::Counts;

/// Who armed a trap that the guest took since its last entry.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Trap {
    /// The scheme: the registers had to be loaded.
    Scheme,
    /// The observer alone: they were in the CPU.
    Observer,
}

/// One vCPU: whose registers `context` holds while they are not in a CPU.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Guest<C> {
    pub(crate) context: C,
    pub(crate) forecaster: Forecaster,
    /// Whether every window is watched, the trap armed even where the scheme left the gate open.
    pub(crate) observed: bool,
    /// The decision of the current window; `None` between windows.
    pub(crate) decision: Option<Decision>,
    /// Whether the scheme (not just the observer) armed the trap at the last entry.
    pub(crate) armed: bool,
    /// The trap that was taken since the last entry.
    pub(crate) trap: Option<Trap>,
    window: WindowState,
    /// Whether any entry since the vCPU was loaded used the registers, if observed.
    used_since_load: bool,
    /// What was counted so far.
    pub counts: Counts,
}

/// What is known of the current window.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct WindowState {
    /// The scheme's trap was taken.
    trapped: bool,
    /// Some entry left the gate open, as far as the scheme knows.
    blind: bool,
    /// The registers were used, as far as anybody knows.
    used: bool,
    /// Eager loads.
    eager_loads: u64,
    /// Whether the first entry left the gate open, if observed.
    forecast: Option<bool>,
}

impl<C: Copy> Guest<C> {
    /// Returns a vCPU that has not run yet and whose registers are in `context`.
    ///
    /// With `observed`, the trap is armed in every entry window, so that [`Counts`] hold what each
    /// window did. The scheme is shown no more than without.
    pub fn new(context: C, scheme: Scheme, observed: bool) -> Self {
        Self {
            context,
            forecaster: Forecaster::new(scheme),
            observed,
            decision: None,
            armed: false,
            trap: None,
            window: WindowState::default(),
            used_since_load: false,
            counts: Counts::default(),
        }
    }

    /// Returns where this guest's registers are kept.
    pub fn context(&self) -> C {
        self.context
    }

    /// Returns the guest's scheme.
    pub fn scheme(&self) -> Scheme {
        self.forecaster.scheme()
    }

    /// Returns whether every window is watched.
    pub fn observed(&self) -> bool {
        self.observed
    }

    /// Returns whether the guest hit the closed gate since its last entry. Of an observed guest that
    /// is whether it used the registers.
    #[inline]
    pub fn has_trapped(&self) -> bool {
        self.trap.is_some()
    }

    /// Returns the decision of the current window, which this entry begins if there is none.
    #[inline]
    pub(crate) fn window_decision(&mut self) -> Decision {
        match self.decision {
            Some(decision) => decision,
            None => {
                let decision = self.forecaster.decide();
                self.decision = Some(decision);
                decision
            }
        }
    }

    /// Notes an entry, before which the registers were `loaded` or not, and which the scheme
    /// `armed` or not.
    #[inline]
    pub(crate) fn entered(&mut self, loaded: bool, armed: bool) {
        self.counts.entries += 1;
        self.armed = armed;
        if loaded {
            self.counts.eager_loads += 1;
        }
        if self.observed {
            self.window.eager_loads += u64::from(loaded);
        }
    }

    /// Notes an exit and, where the scheme's windows end there, ends the window.
    #[inline]
    pub(crate) fn exited(&mut self) {
        let trap = self.trap.take();
        match trap {
            Some(Trap::Scheme) => {
                self.counts.traps += 1;
                self.window.trapped = true;
            }
            Some(Trap::Observer) => self.counts.observer_traps += 1,
            None => {}
        }
        self.window.blind |= !self.armed;
        if self.observed {
            self.observe_exit(trap.is_some());
        }
        if matches!(self.scheme().window(), Window::Entry) {
            self.end_window();
        }
    }

    /// Notes a put and, where the scheme's windows end there, ends the window.
    pub(crate) fn was_put(&mut self) {
        self.counts.puts += 1;
        if self.observed {
            self.counts.load_windows.add(self.used_since_load);
            self.used_since_load = false;
        }
        if self.decision.is_some() {
            self.end_window();
        }
    }

    /// Counts an entry window of which the observer knows that it used the registers or not.
    ///
    /// A trap of the scheme's may have left the gate open for entries that follow in the same
    /// window; the observer arms it again for each.
    #[cold]
    fn observe_exit(&mut self, used: bool) {
        self.window.forecast.get_or_insert(!self.armed);
        self.counts.entry_windows.add(used);
        self.used_since_load |= used;
        self.window.used |= used;
    }

    #[inline]
    fn end_window(&mut self) {
        let window = core::mem::take(&mut self.window);
        self.decision = None;
        if self.observed {
            let forecast = window.forecast.unwrap_or(false);
            self.counts.forecast[usize::from(forecast)][usize::from(window.used)] += 1;
            if !window.used {
                self.counts.wasted_loads += window.eager_loads;
            }
        }
        self.forecaster.learn(if window.trapped {
            Evidence::Used
        } else if window.blind {
            Evidence::Blind
        } else {
            Evidence::Unused
        });
    }
}
