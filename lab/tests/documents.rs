//! What the documents of this checkout say of the study is what its kept results say.

use std::{fs, path::Path};

use trapcast::document;

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
fn the_tables_of_the_study_are_the_commands() {
    for (file, wanted) in [
        (
            "README.md",
            &[
                "table linux-mix",
                "costs linux-mix measured-qemu",
                "plane linux-mix",
            ][..],
        ),
        ("docs/study.md", &["workloads", "tables"]),
        ("docs/forecast.md", &[]),
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
