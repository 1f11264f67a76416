//! What is counted of a guest whose every window is watched.

use trapcast_forecast::Window;

use super::{Guest, Traps};
use crate::{Class, Context, Forecast, class::is_less};

/// What the observer knows of the current window.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Watched {
    /// The registers were used.
    pub(super) used: bool,
    /// Whether the first entry left the gate open.
    forecast: Option<bool>,
}

impl<C: Context, F: Forecast> Guest<C, F> {
    /// Notes an entry of an observed guest. Apart, so that the way into the others stays short.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_entry(&mut self, loaded: bool, open: bool) {
        // They matter only as long as the window has not used the registers.
        if loaded && !self.watched.used {
            self.counts.window_loads += 1;
        }
        self.watched.forecast.get_or_insert(open);
    }

    /// Counts an entry window of which the observer knows what it used.
    ///
    /// A trap of the scheme's may have left the gate open for entries that follow in the same
    /// window; the observer arms it again for each.
    #[cold]
    pub(super) fn observe_exit(&mut self, traps: Traps, ready: Option<Class>) {
        let used = traps.all().and_below();
        let fp = !used.is_empty();
        for class in Class::ALL {
            self.counts.observer_traps += u64::from(traps.observer.contains(class));
        }
        self.counts.entry_windows.add(fp);
        self.used_since_load |= fp;
        self.watched.used |= fp;
        if fp {
            self.counts.window_loads = 0;
        }
        for class in self.most.above_fp() {
            let Some(counts) = self.counts.of(class) else {
                continue;
            };
            if !used.contains(class) && fp && !is_less(ready, class) {
                counts.unseen += 1;
            } else {
                counts.windows.add(used.contains(class));
            }
        }
        if self.windows == Window::Entry {
            self.observe_window();
        }
    }

    /// Notes a put of an observed guest, before its window ends.
    #[cold]
    pub(super) fn observe_put(&mut self) {
        self.counts.load_windows.add(self.used_since_load);
        self.used_since_load = false;
        if self.watched.forecast.is_some() {
            self.observe_window();
        }
    }

    /// Counts a window that ends of an observed guest.
    fn observe_window(&mut self) {
        let Watched { used, forecast } = core::mem::take(&mut self.watched);
        self.counts.forecast[usize::from(forecast.unwrap_or(false))][usize::from(used)] += 1;
        let loads = core::mem::take(&mut self.counts.window_loads);
        if !used {
            self.counts.wasted_loads += loads;
        }
    }
}
