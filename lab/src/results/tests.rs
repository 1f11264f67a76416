use super::{example::results, *};

fn judged(scheme: Scheme, mismatches: u64, must_catch: bool) -> Verdict {
    let mut integrity = Integrity::default();
    let findings = Findings {
        guest_mismatches: mismatches,
        ..Findings::default()
    };
    integrity.add(&findings, 0);
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
    let mut integrity = Integrity::default();
    let findings = Findings {
        failures: vec!["vm0: stopped".to_string()],
        ..Findings::default()
    };
    integrity.add(&findings, 0);
    integrity.judge(Scheme::Eager, false);
    assert_eq!(integrity.verdict, Verdict::Corrupt);
}

#[test]
fn what_was_written_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("results.json");
    write_json(&path, &results()).unwrap();
    assert_eq!(Results::read(&path), Ok(results()));
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

#[test]
fn what_is_not_of_this_version_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("results.json");
    let refused = |text: &str| {
        output::write(&path, text.as_bytes()).unwrap();
        Results::read(&path).unwrap_err()
    };
    let whole = serde_json::to_string(&results()).unwrap();
    for (text, reason) in [
        (r#"{"format": 2}"#, "its format is 2, and this version's is"),
        ("{}", "missing field `format`"),
        (&whole[..whole.len() - 1], "EOF"),
        (
            &whole.replace("last-trap", "lazy"),
            "unknown scheme; one of none",
        ),
    ] {
        let error = refused(text);
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
    let error = Results::read(&directory.path().join("none.json")).unwrap_err();
    assert!(error.to_string().contains("run trapcast study"), "{error}");
}

#[test]
fn a_study_that_is_not_done_is_told_with_the_command_that_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("results.json");
    // The results of the study before it.
    write_json(&path, &results()).unwrap();
    let command = "target/debug/trapcast study --full\n";
    output::write(&directory.path().join(UNFINISHED), command.as_bytes()).unwrap();
    let error = Results::read(&path).unwrap_err();
    let wanted = "is not finished: go on with target/debug/trapcast study --full";
    assert!(error.to_string().ends_with(wanted), "{error}");
}

#[test]
fn a_file_is_replaced_at_once_and_nothing_else_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/results.json");
    write_json(&path, &1).unwrap();
    write_json(&path, &2).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap();
    assert_eq!(files.count(), 1);
}
