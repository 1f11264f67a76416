//! The report of a study: its questions, each answered from the run's own data, with figures, the data
//! behind them, and what is uncertain about them.
//!
//! `docs/report.md` has how each number is computed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    analysis::{
        machine::{self, Machine},
        subject::{self, Sharing, Subject},
    },
    hypervisors::{self, Comparison},
};
use trapcast_results::Results;
use trapcast_tool::{
    error::{Error, Result},
    output, parallel,
};

mod chances;
pub(crate) mod data;
mod distances;
mod files;
mod gains;
pub(crate) mod html;
mod latency;
mod longest;
mod look;
pub(crate) mod markdown;
mod mistakes;
mod others;
mod page;
mod plane;
mod published;
mod recommendation;
mod schemes;
mod usage;
pub(crate) mod words;

use html::Content;

/// The page's name in the study's directory.
pub const PAGE: &str = "report.html";

/// Where the data behind its figures lie, beside it.
pub const DATA: &str = "report";

/// The answers in a file of their own, among the data.
pub const ANSWERS: &str = "answers.json";

/// A question of the report, and its answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Answered {
    /// The question.
    pub question: String,
    /// The answer in a line.
    pub line: String,
    /// The answer in a few sentences with their numbers.
    pub short: String,
    /// A line for each other hypervisor that was asked, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, String>,
}

/// A report that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// Each question with its answer in a sentence, for the terminal.
    pub summary: String,
}

/// What a study is about, looked at.
struct Material<'a> {
    results: &'a Results,
    subjects: Vec<Subject>,
    machines: Vec<Machine>,
    /// What was seen of other hypervisors, if they were observed.
    comparison: Option<Comparison>,
}

/// The answer to one question.
struct Answer {
    /// The question.
    question: &'static str,
    /// The answer in a line, for the opening.
    line: String,
    /// The answer in a few sentences with their numbers.
    short: String,
    /// A line for each other hypervisor that was asked.
    others: Vec<others::Line>,
    /// The answer at length.
    content: Content,
}

/// Writes the report of a study to `output`: the page, and the data beside it. `records` is the directory of
/// the study's records.
///
/// # Errors
/// [`Error::Input`] where records are missing or cannot be read, or the report cannot be written;
/// [`Error::Stopped`] on Ctrl-C.
pub fn write(results: &Results, records: &Path, output: &Path) -> Result<Written> {
    let page = output.join(PAGE);
    let begun = output::begin(&page)?;
    let machines = machine::all();
    let subjects = subjects(results, records, &machines)?;
    let material = Material {
        results,
        subjects,
        machines,
        comparison: comparison(records)?,
    };
    let mut answers = [
        usage::answer(&material),
        chances::answer(&material),
        schemes::answer(&material),
        mistakes::answer(&material),
        gains::answer(&material),
        recommendation::answer(&material),
    ];
    others::add(&mut answers, results, records)?;
    let data = output.join(DATA);
    for content in answers.iter().map(|answer| &answer.content) {
        for table in &content.tables {
            files::write(table, &data)?;
        }
        for picture in &content.pictures {
            let path = data.join(format!("{}.svg", picture.name));
            output::write(&path, picture.svg.as_bytes())?;
        }
    }
    output::write(&data.join(ANSWERS), answered(&answers).as_bytes())?;
    begun.put(page::render(&material, &answers).as_bytes())?;
    Ok(Written {
        page,
        summary: summary(&answers),
    })
}

/// What `make hypervisors` has left beside the directory of the records.
fn comparison(records: &Path) -> Result<Option<Comparison>> {
    let file = records.with_file_name(hypervisors::FILE);
    file.exists().then(|| Comparison::read(&file)).transpose()
}

/// Looks at the records of all workloads that have one, in the order of the results.
fn subjects(results: &Results, records: &Path, machines: &[Machine]) -> Result<Vec<Subject>> {
    let mut seen = BTreeSet::new();
    let names = results.results.iter().map(|result| &result.workload);
    let files: Vec<_> = names
        .filter(|name| seen.insert(name.as_str()))
        .filter_map(|name| subject::record_of(records, name))
        .collect();
    if files.is_empty() {
        return Err(Error::input(format!(
            "there are no records of the study in {}: run trapcast study",
            records.display()
        )));
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let looked = parallel::in_parallel(&files, workers, |file| subject::look(file, machines))?;
    looked.into_iter().collect()
}

/// The answers as JSON.
fn answered(answers: &[Answer]) -> String {
    let answered: Vec<Answered> = answers
        .iter()
        .map(|answer| Answered {
            question: answer.question.to_string(),
            line: answer.line.clone(),
            short: answer.short.clone(),
            others: answer
                .others
                .iter()
                .map(|line| (line.other.title().to_string(), line.line.clone()))
                .collect(),
        })
        .collect();
    serde_json::to_string_pretty(&answered).expect("texts have a JSON form") + "\n"
}

/// Width of the summary on the terminal.
const WIDTH: usize = 110;

fn summary(answers: &[Answer]) -> String {
    let mut text = String::new();
    for (number, answer) in (1..).zip(answers) {
        let line = words::wrapped(&answer.line, WIDTH, "   ");
        text += &format!("{number}. {}\n{line}\n", answer.question);
    }
    text
}

impl Material<'_> {
    /// The workloads of Linux guests: programs that people run. All, if there is no such workload.
    fn programs(&self) -> Vec<&Subject> {
        self.programs_of(|_| true)
    }

    /// The same of those that share cores like this.
    fn sharing(&self, sharing: Sharing) -> Vec<&Subject> {
        self.programs_of(|subject| subject.sharing == sharing)
    }

    fn programs_of(&self, wanted: impl Fn(&Subject) -> bool) -> Vec<&Subject> {
        let all = self.subjects.iter().filter(|subject| wanted(subject));
        let programs: Vec<_> = all.clone().filter(|subject| subject.runs_linux).collect();
        if programs.is_empty() {
            all.collect()
        } else {
            programs
        }
    }

    /// All workloads, those of Linux guests first, each group with a name.
    fn in_order(&self) -> Vec<(&'static str, Vec<&Subject>)> {
        let (linux, made): (Vec<_>, Vec<_>) = self.subjects.iter().partition(|s| s.runs_linux);
        let groups = [("Linux guests", linux), ("guests made for a pattern", made)];
        groups
            .into_iter()
            .filter(|(_, group)| !group.is_empty())
            .collect()
    }

    /// The machine of a name.
    fn machine(&self, name: &str) -> &Machine {
        machine::find(&self.machines, name).expect("the machine is one of all")
    }
}
