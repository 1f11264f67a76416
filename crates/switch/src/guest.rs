//! One vCPU as the state machine sees it: its context, its forecasters, and the window it is in.

use trapcast_forecast::{Decision, Evidence, Forecaster, Release, Resume, Scheme, Window};

use crate::{Class, Context, Counts, Forecast, Gate, Resuming, class::ClassSet};

mod observer;

use observer::Watched;

/// The traps that a guest took since its last entry, by their class.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Traps {
    /// The scheme had armed them: registers had to be loaded.
    pub scheme: ClassSet,
    /// The scheme had armed them to see: the registers were in the CPU.
    pub probe: ClassSet,
    /// The observer alone had: the registers were in the CPU.
    pub observer: ClassSet,
}

impl Traps {
    /// Notes a trap that the scheme had armed.
    #[inline(always)]
    pub fn armed_by_scheme(&mut self, class: Class) {
        if class == Class::Fp {
            // The first one: where FP/SIMD is closed, all is.
            self.scheme = ClassSet::up_to(Some(class));
        } else {
            self.scheme.insert(class);
        }
    }

    #[inline]
    fn all(self) -> ClassSet {
        self.of_scheme().union(self.observer)
    }

    /// Those that the scheme is shown.
    #[inline]
    pub fn of_scheme(self) -> ClassSet {
        self.scheme.union(self.probe)
    }
}

/// Every window of a guest is watched, the trap armed even where the scheme left the gate open.
const OBSERVED: u8 = 0b01;
/// Its registers are saved at its put, and nobody's are loaded.
const DROPS: u8 = 0b10;

/// One vCPU: whose registers `context` holds while they are not in a CPU.
///
/// It may run on any core, on one at a time: from its load on one to its put there it is that core's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Guest<C, F = Forecaster> {
    pub(crate) context: C,
    /// One per class, of which those up to `most` are asked and told.
    forecasters: [F; Class::ALL.len()],
    /// The highest class of registers that the guest has.
    pub(crate) most: Class,
    /// What makes it other than most: [`OBSERVED`], [`DROPS`]. In one byte, so that a put looks at both at once.
    apart: u8,
    /// Up to which class the guest may run whosever registers are in the CPU: its scheme does not
    /// manage them.
    pub(crate) regardless: Option<Class>,
    /// What one decision covers.
    windows: Window,
    /// When the registers go back to the host.
    pub(crate) release: Release,
    pub(crate) traps: Traps,
    /// The core, by its host's context, that had the registers at the last put and may still have them.
    pub(crate) loaded_on: Option<C>,
    window: WindowState,
    watched: Watched,
    /// Whether any entry since the vCPU was loaded used the registers, if observed.
    used_since_load: bool,
    /// What was counted so far.
    pub counts: Counts,
}

/// What is known of the current window.
///
/// One word, which one store ends.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(align(8))]
struct WindowState {
    /// What was decided for all entries of the window: to load the registers early, up to this class.
    /// `None` between a window's end and the next decision, and where each entry may be asked.
    early: Option<Option<Class>>,
    /// The classes that were decided on.
    asked: ClassSet,
    /// Whether the gate is to stay closed until the registers are used, although they are loaded.
    probes: bool,
    /// What the last entry left open, as far as the scheme knows.
    open: ClassSet,
    /// Classes that were used: a trap of the scheme's said so.
    trapped: ClassSet,
    /// Classes that some entry or trap left open, as far as the scheme knows.
    blind: ClassSet,
}

impl WindowState {
    /// What could be seen of a class.
    #[inline]
    fn evidence(&self, class: Class) -> Evidence {
        if self.trapped.contains(class) {
            Evidence::Used
        } else if self.blind.contains(class) {
            Evidence::Blind
        } else {
            Evidence::Unused
        }
    }
}

impl<C: Context> Guest<C> {
    /// Returns the guest's scheme.
    pub fn scheme(&self) -> Scheme {
        self.forecaster(Class::Fp).scheme()
    }
}

impl<C: Context, F> Guest<C, F> {
    /// Returns a vCPU that has not run yet and whose registers are in `context`. It has forecasters
    /// which begin as this one.
    ///
    /// No other guest has the same context. One that had it before was [retired](crate::Core::retire): else a core may
    /// take the registers that it left there for this guest's.
    ///
    /// With `observed`, the trap is armed in every entry window, so that [`Counts`] hold what each
    /// window did. The scheme is shown no more than without.
    pub fn new(context: C, forecaster: F, observed: bool) -> Self
    where
        F: Copy + Forecast,
    {
        let release = forecaster.release();
        Self {
            context,
            forecasters: [forecaster; Class::ALL.len()],
            most: Class::Fp,
            apart: if observed { OBSERVED } else { 0 }
                | if release == Release::Drop { DROPS } else { 0 },
            regardless: (release == Release::Unmanaged).then_some(Class::Fp),
            windows: forecaster.window(),
            release,
            traps: Traps::default(),
            loaded_on: None,
            window: WindowState::default(),
            watched: Watched::default(),
            used_since_load: false,
            counts: Counts::default(),
        }
    }

    /// The same guest with registers up to this class.
    #[must_use]
    pub fn with_classes(self, most: Class) -> Self {
        Self {
            most,
            regardless: self.regardless.map(|_| most),
            ..self
        }
    }

    /// Returns where this guest's registers are kept.
    pub fn context(&self) -> C {
        self.context
    }

    /// Returns the highest class of registers that the guest has.
    pub fn most(&self) -> Class {
        self.most
    }

    /// Returns the guest's forecaster of a class.
    #[inline]
    pub fn forecaster(&self, class: Class) -> &F {
        &self.forecasters[class.index()]
    }

    /// Returns the guest's forecaster of a class, to tell it what it is to decide on.
    #[inline]
    pub fn forecaster_mut(&mut self, class: Class) -> &mut F {
        &mut self.forecasters[class.index()]
    }

    /// Returns whether every window is watched.
    #[inline]
    pub fn observed(&self) -> bool {
        self.apart & OBSERVED != 0
    }

    /// Returns whether it is put as most are: not observed, and its registers not left to nobody.
    #[inline]
    pub(crate) fn is_put_plainly(&self) -> bool {
        self.apart == 0
    }

    /// Returns whether the guest hit the closed gate since its last entry. Of an observed guest that
    /// is whether it used the registers.
    #[inline]
    pub fn has_trapped(&self) -> bool {
        !self.traps.all().is_empty()
    }

    /// Returns the core, by its host's context, in which the registers of this guest, which has been
    /// put, may be. `None` if they are in memory.
    ///
    /// Only a scheme that gives them back on demand leaves them there, and only if they were the
    /// guest's at the put. That core may have lost them since, to another guest or its host.
    pub fn loaded_on(&self) -> Option<C> {
        self.loaded_on
    }

    /// The core that [`Core::elsewhere`](crate::Core::elsewhere) named was asked, and has carried out
    /// what its [`release`](crate::Core::release) answered: the registers are in memory. `moved`
    /// says whether there was an exchange.
    pub fn arrived(&mut self, moved: bool) {
        self.loaded_on = None;
        self.counts.fetches += u64::from(moved);
    }
}

impl<C: Context, F: Forecast> Guest<C, F> {
    /// Returns up to which class the registers are to be loaded in the current window, which this
    /// entry begins if there is none, or if it finds registers elsewhere, is to be asked then, and something
    /// may have changed. They are `ready` so far.
    #[inline(always)]
    pub(crate) fn early(&mut self, ready: Option<Class>, resume: impl Resuming) -> Option<Class> {
        if let Some(early) = self.window.early {
            return early;
        }
        let mut asked = ClassSet::up_to(Some(self.most));
        let shared = self.windows != Window::Absence;
        if !shared {
            asked = asked.without(ClassSet::up_to(ready));
            if asked.is_empty() {
                return None;
            }
            if self.window.probes {
                if !asked.contains(Class::Fp) {
                    return None;
                }
                // Another owner took the registers before the guest had used them.
                self.end_window();
            } else if self.most.is_above_fp() {
                return self.decide_anew(asked, resume.all());
            } else if self.window.asked.contains(Class::Fp)
                && self.forecaster_mut(Class::Fp).stays_out(|| resume.pc())
            {
                return None;
            }
        }
        let early = if self.most.is_above_fp() {
            self.decide(asked, resume.all())
        } else {
            let decision = self.forecaster_mut(Class::Fp).decide(|| resume.all());
            self.begin_window(asked, decision)
        };
        if shared {
            self.window.early = Some(early);
        }
        early
    }

    /// Begins a window with this decision on FP/SIMD. Returns up to which class to load.
    #[inline]
    fn begin_window(&mut self, asked: ClassSet, decision: Decision) -> Option<Class> {
        self.window = WindowState {
            asked,
            probes: decision == Decision::Probe,
            ..WindowState::default()
        };
        (decision != Decision::Leave).then_some(Class::Fp)
    }

    /// Begins a window with decisions on these classes. Returns up to which class to load.
    #[inline(never)]
    fn decide(&mut self, asked: ClassSet, resume: Resume) -> Option<Class> {
        self.decide_by(asked, |guest, class| {
            guest.forecaster_mut(class).decide(|| resume)
        })
    }

    /// The same in an absence, where a forecaster is asked only if something may have changed. Registers that
    /// streaming mode has brought in and another owner took since are another absence.
    #[inline(never)]
    fn decide_anew(&mut self, asked: ClassSet, resume: Resume) -> Option<Class> {
        let left_out = self.window.asked.without(self.window.blind);
        self.decide_by(asked, |guest, class| {
            let forecaster = guest.forecaster_mut(class);
            if left_out.contains(class) && forecaster.stays_out(|| resume.pc) {
                Decision::Leave
            } else {
                forecaster.decide(|| resume)
            }
        })
    }

    /// Begins a window with what is decided on these classes.
    ///
    /// A probe leaves those above FP/SIMD out. They could not stay in the CPU behind a gate that is open
    /// for FP/SIMD: what writes V clears the rest of Z.
    #[inline(always)]
    fn decide_by(
        &mut self,
        asked: ClassSet,
        decide: impl Fn(&mut Self, Class) -> Decision,
    ) -> Option<Class> {
        let decision = if asked.contains(Class::Fp) {
            decide(self, Class::Fp)
        } else {
            Decision::Leave
        };
        let mut early = self.begin_window(asked, decision);
        for class in self.most.above_fp() {
            if asked.contains(class) && decide(self, class) == Decision::Load {
                early = Some(class);
            }
        }
        early
    }

    /// Notes an entry, before which the registers were loaded or not, and which the scheme left `open`
    /// so far. Returns the gate of the entry.
    #[inline(always)]
    pub(crate) fn entered(&mut self, loaded: bool, open: Option<Class>) -> Gate {
        self.counts.entries += 1;
        let open = if self.window.probes { None } else { open };
        self.window.open = ClassSet::up_to(open);
        self.window.blind = self.window.blind.union(self.window.open);
        if self.observed() {
            self.observe_entry(loaded, open.is_some());
            return Gate::Closed;
        }
        open.into()
    }

    /// Notes a trap with the registers in the CPU.
    #[inline]
    pub(crate) fn trapped_in_place(&mut self, class: Class) {
        if core::mem::take(&mut self.window.probes) {
            self.traps.probe.insert(class);
        } else {
            debug_assert!(self.observed(), "the scheme leaves the gate open then");
            self.traps.observer.insert(class);
        }
    }

    /// Counts an eager load up to this class.
    #[inline]
    pub(crate) fn count_eager_load(&mut self, class: Class) {
        self.counts.eager_loads += 1;
        if class.is_above_fp() {
            self.count_eager_load_above(class);
        }
    }

    /// Notes that everything was loaded at the entry, which had left it out. Returns the gate of the
    /// entry.
    pub(crate) fn loaded_streaming(&mut self) -> Gate {
        self.count_eager_load(Class::Sme);
        self.window.open = ClassSet::up_to(Some(Class::Sme));
        self.window.blind = self.window.open;
        if self.observed() {
            self.counts.window_loads += u64::from(!self.watched.used);
            return Gate::Closed;
        }
        Gate::Open(Class::Sme)
    }

    #[cold]
    #[inline(never)]
    fn count_eager_load_above(&mut self, class: Class) {
        if let Some(counts) = self.counts.of(class) {
            counts.eager_loads += 1;
        }
    }

    /// Notes the traps since the last entry, or that there were none, and forgets them. The guest's
    /// registers are `ready` in the core so far: what a trap loads beyond its own class is open from
    /// then on, and whether it is used is not seen.
    #[inline]
    pub(crate) fn note_traps(&mut self, ready: Option<Class>) {
        let traps = core::mem::take(&mut self.traps);
        if !traps.of_scheme().is_empty() {
            self.counts.traps += u64::from(traps.scheme.contains(Class::Fp));
            self.counts.probes += u64::from(!traps.probe.is_empty());
            if self.most.is_above_fp() {
                self.count_traps_above(traps.scheme);
            }
            let used = traps.of_scheme().and_below();
            self.window.trapped = self.window.trapped.union(used.without(self.window.open));
            let opened = ClassSet::up_to(ready).without(used);
            self.window.blind = self.window.blind.union(opened);
        }
        if self.observed() {
            self.observe_exit(traps, ready);
        }
    }

    /// Notes an exit and, where the scheme's windows end there, ends the window.
    #[inline(always)]
    pub(crate) fn exited(&mut self) {
        let ends = match self.windows {
            Window::Entry => true,
            Window::Load => false,
            Window::Absence => !self.window.trapped.is_empty(),
        };
        if ends {
            self.end_window();
        }
    }

    /// Counts the scheme's traps of the classes above FP/SIMD.
    #[inline(never)]
    fn count_traps_above(&mut self, traps: ClassSet) {
        for class in self.most.above_fp() {
            if let Some(counts) = self.counts.of(class) {
                if traps.contains(class) {
                    counts.traps += 1;
                    self.counts.traps += 1;
                }
            }
        }
    }

    /// Lets the observer know of a put, before that is [noted](Self::was_put).
    pub(crate) fn watch_put(&mut self) {
        if self.observed() {
            self.observe_put();
        }
    }

    /// Notes a put and, where the scheme's windows end there, ends the window.
    #[inline]
    pub(crate) fn was_put(&mut self) {
        self.counts.puts += 1;
        if !self.window.asked.is_empty() {
            self.end_window();
        }
    }

    #[inline(always)]
    fn end_window(&mut self) {
        let window = core::mem::take(&mut self.window);
        if window.asked.contains(Class::Fp) {
            let evidence = window.evidence(Class::Fp);
            self.forecaster_mut(Class::Fp).learn(evidence);
        }
        if self.most.is_above_fp() {
            self.learn_above(window);
        }
    }

    /// Tells the forecasters of the classes above FP/SIMD.
    #[inline(never)]
    fn learn_above(&mut self, window: WindowState) {
        for class in self.most.above_fp() {
            if window.asked.contains(class) {
                self.forecaster_mut(class).learn(window.evidence(class));
            }
        }
    }
}
