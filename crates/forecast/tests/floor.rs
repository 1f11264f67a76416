//! The floor under `forecast`: whatever a guest does, it costs no more than a stated factor and a stated
//! constant beyond the better one of never loading, and always where no interrupt is pending.
//! `docs/forecast.md` has the proof.
//!
//! The sequences that are tried are generated, and then changed at random for as long as that makes them
//! worse. `cargo test -p trapcast-forecast --test floor -- --nocapture` prints what was found.

use trapcast_forecast::{Accounts, Costs, Decision, Evidence, Prices, Resume};

/// Beyond the better fixed rule, at most: this times its cost,
const FACTOR: f64 = 3.0;

/// and this many of the more expensive mistakes.
const CONSTANT: f64 = 528.0;

/// Seeds of the probes over which a cost is averaged.
const SEEDS: u32 = 4;

/// Windows of a sequence.
const WINDOWS: usize = 8000;

/// Changes that are tried to make a sequence worse.
const CHANGES: usize = 600;

/// Costs that differ in what is more expensive, a trap or an exchange, and by how much.
const COSTS: [Costs; 4] = [
    costs(52, 64, 40),
    costs(135, 135, 592),
    costs(752, 752, 183),
    costs(6413, 6413, 183),
];

const fn costs(trap: u32, probe: u32, exchange: u32) -> Costs {
    Costs {
        trap,
        probe,
        save: exchange / 2,
        load: exchange - exchange / 2,
        gate: 1,
        isb: 1,
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A phase of windows: a pattern of uses that repeats, in some places of the guest.
#[derive(Clone, Debug)]
struct Phase {
    windows: usize,
    /// Uses of eight windows, as bits.
    pattern: u8,
    /// After how many windows the pattern goes on.
    slowness: usize,
    places: u64,
    /// In which of eight windows an interrupt is pending, as bits.
    pending: u8,
    /// Windows from one put to the next: another owner has the registers then.
    absence: usize,
}

/// One window: how the guest resumes, whether it uses the registers, whether it is put and loses them.
type Window = (Resume, bool, bool);

impl Phase {
    fn any(random: &mut Random) -> Self {
        let (length, slowness) = (1 + random.below(11), random.below(8));
        Self {
            windows: 1 + random.below(1 << length) as usize,
            pattern: random.below(256) as u8,
            slowness: 1 + random.below(1 << slowness) as usize,
            places: 1 + random.below(100),
            pending: (random.below(256) & random.below(256) & random.below(256)) as u8
                | (random.below(256) & random.below(256) & random.below(2).wrapping_neg()) as u8,
            absence: 1 + random.below(4) as usize,
        }
    }

    fn window(&self, n: usize) -> Window {
        let place = n as u64 % self.places;
        let resume = Resume {
            pc: place << 6,
            pending: self.pending >> (n % 8) & 1 == 1,
        };
        let used = self.pattern >> (n / self.slowness % 8) & 1 == 1;
        (resume, used, n % self.absence == self.absence - 1)
    }
}

/// The windows of a sequence of phases, which repeats.
fn windows(phases: &[Phase]) -> impl Iterator<Item = Window> {
    let once = |phase: &Phase| {
        let phase = phase.clone();
        (0..phase.windows).map(move |n| phase.window(n))
    };
    phases.iter().flat_map(once).cycle()
}

/// What became of the registers since they were lost.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Since {
    /// They are elsewhere, and were not used.
    Nothing,
    /// They were loaded, and not used yet; behind the closed gate or not.
    Loaded {
        probing: bool,
    },
    Used,
}

/// What `forecast` costs, on average, and the better fixed rule.
fn measure(costs: &Costs, phases: &[Phase], count: usize) -> (f64, f64) {
    let late = (u64::from(costs.trap) + costs.unlock()) as f64;
    let wasted = (2 * costs.exchange()) as f64;
    let exchange = costs.exchange() as f64;
    let probe = f64::from(costs.probe + costs.gate);
    let (mut cost, mut never, mut always) = (0.0, 0.0, 0.0);
    for seed in 0..SEEDS {
        let mut accounts = Accounts::new(Prices::new(costs), seed);
        let mut since = Since::Nothing;
        // Whether who always loads has done so.
        let mut loaded = false;
        for (resume, used, put) in windows(phases).take(count) {
            if since == Since::Nothing {
                loaded |= !resume.pending;
                since = match accounts.decide(resume) {
                    Decision::Leave => Since::Nothing,
                    Decision::Load => Since::Loaded { probing: false },
                    Decision::Probe => Since::Loaded { probing: true },
                };
            }
            if used && since != Since::Used {
                // What is used has to be exchanged sooner or later.
                cost += exchange
                    + match since {
                        Since::Nothing => late,
                        Since::Loaded { probing: true } => probe,
                        _ => 0.0,
                    };
                never += exchange + late;
                always += exchange + if loaded { 0.0 } else { late };
                accounts.learn(match since {
                    Since::Loaded { probing: false } => Evidence::Blind,
                    _ => Evidence::Used,
                });
                since = Since::Used;
            }
            if put {
                if since != Since::Used {
                    always += if loaded { wasted } else { 0.0 };
                    cost += if since == Since::Nothing { 0.0 } else { wasted };
                    accounts.learn(match since {
                        Since::Loaded { probing: false } => Evidence::Blind,
                        _ => Evidence::Unused,
                    });
                }
                (since, loaded) = (Since::Nothing, false);
            }
        }
    }
    let seeds = f64::from(SEEDS);
    (cost / seeds, f64::min(never, always) / seeds)
}

/// What it may cost where the better fixed rule costs `fixed`.
fn bound(costs: &Costs, fixed: f64) -> f64 {
    let worse_mistake = (u64::from(costs.trap) + costs.unlock()).max(2 * costs.exchange());
    FACTOR * fixed + CONSTANT * worse_mistake as f64
}

/// Looks for a bad sequence. Returns the largest part of the bound that was reached, and how.
fn attack(costs: &Costs, seed: u64) -> (f64, f64, Vec<Phase>) {
    let badness = |phases: &[Phase]| {
        let (cost, fixed) = measure(costs, phases, WINDOWS);
        (cost / bound(costs, fixed), cost / fixed.max(1.0))
    };
    let mut random = Random(0x2545_f491_4f6c_dd1d ^ seed << 32 | 1);
    let mut worst: Vec<_> = (0..4).map(|_| Phase::any(&mut random)).collect();
    let mut found = badness(&worst);
    for _ in 0..CHANGES {
        let mut changed = worst.clone();
        let place = random.below(changed.len() as u64) as usize;
        match random.below(4) {
            0 => changed.insert(place, Phase::any(&mut random)),
            1 if changed.len() > 1 => drop(changed.remove(place)),
            2 => changed[place].windows = 1 + random.below(4000) as usize,
            _ => changed[place] = Phase::any(&mut random),
        }
        let next = badness(&changed);
        if next.0 > found.0 {
            (worst, found) = (changed, next);
        }
    }
    (found.0, found.1, worst)
}

#[test]
fn no_sequence_is_found_that_goes_beyond_the_bound() {
    for costs in COSTS {
        for seed in 1..=3 {
            let (part, ratio, phases) = attack(&costs, seed);
            println!(
                "trap {}, exchange {}, seed {seed}: {part:.3} of the bound, {ratio:.2} times the better fixed rule",
                costs.trap,
                costs.exchange(),
            );
            assert!(part <= 1.0, "{costs:?}, seed {seed}: {part}, {phases:?}");
        }
    }
}

/// Windows with a pending interrupt, in which nothing is used and no rule has a choice, speak against
/// loading; each time they have done so for long enough, one comes where loading would have paid.
#[test]
fn what_is_seen_where_there_was_no_choice_does_not_hide_a_loss() {
    let phase = |windows, pattern, pending| Phase {
        windows,
        pattern,
        slowness: 1,
        places: 1,
        pending,
        absence: 1,
    };
    for costs in COSTS {
        let (cost, fixed) = measure(
            &costs,
            &[phase(40, 0, u8::MAX), phase(1, u8::MAX, 0)],
            400_000,
        );
        assert!(
            cost <= bound(&costs, fixed),
            "{costs:?}: {cost}, and {fixed}"
        );
    }
}
