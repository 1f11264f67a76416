//! EL2 in layers: reads the imports and paths of `hypervisor/src` and fails on an arrow upwards, and on a circle within
//! a layer.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// From the ground up. Each may use itself and those before it.
const LAYERS: [&str; 8] = [
    "arch", "board", "state", "sched", "exits", "run", "entry", "boot",
];

/// What has methods in `state` alone: a method elsewhere would be an arrow that no import shows.
const STATE: [&str; 3] = ["Core", "Vcpu", "Vm"];

/// A use of `to`, a path behind `el2`, in a line of a file.
#[derive(Debug)]
struct Arrow {
    line: usize,
    to: Vec<String>,
}

/// The text without comments, and with what stands in string literals left out.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut chars = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => {
                if chars.next() == Some('\n') {
                    code.push('\n');
                }
            }
            '"' => in_string = !in_string,
            '\n' => code.push('\n'),
            _ if in_string => {}
            '/' if chars.peek() == Some(&'/') => while chars.next_if(|c| *c != '\n').is_some() {},
            '\'' if chars.peek() == Some(&'"') => {
                chars.next();
            }
            _ => code.push(c),
        }
    }
    code
}

/// The names that a path goes on with: `a::{b, c::d}::...` is `a::b` and `a::c::d`. Returns how much of the text that is.
fn paths(text: &str, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let space = rest.len() - rest.trim_start().len();
        let name_end = rest[space..]
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(rest.len(), |end| space + end);
        if rest[space..].starts_with('{') {
            at += space + 1;
            loop {
                at += paths(&text[at..], &path, found);
                let end = text[at..]
                    .find([',', '}'])
                    .expect("a group of imports ends");
                let closed = text[at + end..].starts_with('}');
                at += end + 1;
                let rest = text[at..].trim_start();
                if closed || rest.starts_with('}') {
                    return at;
                }
            }
        }
        if name_end > space {
            path.push(rest[space..name_end].to_string());
            at += name_end;
        }
        if !text[at..].starts_with("::") {
            found.push(path);
            return at;
        }
        at += 2;
    }
}

/// All uses of paths that begin at `el2`.
fn arrows(code: &str) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for (at, start) in code.match_indices("crate::el2::") {
        let mut found = Vec::new();
        paths(&code[at + start.len()..], &[], &mut found);
        let line = code[..at].matches('\n').count() + 1;
        arrows.extend(found.into_iter().map(|to| Arrow { line, to }));
    }
    arrows
}

/// What is wrong with these files, by their paths in `src/el2`, each with what to do.
fn faults(files: &BTreeMap<String, String>) -> String {
    let mut faults = String::new();
    let mut fault = |file: &str, line: usize, what: &str| {
        writeln!(faults, "hypervisor/src/el2/{file}:{line}: {what}").expect("a string grows");
    };
    let height = |layer: &str| LAYERS.iter().position(|other| *other == layer);
    // Of each file, which others of its layer it uses, and where.
    let mut beside: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for (file, text) in files {
        let code = code(text);
        let (layer, name) = file.split_once('/').unwrap_or(("", file));
        let Some(at) = height(layer) else {
            if file != "mod.rs" {
                let layers = LAYERS.join(", ");
                fault(file, 1, &format!("put this file into a layer: {layers}"));
            }
            continue;
        };
        for (line, text) in code.lines().enumerate() {
            if text.contains("super::") {
                fault(
                    file,
                    line + 1,
                    "name the whole path, crate::el2::LAYER::...",
                );
            }
            let of = text
                .strip_prefix("impl ")
                .and_then(|rest| rest.split([' ', '<']).next());
            if layer != "state" && of.is_some_and(|of| STATE.contains(&of)) {
                let what = "make these functions that take it by reference: methods hide arrows";
                fault(file, line + 1, what);
            }
        }
        for Arrow { line, to } in arrows(&code) {
            let target = to.first().map_or("", String::as_str);
            match height(target) {
                Some(other) if other > at => {
                    let what = format!(
                        "{layer} is below {target} and may not use {}: move what it needs down to {layer}, or \
                         have the caller hand it in",
                        to.join("::")
                    );
                    fault(file, line, &what);
                }
                Some(other) if other == at => {
                    let module = to.get(1).map_or("", String::as_str);
                    if format!("{module}.rs") == name {
                        continue;
                    }
                    let uses = beside.entry(file).or_default();
                    uses.entry(format!("{layer}/{module}.rs")).or_insert(line);
                }
                Some(_) => {}
                None => fault(file, line, "only layers stand in el2: name one"),
            }
        }
    }
    // What is left when files that use none that is left are taken away, again and again, are circles.
    loop {
        let left: Vec<&str> = beside.keys().copied().collect();
        let before = left.len();
        beside.retain(|_, uses| uses.keys().any(|used| left.contains(&used.as_str())));
        if beside.len() == before {
            break;
        }
    }
    for (file, uses) in &beside {
        for (used, line) in uses
            .iter()
            .filter(|(used, _)| beside.contains_key(used.as_str()))
        {
            let what = format!("part of, or above, a circle by its use of {used}: break it up");
            fault(file, *line, &what);
        }
    }
    faults
}

/// The Rust files below a directory, by their paths in it.
fn read(directory: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open: Vec<PathBuf> = vec![directory.to_path_buf()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap();
            files.insert(name.to_string(), fs::read_to_string(&path).unwrap());
        }
    }
    files
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn arrows_run_downwards() {
    let files = read(&source().join("el2"));
    assert!(files.len() > 40, "{:?}", files.keys());
    let faults = faults(&files);
    assert!(faults.is_empty(), "\n{faults}");
}

/// What computes alone, beside `el2`, knows nothing of it.
#[test]
fn what_computes_knows_no_el2() {
    for (file, text) in read(&source()) {
        if file != "main.rs" && !file.starts_with("el2/") {
            let code = code(&text);
            let line = code.lines().position(|line| line.contains("crate::el2"));
            assert_eq!(line, None, "hypervisor/src/{file} uses el2: hand it in");
        }
    }
}

#[test]
fn each_fault_is_found_and_told_where() {
    let faults = |files: &[(&str, &str)]| {
        let files = files
            .iter()
            .map(|(name, text)| (name.to_string(), text.to_string()));
        faults(&files.collect())
    };
    let sound = "//! crate::el2::boot::start\nuse crate::el2::{\n    arch::sysreg::isb,\n    board::{self, gic},\n};\n\
                 fn f() { say!(\"crate::el2::run::enter\"); crate::el2::state::core::g() }\n";
    assert_eq!(
        faults(&[("state/vm.rs", sound), ("mod.rs", "mod arch;\n")]),
        ""
    );
    for (file, text, wanted) in [
        (
            "board/gic.rs",
            "use crate::el2::{\n    arch::{sysreg, wait::{Lock}},\n    state::core::Core,\n};\n",
            "board/gic.rs:1: board is below state and may not use state::core::Core: move",
        ),
        (
            "arch/timer.rs",
            "\nfn f() {\n    crate::el2::run::enter::exited()\n}\n",
            "arch/timer.rs:3: arch is below run and may not use run::enter::exited",
        ),
        (
            "sched/a.rs",
            "impl Core {\n}\n",
            "sched/a.rs:1: make these functions",
        ),
        (
            "exits/a.rs",
            "\nuse super::mmio;\n",
            "exits/a.rs:2: name the whole path",
        ),
        ("gic.rs", "", "gic.rs:1: put this file into a layer"),
        (
            "run/a.rs",
            "use crate::el2::vm::Vm;\n",
            "run/a.rs:1: only layers",
        ),
    ] {
        let told = faults(&[(file, text)]);
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    let circle = [
        ("sched/a.rs", "use crate::el2::sched::b;\n"),
        ("sched/b.rs", "\nuse crate::el2::{arch::x, sched::c::f};\n"),
        ("sched/c.rs", "use crate::el2::sched::{a, d};\n"),
        ("sched/d.rs", ""),
    ];
    let told = faults(&circle);
    for wanted in [
        "a.rs:1: ",
        "b.rs:2: ",
        "c.rs:1: part of, or above, a circle by its use of sched/a.rs",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(!told.contains("d.rs"), "{told}");
    assert_eq!(faults(&circle[1..]), "");
}
