//! What holds for any record, whatever moves cost.

use proptest::prelude::*;
use trapcast_forecast::Release;
use trapcast_switch::Tally;

use super::{records::*, *};

proptest! {
    /// The tables, the threads and the pieces that a record comes in change nothing: the counts are those of
    /// the state machine, and the schemes decide by the same costs.
    #[test]
    fn tables_count_what_the_state_machine_counts(
        events in records(),
        piece in 1..3000_usize,
        threads in 1..5_usize,
        profiles in prop::collection::vec(costs(), 1..3),
    ) {
        let found = replay_by(&events, &profiles, threads, piece);
        for of_scheme in &found.schemes {
            let costs = of_scheme.costs.unwrap_or(Costs::FREE);
            let expected = followed(of_scheme.scheme, &costs, &events);
            prop_assert_eq!(of_scheme.total, expected, "{}", of_scheme.scheme);
        }
        let mut not_pending = events.clone();
        not_pending.iter_mut().for_each(|event| event.flags &= !PENDING);
        for not_prompt in &found.not_prompt {
            let costs = not_prompt.costs.unwrap();
            let expected = followed(Scheme::Forecast, &costs, &not_pending);
            prop_assert_eq!(not_prompt.total, expected);
        }
        let distinct = profiles.len();
        prop_assert_eq!(found.schemes.len(), Scheme::RULES.len() + distinct);
        prop_assert_eq!((found.not_prompt.len(), found.oracles.len()), (distinct, distinct));
        prop_assert_eq!(by_tables(&events, &profiles), found);
    }

    /// What an observer counts of the windows is what the replay counts without it.
    #[test]
    fn watching_changes_no_count(events in records()) {
        let outcome = by_tables(&events, &[]);
        for of_scheme in &outcome.schemes {
            let mut follower = Follower::new(of_scheme.scheme, &Costs::FREE);
            for event in &events {
                follower.window(*event, |_| ()).unwrap();
            }
            let sum = |of: fn(&trapcast_switch::Counts) -> u64| -> u64 {
                follower.observed_counts().map(of).sum()
            };
            let plain = of_scheme.total;
            prop_assert_eq!(sum(|counts| counts.entries), plain.entries);
            prop_assert_eq!(sum(|counts| counts.puts), plain.puts);
            prop_assert_eq!(sum(|counts| counts.traps), plain.traps);
            prop_assert_eq!(sum(|counts| counts.eager_loads), plain.eager_loads);
            prop_assert_eq!(sum(|counts| counts.give_backs), plain.give_backs);
            prop_assert_eq!(sum(|counts| counts.fetches), plain.fetches);
            for (of, tally) in [
                (
                    (|counts| &counts.entry_windows) as fn(&trapcast_switch::Counts) -> &Tally,
                    &outcome.windows.entry,
                ),
                (|counts| &counts.load_windows, &outcome.windows.load),
            ] {
                let sum = |part: fn(&Tally) -> u64| -> u64 {
                    follower.observed_counts().map(|counts| part(of(counts))).sum()
                };
                prop_assert_eq!(sum(|tally| tally.windows), tally.windows);
                prop_assert_eq!(sum(|tally| tally.used), tally.used);
                prop_assert_eq!(sum(|tally| tally.pairs[0][1]), tally.pairs[0][1]);
                prop_assert_eq!(sum(|tally| tally.pairs[1][1]), tally.pairs[1][1]);
            }
        }
    }

    /// `forecast` is replayed with an interrupt going first and without: beside the same windows in none of
    /// which one is pending, and in all of which one is.
    #[test]
    fn a_pending_interrupt_goes_first_or_not(events in records(), costs in costs()) {
        let replayed = |pending: u8| {
            let events = events.iter().map(|event| Event {
                flags: event.flags & !PENDING | pending,
                ..*event
            });
            by_tables(&events.collect::<Vec<_>>(), &[costs])
        };
        let (never, always) = (replayed(0), replayed(PENDING));
        let of = |outcome: &Outcome| outcome.scheme(Scheme::Forecast, &costs).unwrap().total;
        prop_assert_eq!(Some(of(&never).moves().cost(&costs)), never.cost_not_prompt(&costs));
        prop_assert_eq!(never.cost_not_prompt(&costs), always.cost_not_prompt(&costs));
        prop_assert_eq!(of(&always).eager_loads, 0);
        prop_assert_eq!(always.cost(Scheme::Forecast, &costs), always.cost(Scheme::Owner, &costs));
    }

    /// Registers are lost no more often than they were loaded, and as often if they are given back
    /// at every exit. What the host finds that is nobody's was lost before.
    #[test]
    fn registers_are_lost_as_often_as_they_are_loaded(events in records()) {
        for scheme in by_tables(&events, &[]).schemes {
            let counts = scheme.total;
            let mut losses = counts.give_backs + counts.fetches + counts.held;
            if scheme.scheme.release() != Release::Drop {
                losses += counts.host_evictions;
                prop_assert_eq!((counts.without_save, counts.without_load), (0, 0));
            } else {
                // Nobody's registers go to somebody, but for what the cores end with.
                let cores = 4;
                prop_assert!(counts.without_save <= counts.without_load);
                prop_assert!(counts.without_load <= counts.without_save + cores);
            }
            prop_assert!(losses <= counts.loads(), "{}: {counts:?}", scheme.scheme);
            // Under the others, they may also be lost to another guest's.
            if scheme.scheme.release() == Release::Exit {
                prop_assert_eq!(losses, counts.loads(), "{}", scheme.scheme);
            }
        }
    }

    /// The oracle's shortcuts leave out nothing, however long the record is.
    #[test]
    fn the_oracle_is_the_cheapest_over_long_records(events in records(), costs in costs()) {
        let outcome = by_tables(&events, &[costs]);
        prop_assert_eq!(outcome.oracles[0].cost(), brute::cheapest_by_layers(&events, &costs));
    }

    /// No scheme that is right beats it.
    #[test]
    fn no_scheme_beats_the_oracle(events in records(), costs in costs()) {
        let outcome = by_tables(&events, &[costs]);
        for scheme in Scheme::RULES.into_iter().filter(|&scheme| scheme != Scheme::None) {
            let cost = outcome.cost(scheme, &costs).unwrap();
            prop_assert!(cost >= outcome.oracles[0].cost(), "{scheme}");
        }
    }

    /// On short records it costs what the best of all sequences of decisions costs, those that give
    /// registers back early among them.
    #[test]
    fn the_oracle_is_the_cheapest_of_all_sequences(
        windows in prop::collection::vec((0..3_u16, 0..16_u8, any::<bool>()), 1..=8),
        costs in costs(),
    ) {
        let events: Vec<_> = windows
            .into_iter()
            .map(|(vcpu, flags, rare)| {
                let mask = if rare { 0xf } else { USED | PUT };
                Event::new(vcpu, 0, flags & mask)
            })
            .collect();
        let outcome = by_tables(&events, &[costs]);
        prop_assert_eq!(outcome.oracles[0].cost(), brute::cheapest(&events, &costs));
    }
}
