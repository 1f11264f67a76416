//! `cargo xtask document`: what the documents say of the study, written from its stored results.
//!
//! The text between `<!-- study: WORDS -->` and `<!-- /study -->` is the command's. The word `answers` means
//! the questions of the study's report and its answers, which are kept beside the results; `hypervisors` and a part
//! mean what was observed of hypervisors, which is kept there, too, and `others NAME` what the study's answers are there;
//! `content` says what other words may be. All else
//! is left as it is.

mod content;
mod layout;
mod markers;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use trapcast_report::{
    ANSWERS, Answered, DATA,
    hypervisors::{self, Comparison},
    stored,
};
use trapcast_results::Results;
use trapcast_tool::{
    error::{Error, Result},
    output,
    paths::Paths,
};

pub use markers::{Marked, marked, rewritten};

/// Where a checkout keeps the results that its documents are written from.
const KEPT: &str = "docs/study/results.json";

/// Where it keeps the answers of their report.
const KEPT_ANSWERS: &str = "docs/study/answers.json";

/// Where it keeps those figures of their report that documents show.
pub(crate) const KEPT_FIGURES: &str = "docs/study";

/// What its help ends with.
pub const EXAMPLES: &str = "\
Examples:
  trapcast study --full && cargo xtask document target/study/results.json
                             keeps these results, and of their report the answers and the figures that documents
                             show, in docs/study, and writes the documents from them
  cargo xtask document          writes the documents from the results that are kept
  cargo xtask document --check  whether they say what these results say

Exit status 1: a document says something else.";

/// Arguments of `cargo xtask document`.
#[derive(Debug, Args)]
pub struct DocumentArgs {
    /// Results to keep in the checkout, without the counters of single vCPUs [default: those that are
    /// kept]
    #[arg(value_name = "RESULTS", conflicts_with = "check")]
    pub results: Option<PathBuf>,
    /// Writes nothing, and fails if a document differs from what would be written
    #[arg(long)]
    pub check: bool,
}

/// Writes the documents of a checkout, or checks them.
///
/// # Errors
/// [`Error::Input`] where results are missing or a document's markers are wrong; [`Error::Run`] where a
/// document to be checked differs, or one cannot be written.
pub fn run(arguments: &DocumentArgs, paths: &Paths) -> Result<String> {
    let checkout = paths.checkout();
    let kept = checkout.join(KEPT);
    let results = match &arguments.results {
        Some(file) => complete(stored::read(file)?, file)?.compact(),
        None => stored::read(&kept)?,
    };
    let kept_answers = checkout.join(KEPT_ANSWERS);
    let answers = answers(&match &arguments.results {
        Some(file) => of_report(file, ANSWERS),
        None => kept_answers.clone(),
    })?;
    // Read where a document asks for it.
    let mut comparison = None;
    let mut content = |words: &str| match words.split_once(' ') {
        None if words == "answers" => Ok(listed(&answers)),
        Some(("hypervisors", part)) => {
            let comparison = match &comparison {
                Some(comparison) => comparison,
                None => comparison.insert(Comparison::read(
                    &checkout.join(KEPT_FIGURES).join(hypervisors::FILE),
                )?),
            };
            comparison.part(&part.split_whitespace().collect::<Vec<_>>())
        }
        Some(("others", name)) => others(&answers, name),
        _ => content::of(words, &results),
    };
    let mut shown = BTreeSet::new();
    let mut changed = Vec::new();
    let mut new = Vec::new();
    for file in documents(checkout)? {
        let text = fs::read_to_string(&file)
            .map_err(|error| Error::input(format!("cannot read {}: {error}", file.display())))?;
        shown.extend(figures(&text));
        let named = |error: Error| Error::input(format!("{}: {error}", file.display()));
        let written = rewritten(&text, &mut content).map_err(named)?;
        if written != text {
            changed.push(file.display().to_string());
            new.push((file, written));
        }
    }
    if arguments.check && !changed.is_empty() {
        return Err(Error::run(format!(
            "{} do not say what {} says: run cargo xtask document",
            changed.join(", "),
            kept.display()
        )));
    }
    // Nothing is written before everything is known to be sound.
    if let Some(file) = &arguments.results {
        let figures: Result<Vec<_>> = shown
            .iter()
            .map(|name| Ok((name, read(&of_report(file, name))?)))
            .collect();
        let figures = figures?;
        output::write(&kept, &layout::json(&results)?)?;
        let json = serde_json::to_string_pretty(&answers).expect("texts have a JSON form");
        output::write(&kept_answers, (json + "\n").as_bytes())?;
        for (name, figure) in &figures {
            output::write(&checkout.join(KEPT_FIGURES).join(name), figure)?;
        }
    }
    for (file, text) in &new {
        output::write(file, text.as_bytes())?;
    }
    Ok(match changed.as_slice() {
        [] => "every document says what the results say\n".to_string(),
        changed => format!("{} written\n", changed.join(", ")),
    })
}

/// What the report of these results has left among its data.
fn of_report(results: &Path, name: &str) -> PathBuf {
    let directory = results.parent().unwrap_or(Path::new("."));
    directory.join(DATA).join(name)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| {
        Error::input(format!(
            "cannot read {} of the results' report: {error}; trapcast report DIR writes it",
            file.display()
        ))
    })
}

fn answers(file: &Path) -> Result<Vec<Answered>> {
    serde_json::from_slice(&read(file)?)
        .map_err(|error| Error::input(format!("{} has no answers: {error}", file.display())))
}

/// The kept figures that a document shows.
fn figures(text: &str) -> impl Iterator<Item = String> {
    let targets = text.split("](").skip(1);
    targets.filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        let (directory, name) = target.rsplit_once('/')?;
        let is_kept = KEPT_FIGURES.ends_with(directory) && name.ends_with(".svg");
        is_kept.then(|| name.to_string())
    })
}

/// Questions and answers as a Markdown list.
fn listed(answers: &[Answered]) -> String {
    let item = |(number, answered): (usize, &Answered)| {
        format!("{number}. **{}** {}\n", answered.question, answered.line)
    };
    (1..).zip(answers).map(item).collect()
}

/// What the records of another hypervisor say to the questions, as a Markdown list.
fn others(answers: &[Answered], name: &str) -> Result<String> {
    let items = (1..).zip(answers).filter_map(|(number, answered)| {
        let line = answered.others.get(name)?;
        Some(format!("{number}. **{}** {line}\n", answered.question))
    });
    match items.collect::<String>() {
        none if none.is_empty() => Err(Error::input(format!(
            "the answers have nothing of {name}: run trapcast study --full"
        ))),
        items => Ok(items),
    }
}

/// Refuses results that are no base for documents.
fn complete(results: Results, file: &Path) -> Result<Results> {
    match results.failures.len() {
        0 => Ok(results),
        count => Err(Error::input(format!(
            "{} has {count} failures: documents are written from studies without failures",
            file.display()
        ))),
    }
}

/// The documents that may contain a study's results.
fn documents(checkout: &Path) -> Result<Vec<PathBuf>> {
    let directory = checkout.join("docs");
    let entries = fs::read_dir(&directory)
        .map_err(|error| Error::input(format!("cannot read {}: {error}", directory.display())))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|ending| ending == "md"))
        .collect();
    files.sort();
    files.insert(0, checkout.join("README.md"));
    Ok(files)
}
