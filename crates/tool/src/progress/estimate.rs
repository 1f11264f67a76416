//! How long the rest of many tasks takes, learnt from those that are done.

use std::collections::BTreeMap;

/// Tasks that take about as long as each other: those of one name up to the first `/`.
#[derive(Debug, Default)]
struct Kind {
    /// What one of them is thought to take beside those of other kinds.
    weight: u64,
    left: u64,
    /// How many are done, and how many seconds they took together.
    done: u64,
    seconds: f64,
}

/// The tasks that there are, and what is known of them.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    kinds: BTreeMap<String, Kind>,
    workers: usize,
    tasks: u64,
    done: u64,
}

impl Estimate {
    /// Knows these tasks by their names and weights, `workers` of which are done at a time.
    pub(super) fn new<'a>(tasks: impl IntoIterator<Item = (&'a str, u64)>, workers: usize) -> Self {
        let mut estimate = Self {
            workers: workers.max(1),
            ..Self::default()
        };
        for (name, weight) in tasks {
            let kind = estimate.kinds.entry(kind_of(name).to_string()).or_default();
            kind.weight = weight;
            kind.left += 1;
            estimate.tasks += 1;
        }
        estimate
    }

    /// A task has taken so long.
    pub(super) fn done(&mut self, name: &str, seconds: f64) {
        let kind = self.kinds.entry(kind_of(name).to_string()).or_default();
        kind.left = kind.left.saturating_sub(1);
        kind.done += 1;
        kind.seconds += seconds;
        self.done += 1;
    }

    /// How many tasks are done, and how many there are.
    pub(super) const fn count(&self) -> (u64, u64) {
        (self.done, self.tasks)
    }

    /// Seconds until all are done, where those that are under way have taken so long yet; nothing as
    /// long as nothing is known.
    pub(super) fn seconds_left<'a>(
        &self,
        running: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Option<f64> {
        let known = self.kinds.values();
        let (seconds, weight) = known.fold((0.0, 0), |(seconds, weight), kind| {
            (seconds + kind.seconds, weight + kind.done * kind.weight)
        });
        if weight == 0 {
            return None;
        }
        let one = |kind: &Kind| match kind.done {
            // Nothing is known of this kind but what it was thought to take beside others.
            0 => kind.weight as f64 * seconds / weight as f64,
            done => kind.seconds / done as f64,
        };
        let left: f64 = self
            .kinds
            .values()
            .map(|kind| kind.left as f64 * one(kind))
            .sum();
        let running = running.into_iter().filter_map(|(name, seconds)| {
            let kind = self.kinds.get(kind_of(name))?;
            Some(seconds.min(one(kind)))
        });
        let left_of_it = (left - running.sum::<f64>()).max(0.0);
        let workers = self.workers.min((self.tasks - self.done).max(1) as usize);
        Some(left_of_it / workers as f64)
    }
}

fn kind_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_learnt_from_its_own_tasks_and_another_from_its_weight() {
        let tasks = [
            ("long/a", 100),
            ("long/b", 100),
            ("short/a", 1),
            ("short/b", 1),
        ];
        let mut estimate = Estimate::new(tasks, 1);
        assert_eq!(estimate.seconds_left([]), None);
        estimate.done("long/a", 50.0);
        // Half a second for a unit of weight.
        assert_eq!(estimate.seconds_left([]), Some(50.0 + 2.0 * 0.5));
        // 20 s of the long one are over; of the short one it is thought that all is.
        let running = [("long/b", 20.0), ("short/a", 9.0)];
        assert_eq!(estimate.seconds_left(running), Some(30.0 + 0.5));
        estimate.done("short/a", 10.0);
        assert_eq!(estimate.seconds_left([]), Some(50.0 + 10.0));
        assert_eq!(estimate.count(), (2, 4));
    }

    #[test]
    fn workers_share_what_is_left_as_long_as_there_is_something_for_each() {
        let mut estimate = Estimate::new([("a/1", 1), ("a/2", 1), ("a/3", 1), ("a/4", 1)], 2);
        estimate.done("a/1", 8.0);
        assert_eq!(estimate.seconds_left([]), Some(12.0));
        estimate.done("a/2", 8.0);
        estimate.done("a/3", 8.0);
        assert_eq!(estimate.seconds_left([]), Some(8.0));
        estimate.done("a/4", 8.0);
        assert_eq!(estimate.seconds_left([]), Some(0.0));
    }
}
