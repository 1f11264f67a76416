//! A model of two cores that run three vCPUs and their hosts: every state that it can reach is
//! visited by a model checker, in and out of streaming mode.
//!
//! The model contains the state machine as it is, with a forecaster that may answer anything, and around it
//! what a hypervisor has: who runs where, gates, registers and memory, requests between cores. A value
//! is only known by whose it is and whether it is still the last one, so that there are finitely many
//! states. `cargo test -p trapcast-switch --test model -- --nocapture` prints how many.

mod faults;
mod machine;
#[path = "../common/place.rs"]
mod place;
mod properties;
mod scheme;
mod steps;

use faults::Fault;
use machine::GUESTS;
use properties::{READS_ITS_OWN, Switching};
use scheme::Kind;
use stateright::{Checker, DiscoveryClassification, HasDiscoveries, Model};
use trapcast_switch::Class;

/// States, and steps between them.
#[derive(Debug, Default)]
struct Size {
    models: usize,
    states: usize,
    steps: usize,
}

/// Visits every state of a model, or until this has been found.
fn explore(model: Switching, until: HasDiscoveries) -> impl Checker<Switching> {
    model.checker().finish_when(until).spawn_bfs().join()
}

/// Returns what a model violates, and a way to get there.
fn violation(checker: &impl Checker<Switching>) -> Option<String> {
    let mut violations: Vec<_> = checker
        .discoveries()
        .into_iter()
        .filter(|(property, _)| {
            let class = checker.discovery_classification(property);
            matches!(class, DiscoveryClassification::Counterexample)
        })
        .map(|(property, path)| (path.into_actions(), property))
        .collect();
    violations.sort_by_key(|(steps, property)| (steps.len(), *property));
    let (steps, property) = violations.first()?;
    Some(format!("not so: {property}, after {steps:?}"))
}

/// Checks that every state of a model is good, and that what makes it worth the while occurs in it.
fn check(model: Switching, size: &mut Size) {
    let name = format!("{model:?}");
    let checker = explore(model, HasDiscoveries::AnyFailures);
    if let Some(violation) = violation(&checker) {
        panic!("{name}: {violation}");
    }
    checker.assert_properties();
    size.models += 1;
    size.states += checker.unique_state_count();
    size.steps += checker.state_count();
}

/// Lists every way to choose one for each guest, in whatever order.
fn mixtures<T: Copy>(choice: &[T]) -> Vec<[T; GUESTS]> {
    let mut mixtures = Vec::new();
    for (a, &first) in choice.iter().enumerate() {
        for (b, &second) in choice.iter().enumerate().skip(a) {
            mixtures.extend(choice[b..].iter().map(|&third| [first, second, third]));
        }
    }
    mixtures
}

/// Mixtures that take seconds. Two vCPUs that leave their registers in cores make the cores ask each other.
const FEW: [[Kind; GUESTS]; 4] = [
    [Kind::EXIT, Kind::PUT, Kind::OWNER],
    [Kind::PUT, Kind::KVM, Kind::OWNER],
    [Kind::EXIT, Kind::EXIT, Kind::FORECAST],
    [Kind::EXIT, Kind::OWNER, Kind::OWNER],
];

/// Mixtures in one of which each deliberate fault shows.
const TELLING: [[Kind; GUESTS]; 2] = [FEW[0], FEW[1]];

/// The last vCPU has SME, and all others have FP/SIMD alone.
const LAST_STREAMS: [Class; GUESTS] = [Class::Fp, Class::Fp, Class::Sme];

#[test]
fn every_state_of_a_few_mixtures_is_good() {
    let mut size = Size::default();
    for kinds in FEW {
        check(Switching::new(kinds), &mut size);
    }
    check(
        Switching::new(FEW[2]).with_observer([true; GUESTS]),
        &mut size,
    );
    println!("a few mixtures: {size:?}");
}

#[test]
fn every_state_of_a_few_mixtures_is_good_if_one_streams() {
    let mut size = Size::default();
    for kinds in [TELLING[0], TELLING[1], FEW[2]] {
        check(Switching::new(kinds).with_most(LAST_STREAMS), &mut size);
    }
    println!("a few mixtures with one that streams: {size:?}");
}

#[test]
#[ignore = "takes minutes"]
fn every_state_of_every_mixture_of_schemes_is_good() {
    let mut size = Size::default();
    for kinds in mixtures(&Kind::MANAGED) {
        check(Switching::new(kinds), &mut size);
    }
    println!("all kinds of schemes: {size:?}");
}

#[test]
#[ignore = "takes minutes"]
fn every_state_of_todays_schemes_is_good_under_the_observer() {
    let mut size = Size::default();
    for kinds in mixtures(&Kind::TODAY) {
        check(
            Switching::new(kinds).with_observer([true; GUESTS]),
            &mut size,
        );
    }
    println!("kinds of today's schemes, observed: {size:?}");
}

#[test]
#[ignore = "takes minutes"]
fn every_state_of_todays_schemes_is_good_whoever_streams() {
    let mut size = Size::default();
    for kinds in mixtures(&Kind::TODAY) {
        for who in 0..GUESTS {
            let mut most = [Class::Fp; GUESTS];
            most[who] = Class::Sme;
            check(Switching::new(kinds).with_most(most), &mut size);
        }
    }
    println!("kinds of today's schemes, one streams: {size:?}");
}

#[test]
#[ignore = "takes hours"]
fn every_state_is_good_whoever_is_observed() {
    let watched = Kind::MANAGED.map(|kind| [(kind, false), (kind, true)]);
    let mut size = Size::default();
    for mixture in mixtures(watched.as_flattened()) {
        let kinds = mixture.map(|(kind, _)| kind);
        let observed = mixture.map(|(_, observed)| observed);
        check(Switching::new(kinds).with_observer(observed), &mut size);
    }
    println!("all kinds of schemes, observed or not: {size:?}");
}

/// Its open gate means nothing, on purpose; what counts is that a guest reads a wrong value.
#[test]
fn the_negative_control_is_caught() {
    for others in mixtures(&Kind::TODAY) {
        let mut model = Switching::new(others);
        model.kinds[0] = Kind::NONE;
        let checker = explore(model, HasDiscoveries::AnyOf([READS_ITS_OWN].into()));
        let path = checker.assert_any_discovery(READS_ITS_OWN);
        println!("none: caught after {:?}", path.into_actions());
    }
}

/// Nothing is found without it in the same mixtures: see above.
#[test]
fn every_deliberate_fault_is_caught() {
    for fault in Fault::ALL {
        let find = |kinds| {
            let mut model = Switching::new(kinds).with_most(LAST_STREAMS);
            model.fault = Some(fault);
            violation(&explore(model, HasDiscoveries::AnyFailures))
        };
        let violation = TELLING.into_iter().find_map(find);
        let violation = violation.unwrap_or_else(|| panic!("{fault:?} is not noticed"));
        println!("{fault:?}: {violation}");
    }
}
