//! Where a model keeps register files, and what memory says of the least that has to be loaded of each.

use std::cell::Cell;

use trapcast_switch::Class;

/// Places in a model, at most.
const MOST: usize = 8;

thread_local! {
    /// What memory says, while the switch is asked.
    static LEAST: Cell<[Class; MOST]> = const { Cell::new([Class::Fp; MOST]) };
}

/// Where a register file is kept: the hosts' places come first, one per core, then the guests'.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Context(pub u8);

impl trapcast_switch::Context for Context {
    const NOBODY: Self = Self(u8::MAX);

    fn least(self) -> Class {
        LEAST.get()[usize::from(self.0)]
    }
}

/// Makes known to the switch what memory says of each place, for the calls that follow.
pub fn publish(least: impl IntoIterator<Item = Class>) {
    let mut all = [Class::Fp; MOST];
    all.iter_mut()
        .zip(least)
        .for_each(|(place, least)| *place = least);
    LEAST.set(all);
}
