//! Random records.

use std::collections::HashMap;

use proptest::prelude::*;
use trapcast_forecast::Costs;

use super::*;

/// What a stretch of windows of one vCPU is like.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    vcpu: u16,
    /// The core of a stretch that moves its vCPU there.
    moves_to: Option<u8>,
    windows: usize,
    /// Bits in each of which a flag is set in a window.
    flags: [u64; 5],
}

impl Stretch {
    fn events(self) -> impl Iterator<Item = Event> {
        let resumes = u64::from(self.vcpu) * 3;
        // Else vCPUs 0 and 2 run on core 0, 1 and 3 on core 1; 4 on core 0.
        let core = self.moves_to.unwrap_or((self.vcpu % 2) as u8);
        (0..self.windows).map(move |window| {
            let flags = (0..5).fold(0, |flags, flag| {
                let set = self.flags[flag].rotate_right(window as u32) & 1 != 0;
                flags | u8::from(set) << flag
            });
            Event {
                // A few places, some of which share an account.
                pc: (resumes + window as u64 * window as u64 % 7) << 6,
                ..Event::new(self.vcpu, core, flags)
            }
        })
    }
}

/// Bits that are nearly all clear or nearly all set, or random.
fn bits() -> impl Strategy<Value = u64> {
    let sparse = || (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(a, b, c)| a & b & c);
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        any::<u64>(),
        sparse(),
        sparse().prop_map(|bits| !bits)
    ]
}

/// Bits that are clear most of the time.
fn rare_bits() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 1 => (0..64).prop_map(|bit| 1_u64 << bit), 1 => any::<u64>()]
}

/// Sees to it that each vCPU is put before it runs on another core.
pub fn put_before_moves(mut events: Vec<Event>) -> Vec<Event> {
    let mut last = HashMap::new();
    for index in 0..events.len() {
        let event = events[index];
        if let Some(before) = last.insert(event.vcpu, index)
            && events[before].core != event.core
        {
            events[before].flags |= PUT;
        }
    }
    events
}

/// Records of one, three or eight vCPUs on three cores, between which they move: long enough that counts
/// wrap and credits end.
pub fn records() -> impl Strategy<Value = Vec<Event>> {
    prop::sample::select(&[1, 3, 8][..]).prop_flat_map(records_of)
}

pub fn records_of(vcpus: u16) -> impl Strategy<Value = Vec<Event>> {
    let windows = prop_oneof![4 => 1..12_usize, 1 => 1..700_usize];
    let moves_to = prop_oneof![2 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    let flags = (bits(), bits(), rare_bits(), rare_bits(), rare_bits());
    let stretch = (0..vcpus, moves_to, windows, flags).prop_map(
        |(vcpu, moves_to, windows, (used, put, host, powered_on, pending))| Stretch {
            vcpu,
            moves_to,
            windows,
            flags: [used, put, host, powered_on, pending],
        },
    );
    let stretches = prop::collection::vec(stretch, 0..40);
    let events =
        |stretches: Vec<Stretch>| stretches.into_iter().flat_map(Stretch::events).collect();
    stretches.prop_map(move |stretches| put_before_moves(events(stretches)))
}

pub fn costs() -> impl Strategy<Value = Costs> {
    let cost = || prop_oneof![Just(0), 1..5_u32, 1..5000_u32];
    (cost(), cost(), cost(), cost(), cost(), cost()).prop_map(
        |(trap, probe, save, load, gate, isb)| Costs {
            trap,
            probe,
            save,
            load,
            gate,
            isb,
        },
    )
}
