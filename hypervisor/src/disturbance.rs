//! Chance for tests: a seeded series of time slices, turns and uses of the registers by the host.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
//! generators", OOPSLA 2014).

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// What one core does at random.
#[derive(Clone, Debug)]
pub struct Disturbance {
    state: u64,
    shortest: u64,
    longest: u64,
}

/// What happens at the end of a time slice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Disturbed {
    /// How long the next time slice is, in the unit of [`Disturbance::new`].
    pub slice: u64,
    /// Which vCPU the core takes next, modulo how many there are; `None`: the running one continues.
    pub turn: Option<u64>,
    /// Whether the host uses the registers first. Always, if the running vCPU continues.
    pub host_uses: bool,
}

impl Disturbance {
    /// The series of core `core` for `seed`, with time slices from `shortest` to `longest`.
    ///
    /// # Panics
    /// If no time slice is possible.
    pub const fn new(seed: u64, core: usize, shortest: u64, longest: u64) -> Self {
        assert!(shortest <= longest, "the shortest slice is the longest");
        Self {
            state: mix(seed ^ mix((core as u64).wrapping_add(GOLDEN_GAMMA))),
            shortest,
            longest,
        }
    }

    /// What happens next.
    pub const fn next(&mut self) -> Disturbed {
        let span = self.longest - self.shortest + 1;
        let slice = self.shortest + ((self.number() as u128 * span as u128) >> 64) as u64;
        let chance = self.number();
        let goes_on = chance & 0b11 == 0;
        Disturbed {
            slice,
            turn: if goes_on { None } else { Some(chance >> 32) },
            host_uses: goes_on || chance & 0b100 == 0,
        }
    }

    const fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }
}

const fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(seed: u64, core: usize) -> Vec<Disturbed> {
        let mut disturbance = Disturbance::new(seed, core, 20, 119);
        (0..10_000).map(|_| disturbance.next()).collect()
    }

    #[test]
    fn a_seed_gives_the_same_series_and_each_core_its_own() {
        assert_eq!(series(1, 0), series(1, 0));
        assert_ne!(series(1, 0)[..10], series(1, 1)[..10]);
        assert_ne!(series(1, 0)[..10], series(2, 0)[..10]);
    }

    #[test]
    fn slices_take_every_length_and_no_other() {
        let mut seen = [false; 100];
        for disturbed in series(7, 2) {
            seen[(disturbed.slice - 20) as usize] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
    }

    #[test]
    fn every_vcpu_gets_its_turns_and_the_host_its_uses() {
        let series = series(3, 1);
        let share = |what: fn(&Disturbed) -> bool| {
            series.iter().filter(|disturbed| what(disturbed)).count() * 100 / series.len()
        };
        for vcpu in 0..12 {
            let turns = series.iter().filter_map(|disturbed| disturbed.turn);
            let turns = turns.filter(|turn| turn % 12 == vcpu).count();
            assert!((450..800).contains(&turns), "vCPU {vcpu}: {turns}");
        }
        assert!((23..=27).contains(&share(|disturbed| disturbed.turn.is_none())));
        assert!((60..=65).contains(&share(|disturbed| disturbed.host_uses)));
        assert!(series.iter().all(|d| d.turn.is_some() || d.host_uses));
    }

    #[test]
    fn one_length_and_all_lengths_are_ranges_too() {
        assert_eq!(Disturbance::new(1, 0, 5, 5).next().slice, 5);
        let mut all = Disturbance::new(1, 0, 1, u64::MAX);
        assert_ne!(all.next().slice, all.next().slice);
    }
}
