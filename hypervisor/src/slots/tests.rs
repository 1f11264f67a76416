//! Both against the plain way: look at each slot.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn the_next_slot_is_the_one_behind_the_last(
        slots in 1..300usize,
        members in prop::collection::vec((0..300usize, 0..2usize, any::<bool>()), 0..200),
        last in 0..300usize,
    ) {
        let mut sets = [SlotSet::EMPTY, SlotSet::EMPTY];
        let mut model = [const { BTreeSet::new() }; 2];
        for (slot, which, member) in members {
            let slot = slot % slots;
            if member {
                sets[which].insert(slot);
                model[which].insert(slot);
            } else {
                sets[which].remove(slot);
                model[which].remove(&slot);
            }
        }
        let last = last % slots;
        let is_in = |slot: &usize| model.iter().any(|set| set.contains(slot));
        let expected = (1..=slots).map(|step| (last + step) % slots).find(is_in);
        prop_assert_eq!(sets[0].next_with(&sets[1], last), expected);
        for (set, model) in sets.iter().zip(&model) {
            prop_assert_eq!(set.is_empty(), model.is_empty());
        }
    }

    #[test]
    fn the_first_deadline_is_the_least(
        slots in 1..70usize,
        grown in 0..70usize,
        changes in prop::collection::vec((0..70usize, prop_oneof![0..20u64, Just(NEVER)]), 0..100),
        now in 0..20u64,
    ) {
        let mut deadlines = Deadlines::new();
        deadlines.grow(slots);
        let mut model = vec![NEVER; slots];
        for (n, (slot, deadline)) in changes.iter().enumerate() {
            if n == 50 {
                deadlines.grow(slots + grown);
                model.resize(slots + grown, NEVER);
            }
            let slot = slot % model.len();
            deadlines.set(slot, *deadline);
            model[slot] = *deadline;
            prop_assert_eq!(deadlines.first(), *model.iter().min().expect("one slot or more"));
            let others = model.iter().enumerate().filter(|(other, _)| *other != slot);
            let first = others.map(|(_, deadline)| *deadline).min().unwrap_or(NEVER);
            prop_assert_eq!(deadlines.first_but(slot), first);
        }
        let due = model.iter().position(|deadline| *deadline <= now);
        prop_assert_eq!(deadlines.due(now), due);
    }
}

#[test]
fn without_room_there_is_nothing() {
    assert_eq!(Deadlines::new().first(), NEVER);
    assert_eq!(Deadlines::new().due(u64::MAX - 1), None);
    assert_eq!(SlotSet::EMPTY.next_with(&SlotSet::EMPTY, 0), None);
}
