//! Tests of the judge, on records that are made up.

use trapcast_forecast::Costs;
use trapcast_replay::Event;

use super::{Batch, Constants, Facts, Judged, Rival, Tried, cell::Cell, constants, goals, tried};
use trapcast_study::workload::Kind;

const VHE: Costs = Costs {
    trap: 752,
    probe: 752,
    save: 92,
    load: 91,
    gate: 9,
    isb: 30,
};

/// Two vCPUs that take turns, and use the registers where `uses` says so of the number of the turn.
fn turns(count: u64, uses: impl Fn(u64) -> bool) -> Batch {
    let events = (0..count).map(|n| {
        let used = if uses(n) { Event::USED } else { 0 };
        Event {
            pc: 0x1000 * (n / 2 % 4),
            ..Event::new((n % 2) as u16, 0, used | Event::PUT)
        }
    });
    Batch {
        events: events.collect(),
        facts: vec![Facts::default(); count as usize],
    }
}

/// What all rivals and constants come to over these windows, which come in two batches.
fn tried_over(windows: &Batch) -> Tried {
    let half = windows.events.len() / 2;
    let part = |part: std::ops::Range<usize>| Batch {
        events: windows.events[part.clone()].to_vec(),
        facts: windows.facts[part].to_vec(),
    };
    let parts = [part(0..half), part(half..windows.events.len())];
    let tried = tried(&|look| parts.iter().try_for_each(&mut *look), &[VHE]);
    tried.unwrap().remove(0)
}

#[test]
fn who_knows_more_pays_less() {
    // The place tells all: two of four use the registers.
    let windows = turns(4000, |n| n / 2 % 4 < 2);
    let (rivals, _) = tried_over(&windows);
    let cost = |rival: Rival| rivals[rival.name()];
    let exchanges = 2000 * VHE.exchange();
    assert!(cost(Rival::KnowsWindows) >= exchanges);
    assert_eq!(cost(Rival::KnowsPlaces), cost(Rival::KnowsWindows));
    assert!(cost(Rival::KnowsVcpus) > cost(Rival::KnowsPlaces));
    // What adds nothing changes nothing but which accounts things are booked to.
    let whole = cost(Rival::NotPrompt);
    assert_eq!(cost(Rival::WithLevel), whole);
    assert!(whole < cost(Rival::KnowsVcpus));
    assert!(cost(Rival::WithoutPlace) > whole);
}

#[test]
fn where_nobody_uses_them_nothing_is_worth_a_load() {
    let (rivals, _) = tried_over(&turns(1000, |_| false));
    for rival in [Rival::KnowsWindows, Rival::KnowsPlaces, Rival::KnowsVcpus] {
        assert_eq!(rivals[rival.name()], 0, "{rival:?}");
    }
}

fn judged(kind: Kind, tuned: bool, forecast: u64) -> Judged {
    let schemes = [
        ("forecast", forecast),
        ("last-trap", 300),
        ("counter", 300),
        ("credit", 150),
    ];
    let cell = Cell {
        profile: "made-up".into(),
        oracle: 100,
        fixed: 200,
        schemes: schemes.into(),
        rivals: [
            (Rival::KnowsVcpus.name(), 100),
            (Rival::NotPrompt.name(), 100),
        ]
        .into(),
        constants: Vec::new(),
    };
    Judged {
        file: "a.parquet".into(),
        workload: "made".into(),
        kind,
        tuned,
        cells: vec![cell],
    }
}

#[test]
fn goals_are_judged_by_what_was_not_used_in_tuning() {
    let goals = goals::goals(&[
        judged(Kind::Structure, true, 9000),
        judged(Kind::Structure, false, 110),
        judged(Kind::Structure, false, 140),
        judged(Kind::Chance, false, 101),
    ]);
    let met = |goals: &[goals::Goal]| -> Vec<_> { goals.iter().map(goals::Goal::met).collect() };
    // A mean of 1.24 and a worst of 1.4 are too much.
    assert_eq!(met(&goals[5..]), [Some(true); 5]);
    assert_eq!(
        met(&goals[..5]),
        [Some(false), Some(false), Some(true), Some(true), Some(true)]
    );
    assert!((goals[0].found.unwrap() - f64::sqrt(1.1 * 1.4)).abs() < 1e-9);
    assert_eq!(goals[1].worst.as_deref(), Some("made, made-up"));
    assert_eq!((goals[1].reached, goals[0].reached), (Some(0.5), None));
    let none = goals::goals(&[judged(Kind::Structure, true, 100)]);
    assert!(none.iter().all(|goal| goal.met().is_none()));
    let worse = goals::goals(&[judged(Kind::Chance, false, 205)]);
    assert_eq!(worse[2].met(), Some(false));
    assert_eq!(worse[3].met(), Some(false));
    assert_eq!((worse[4].found, worse[4].met()), (Some(0.0), Some(false)));
}

/// A record of a workload that costs 150 with the constants of the rule, and with others what `costs` says
/// of their numbers, or 200.
fn with_constants(workload: &str, costs: &[(usize, u64)]) -> Judged {
    let mut judged = judged(Kind::Structure, false, 150);
    let cost = |(number, constants): (usize, &Constants)| {
        let other = costs.iter().find(|(other, _)| *other == number);
        match other {
            Some(&(_, cost)) => cost,
            None if *constants == Constants::OF_THE_RULE => 150,
            None => 200,
        }
    };
    judged.workload = workload.into();
    judged.cells[0].constants = Constants::ALL.iter().enumerate().map(cost).collect();
    judged
}

#[test]
fn constants_are_chosen_without_the_workload_that_is_left_out() {
    // What is best for a is worst for all others.
    let found = constants::left_out(&[
        with_constants("a", &[(0, 110), (1, 300)]),
        with_constants("a", &[(0, 110), (1, 300)]),
        with_constants("b", &[(0, 400), (1, 120)]),
        with_constants("c", &[(0, 400), (1, 120)]),
    ]);
    let [a, b, c] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(a.constants, Constants::ALL[1]);
    for (cost, expected) in [
        (a.cost, 3.0),
        (a.cost_of_the_rule, 1.5),
        (a.least_cost, 1.1),
    ] {
        assert!((cost - expected).abs() < 1e-9, "{a:?}");
    }
    assert_eq!(b.constants, Constants::OF_THE_RULE);
    assert_eq!(b.constants, c.constants);
    assert!((b.least_cost - 1.2).abs() < 1e-9, "{b:?}");
    assert!(constants::left_out(&[with_constants("a", &[])]).is_empty());
}

#[test]
fn constants_of_the_rule_cost_what_forecast_does() {
    let (rivals, costs) = tried_over(&turns(4000, |n| n / 2 % 4 < 2));
    let all = Constants::ALL.iter().zip(costs);
    let cost = |constants: Constants| all.clone().find(|(one, _)| **one == constants).unwrap().1;
    let of_the_rule = cost(Constants::OF_THE_RULE);
    assert_eq!(of_the_rule, rivals[Rival::NotPrompt.name()]);
    // A place that is a quarter as large tells the same apart.
    let smaller = Constants {
        place: 16,
        ..Constants::OF_THE_RULE
    };
    assert_eq!(cost(smaller), of_the_rule);
}
