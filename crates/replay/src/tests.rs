//! The replay against the state machine itself, brute force, and counts made by hand.

mod brute;
mod by_hand;
mod properties;
mod records;
mod run;
mod unseen;
mod work;

use trapcast_forecast::{Costs, Scheme};

use super::{Event, Follower, Moves, Outcome, Replay, SchemeCounts};

const USED: u8 = Event::USED;
const PUT: u8 = Event::PUT;
const HOST: u8 = Event::HOST;
const POWERED_ON: u8 = Event::POWERED_ON;
const PENDING: u8 = Event::PENDING;

/// Replays `events` under all schemes on so many threads, in pieces of `piece` windows.
fn replay_by(events: &[Event], profiles: &[Costs], threads: usize, piece: usize) -> Outcome {
    pool(threads).install(|| {
        let mut replay = Replay::new(&Scheme::ALL, profiles);
        for piece in events.chunks(piece) {
            replay.add(piece).unwrap();
        }
        replay.finish()
    })
}

fn by_tables(events: &[Event], profiles: &[Costs]) -> Outcome {
    replay_by(events, profiles, 1, events.len().max(1))
}

/// What the state machine counts under a scheme if it is run window by window.
fn followed(scheme: Scheme, costs: &Costs, events: &[Event]) -> SchemeCounts {
    let mut follower = Follower::new(scheme, costs);
    for event in events {
        follower.window(*event, |_| ()).unwrap();
    }
    follower.finish()
}

fn pool(threads: usize) -> rayon::ThreadPool {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
    builder.build().expect("threads can be had")
}
