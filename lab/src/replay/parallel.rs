//! Decoding and replaying side by side, and several records at a time.

use rayon::prelude::*;
use trapcast_forecast::{Costs, Scheme};

use super::{Event, Outcome, Replay};
use crate::error::Result;

/// Replays one record: `schemes`, and an oracle for each of `profiles`, over the windows that `parts`
/// decode to, one after the other.
///
/// While some parts are replayed, the next ones are decoded, as many at a time as the current rayon
/// pool has threads. So the memory is that of twice as many decoded parts: a part should stand for
/// no more than a million windows, which are 4 MB.
///
/// # Errors
/// The first that a part gives, or that [`Replay::add`] gives.
pub fn replay<P>(
    schemes: &[Scheme],
    profiles: &[Costs],
    parts: impl IntoIterator<Item = P, IntoIter: Send>,
) -> Result<Outcome>
where
    P: FnOnce() -> Result<Vec<Event>> + Send,
{
    let threads = rayon::current_num_threads();
    let mut replay = Replay::new(schemes, profiles);
    let mut parts = parts.into_iter();
    if threads == 1 {
        for part in parts {
            replay.add(&part()?)?;
        }
        return Ok(replay.finish());
    }
    let mut decoded = decode(parts.by_ref().take(threads))?;
    while !decoded.is_empty() {
        let (added, next) = rayon::join(
            || decoded.iter().try_for_each(|events| replay.add(events)),
            || decode(parts.by_ref().take(threads)),
        );
        added?;
        decoded = next?;
    }
    Ok(replay.finish())
}

/// Decodes some parts, all at a time.
fn decode<P>(parts: impl Iterator<Item = P>) -> Result<Vec<Vec<Event>>>
where
    P: FnOnce() -> Result<Vec<Event>> + Send,
{
    let parts: Vec<_> = parts.collect();
    parts.into_par_iter().map(|part| part()).collect()
}
