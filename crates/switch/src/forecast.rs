//! What the state machine asks of a guest's forecaster.

use trapcast_forecast::{Decision, Evidence, Forecaster, Release, Resume, Rule, Window};

/// A scheme at work for one vCPU: it decides at the start of each window and learns at its end.
///
/// Each call of [`learn`](Self::learn) follows one of [`decide`](Self::decide).
pub trait Forecast {
    /// Decides at the start of a window. A scheme that wants to know how the guest resumes asks.
    fn decide(&mut self, resume: impl FnOnce() -> Resume) -> Decision;

    /// Learns at the end of a window what could be seen of it.
    fn learn(&mut self, evidence: Evidence);

    /// What one decision covers. Always the same.
    fn window(&self) -> Window;

    /// When the registers go back to the host. Always the same.
    fn release(&self) -> Release;
}

impl Forecast for Rule {
    #[inline]
    fn decide(&mut self, _: impl FnOnce() -> Resume) -> Decision {
        self.decide()
    }

    #[inline]
    fn learn(&mut self, evidence: Evidence) {
        self.learn(evidence);
    }

    fn window(&self) -> Window {
        self.scheme().window()
    }

    fn release(&self) -> Release {
        self.scheme().release()
    }
}

impl Forecast for Forecaster {
    #[inline]
    fn decide(&mut self, resume: impl FnOnce() -> Resume) -> Decision {
        self.decide(resume)
    }

    #[inline]
    fn learn(&mut self, evidence: Evidence) {
        self.learn(evidence);
    }

    fn window(&self) -> Window {
        self.scheme().window()
    }

    fn release(&self) -> Release {
        self.scheme().release()
    }
}
