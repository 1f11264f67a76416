//! Decoding and replaying side by side, and several records at a time.

use rayon::prelude::*;
use trapcast_forecast::{Costs, Resume, Scheme};

use super::{Event, Outcome, Replay};
use trapcast_tool::error::Result;

/// Some windows of a record, and how the guest resumed in each; that may be missing where `forecast` is
/// not replayed.
pub type Part = (Vec<Event>, Vec<Resume>);

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
    P: FnOnce() -> Result<Part> + Send,
{
    let threads = rayon::current_num_threads();
    let mut replay = Replay::new(schemes, profiles);
    let mut parts = parts.into_iter();
    if threads == 1 {
        for part in parts {
            let (events, resumes) = part()?;
            replay.add(&events, &resumes)?;
        }
        return Ok(replay.finish());
    }
    let mut decoded = decode(parts.by_ref().take(threads))?;
    while !decoded.is_empty() {
        let (added, next) = rayon::join(
            || {
                let mut parts = decoded.iter();
                parts.try_for_each(|(events, resumes)| replay.add(events, resumes))
            },
            || decode(parts.by_ref().take(threads)),
        );
        added?;
        decoded = next?;
    }
    Ok(replay.finish())
}

/// Decodes some parts, all at a time.
fn decode<P>(parts: impl Iterator<Item = P>) -> Result<Vec<Part>>
where
    P: FnOnce() -> Result<Part> + Send,
{
    let parts: Vec<_> = parts.collect();
    parts.into_par_iter().map(|part| part()).collect()
}
