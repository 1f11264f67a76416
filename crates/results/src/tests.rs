use trapcast_forecast::Scheme;

use crate::{Integrity, Verdict, example::results};

fn judged(scheme: Scheme, mismatches: u64, must_catch: bool) -> Verdict {
    let mut integrity = Integrity {
        guest_mismatches: mismatches,
        ..Integrity::default()
    };
    integrity.judge(scheme, must_catch);
    integrity.verdict
}

#[test]
fn the_negative_control_must_be_caught_and_nobody_else() {
    assert_eq!(judged(Scheme::None, 3, true), Verdict::Caught);
    assert_eq!(judged(Scheme::None, 0, true), Verdict::Missed);
    assert_eq!(judged(Scheme::None, 0, false), Verdict::Clean);
    assert_eq!(judged(Scheme::Owner, 1, false), Verdict::Corrupt);
    assert_eq!(judged(Scheme::Owner, 0, true), Verdict::Clean);
}

#[test]
fn a_guest_that_did_not_end_speaks_against_a_scheme() {
    let mut integrity = Integrity {
        failures: vec!["vm0: stopped".to_string()],
        ..Integrity::default()
    };
    integrity.judge(Scheme::Eager, false);
    assert_eq!(integrity.verdict, Verdict::Corrupt);
}

#[test]
fn what_is_compact_lacks_nothing_but_single_vcpus_and_times() {
    assert!(!results().is_compact());
    let compact = results().compact();
    assert!(compact.is_compact());
    let [whole, compact] = [results(), compact].map(|r| serde_json::to_value(r).unwrap());
    let mut differences = Vec::new();
    for (name, value) in whole["results"][0].as_object().unwrap() {
        if compact["results"][0][name] != *value {
            differences.push(name.as_str());
        }
    }
    assert_eq!(differences, ["plain"]);
    assert_eq!(
        compact["results"][0]["plain"]["total"],
        whole["results"][0]["plain"]["total"]
    );
}
