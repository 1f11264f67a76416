//! Several things at a time, with their answers in order.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::error::{Error, Result};

/// How many threads, or QEMUs at once, suit this machine.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Calls `one` for each of `items`, up to `workers` at a time, and returns what it answers in their
/// order.
pub fn all<I: Sync, T: Send>(items: &[I], workers: usize, one: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let answers: Vec<_> = items.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((item, answer)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).zip(answers.get(index))
        } {
            let result = one(item);
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.min(items.len()) {
            scope.spawn(work);
        }
        work();
    });
    answers
        .into_iter()
        .filter_map(|answer| answer.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}

/// Does all `jobs`, up to `workers` at a time. One that fails does not stop the others.
///
/// # Errors
/// [`Error::Stopped`] if one was: those that were not begun are left out. The first [`Error::Input`]: it is the same for every job, so that one sentence about it is enough.
pub fn in_parallel<J: Sync, T: Send>(
    jobs: &[J],
    workers: usize,
    run: impl Fn(&J) -> Result<T> + Sync,
) -> Result<Vec<Result<T>>> {
    let stopped = OnceLock::new();
    let outcomes = all(jobs, workers, |job| {
        if let Some(&signal) = stopped.get() {
            return Err(Error::Stopped(signal));
        }
        let outcome = run(job);
        if let Err(Error::Stopped(signal)) = &outcome {
            // Whichever was first.
            let _ = stopped.set(*signal);
        }
        outcome
    });
    for outcome in &outcomes {
        if let Err(error @ (Error::Stopped(_) | Error::Input(_))) = outcome {
            return Err(error.clone());
        }
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..100).collect();
        let square = |job: &u64| {
            thread::yield_now();
            if *job == 7 {
                return Err(Error::run("it broke"));
            }
            Ok(job * job)
        };
        for workers in [0, 1, 3, 200] {
            let outcomes = in_parallel(&jobs, workers, square).unwrap();
            assert_eq!(outcomes.len(), jobs.len());
            for (job, outcome) in outcomes.into_iter().enumerate() {
                assert_eq!(outcome, square(&(job as u64)));
            }
        }
    }

    #[test]
    fn an_interrupt_ends_all_and_input_errors_are_told_once() {
        let ran = AtomicUsize::new(0);
        let interrupted = in_parallel(&[0; 50], 1, |_| {
            ran.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Error::Stopped(15))
        });
        assert_eq!(interrupted, Err(Error::Stopped(15)));
        assert_eq!(ran.into_inner(), 1);
        let missing = in_parallel(&[0; 2], 2, |_| Err::<(), _>(Error::input("no kernel")));
        assert_eq!(missing, Err(Error::input("no kernel")));
    }
}
