//! The cheapest decisions over a record by trying all of them, written down from the rules alone.

use std::collections::HashMap;

use trapcast_forecast::Costs;

use super::super::Event;

/// Whose registers a core holds, and whether its gate is open.
type State = (Owner, bool);

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Owner {
    Host,
    Nobody,
    Guest(u16),
}
use Owner::{Guest, Host, Nobody};

const START: State = (Host, false);

/// Moves `owner`'s registers in for those of whoever has them. Nobody's are not moved.
fn exchange((before, open): State, owner: Owner, costs: &Costs) -> (State, u64) {
    let unlock = if open { 0 } else { costs.unlock() };
    let half = |owner, cost: u32| if owner == Nobody { 0 } else { u64::from(cost) };
    let moves = half(before, costs.save) + half(owner, costs.load);
    ((owner, true), unlock + moves)
}

/// What becomes of a state, for what cost, by all that can be decided: they are kept, go to the host, or to
/// nobody.
fn maybe_give_back(state: State, guest: Owner, costs: &Costs) -> Vec<(State, u64)> {
    let mut all = vec![(state, 0)];
    if state.0 == guest {
        all.extend([Host, Nobody].map(|owner| exchange(state, owner, costs)));
    }
    all
}

/// The states behind the gate, open or closed, in which the guest can be entered.
fn entries(state: State, guest: Owner, costs: &Costs) -> Vec<(State, u64)> {
    let mut loaded = vec![(state, 0)];
    if state.0 != guest {
        loaded.push(exchange(state, guest, costs));
    }
    let mut all = Vec::new();
    for ((owner, open), cost) in loaded {
        for gate in [false, true] {
            if !gate || owner == guest {
                let write = if gate == open {
                    0
                } else {
                    u64::from(costs.gate)
                };
                all.push(((owner, gate), cost + write));
            }
        }
    }
    all
}

fn used(state: State, guest: Owner, costs: &Costs) -> (State, u64) {
    match state {
        (_, true) => (state, 0),
        (owner, false) if owner == guest => {
            ((owner, true), u64::from(costs.probe) + costs.unlock())
        }
        (_, false) => {
            let (state, cost) = exchange(state, guest, costs);
            (state, u64::from(costs.trap) + cost)
        }
    }
}

fn host_used(state: State, costs: &Costs) -> (State, u64) {
    match state {
        (Host, true) => (state, 0),
        (Host, false) => ((Host, true), costs.unlock()),
        _ => exchange(state, Host, costs),
    }
}

/// Goes on from each of `states` by `step`.
fn after(
    states: Vec<(State, u64)>,
    step: impl Fn(State) -> Vec<(State, u64)>,
) -> Vec<(State, u64)> {
    let costlier = |(state, cost)| {
        step(state)
            .into_iter()
            .map(move |(next, more)| (next, cost + more))
    };
    states.into_iter().flat_map(costlier).collect()
}

/// All that can become of `state` by one window.
fn window(state: State, event: Event, costs: &Costs) -> Vec<(State, u64)> {
    let guest = Guest(event.vcpu);
    let has = |flag| event.flags & flag != 0;
    let mut states = vec![(state, 0)];
    if has(Event::POWERED_ON) && state.0 == guest {
        states = vec![exchange(state, Host, costs)];
    }
    states = after(states, |state| entries(state, guest, costs));
    if has(Event::USED) {
        states = after(states, |state| vec![used(state, guest, costs)]);
    }
    states = after(states, |state| maybe_give_back(state, guest, costs));
    if has(Event::HOST) {
        states = after(states, |state| vec![host_used(state, costs)]);
    }
    if has(Event::PUT) {
        states = after(states, |state| maybe_give_back(state, guest, costs));
    }
    states
}

/// Returns what the cheapest decisions over a record of one core cost, by going through every
/// sequence of them that does not cost more already than another one is in all.
pub fn cheapest(events: &[Event], costs: &Costs) -> u64 {
    fn search(state: State, spent: u64, events: &[Event], costs: &Costs, best: &mut u64) {
        if spent >= *best {
            return;
        }
        let Some((&event, rest)) = events.split_first() else {
            *best = spent;
            return;
        };
        for (next, cost) in window(state, event, costs) {
            search(next, spent + cost, rest, costs, best);
        }
    }
    let mut best = u64::MAX;
    search(START, 0, events, costs, &mut best);
    best
}

/// What becomes of a core's states when a vCPU leaves it for another one.
fn left(layer: &HashMap<State, u64>, vcpu: u16, costs: &Costs) -> HashMap<State, u64> {
    let mut next = HashMap::new();
    for (&state, &spent) in layer {
        let (state, cost) = match state {
            (Guest(owner), _) if owner == vcpu => exchange(state, Host, costs),
            _ => (state, 0),
        };
        let cheapest = next.entry(state).or_insert(u64::MAX);
        *cheapest = (spent + cost).min(*cheapest);
    }
    next
}

/// Returns what the cheapest decisions cost over a record of any length and number of cores, window
/// by window over all states that a core can be in.
pub fn cheapest_by_layers(events: &[Event], costs: &Costs) -> u64 {
    cheapest_from(0, events, costs)
}

/// The same over the windows from one on, where each core that has run vCPUs begins in any state that it can be
/// in.
pub fn cheapest_from(from: usize, events: &[Event], costs: &Costs) -> u64 {
    let mut cores: HashMap<u8, HashMap<State, u64>> = HashMap::new();
    let mut homes = HashMap::new();
    let (before, counted) = events.split_at(from);
    for event in before {
        homes.insert(event.vcpu, event.core);
        let layer = cores.entry(event.core).or_default();
        for owner in [Host, Nobody] {
            layer.extend([true, false].map(|open| ((owner, open), 0)));
        }
    }
    for (&vcpu, core) in &homes {
        let layer = cores.get_mut(core).unwrap();
        layer.extend([true, false].map(|open| ((Guest(vcpu), open), 0)));
    }
    for &event in counted {
        if let Some(old) = homes.insert(event.vcpu, event.core)
            && old != event.core
            && let Some(layer) = cores.get_mut(&old)
        {
            *layer = left(layer, event.vcpu, costs);
        }
        let layer = cores
            .entry(event.core)
            .or_insert_with(|| HashMap::from([(START, 0)]));
        let mut next = HashMap::new();
        for (&state, &spent) in &*layer {
            for (state, cost) in window(state, event, costs) {
                let cheapest = next.entry(state).or_insert(u64::MAX);
                *cheapest = (spent + cost).min(*cheapest);
            }
        }
        *layer = next;
    }
    let cheapest = |layer: &HashMap<State, u64>| layer.values().min().copied();
    cores.values().filter_map(cheapest).sum()
}
