//! A scheme that may answer anything, and that holds the state machine to the contract of
//! [`Forecast`].

use trapcast_forecast::{Decision, Evidence, Release, Resume, Window};
use trapcast_switch::Forecast;

/// What is fixed about a scheme.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Kind {
    pub window: Window,
    pub release: Release,
}

impl Kind {
    /// `eager`, `per-entry`, `last-trap`.
    pub const EXIT: Self = Self {
        window: Window::Entry,
        release: Release::Exit,
    };
    /// `until-put`, `eager-until-put`, `counter`, `credit`.
    pub const PUT: Self = Self {
        window: Window::Load,
        release: Release::Put,
    };
    /// `kvm`.
    pub const KVM: Self = Self {
        window: Window::Load,
        release: Release::Drop,
    };
    /// `owner`.
    pub const OWNER: Self = Self {
        window: Window::Load,
        release: Release::OnDemand,
    };
    /// `eager-owner`, `forecast`.
    pub const FORECAST: Self = Self {
        window: Window::Absence,
        release: Release::OnDemand,
    };
    /// `none`.
    pub const NONE: Self = Self {
        window: Window::Entry,
        release: Release::Unmanaged,
    };

    /// Every kind that a scheme of today is of, but for `none`.
    pub const TODAY: [Self; 5] = [
        Self::EXIT,
        Self::PUT,
        Self::KVM,
        Self::OWNER,
        Self::FORECAST,
    ];

    /// Every kind that manages the registers, whether a scheme of today is of it or not.
    pub const MANAGED: [Self; 9] = [
        Self::EXIT,
        Self::PUT,
        Self::KVM,
        Self::OWNER,
        Self::FORECAST,
        Self {
            window: Window::Load,
            release: Release::Exit,
        },
        Self {
            window: Window::Entry,
            release: Release::Put,
        },
        Self {
            window: Window::Entry,
            release: Release::OnDemand,
        },
        Self {
            window: Window::Absence,
            release: Release::Drop,
        },
    ];
}

/// The forecaster: it answers what the checker has chosen.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AnyScheme {
    kind: Kind,
    /// The answer to the next question; `None` outside an entry.
    pub answer: Option<Decision>,
    /// A window has begun and not ended.
    pub in_window: bool,
    /// Its last answer was to leave the registers out: a further entry of the same window may find
    /// that this stays so.
    pub left_out: bool,
    /// It was asked in the current step.
    pub asked: bool,
    /// What it was told in the current step.
    pub evidence: Option<Evidence>,
}

impl AnyScheme {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            answer: None,
            in_window: false,
            left_out: false,
            asked: false,
            evidence: None,
        }
    }

    /// Returns whether the next entry may begin a window.
    pub fn may_be_asked(&self) -> bool {
        !self.in_window || self.kind.window == Window::Absence
    }
}

impl Forecast for AnyScheme {
    fn decide(&mut self, _: impl FnOnce() -> Resume) -> Decision {
        assert!(
            !self.in_window || self.may_be_asked(),
            "asked twice in one window"
        );
        self.in_window = true;
        self.asked = true;
        let answer = self.answer.expect("asked outside an entry");
        self.left_out = answer == Decision::Leave;
        answer
    }

    /// If it would leave them out again, it is not asked.
    fn stays_out(&mut self, _: impl FnOnce() -> u64) -> bool {
        assert!(self.in_window, "asked of a window that never began");
        self.left_out && self.answer == Some(Decision::Leave)
    }

    fn learn(&mut self, evidence: Evidence) {
        assert!(self.in_window, "told of a window that never began");
        (self.in_window, self.left_out) = (false, false);
        self.evidence = Some(evidence);
    }

    fn window(&self) -> Window {
        self.kind.window
    }

    fn release(&self) -> Release {
        self.kind.release
    }
}
