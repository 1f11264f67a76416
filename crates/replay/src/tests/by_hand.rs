//! Counts and costs that were worked out by hand.

use trapcast_forecast::Release;
use trapcast_switch::Tally;

use super::*;

/// Two vCPUs on one core: the registers are used, kept, wanted by the other one and by the host.
pub const TRACE: [Event; 6] = [
    Event::new(0, 0, USED),
    Event::new(0, 0, 0),
    Event::new(0, 0, USED | PUT),
    Event::new(1, 0, USED | HOST),
    Event::new(1, 0, PUT),
    Event::new(0, 0, USED),
];

#[test]
fn each_scheme_counts_what_was_worked_out_by_hand() {
    let all = SchemeCounts {
        entries: 6,
        puts: 2,
        ..SchemeCounts::default()
    };
    let until_put = SchemeCounts {
        traps: 3,
        give_backs: 1,
        host_evictions: 1,
        forecast: [[0, 2], [0, 0]],
        gate_writes: 5,
        isbs: 3,
        asked: 3,
        told: 2,
        held: 1,
        ..all
    };
    let none = SchemeCounts {
        forecast: [[0, 0], [2, 4]],
        gate_writes: 1,
        asked: 6,
        told: 6,
        ..all
    };
    let eager = SchemeCounts {
        eager_loads: 6,
        give_backs: 6,
        wasted_loads: 2,
        forecast: [[0, 0], [2, 4]],
        gate_writes: 1,
        isbs: 1,
        asked: 6,
        told: 6,
        ..all
    };
    let per_entry = SchemeCounts {
        traps: 4,
        give_backs: 4,
        forecast: [[2, 4], [0, 0]],
        gate_writes: 7,
        isbs: 4,
        asked: 6,
        told: 6,
        ..all
    };
    let last_trap = SchemeCounts {
        traps: 3,
        eager_loads: 3,
        give_backs: 6,
        wasted_loads: 2,
        forecast: [[0, 3], [2, 1]],
        gate_writes: 5,
        isbs: 3,
        asked: 6,
        told: 6,
        ..all
    };
    let credit = SchemeCounts {
        traps: 2,
        eager_loads: 1,
        ..until_put
    };
    let owner = SchemeCounts {
        give_backs: 0,
        ..until_put
    };
    // vCPU 0 is loaded at its first two loads, vCPU 1 at its own, and again after the host's use.
    let eager_until_put = SchemeCounts {
        eager_loads: 4,
        give_backs: 2,
        host_evictions: 1,
        forecast: [[0, 0], [0, 2]],
        gate_writes: 1,
        isbs: 1,
        held: 1,
        wasted_loads: 0,
        asked: 3,
        told: 2,
        ..all
    };
    // Its put saves, and vCPU 1, which comes next, only loads.
    let kvm = SchemeCounts {
        without_save: 1,
        without_load: 1,
        ..until_put
    };
    // It is asked at each entry that finds others'.
    let eager_owner = SchemeCounts {
        give_backs: 0,
        asked: 4,
        ..eager_until_put
    };
    let expected = [
        none,
        eager,
        per_entry,
        last_trap,
        until_put,
        eager_until_put,
        kvm,
        until_put,
        credit,
        owner,
        eager_owner,
    ];
    let outcome = by_tables(&TRACE, &[]);
    assert_eq!(outcome.schemes.len(), expected.len());
    for (found, expected) in outcome.schemes.iter().zip(expected) {
        assert_eq!(found.total, expected, "{}", found.scheme);
    }
    let costs = Costs {
        save: 3,
        load: 5,
        ..Costs::FREE
    };
    assert_eq!(until_put.moves().cost(&costs), 5 * (3 + 5));
    assert_eq!(kvm.moves().cost(&costs), 4 * 3 + 4 * 5);
    assert_eq!(
        (until_put.loads(), until_put.saves(), until_put.exchanges()),
        (3, 2, 5)
    );
}

#[test]
fn windows_are_counted_by_what_they_and_the_one_before_did() {
    let windows = by_tables(&TRACE, &[]).windows;
    let figures = |tally: &Tally| (tally.windows, tally.used, tally.pairs);
    assert_eq!(figures(&windows.entry), (6, 4, [[0, 1], [2, 1]]));
    assert_eq!(figures(&windows.load), (2, 2, [[0, 0], [0, 0]]));
}

#[test]
fn the_host_takes_the_registers_from_whoever_owns_them() {
    // vCPU 1 runs while vCPU 0's registers are in the core, and so the host takes those.
    let events = [
        Event::new(0, 0, USED | PUT),
        Event::new(1, 0, HOST),
        Event::new(1, 0, USED | HOST),
    ];
    let outcome = by_tables(&events, &[]);
    let owner = outcome.scheme(Scheme::Owner, &Costs::FREE).unwrap();
    assert_eq!(owner.total.host_evictions, 2);
    // Its gate was closed when vCPU 1 came, opened for the host, and so on.
    assert_eq!((owner.total.gate_writes, owner.total.isbs), (5, 3));
}

#[test]
fn a_vcpu_that_is_turned_on_gives_its_registers_back_first() {
    let events = [
        Event::new(0, 0, USED | PUT),
        Event::new(0, 0, USED | POWERED_ON),
    ];
    let outcome = by_tables(&events, &[]);
    let owner = outcome.scheme(Scheme::Owner, &Costs::FREE).unwrap().total;
    assert_eq!((owner.traps, owner.give_backs, owner.held), (2, 1, 1));
}

#[test]
fn a_vcpu_that_moves_is_fetched_if_its_registers_are_still_there() {
    let stays = [
        Event::new(0, 0, USED | PUT),
        Event::new(0, 1, USED | PUT),
        Event::new(1, 0, USED),
    ];
    let taken = [
        Event::new(0, 0, USED | PUT),
        Event::new(1, 0, USED | PUT),
        Event::new(0, 1, USED),
    ];
    let costs = Costs {
        save: 1,
        load: 1,
        ..Costs::default()
    };
    // The oracle leaves the old core to nobody where that is left for good.
    for (events, fetches, least) in [(stays, 1, 6), (taken, 0, 6)] {
        let outcome = by_tables(&events, &[costs]);
        for scheme in outcome
            .schemes
            .iter()
            .map(|found| (found.scheme, found.total))
        {
            // Only those that give them back on demand leave them there.
            let fetched = if scheme.0.release() == Release::OnDemand {
                fetches
            } else {
                0
            };
            assert_eq!(scheme.1.fetches, fetched, "{}", scheme.0);
        }
        let Moves { saves, loads, .. } = outcome.oracles[0].moves;
        assert_eq!(saves + loads, least);
        assert_eq!(brute::cheapest_by_layers(&events, &costs), least);
    }
}

#[test]
fn the_oracle_of_a_known_trace_costs_what_was_worked_out_by_hand() {
    let costs = Costs {
        trap: 1000,
        probe: 900,
        save: 30,
        load: 40,
        gate: 5,
        isb: 7,
    };
    let oracle = by_tables(&TRACE, &[costs]).oracles[0];
    // vCPU 0, vCPU 1, the host, vCPU 0 again. The gate opens for the first, is closed for the window
    // that does not use the registers, which the host owns then, and opens once more.
    assert_eq!((oracle.moves.saves, oracle.moves.loads), (4, 4));
    assert_eq!((oracle.moves.traps, oracle.moves.probes), (0, 0));
    assert_eq!(oracle.cost(), 4 * 70 + (5 + 7) + (5 + 5 + 7));
}

#[test]
fn the_oracle_gives_registers_back_early_where_that_saves_a_write_of_the_gate() {
    let costs = Costs {
        load: 1,
        gate: 1,
        ..Costs::default()
    };
    let events = [
        Event::new(1, 0, USED),
        Event::new(0, 0, 0),
        Event::new(1, 0, POWERED_ON),
    ];
    // Open, load; save for free, close. To keep them means to open and close the gate once more, and to load the
    // host's.
    assert_eq!(by_tables(&events, &[costs]).oracles[0].cost(), 2 + 1);
    assert_eq!(brute::cheapest(&events, &costs), 2 + 1);
}

#[test]
fn standings_are_over_the_oracle_and_the_cheaper_fixed_scheme() {
    let costs = Costs {
        trap: 100,
        save: 10,
        load: 10,
        ..Costs::default()
    };
    let outcome = by_tables(&TRACE, &[costs]);
    assert_eq!(outcome.cost(Scheme::Eager, &costs), Some(12 * 20));
    assert_eq!(
        outcome.cost(Scheme::PerEntry, &costs),
        Some(4 * 100 + 8 * 20)
    );
    assert_eq!(outcome.fixed_cost(&costs), Some(240));
    assert_eq!(outcome.oracles[0].cost(), 80);
    let standing = outcome
        .standing(Scheme::PerEntry, &outcome.oracles[0])
        .unwrap();
    assert_eq!(standing.over_oracle, Some(7.0));
    assert_eq!(standing.over_fixed, Some(560.0 / 240.0));
}
