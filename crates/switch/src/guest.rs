//! One vCPU as the state machine sees it: its context, its forecaster, and the window it is in.

use trapcast_forecast::{Decision, Evidence, Forecaster, Scheme, Window};

use crate::{Counts, Forecast};

/// Who armed a trap that the guest took since its last entry.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Trap {
    /// The scheme: the registers had to be loaded.
    Scheme,
    /// The observer alone: they were in the CPU.
    Observer,
}

/// One vCPU: whose registers `context` holds while they are not in a CPU.
///
/// It may run on any core, on one at a time: from its load on one to its put there it is that core's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Guest<C, F = Forecaster> {
    pub(crate) context: C,
    pub(crate) forecaster: F,
    /// Whether every window is watched, the trap armed even where the scheme left the gate open.
    pub(crate) observed: bool,
    /// The decision of the current window; `None` between windows.
    pub(crate) decision: Option<Decision>,
    /// The trap that was taken since the last entry.
    pub(crate) trap: Option<Trap>,
    /// The core, by its host's context, that had the registers at the last put and may still have them.
    pub(crate) lingers: Option<C>,
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
    /// Whether the first entry left the gate open, if observed.
    forecast: Option<bool>,
}

impl<C: Copy> Guest<C> {
    /// Returns a vCPU that has not run yet and whose registers are in `context`.
    ///
    /// With `observed`, the trap is armed in every entry window, so that [`Counts`] hold what each
    /// window did. The scheme is shown no more than without.
    pub fn new(context: C, scheme: Scheme, observed: bool) -> Self {
        Self::with_forecaster(context, Forecaster::new(scheme), observed)
    }

    /// Returns the guest's scheme.
    pub fn scheme(&self) -> Scheme {
        self.forecaster.scheme()
    }
}

impl<C: Copy, F> Guest<C, F> {
    /// As [`Guest::new`], with a forecaster of any kind.
    pub fn with_forecaster(context: C, forecaster: F, observed: bool) -> Self {
        Self {
            context,
            forecaster,
            observed,
            decision: None,
            trap: None,
            lingers: None,
            window: WindowState::default(),
            used_since_load: false,
            counts: Counts::default(),
        }
    }

    /// Returns where this guest's registers are kept.
    pub fn context(&self) -> C {
        self.context
    }

    /// Returns the guest's forecaster.
    pub fn forecaster(&self) -> &F {
        &self.forecaster
    }

    /// Returns the guest's forecaster, to tell it what it is to decide on.
    pub fn forecaster_mut(&mut self) -> &mut F {
        &mut self.forecaster
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

    /// Returns the core, by its host's context, in which the registers of this guest, which has been
    /// put, may be. `None` if they are in memory.
    ///
    /// Only a scheme that gives them back on demand leaves them there, and only if they were the
    /// guest's at the put. That core may have lost them since, to another guest or its host.
    pub fn lingers(&self) -> Option<C> {
        self.lingers
    }

    /// The core that [`Core::elsewhere`](crate::Core::elsewhere) named was asked, and has carried out
    /// what its [`surrender`](crate::Core::surrender) answered: the registers are in memory. `moved`
    /// says whether there was an exchange.
    pub fn arrived(&mut self, moved: bool) {
        self.lingers = None;
        self.counts.fetches += u64::from(moved);
    }
}

impl<C: Copy, F: Forecast> Guest<C, F> {
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
        if !armed {
            self.window.blind = true;
        }
        if loaded {
            self.counts.eager_loads += 1;
        }
        if self.observed {
            self.observe_entry(loaded, armed);
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
        if self.observed {
            self.observe_exit(trap.is_some());
        }
        if self.forecaster.window() == Window::Entry {
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

    /// Notes an entry of an observed guest. Apart, so that the way into the others stays short.
    #[cold]
    #[inline(never)]
    fn observe_entry(&mut self, loaded: bool, armed: bool) {
        // They matter only as long as the window has not used the registers.
        self.counts.window_loads += u64::from(loaded && !self.window.used);
        self.window.forecast.get_or_insert(!armed);
    }

    /// Counts an entry window of which the observer knows that it used the registers or not.
    ///
    /// A trap of the scheme's may have left the gate open for entries that follow in the same
    /// window; the observer arms it again for each.
    #[cold]
    fn observe_exit(&mut self, used: bool) {
        self.counts.entry_windows.add(used);
        self.used_since_load |= used;
        self.window.used |= used;
        if used {
            self.counts.window_loads = 0;
        }
    }

    #[inline]
    fn end_window(&mut self) {
        let window = core::mem::take(&mut self.window);
        self.decision = None;
        if self.observed {
            let forecast = window.forecast.unwrap_or(false);
            self.counts.forecast[usize::from(forecast)][usize::from(window.used)] += 1;
            let loads = core::mem::take(&mut self.counts.window_loads);
            if !window.used {
                self.counts.wasted_loads += loads;
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
