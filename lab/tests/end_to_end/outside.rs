//! The study as users run it: interrupted and resumed, verified, and with a guest that
//! fails.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use trapcast_report::record::RecordFile;
use trapcast_results::Results;
use trapcast_tool::{output, paths::Paths};

use crate::{
    Add,
    support::{Outcomes, check},
};

/// A study of eight runs, each of which takes a fraction of a second.
const TINY: &[&str] = &[
    "study",
    "--workload",
    "never",
    "--workload",
    "always",
    "--scheme",
    "owner",
    "--scheme",
    "eager",
];

/// The trials of this file.
pub fn trials(add: &mut Add) {
    for (name, signal, code) in [
        ("interrupt", Signal::INT, Some(130)),
        ("kill", Signal::KILL, None),
    ] {
        add(
            format!("study/resumes_after_{name}"),
            Box::new(move |paths| resumes(paths, signal, code)),
        );
    }
    add("study/courses".into(), Box::new(courses));
    add("study/verifies_and_documents".into(), Box::new(verifies));
    add("study/failing_guest_is_quoted".into(), Box::new(failing));
}

/// `trapcast` with these arguments.
fn trapcast(target: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trapcast"));
    command
        .arg("--target")
        .arg(target)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it, and returns its exit status and what it said on standard error.
fn ended(mut command: Command) -> Result<(Output, String), Failed> {
    let output = command.output()?;
    let said = String::from_utf8(output.stderr.clone())?;
    Ok((output, said))
}

/// Runs the tiny study into a directory, with these arguments besides.
fn tiny(paths: &Paths, arguments: &[&str], output: &Path) -> Command {
    let mut command = trapcast(paths.target(), TINY);
    command.args(arguments).arg("-o").arg(output);
    command
}

fn name(path: &Path) -> Result<&str, Failed> {
    path.to_str().ok_or_else(|| "a name of other bytes".into())
}

fn results(directory: &Path) -> Result<Value, Failed> {
    let text = fs::read(directory.join("results.json"))?;
    Ok(serde_json::from_slice(&text)?)
}

/// Finished runs that a study has kept.
fn kept(directory: &Path) -> usize {
    let files = fs::read_dir(directory.join("runs"))
        .into_iter()
        .flatten()
        .flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".json")).count()
}

/// A study that a signal ended continues where it was, with the same result.
fn resumes(paths: &Paths, signal: Signal, code: Option<i32>) -> Outcomes {
    let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
    let [whole, cut] = directories.each_ref().map(tempfile::TempDir::path);
    let (output, said) = ended(tiny(paths, &[], whole))?;
    check(
        output.status.success() && !said.contains("taken over"),
        || said,
    )?;

    let mut study = tiny(paths, &["--jobs", "1"], cut).spawn()?;
    let limit = Instant::now() + Duration::from_secs(60);
    while kept(cut) < 2 {
        check(Instant::now() < limit, || "no run ends".to_string())?;
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&study), signal)?;
    let status = study.wait()?;
    check(status.code() == code, || format!("it ended with {status}"))?;
    let done = kept(cut);
    check(done < 8 && !cut.join("results.json").exists(), || {
        format!("it had done {done} of 8 runs")
    })?;
    let (output, said) = ended(trapcast(paths.target(), &["report", name(cut)?]))?;
    let told = format!(
        "is not finished: go on with {} --target",
        env!("CARGO_BIN_EXE_trapcast")
    );
    check(
        output.status.code() == Some(2) && said.contains(&told) && said.contains(" --jobs 1 -o "),
        || said,
    )?;

    let (output, said) = ended(tiny(paths, &[], cut))?;
    let told = format!("trapcast: {done} of 8 runs were done before and are taken over");
    check(output.status.success() && said.contains(&told), || {
        said.clone()
    })?;
    let lines = said
        .lines()
        .filter(|line| line.ends_with("done") || line.contains(": done  ("));
    let ran = lines.filter(|line| !line.contains("replay/")).count();
    check(ran == 8 - done, || format!("{ran} runs were done: {said}"))?;
    let [mut first, mut second] = [results(whole)?, results(cut)?];
    for results in [&mut first, &mut second] {
        results["timing"].take();
    }
    check(first == second, || "the results differ".to_string())?;
    // All of other conditions is done again.
    let (output, said) = ended(tiny(paths, &["--slice", "5000"], cut))?;
    check(
        output.status.success() && !said.contains("taken over"),
        || said,
    )?;
    let (output, said) = ended(tiny(paths, &["--slice", "5000", "--fresh"], cut))?;
    check(
        output.status.success() && !said.contains("taken over"),
        || said,
    )
}

/// Courses of a Linux guest differ in what they say that they do and in what was seen, each repeats to the last byte, and
/// a study that was interrupted, or had fewer courses, does only those that are left.
fn courses(paths: &Paths) -> Outcomes {
    const RECORDS: [&str; 2] = ["linux.owner.parquet", "linux.owner.course-1.parquet"];
    let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
    let [whole, cut] = directories.each_ref().map(tempfile::TempDir::path);
    let study = |courses: &str, output: &Path| {
        let mut command = trapcast(
            paths.target(),
            &[
                "study",
                "--workload",
                "linux",
                "--scheme",
                "owner",
                "--courses",
                courses,
                "-o",
            ],
        );
        command.arg(output);
        command
    };
    let (output, said) = ended(study("2", whole))?;
    check(output.status.success(), || said)?;
    let files = RECORDS.map(|name| whole.join("records").join(name));
    let [first, second] = files.each_ref().map(|file| RecordFile::open(file));
    let (first, second) = (first?, second?);
    let said = |record: &RecordFile| {
        let metadata = record.metadata();
        (metadata.course, metadata.slice, metadata.seed)
    };
    // docs/study.md: the first is what the workload says, and nothing of it is moved.
    check(said(&first) == (0, None, 1), || {
        format!("{:?}", said(&first))
    })?;
    let (course, slice, seed) = said(&second);
    let near = |slice: u32| slice != 10_000 && slice.abs_diff(10_000) <= 150;
    check((course, seed) == (1, 11) && slice.is_some_and(near), || {
        format!("{:?}", said(&second))
    })?;
    check(first.metadata().linux && second.metadata().linux, || {
        "not said to be of Linux guests only".to_string()
    })?;
    // What a guest does once it begins to work depends on its input.
    check(first.windows() != second.windows(), || {
        format!("both have {} windows", first.windows())
    })?;

    let mut interrupted = study("2", cut).args(["--jobs", "1"]).spawn()?;
    let limit = Instant::now() + Duration::from_secs(120);
    while kept(cut) < 1 {
        check(Instant::now() < limit, || "no run ends".to_string())?;
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&interrupted), Signal::KILL)?;
    interrupted.wait()?;
    let done = kept(cut);
    check(done < 3, || format!("it had done {done} of 3 runs"))?;
    for (courses, told) in [
        ("1", format!("trapcast: {done} of 2 runs were done before")),
        ("2", "trapcast: 2 of 3 runs were done before".to_string()),
        ("2", "trapcast: 3 of 3 runs were done before".to_string()),
    ] {
        let (output, said) = ended(study(courses, cut))?;
        check(output.status.success() && said.contains(&told), || said)?;
    }
    for (name, file) in RECORDS.iter().zip(&files) {
        let [one, other] = [file, &cut.join("records").join(name)].map(fs::read);
        check(one? == other?, || format!("{name} differs"))?;
    }
    let [mut first, mut second] = [results(whole)?, results(cut)?];
    for results in [&mut first, &mut second] {
        results["timing"].take();
    }
    let further = first["further_courses"].as_array().map_or(0, Vec::len);
    check(first == second && further == 1, || {
        format!("{further} further courses; {first}\n\n{second}")
    })
}

/// A stored study is the same when it is run again, as a whole and as the checkout keeps it; a digit that
/// was changed is named.
fn verifies(paths: &Paths) -> Outcomes {
    let checkout = tempfile::tempdir()?;
    let docs = checkout.path().join("docs");
    let study = checkout.path().join("study");
    let (output, said) = ended(tiny(paths, &[], &study))?;
    check(output.status.success(), || said)?;

    let file = study.join("results.json");
    let whole: Results = serde_json::from_slice(&fs::read(&file)?)?;
    fs::create_dir_all(docs.join("study"))?;
    let kept = docs.join("study/results.json");
    fs::write(&kept, output::json(&whole.compact())?)?;
    let verify = |stored: &Path| {
        let mut command = trapcast(paths.target(), &["study", "--verify"]);
        command.arg(stored);
        ended(command)
    };
    for stored in [study.clone(), kept] {
        let (output, said) = verify(&stored)?;
        let printed = String::from_utf8(output.stdout)?;
        check(output.status.success(), || format!("{printed}{said}"))?;
        check(
            printed == "The same to the last digit: 4 results.\n",
            || printed.clone(),
        )?;
    }
    let mut changed = results(&study)?;
    let entries = &mut changed["results"][3]["plain"]["total"]["entries"];
    let right = entries.as_u64().ok_or("no entries")?;
    *entries = (right + 1).into();
    changed["versions"]["commit"] = "another".into();
    fs::write(&file, serde_json::to_vec(&changed)?)?;
    let (output, said) = verify(&study)?;
    let printed = String::from_utf8(output.stdout)?;
    check(output.status.code() == Some(1), || {
        format!("{printed}{said}")
    })?;
    let place = format!(
        "\n1 value differs:\n  .results[3].plain.total.entries (always/eager): stored {}, found {right}\n",
        right + 1
    );
    check(
        printed.starts_with("The versions differ, which is the likely reason")
            && printed.contains(".versions.commit: stored \"another\"")
            && printed.ends_with(&place),
        || printed.clone(),
    )
}

/// A Linux whose init is no program panics: it is quoted, and the others remain.
fn failing(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let target = directory.path().join("target");
    let guest = target.join("guest");
    fs::create_dir_all(&guest)?;
    for part in [
        "el2",
        "guest/Image",
        "guest/versions.json",
        "guest/versions-userland.json",
    ] {
        symlink(paths.target().canonicalize()?.join(part), target.join(part))?;
    }
    fs::write(guest.join("busybox"), "no program")?;
    let output = directory.path().join("study");
    let mut command = trapcast(&target, &TINY[..5]);
    command
        .args(["--workload", "linux", "--scheme", "owner", "-o"])
        .arg(&output);
    let (ended, said) = ended(command)?;
    check(ended.status.code() == Some(1), || said.clone())?;
    check(
        said.contains("linux/owner") && said.contains("  | ") && said.contains("Kernel panic"),
        || said.clone(),
    )?;
    let results = results(&output)?;
    let rows = results["results"].as_array().ok_or("no rows")?;
    check(
        rows.len() == 3
            && rows[..2]
                .iter()
                .all(|row| row["integrity"]["verdict"] == "clean")
            && rows[..2]
                .iter()
                .all(|row| row["figures"]["accuracy"].is_f64())
            && results["failures"]
                .as_array()
                .is_some_and(|failures| !failures.is_empty()),
        || results.to_string(),
    )
}
