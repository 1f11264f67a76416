//! One workload of a study: its record, looked at window by window and replayed.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use trapcast_forecast::{Costs, Scheme};

use super::{
    machine::Machine,
    modes::{Modes, Spread},
    sample,
    usage::{Gaps, Splitter, Usage},
};
use crate::{record, replaying};
use trapcast_replay::Outcome;
use trapcast_results::plane;
use trapcast_tool::error::Result;

/// The scheme whose record represents a workload: it moves least, and so disturbs least.
const REFERENCE: Scheme = Scheme::Owner;

/// Whom a workload's vCPUs share cores with.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Sharing {
    /// One vCPU has the core for itself.
    Own,
    /// Several vCPUs take turns on one core.
    Shared,
    /// Several vCPUs move about several cores.
    Several,
}

impl Sharing {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Own, Self::Shared, Self::Several];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "a core of its own",
            Self::Shared => "shared core",
            Self::Several => "several cores",
        }
    }

    /// Where those of the kind are meant, in a sentence.
    pub const fn place(self) -> &'static str {
        match self {
            Self::Own => "on a core of its own",
            Self::Shared => "on a shared core",
            Self::Several => "over several cores",
        }
    }
}

/// The windows of one kind, all of them and those of the program at work.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Windows {
    /// All.
    pub all: Usage,
    /// Those of the program at work; `None` if the record does not say where it began.
    pub work: Option<Usage>,
}

impl Windows {
    /// The program's where it is known which they are, else all.
    pub fn best(&self) -> &Usage {
        self.work.as_ref().unwrap_or(&self.all)
    }
}

/// One workload of a study.
#[derive(Debug)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Whether all of its guests are Linux; else some were made to use the registers by a pattern.
    pub runs_linux: bool,
    /// Whom its vCPUs share cores with.
    pub sharing: Sharing,
    /// The scheme under which it was recorded.
    pub recorded_under: String,
    /// Windows from an entry to its exit.
    pub entry: Windows,
    /// Windows from load to put.
    pub load: Windows,
    /// How far apart uses are.
    pub gaps: Gaps,
    /// Ticks per second.
    pub counter_frequency: u64,
    /// How its tasks use the registers.
    pub tasks: Spread,
    /// How its resume points do.
    pub points: Spread,
    /// Instructions that its guests retired; `None` on several cores, of which each counts those of all.
    pub guest_instructions: Option<u64>,
    /// Every scheme over its record, for every machine.
    pub outcome: Outcome,
    /// What its (T, C) plane is made of.
    pub plane: plane::Counts,
}

impl Subject {
    /// The same with all windows, those before the program's work too.
    #[must_use]
    pub fn whole(mut self) -> Self {
        for windows in [&mut self.entry, &mut self.load] {
            windows.work = None;
        }
        self
    }

    /// Entries into its guests.
    pub const fn entries(&self) -> u64 {
        self.outcome.windows.entry.windows
    }
}

/// The record that represents a workload, if one can.
pub fn record_of(records: &Path, workload: &str) -> Option<PathBuf> {
    let others = Scheme::ALL.into_iter().rev();
    let schemes = std::iter::once(REFERENCE).chain(others.filter(|s| *s != Scheme::None));
    schemes
        .map(|scheme| records.join(format!("{workload}.{scheme}.parquet")))
        .find(|file| file.is_file())
}

/// Looks at a record, and replays it for some machines.
///
/// # Errors
/// [`Input`](trapcast_tool::error::Error::Input) where the record cannot be read or has no windows; [`Stopped`](trapcast_tool::error::Error::Stopped) on Ctrl-C.
pub fn look(path: &Path, machines: &[Machine]) -> Result<Subject> {
    let file = record::open(path)?;
    let work_begins = file.work_begins().map_err(record::told)?;
    let metadata = file.metadata();
    let mut splitter = Splitter::new(metadata.vcpus.len());
    let mut modes = Modes::default();
    let (mut vcpus, mut cores) = (BTreeSet::new(), BTreeSet::new());
    let mut instructions = 0;
    sample::read(&file, &work_begins, |sample| {
        splitter.add(sample);
        modes.add(sample);
        vcpus.insert(sample.vcpu);
        cores.insert(sample.core);
        instructions += sample.instructions;
    })?;
    let known = work_begins.values().any(|row| *row > 0);
    let windows = |phases: &super::usage::Phases| Windows {
        all: phases.all.usage(),
        work: known.then(|| phases.work.usage()),
    };
    Ok(Subject {
        name: metadata.workload.clone(),
        runs_linux: metadata.linux,
        sharing: match (cores.len(), vcpus.len()) {
            (2.., _) => Sharing::Several,
            (_, 2..) => Sharing::Shared,
            _ => Sharing::Own,
        },
        recorded_under: metadata.scheme.clone(),
        entry: windows(&splitter.entry),
        load: windows(&splitter.load),
        gaps: splitter.gaps,
        counter_frequency: metadata.counter_frequency,
        tasks: modes.tasks(),
        points: modes.points(),
        guest_instructions: (cores.len() == 1).then_some(instructions),
        outcome: replaying::outcome(&file, &Scheme::ALL, &distinct(machines))?,
        plane: replaying::plane_counts(&file)?,
    })
}

/// The costs of some machines, each once.
fn distinct(machines: &[Machine]) -> Vec<Costs> {
    let mut distinct = Vec::new();
    for machine in machines {
        if !distinct.contains(&machine.costs) {
            distinct.push(machine.costs);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use trapcast_trace::record::{Flags, Record};

    use super::*;
    use crate::{
        analysis::machine,
        record::{End, Metadata, RecordWriter, Shape, Vcpu, generate},
    };

    fn generated(windows: u64, vcpus: u16) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made.owner.parquet");
        let shape = Shape {
            windows,
            vcpus,
            seed: 1,
            replay_only: false,
        };
        generate(&path, shape).unwrap();
        (directory, path)
    }

    #[test]
    fn the_windows_looked_at_are_those_that_are_replayed() {
        let (_directory, path) = generated(3000, 3);
        let machines = &machine::all()[..2];
        let subject = look(&path, machines).unwrap();
        let replayed = &subject.outcome.windows;
        assert_eq!(subject.entry.all.windows, replayed.entry.windows);
        assert_eq!(subject.entry.all.used, replayed.entry.used);
        assert_eq!(subject.load.all.windows, replayed.load.windows);
        assert_eq!(subject.load.all.used, replayed.load.used);
        let [_, [use_none, use_use]] = replayed.load.pairs;
        let share = |part: u64, other: u64| Some(part as f64 / (part + other) as f64);
        assert_eq!(subject.load.all.after_use.value, share(use_use, use_none));
        assert_eq!(subject.sharing, Sharing::Shared);
        assert_eq!(subject.outcome.oracles.len(), 2);
        assert_eq!(subject.entry.work, None);
    }

    #[test]
    fn work_begins_behind_the_mark() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("marked.owner.parquet");
        let metadata = Metadata {
            vcpus: vec![Vcpu::default(), Vcpu { vm: 1, index: 0 }],
            ..Metadata::default()
        };
        let mut writer = RecordWriter::create(&path, metadata).unwrap();
        // VM 0 boots for nine windows of its own, and goes on at once; VM 1 never says where its work begins.
        for row in 0..100_u64 {
            let mut flags = Flags::LOADED | Flags::PUT;
            flags.set(Flags::FP, row >= 20);
            flags.set(Flags::MARK, row == 16);
            let record = Record {
                vcpu: (row / 2 % 2) as u16,
                flags: flags.bits(),
                start: row,
                ..Record::default()
            };
            writer.push(0, &[record]).unwrap();
        }
        writer.finish(End::default()).unwrap();
        let subject = look(&path, &[]).unwrap();
        assert_eq!(subject.entry.all.windows, 100);
        let work = subject.entry.best();
        assert_eq!((work.windows, work.used), (91, 80));
        assert_eq!(subject.load.best().windows, 91);
        assert_eq!(subject.sharing, Sharing::Shared);
    }

    #[test]
    fn the_reference_scheme_stands_for_a_workload_and_none_never_does() {
        let directory = tempfile::tempdir().unwrap();
        let find = || record_of(directory.path(), "linux");
        let add = |scheme: &str| {
            let file = directory.path().join(format!("linux.{scheme}.parquet"));
            std::fs::write(&file, "").unwrap();
            Some(file)
        };
        add("none");
        assert_eq!(find(), None);
        let eager = add("eager");
        assert_eq!(find(), eager);
        let owner = add("owner");
        assert_eq!(find(), owner);
    }
}
