//! Arrows between crates run downwards only.
//!
//! A crate may use those of lower layers, and none of its own or a higher one, in what it builds and in its tests. So
//! whoever takes a crate takes what is below it and nothing else.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use toml::Table;

/// The layers, the lowest first.
const LAYERS: &[&[&str]] = &[
    &[
        "trapcast-fpsimd",
        "trapcast-forecast",
        "trapcast-trace",
        "trapcast-guests",
    ],
    &["trapcast-switch", "trapcast-profile"],
    &[
        "trapcast-hypervisor",
        "trapcast-observer",
        "trapcast-record",
        "trapcast-results",
        "trapcast-tool",
    ],
    &[
        "trapcast-import",
        "trapcast-machine",
        "trapcast-observe",
        "trapcast-replay",
    ],
    &["trapcast-report"],
    &["trapcast-study"],
    &["trapcast", "xtask"],
];

/// A crate's name, and its manifest.
type Manifests = BTreeMap<String, (PathBuf, Table)>;

/// The crates of this workspace.
fn manifests() -> Manifests {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &Path| fs::read_to_string(path).unwrap().parse::<Table>().unwrap();
    let workspace = read(&checkout.join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let manifest = |member: &toml::Value| {
        let path = Path::new(member.as_str().unwrap()).join("Cargo.toml");
        let manifest = read(&checkout.join(&path));
        let name = manifest["package"]["name"].as_str().unwrap().to_string();
        (name, (path, manifest))
    };
    members.iter().map(manifest).collect()
}

/// Each arrow that does not run downwards, as a sentence.
fn upward(manifests: &Manifests, layers: &[&[&str]]) -> Vec<String> {
    let layer = |name: &str| layers.iter().position(|layer| layer.contains(&name));
    let mut found = Vec::new();
    for (name, (path, manifest)) in manifests {
        let path = path.display();
        let Some(own) = layer(name) else {
            found.push(format!("{path}: {name} has no layer: put it into LAYERS"));
            continue;
        };
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let used = manifest.get(kind).and_then(toml::Value::as_table);
            for used in used.into_iter().flat_map(Table::keys) {
                let is_ours = manifests.contains_key(used) && used != name;
                if is_ours && layer(used).is_some_and(|layer| layer >= own) {
                    found.push(format!(
                        "{path}: {name} uses {used}, which is not below it: move what it needs down"
                    ));
                }
            }
        }
    }
    found
}

#[test]
fn crates_use_only_what_is_below_them() {
    let found = upward(&manifests(), LAYERS);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn an_arrow_upwards_and_a_crate_without_a_layer_are_found() {
    let mut manifests = manifests();
    let (_, profile) = manifests.get_mut("trapcast-profile").unwrap();
    let dependencies = profile["dependencies"].as_table_mut().unwrap();
    dependencies.insert("trapcast-machine".into(), Table::new().into());
    let found = upward(&manifests, LAYERS);
    let wanted =
        "crates/profile/Cargo.toml: trapcast-profile uses trapcast-machine, which is not below";
    assert!(
        found.len() == 1 && found[0].starts_with(wanted),
        "{found:?}"
    );
    let found = upward(&manifests, &LAYERS[1..]);
    assert!(
        found
            .iter()
            .any(|told| told.contains("trapcast-trace has no layer")),
        "{found:?}"
    );
}
