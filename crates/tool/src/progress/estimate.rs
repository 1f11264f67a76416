//! How long the rest of many tasks takes, learnt from those that are done.

use std::collections::BTreeMap;

/// Tasks of which one takes as long as another of its weight: those of one name up to the first `/`.
#[derive(Debug, Default)]
struct Kind {
    /// What those that are left are thought to take beside those of other kinds.
    left: u64,
    /// The same of those that are done, and how many seconds they took together.
    done: u64,
    seconds: f64,
}

/// The tasks that there are, and what is known of them.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    kinds: BTreeMap<String, Kind>,
    /// By name, of those that are left.
    weights: BTreeMap<String, u64>,
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
            kind.left += weight;
            estimate.weights.insert(name.to_string(), weight);
            estimate.tasks += 1;
        }
        estimate
    }

    /// A task has taken so long.
    pub(super) fn done(&mut self, name: &str, seconds: f64) {
        let weight = self.weights.remove(name).unwrap_or_default();
        let kind = self.kinds.entry(kind_of(name).to_string()).or_default();
        kind.left = kind.left.saturating_sub(weight);
        kind.done += weight;
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
            (seconds + kind.seconds, weight + kind.done)
        });
        if weight == 0 {
            return None;
        }
        // Of a kind of which nothing is known, what it was thought to take beside others.
        let of_weight = |kind: &Kind| match kind.done {
            0 => seconds / weight as f64,
            done => kind.seconds / done as f64,
        };
        let kinds = self.kinds.values();
        let left: f64 = kinds.map(|kind| kind.left as f64 * of_weight(kind)).sum();
        let (mut over, mut longest) = (0.0, 0.0_f64);
        for (name, seconds) in running {
            if let Some((kind, &weight)) = self.kinds.get(kind_of(name)).zip(self.weights.get(name))
            {
                let task = weight as f64 * of_weight(kind);
                over += seconds.min(task);
                longest = longest.max(task - seconds);
            }
        }
        let workers = self.workers.min((self.tasks - self.done).max(1) as usize);
        // One that is long may outlast all others.
        Some(((left - over).max(0.0) / workers as f64).max(longest))
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

    #[test]
    fn a_long_task_outlasts_the_short_ones_beside_it() {
        let mut estimate = Estimate::new([("a", 1), ("b/1", 10), ("b/2", 100)], 2);
        estimate.done("a", 1.0);
        assert_eq!(estimate.seconds_left([("b/2", 5.0)]), Some(95.0));
    }

    /// Something like a full study: workloads of 18 runs, the longest first, each with replays that take a
    /// tenth of its runs, forty times what they are thought to. Returns how the time left that is shown
    /// compares with what it turns out to be, at its worst from a tenth of all on.
    fn worst(replays_at_the_end: bool) -> f64 {
        const RUNS: u64 = 18;
        // Marsaglia's xorshift; a factor between a half and two.
        let mut random = 0x9e37_79b9_u32;
        let mut factor = move || {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            (f64::from(random) / f64::from(u32::MAX) * 2.0 - 1.0).exp2()
        };
        let (mut tasks, mut replays) = (Vec::new(), Vec::new());
        for workload in 0..40_u64 {
            let weight = 1000 / (workload + 4);
            let seconds = weight as f64 / 20.0 * factor();
            for run in 0..RUNS {
                tasks.push((
                    format!("{workload}/{run}"),
                    weight,
                    seconds * factor().powf(0.2),
                ));
            }
            let all = seconds * RUNS as f64;
            let replay = (format!("replay/{workload}"), 1 + weight / 20, all / 10.0);
            match replays_at_the_end {
                true => replays.push(replay),
                false => tasks.push(replay),
            }
        }
        tasks.extend(replays);
        let known = tasks
            .iter()
            .map(|(name, weight, _)| (name.as_str(), *weight));
        let mut estimate = Estimate::new(known, 2);
        // When each worker is done with what it does, and what that is.
        let mut workers: [(f64, Option<(&str, f64)>); 2] = [(0.0, None); 2];
        let mut shown = Vec::new();
        let mut left = tasks.iter();
        loop {
            workers.sort_by(|a, b| a.0.total_cmp(&b.0));
            let [first, second] = &mut workers;
            if let Some((name, seconds)) = first.1.take() {
                estimate.done(name, seconds);
                let beside = second
                    .1
                    .map(|(name, seconds)| (name, seconds - (second.0 - first.0)));
                shown.extend(
                    estimate
                        .seconds_left(beside)
                        .map(|seconds| (first.0, seconds)),
                );
            }
            match left.next() {
                Some((name, _, seconds)) => *first = (first.0 + seconds, Some((name, *seconds))),
                None if second.1.is_none() => break,
                None => first.0 = f64::INFINITY,
            }
        }
        let end = shown.last().expect("some were done").0;
        let errors = shown.iter().filter_map(|(at, seconds)| {
            let left = end - at;
            (*at > end / 10.0 && left > 5.0).then(|| (seconds / left).max(left / seconds))
        });
        errors.fold(1.0, f64::max)
    }

    #[test]
    fn the_time_left_is_right_within_half_as_much_again_to_the_end() {
        let worst = worst(false);
        assert!(worst < 1.5, "{worst}");
    }

    /// So nothing may be left for the end that takes longer than it was thought to.
    #[test]
    fn what_comes_at_the_end_alone_comes_as_a_surprise() {
        let worst = worst(true);
        assert!(worst > 2.0, "{worst}");
    }
}
