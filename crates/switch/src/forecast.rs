//! What the state machine asks of a guest's forecaster.

use trapcast_forecast::{Decision, Evidence, Forecaster, Release, Resume, Rule, Window};

/// How a guest is about to resume. Each part is looked at only if a scheme asks for it.
pub trait Resuming {
    /// Where: ELR_EL2.
    fn pc(&self) -> u64;

    /// Whether an interrupt is pending for it, and nothing is to delay that.
    fn pending(&self) -> bool;

    /// Both.
    #[inline(always)]
    fn all(&self) -> Resume {
        Resume {
            pc: self.pc(),
            pending: self.pending(),
        }
    }
}

impl<F: Fn() -> Resume> Resuming for F {
    #[inline(always)]
    fn pc(&self) -> u64 {
        self().pc
    }

    #[inline(always)]
    fn pending(&self) -> bool {
        self().pending
    }
}

/// A scheme at work for one vCPU: it decides at the start of each window and learns at its end.
///
/// Each call of [`learn`](Self::learn) follows one of [`decide`](Self::decide).
pub trait Forecast {
    /// Decides at the start of a window. A scheme that needs to know how the guest resumes asks.
    fn decide(&mut self, resume: impl FnOnce() -> Resume) -> Decision;

    /// A further entry of an absence, at `pc`: returns whether the registers stay out because they were left
    /// out at the last one, and nothing has changed. Else [`decide`](Self::decide) is asked.
    #[inline(always)]
    fn stays_out(&mut self, pc: impl FnOnce() -> u64) -> bool {
        let _ = pc;
        false
    }

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

    #[inline(always)]
    fn stays_out(&mut self, pc: impl FnOnce() -> u64) -> bool {
        self.stays_out(pc)
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
