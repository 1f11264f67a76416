//! Whether predicting is worth its complexity on a machine: a rule, applied to what the replays cost.
//!
//! The cheapest scheme that predicts is compared with the cheapest one that does not. Its gain is given
//! as a share of the other's cost, in traps, and as a share of the guests' own time. For that a guest's
//! instruction is taken as one cycle where costs are in cycles.

use trapcast_forecast::Scheme;

use super::{
    costs::{ENTRIES, Of, cheapest, cost, mean},
    estimate::{Estimate, over_workloads},
    machine::Machine,
    subject::Subject,
};

/// Schemes that decide the same whatever the guest did before.
pub const WITHOUT: [Of; 7] = [
    Of::Scheme(Scheme::Eager),
    Of::Scheme(Scheme::PerEntry),
    Of::Scheme(Scheme::UntilPut),
    Of::Scheme(Scheme::EagerUntilPut),
    Of::Scheme(Scheme::Kvm),
    Of::Scheme(Scheme::Owner),
    Of::Scheme(Scheme::EagerOwner),
];

/// Schemes that decide by what the guest did before.
pub const WITH: [Of; 5] = [
    Of::Scheme(Scheme::LastTrap),
    Of::Scheme(Scheme::Counter),
    Of::Scheme(Scheme::Credit),
    Of::Scheme(Scheme::Forecast),
    Of::NotPrompt,
];

/// The share of the guests' time from which on a gain is worth added complexity.
pub const WORTH: f64 = 0.01;

/// The share of the guests' time below which no gain is.
pub const NEGLIGIBLE: f64 = 0.001;

/// What is to be recommended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Predict: it gains [`WORTH`] of the guests' time or more.
    WorthIt,
    /// Predict if the code is there already: it gains something that can be noticed.
    Marginal,
    /// Do not predict: it gains less than [`NEGLIGIBLE`] of the guests' time.
    TooLittle,
    /// Do not predict: on some workloads of the kind it gains nothing, or loses.
    NoGain,
}

impl Verdict {
    /// The rule.
    const fn of(gain: &Estimate, of_guest: Option<f64>) -> Self {
        let is_sure = match gain.interval {
            Some(interval) => interval.low > 0.0,
            None => false,
        };
        match of_guest {
            _ if !is_sure => Self::NoGain,
            Some(share) if share >= WORTH => Self::WorthIt,
            Some(share) if share < NEGLIGIBLE => Self::TooLittle,
            _ => Self::Marginal,
        }
    }

    /// What it says, in a few words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::WorthIt => "worth it",
            Self::Marginal => "marginal",
            Self::TooLittle => "not worth it, as there is too little to gain",
            Self::NoGain => "not worth it, as no gain is sure",
        }
    }
}

/// What the numbers say for one machine and some workloads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// The cheapest scheme that does not predict.
    pub without: Of,
    /// The cheapest one that does.
    pub with: Of,
    /// What the second costs less than the first, as a share of the first's cost.
    pub gain: Estimate,
    /// The same in round trips of a trap per thousand entries.
    pub traps_saved: f64,
    /// The same as a share of the guests' time; `None` where their instructions are not known.
    pub of_guest: Option<f64>,
    /// What the first costs, as a share of the guests' time: more cannot be gained at all.
    pub at_stake: Option<f64>,
    /// The share of the first's cost that the offline optimum would save.
    pub left: Estimate,
    /// What the second saves of that: of what could be saved at all.
    pub of_avoidable: Estimate,
    /// What follows.
    pub verdict: Verdict,
}

/// Applies the rule; `None` without a workload, or where schemes were not replayed.
pub fn find(subjects: &[&Subject], machine: &Machine) -> Option<Finding> {
    let (without, before) = cheapest(subjects, machine, &WITHOUT)?;
    let (with, after) = cheapest(subjects, machine, &WITH)?;
    let saved = |of: Of| {
        let pair = |subject: &&Subject| {
            let before = cost(subject, machine, without)?;
            Some((before - cost(subject, machine, of)?, before))
        };
        over_workloads(&subjects.iter().filter_map(pair).collect::<Vec<_>>())
    };
    let avoidable = |subject: &&Subject| {
        let [before, after, least] =
            [without, with, Of::Oracle].map(|of| cost(subject, machine, of));
        Some((before? - after?, before? - least?))
    };
    let of_avoidable = subjects.iter().filter_map(avoidable).collect::<Vec<_>>();
    let gain = saved(with);
    let time = guest_time(subjects);
    let of_guest = time.map(|time| (before - after) / time);
    Some(Finding {
        without,
        with,
        gain,
        traps_saved: (before - after) / machine.round_trip().max(1) as f64,
        of_guest,
        at_stake: time.map(|time| before / time),
        left: saved(Of::Oracle),
        of_avoidable: over_workloads(&of_avoidable),
        verdict: Verdict::of(&gain, of_guest),
    })
}

/// Guest instructions per thousand entries, the mean over workloads; `None` where one's are not known.
pub fn guest_time(subjects: &[&Subject]) -> Option<f64> {
    let times: Option<Vec<f64>> = subjects
        .iter()
        .map(|s| Some(s.guest_instructions? as f64 * ENTRIES / s.entries().max(1) as f64))
        .collect();
    let times = times.filter(|times| !times.is_empty())?;
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    (mean > 0.0).then_some(mean)
}

/// What a scheme costs, as a share of the guests' time.
pub fn share_of_guest(subjects: &[&Subject], machine: &Machine, of: Of) -> Option<f64> {
    Some(mean(subjects, machine, of)? / guest_time(subjects)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::estimate::Interval;

    fn gain(low: f64) -> Estimate {
        Estimate {
            value: Some(0.5),
            interval: Some(Interval { low, high: 0.9 }),
        }
    }

    #[test]
    fn the_rule_asks_for_a_sure_gain_first_and_then_for_its_size() {
        assert_eq!(Verdict::of(&gain(0.1), Some(0.02)), Verdict::WorthIt);
        assert_eq!(Verdict::of(&gain(0.1), Some(WORTH)), Verdict::WorthIt);
        assert_eq!(Verdict::of(&gain(0.1), Some(0.005)), Verdict::Marginal);
        assert_eq!(Verdict::of(&gain(0.1), Some(0.0005)), Verdict::TooLittle);
        assert_eq!(Verdict::of(&gain(0.1), None), Verdict::Marginal);
        assert_eq!(Verdict::of(&gain(0.0), Some(0.5)), Verdict::NoGain);
        assert_eq!(Verdict::of(&gain(-0.1), Some(0.5)), Verdict::NoGain);
        assert_eq!(
            Verdict::of(&Estimate::default(), Some(0.5)),
            Verdict::NoGain
        );
    }

    #[test]
    fn every_scheme_that_is_correct_predicts_or_does_not() {
        for of in Scheme::ALL
            .map(Of::Scheme)
            .into_iter()
            .chain([Of::NotPrompt])
        {
            let times = WITH.iter().chain(&WITHOUT).filter(|other| **other == of);
            assert_eq!(
                times.count(),
                usize::from(Of::CORRECT.contains(&of)),
                "{of}"
            );
        }
        assert_eq!(WITH.len() + WITHOUT.len(), Of::CORRECT.len());
    }
}
