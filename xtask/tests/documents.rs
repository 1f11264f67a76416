//! What the documents of this checkout say of the study is what its kept results say.

use std::{fs, os::unix::fs::symlink, path::Path};

use xtask::document;

#[path = "../../lab/tests/outside/mod.rs"]
mod outside;

use outside::{refused, trapcast};

/// The checkout that this test is part of.
fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn documents_say_what_the_kept_results_say() {
    let target = checkout().join("target");
    if checkout().join("docs/study/results.json").exists() {
        let output = trapcast(&target, &["document", "--check"]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{told}");
    } else {
        let told = refused(&target, &["document", "--check"]);
        assert!(told.contains("run trapcast study"), "{told}");
    }
}

#[test]
fn results_are_kept_with_the_answers_and_figures_of_their_report() {
    let kept = fs::read(checkout().join("docs/study/results.json")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("results.json");
    fs::write(&file, kept).unwrap();
    let target = checkout().join("target");
    let told = refused(&target, &["document", file.to_str().unwrap()]);
    assert!(told.contains("answers.json"), "{told}");
    assert!(told.contains("trapcast report"), "{told}");
    fs::create_dir(directory.path().join("report")).unwrap();
    fs::write(directory.path().join("report/answers.json"), "[{}]").unwrap();
    let told = refused(&target, &["document", file.to_str().unwrap()]);
    assert!(told.contains("has no answers"), "{told}");
    let answers = checkout().join("docs/study/answers.json");
    fs::copy(answers, directory.path().join("report/answers.json")).unwrap();
    let told = refused(&target, &["document", file.to_str().unwrap()]);
    assert!(told.contains("plane_shared.svg"), "{told}");
}

#[test]
fn the_tables_of_the_study_are_the_commands() {
    for (file, wanted) in [
        ("README.md", &["answers", "table linux-mix"][..]),
        ("docs/study.md", &["workloads", "tables", "table random-29"]),
        (
            "docs/replay.md",
            &["costs linux-mix measured-qemu", "plane linux-mix"],
        ),
        ("docs/forecast.md", &[]),
        (
            "docs/hypervisors.md",
            &[
                "hypervisors policies mix-three",
                "hypervisors exits mix-three",
                "hypervisors switches mix-three",
                "hypervisors use mix-three",
                "hypervisors cheapest mix-three",
            ],
        ),
    ] {
        let text = fs::read_to_string(checkout().join(file)).unwrap();
        let marked = document::marked(&text).unwrap();
        assert!(!marked.is_empty(), "{file} has no markers");
        for words in wanted {
            let found = marked
                .iter()
                .any(|place| place.words == *words && place.is_block);
            assert!(found, "{file} has no block `{words}`");
        }
    }
}

/// What was observed of hypervisors is a source of its own.
#[test]
fn a_document_says_what_the_kept_observations_say() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::create_dir_all(path.join("docs/study")).unwrap();
    for name in ["results.json", "answers.json", "hypervisors.json"] {
        let kept = checkout().join("docs/study").join(name);
        fs::copy(kept, path.join("docs/study").join(name)).unwrap();
    }
    fs::copy(
        checkout().join("docs/hypervisors.md"),
        path.join("docs/hypervisors.md"),
    )
    .unwrap();
    fs::write(path.join("README.md"), "Nothing of the study.\n").unwrap();
    fs::create_dir(path.join("target")).unwrap();
    let check = || trapcast(&path.join("target"), &["document", "--check"]);
    assert!(check().status.success());
    let kept = path.join("docs/study/hypervisors.json");
    let text = fs::read_to_string(&kept).unwrap();
    let mut observed: serde_json::Value = serde_json::from_str(&text).unwrap();
    observed["observations"][0]["summary"]["entries"] = 1.into();
    fs::write(&kept, observed.to_string()).unwrap();
    let output = check();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("docs/hypervisors.md do not say"), "{told}");
    fs::remove_file(kept).unwrap();
    let told = refused(&path.join("target"), &["document", "--check"]);
    assert!(told.contains("run make hypervisors"), "{told}");
}

/// A document that is a link stays one: what it leads to is written.
#[test]
fn a_linked_document_is_written_where_it_lies() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::create_dir_all(path.join("docs/study")).unwrap();
    for name in ["results.json", "answers.json"] {
        let kept = checkout().join("docs/study").join(name);
        fs::copy(kept, path.join("docs/study").join(name)).unwrap();
    }
    let text = |number| {
        format!(
            "Traps: <!-- study: figure never owner plain.total.traps raw -->{number}<!-- /study -->\n"
        )
    };
    fs::write(path.join("real.md"), text("?")).unwrap();
    symlink("real.md", path.join("README.md")).unwrap();
    fs::create_dir(path.join("target")).unwrap();
    let output = trapcast(&path.join("target"), &["document"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(path.join("README.md").is_symlink());
    assert_eq!(fs::read_to_string(path.join("real.md")).unwrap(), text("0"));
    let check = || trapcast(&path.join("target"), &["document", "--check"]);
    assert!(check().status.success());
    fs::write(path.join("real.md"), text("7")).unwrap();
    let output = check();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("README.md do not say"), "{told}");
}
