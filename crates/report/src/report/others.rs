//! The six answers for KVM and for Xen, from records of the same guests there, each beside ours of these guests.
//!
//! Records of an observer do not say where a guest's work begins, so all windows count here, those of boots too, in
//! ours as well.

use std::{collections::BTreeMap, path::Path};

use trapcast_forecast::Scheme;
use trapcast_results::Results;
use trapcast_tool::{error::Result, parallel};
use trapcast_trace::report::EXIT_NAMES;

use super::{
    Answer, Material, chances, gains, mistakes, recommendation, schemes, usage,
    words::{self, percent, plain},
};
use crate::{
    analysis::{
        costs::{ENTRIES, Of, mean},
        machine::{self, Machine},
        subject::{self, Subject},
        verdict::guest_time,
    },
    others::{self, Other},
    record::{self, RecordFile},
};

/// The answers in a line, in the order of the questions.
const LINES: [fn(&Material<'_>) -> String; 6] = [
    usage::line,
    chances::line,
    schemes::line,
    mistakes::line,
    gains::line,
    recommendation::line,
];

/// What KVM does by itself, and what it could do.
const OWN: Scheme = Scheme::Kvm;
const RIVALS: [Scheme; 3] = [Scheme::LastTrap, Scheme::Owner, Scheme::Forecast];

/// Kinds of exit that are named.
const NAMED: usize = 3;

/// What another hypervisor's records say to one question.
#[derive(Clone, Debug)]
pub struct Line {
    /// The hypervisor.
    pub other: Other,
    /// What they say, and what ours of the same guests say.
    pub line: String,
}

/// Adds to each answer a line for each other hypervisor that was recorded.
///
/// # Errors
/// Where a record cannot be read; [`Stopped`](trapcast_tool::error::Error::Stopped) on Ctrl-C.
pub fn add(answers: &mut [Answer], results: &Results, records: &Path) -> Result<()> {
    for other in Other::ALL {
        let Some(beside) = Beside::look(other, results, records)? else {
            continue;
        };
        for (number, (answer, line)) in answers.iter_mut().zip(LINES).enumerate() {
            let mut text = beside.both(line);
            match number {
                0 => text += &format!(" {}", beside.why()),
                5 => text += &beside.verdict(),
                _ => {}
            }
            answer.others.push(Line { other, line: text });
        }
    }
    Ok(())
}

/// The same guests on another hypervisor, and on ours.
struct Beside<'a> {
    other: Other,
    theirs: Material<'a>,
    ours: Material<'a>,
    their_shape: Shape,
    our_shape: Shape,
}

impl<'a> Beside<'a> {
    /// Looks at the records of the workloads that both have; `None` if there are none.
    fn look(other: Other, results: &'a Results, records: &Path) -> Result<Option<Self>> {
        let mut machines = machine::all();
        machines.push(Machine::plain(&others::kvm_under_qemu()));
        let mut pairs = BTreeMap::new();
        for result in &results.results {
            let theirs = other.record(records, &result.workload);
            if let Some(ours) = subject::record_of(records, &result.workload)
                && theirs.is_file()
            {
                pairs.insert(result.workload.clone(), [theirs, ours]);
            }
        }
        if pairs.is_empty() {
            return Ok(None);
        }
        let files: Vec<_> = pairs.into_values().flatten().collect();
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let looked = parallel::in_parallel(&files, workers, |file| {
            let subject = subject::look(file, &machines)?.whole();
            Ok((subject, Shape::of(&record::open(file)?)?))
        })?;
        let mut sides = [Vec::new(), Vec::new()];
        let mut shapes = [Shape::default(), Shape::default()];
        for (number, looked) in looked.into_iter().enumerate() {
            let (subject, shape) = looked?;
            sides[number % 2].push(subject);
            shapes[number % 2].add(&shape);
        }
        let material = |subjects| Material {
            results,
            subjects,
            machines: machines.clone(),
            comparison: None,
        };
        let [theirs, ours] = sides.map(material);
        let [their_shape, our_shape] = shapes;
        Ok(Some(Self {
            other,
            theirs,
            ours,
            their_shape,
            our_shape,
        }))
    }

    /// A line of theirs, and the same of ours.
    fn both(&self, line: fn(&Material<'_>) -> String) -> String {
        format!(
            "{} Trapcast with the same guests: {}",
            line(&self.theirs),
            line(&self.ours)
        )
    }

    /// What differs, and why.
    fn why(&self) -> String {
        let of = |shape: &Shape| {
            format!(
                "{} entries and {} loads per million instructions of guests, and {} of loads follow a put of the same vCPU",
                plain(shape.per_million(shape.entries)),
                plain(shape.per_million(shape.loads)),
                percent(shape.reloads as f64 / shape.loads.max(1) as f64)
            )
        };
        let reason = match self.other {
            Other::Kvm => {
                "KVM puts a vCPU at each exit that its VMM answers in user space, as those to the console are, and where a tick of \
                 its host lets another thread run; what a load keeps is cut there."
            }
            Other::Xen => {
                "Xen answers all that its guests ask for at EL2, and puts a vCPU only where it is idle or another one runs."
            }
        };
        format!(
            "There are {} ({}); here {} ({}). {reason}",
            of(&self.their_shape),
            self.their_shape.kinds(),
            of(&self.our_shape),
            self.our_shape.kinds()
        )
    }

    /// What KVM could save; nothing of others.
    fn verdict(&self) -> String {
        if self.other != Other::Kvm {
            return String::new();
        }
        let subjects: Vec<&Subject> = self.theirs.programs();
        let emulated = others::kvm_under_qemu().name;
        let Some(machine) = machine::find(&self.theirs.machines, &emulated) else {
            return String::new();
        };
        let cycles = machine::find(&self.theirs.machines, "kvm-neoverse-n1");
        let saved = |machine: &Machine, scheme| {
            let own = mean(&subjects, machine, Of::Scheme(OWN))?;
            Some(own - mean(&subjects, machine, Of::Scheme(scheme))?)
        };
        let (Some(own), Some(time)) = (
            mean(&subjects, machine, Of::Scheme(OWN)),
            guest_time(&subjects),
        ) else {
            return String::new();
        };
        let rivals = RIVALS.map(|scheme| {
            let instructions = saved(machine, scheme).unwrap_or_default();
            let beside = cycles.and_then(|machine| Some(saved(machine, scheme)? / time));
            let beside = beside.map_or(String::new(), |share| {
                format!(", {} at the cycles of a Neoverse N1", percent(share))
            });
            format!(
                "{scheme} {} ({} of the guests’ time{beside})",
                plain(instructions),
                percent(instructions / time)
            )
        });
        format!(
            " A verdict for KVM: its own scheme, {OWN}, costs {} instructions per {} entries, {} of the guests’ time. \
             Instead, {} would save what follows, and lose it where it is negative: {}. What KVM moves of its host’s registers \
             is not in it, as no scheme here saves that.",
            plain(own),
            words::whole(ENTRIES as u64),
            percent(own / time),
            words::list(&RIVALS.map(|scheme| scheme.to_string())),
            words::list(&rivals)
        )
    }
}

/// How often vCPUs are entered and loaded, and why they are left.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shape {
    entries: u64,
    loads: u64,
    /// Loads whose core ran the same vCPU before.
    reloads: u64,
    instructions: u64,
    exits: BTreeMap<u64, u64>,
}

impl Shape {
    fn of(file: &RecordFile) -> Result<Self> {
        const NAMES: [&str; 6] = [
            "vcpu",
            "core",
            "put",
            "exit_after",
            "start_instructions",
            "end_instructions",
        ];
        let mut shape = Self::default();
        let mut before: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
        let columns = file.columns(0..file.row_group_count(), NAMES);
        let mut columns = columns.map_err(record::told)?;
        while let Some(batch) = columns.next().map_err(record::told)? {
            for row in 0..batch[0].len() {
                let [vcpu, core, put, exit, start, end] = batch.map(|column| column[row]);
                shape.entries += 1;
                shape.instructions += end.saturating_sub(start);
                *shape.exits.entry(exit).or_default() += 1;
                let before = before.insert(core, (vcpu, put != 0));
                if before.is_none_or(|(_, put)| put) {
                    shape.loads += 1;
                    shape.reloads += u64::from(before.is_some_and(|(other, _)| other == vcpu));
                }
            }
        }
        Ok(shape)
    }

    fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.loads += other.loads;
        self.reloads += other.reloads;
        self.instructions += other.instructions;
        for (kind, count) in &other.exits {
            *self.exits.entry(*kind).or_default() += count;
        }
    }

    fn per_million(&self, count: u64) -> f64 {
        1e6 * count as f64 / self.instructions.max(1) as f64
    }

    /// The most frequent kinds of exit, each with its share.
    fn kinds(&self) -> String {
        let mut kinds: Vec<_> = self.exits.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let named = kinds.iter().take(NAMED).map(|(kind, count)| {
            let name = EXIT_NAMES.get(**kind as usize).unwrap_or(&"unknown");
            format!(
                "{name} {}",
                percent(**count as f64 / self.entries.max(1) as f64)
            )
        });
        words::list(&named.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Shape, generate};
    use crate::report::html::Content;
    use trapcast_results::example::results;

    /// Answers to six questions that nobody asked.
    fn answers() -> [Answer; 6] {
        [(); 6].map(|()| Answer {
            question: "",
            line: String::new(),
            short: String::new(),
            others: Vec::new(),
            content: Content::default(),
        })
    }

    #[test]
    fn answers_have_a_line_for_each_hypervisor_that_was_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let records = directory.path();
        let results = results();
        let mut none = answers();
        add(&mut none, &results, records).unwrap();
        assert!(none.iter().all(|answer| answer.others.is_empty()));
        let workload = &results.results[0].workload;
        let ours = records.join(format!("{workload}.owner.parquet"));
        for (file, seed) in [(ours, 1), (Other::Kvm.record(records, workload), 2)] {
            let shape = Shape {
                windows: 2000,
                vcpus: 2,
                seed,
                replay_only: false,
            };
            generate(&file, shape).unwrap();
        }
        let mut answers = answers();
        add(&mut answers, &results, records).unwrap();
        for answer in &answers {
            let [line] = &answer.others[..] else {
                panic!("{:?}", answer.others);
            };
            assert_eq!(line.other, Other::Kvm);
            let both = line.line.split_once(" Trapcast with the same guests: ");
            let (theirs, ours) = both.unwrap_or_else(|| panic!("{}", line.line));
            assert!(!theirs.is_empty() && !ours.is_empty(), "{}", line.line);
        }
        let why = &answers[0].others[0].line;
        assert!(why.contains("loads per million instructions"), "{why}");
        let verdict = &answers[5].others[0].line;
        assert!(
            verdict.contains("A verdict for KVM: its own scheme, kvm, costs"),
            "{verdict}"
        );
    }
}
