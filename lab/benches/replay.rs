//! Times of a replay's parts on one thread, over windows made with a fixed seed.

use divan::{Bencher, counter::ItemsCount};
use trapcast::replay::{Event, Method, Replay};
use trapcast_forecast::{Costs, Scheme};

fn main() {
    divan::main();
}

/// Windows that each sample replays.
const WINDOWS: usize = 1 << 22;

/// A profile that is as good as any: what is timed does not hang on it.
const COSTS: Costs = Costs {
    trap: 2000,
    probe: 1900,
    save: 120,
    load: 140,
    gate: 20,
    isb: 30,
};

/// The generator splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Says yes once in `times`, on average.
    fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }
}

/// What the windows of a record are like.
#[derive(Clone, Copy)]
enum Kind {
    /// One vCPU in bursts that use the registers nearly always or nearly never.
    Bursts,
    /// One vCPU that uses them in every second window, at random.
    Coin,
    /// Three vCPUs in bursts, each preempted after some 40 windows.
    Preempted,
}

/// Returns `WINDOWS` windows, always the same ones.
fn windows(kind: Kind) -> Vec<Event> {
    const VCPUS: usize = 3;
    let mut random = Random(0x7472_6170_6361_7374);
    let mut busy = [false; VCPUS];
    let mut vcpu = 0;
    (0..WINDOWS)
        .map(|_| {
            busy[vcpu] ^= random.once_in(200);
            let used = match kind {
                Kind::Coin => random.once_in(2),
                _ => busy[vcpu] != random.once_in(32),
            };
            let preempted = matches!(kind, Kind::Preempted) && random.once_in(40);
            let put = preempted || random.once_in(16);
            let host = random.once_in(4096);
            let flags = [(used, Event::USED), (put, Event::PUT), (host, Event::HOST)];
            let flags = flags
                .into_iter()
                .filter(|(is, _)| *is)
                .fold(0, |flags, (_, flag)| flags | flag);
            let event = Event::new(vcpu as u16, 0, flags);
            if preempted {
                vcpu = (vcpu + 1) % VCPUS;
            }
            event
        })
        .collect()
}

/// Times a replay of `schemes`, and of an oracle if `profiles` has one.
fn time(bencher: Bencher, kind: Kind, schemes: &[(Scheme, Method)], profiles: &[Costs]) {
    let events = windows(kind);
    bencher.counter(ItemsCount::new(WINDOWS)).bench_local(|| {
        let mut replay = Replay::with_methods(schemes, profiles, 1);
        replay.add(&events).expect("no vCPU moves");
        replay.finish()
    });
}

fn all() -> Vec<(Scheme, Method)> {
    Scheme::ALL.map(|scheme| (scheme, Method::Tables)).into()
}

macro_rules! kinds {
    ($($name:ident: $kind:expr;)*) => {$(
        mod $name {
            use super::*;

            /// All schemes and the oracle: what a replay under one profile does.
            #[divan::bench(sample_count = 20)]
            fn together(bencher: Bencher) {
                time(bencher, $kind, &all(), &[COSTS]);
            }

            /// All schemes.
            #[divan::bench(sample_count = 20)]
            fn schemes(bencher: Bencher) {
                time(bencher, $kind, &all(), &[]);
            }

            /// The oracle.
            #[divan::bench(sample_count = 20)]
            fn oracle(bencher: Bencher) {
                time(bencher, $kind, &[], &[COSTS]);
            }

            /// What is done whatever the scheme: cutting up, counting windows.
            #[divan::bench(sample_count = 20)]
            fn windows_only(bencher: Bencher) {
                time(bencher, $kind, &[], &[]);
            }

            /// Each scheme alone.
            #[divan::bench(args = Scheme::ALL, sample_count = 10)]
            fn scheme(bencher: Bencher, scheme: Scheme) {
                time(bencher, $kind, &[(scheme, Method::Tables)], &[]);
            }
        }
    )*};
}

kinds! {
    bursts: Kind::Bursts;
    coin: Kind::Coin;
    preempted: Kind::Preempted;
}

/// Every window by the state machine, without tables.
#[divan::bench(sample_count = 3)]
fn direct(bencher: Bencher) {
    let schemes = Scheme::ALL.map(|scheme| (scheme, Method::Direct));
    time(bencher, Kind::Bursts, &schemes, &[]);
}
