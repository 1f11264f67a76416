//! Small cases by hand, and what holds for all.

use proptest::prelude::*;

use super::*;
use trapcast_profile::{built_in, parse};

fn counts(oracle_exchanges: u64, schemes: &[(&str, u64, u64)]) -> Counts {
    let schemes = schemes
        .iter()
        .map(|&(scheme, traps, exchanges)| SchemeCounts {
            scheme: scheme.to_string(),
            traps,
            exchanges,
        });
    Counts {
        schemes: schemes.collect(),
        oracle_exchanges,
    }
}

/// 100 windows of which 29 used the registers, each preceded and followed by an exchange.
fn thread() -> Counts {
    counts(
        58,
        &[
            ("none", 0, 0),
            ("last-trap", 23, 92),
            ("per-entry", 29, 58),
            ("eager", 0, 200),
        ],
    )
}

fn name(plane: &Plane, row: usize, column: usize) -> &str {
    &plane.counts.schemes[plane.cheapest[row][column]].scheme
}

fn profile(trap: u32, exchange: u32) -> Profile {
    let text = format!(
        "name = \"mine\"\nabout = \"-\"\nunit = \"cycles\"\nsource = \"-\"\ncertainty = \"recalled\"\n\
         [fp]\ntrap = {trap}\nsave = {exchange}\nload = 0\ngate = 0\nisb = 0\n"
    );
    parse(&text, "mine").unwrap()
}

#[test]
fn the_grid_has_the_same_density_everywhere_and_ends_where_it_should() {
    let plane = plane(&thread(), &[]).unwrap();
    for (points, (low, high)) in [
        (&plane.round_trips, ROUND_TRIPS),
        (&plane.exchange_costs, EXCHANGES),
    ] {
        assert_eq!((points[0], *points.last().unwrap()), (low, high));
        assert!(points.is_sorted_by(|a, b| a < b), "{points:?}");
        let per_decade = (points.len() - 1) as f64 / (high as f64 / low as f64).log10();
        assert!((per_decade - PER_DECADE).abs() < 0.2, "{per_decade}");
        for pair in points.windows(2) {
            let (ratio, even) = (
                pair[1] as f64 / pair[0] as f64,
                10f64.powf(1.0 / PER_DECADE),
            );
            assert!((ratio / even - 1.0).abs() < 0.06, "{pair:?}");
        }
    }
    assert_eq!(plane.round_trips.len(), 60);
    assert_eq!(plane.exchange_costs.len(), 53);
}

/// 29 T + 58 C against 200 C: the border is at C / T = 29 / 142.
/// Windows use the registers in 29 of 100 cases there, and so p\* is.
#[test]
fn two_schemes_are_parted_where_their_costs_meet() {
    let plane = plane(
        &thread(),
        &[
            profile(142, 29),
            profile(100, 100),
            profile(1000, 100),
            profile(1000, 210),
        ],
    )
    .unwrap();
    assert_eq!(
        plane.borders,
        [Border {
            ratio: 29.0 / 142.0,
            break_even: Some(58.0 / 200.0),
            below: "eager".to_string(),
            above: "per-entry".to_string(),
        }]
    );
    // At T = 500000, C = 10 and at T = 30, C = 50000.
    assert_eq!(name(&plane, 0, 59), "eager");
    assert_eq!(name(&plane, 52, 0), "per-entry");
    // 200 * 10 against last-trap's 23 * 500000 + 92 * 10, over 58 * 10.
    assert_eq!(plane.next_costs_more_percent[0][59], Some(574_946.0));
    assert_eq!(plane.over_oracle_percent[0][59], Some(244.828));
    let [border, even, expensive, close] = &plane.profiles[..] else {
        panic!("{:?}", plane.profiles)
    };
    // On the border both cost the same, and the simpler one counts as cheaper.
    assert_eq!(
        (border.cheapest.as_str(), border.next_costs_more_percent),
        ("eager", Some(0.0))
    );
    // 8700 against 11500 (last-trap); 5800 is the oracle's.
    assert_eq!(even.cheapest, "per-entry");
    assert_eq!(even.next_costs_more_percent, Some(32.184));
    assert_eq!(even.over_oracle_percent, Some(50.0));
    // 20000 against 32200 (last-trap).
    assert_eq!(expensive.cheapest, "eager");
    assert_eq!(expensive.next_costs_more_percent, Some(61.0));
    assert_eq!(expensive.profile, "mine [?]");
    // 41180 against 42000 (eager, which stands before it in the order).
    assert_eq!(close.cheapest, "per-entry");
    assert_eq!(close.next_costs_more_percent, Some(1.991));
}

/// Lines through (traps, exchanges) = (0, 100), (10, 60), (30, 40), (60, 39): slopes of the lower
/// envelope change at 10/40, 20/20 and 30/1; (20, 70) never comes through.
#[test]
fn borders_are_those_of_the_lower_envelope() {
    let counts = counts(
        10,
        &[
            ("counter", 20, 70),
            ("per-entry", 60, 39),
            ("owner", 30, 40),
            ("until-put", 10, 60),
            ("eager", 0, 100),
        ],
    );
    let borders = plane(&counts, &[]).unwrap().borders;
    let ratios: Vec<f64> = borders.iter().map(|border| border.ratio).collect();
    assert_eq!(ratios, [0.25, 1.0, 30.0]);
    let above: Vec<&str> = borders.iter().map(|border| border.above.as_str()).collect();
    assert_eq!(above, ["until-put", "owner", "per-entry"]);
    assert_eq!(borders[0].break_even, Some(1.0 / 3.0));
}

/// Three lines through one point make one border, from the steepest to the flattest of them.
#[test]
fn borders_that_coincide_are_one() {
    let counts = counts(
        1,
        &[("eager", 0, 30), ("per-entry", 10, 20), ("owner", 20, 10)],
    );
    let borders = plane(&counts, &[]).unwrap().borders;
    assert_eq!(borders.len(), 1);
    assert_eq!(
        (borders[0].ratio, borders[0].above.as_str()),
        (1.0, "owner")
    );
}

#[test]
fn of_equal_schemes_the_simpler_is_the_cheapest() {
    let counts = counts(
        0,
        &[
            ("forecast", 1, 2),
            ("credit", 1, 2),
            ("owner", 1, 2),
            ("until-put", 1, 2),
        ],
    );
    let plane = plane(&counts, &[profile(100, 100)]).unwrap();
    let order: Vec<&str> = plane
        .counts
        .schemes
        .iter()
        .map(|it| it.scheme.as_str())
        .collect();
    assert_eq!(order, ["until-put", "owner", "credit", "forecast"]);
    assert!(
        plane
            .cheapest
            .iter()
            .flatten()
            .all(|&cheapest| cheapest == 0)
    );
    assert!(plane.borders.is_empty());
    assert_eq!(plane.profiles[0].next_costs_more_percent, Some(0.0));
    // The oracle costs nothing: there is no percentage of that.
    assert_eq!(plane.profiles[0].over_oracle_percent, None);
    assert!(render(&plane).contains("until-put is cheapest whatever T and C are."));
}

#[test]
fn none_is_no_candidate_and_nothing_is_no_plane() {
    let plane_of_thread = plane(&thread(), built_in()).unwrap();
    let json = serde_json::to_string(&plane_of_thread).unwrap();
    assert!(!json.contains("\"none\""));
    let error = plane(&counts(0, &[("none", 0, 0)]), &[]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn one_scheme_alone_has_no_next() {
    let plane = plane(&counts(5, &[("eager", 0, 10)]), &[profile(100, 100)]).unwrap();
    assert_eq!(plane.profiles[0].next_costs_more_percent, None);
    assert_eq!(plane.profiles[0].over_oracle_percent, Some(100.0));
}

/// The picture of `thread` is one of per-entry above and eager below the diagonal.
#[test]
fn the_picture_shows_borders_marks_and_legend() {
    let profiles = [
        profile(30, 10),
        profile(31, 10),
        profile(20, 10),
        profile(500_000, 50_000),
    ];
    let plane = plane(&thread(), &profiles).unwrap();
    let text = render(&plane);
    let rows: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once(" |").map(|it| it.1))
        .collect();
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row.chars().count() == 64), "{text}");
    // The highest C: only the highest T makes eager cheap. The lowest: T = 30 is below 142 / 29 C.
    assert!(
        rows[0].starts_with("PPP") && rows[0].ends_with("E3"),
        "{text}"
    );
    assert!(
        rows[19].starts_with("1P") && rows[19].ends_with("EEE"),
        "{text}"
    );
    for row in &rows {
        let first = row.find('E').unwrap_or(row.len());
        assert!(!row[first..].contains('P'), "{text}");
    }
    for part in [
        "2 at 1 ",
        "outside ",
        "C / T = 0.2042",
        "E  eager",
        "L  last-trap",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(!text.contains("none"), "{text}");
}

#[test]
fn the_picture_of_every_built_in_profile_fits_into_the_width() {
    for scale in [1, 1 << 40] {
        let mut counts = thread();
        for each in &mut counts.schemes {
            (each.traps, each.exchanges) = (each.traps * scale, each.exchanges * scale);
        }
        counts.oracle_exchanges = scale;
        let text = render(&plane(&counts, built_in()).unwrap());
        for profile in built_in() {
            assert!(text.contains(&profile.label()), "{text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }
}

/// Each scheme has its letter whichever others are there, and strange names have one too.
#[test]
fn letters_are_stable_and_distinct() {
    let schemes = [
        "eager",
        "per-entry",
        "until-put",
        "owner",
        "last-trap",
        "counter",
        "credit",
        "kvm",
        "eager-owner",
        "eager-until-put",
    ];
    let mut list: Vec<(&str, u64, u64)> = schemes.iter().map(|name| (*name, 1, 1)).collect();
    list.extend([("forecast", 1, 1), ("ééé", 1, 1)]);
    let text = render(&plane(&counts(1, &list), &[]).unwrap());
    for part in [
        "C  counter",
        "R  credit",
        "K  kvm",
        "A  eager-until-put",
        "G  eager-owner",
        "F  forecast",
        "B  ééé",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let alone = render(&plane(&counts(1, &[("credit", 1, 1)]), &[]).unwrap());
    assert!(alone.contains("R  credit"), "{alone}");
}

fn some_counts() -> impl Strategy<Value = Counts> {
    let names = proptest::sample::subsequence(&Scheme::ALL[1..], 1..=7).prop_shuffle();
    (
        names,
        proptest::collection::vec((0..200u64, 0..200u64), 7),
        0..200u64,
    )
        .prop_map(|(names, numbers, oracle)| {
            let schemes: Vec<_> = names
                .iter()
                .zip(numbers)
                .map(|(scheme, (traps, exchanges))| (scheme.name(), traps, exchanges))
                .collect();
            counts(oracle, &schemes)
        })
}

proptest! {
    /// A record that is repeated has the same plane.
    #[test]
    fn only_the_proportions_of_counts_matter(
        counts in some_counts(),
        factor in 1..1_000_000_007u64,
    ) {
        let mut repeated = counts.clone();
        repeated.oracle_exchanges *= factor;
        for each in &mut repeated.schemes {
            each.traps *= factor;
            each.exchanges *= factor;
        }
        let one = plane(&counts, built_in()).unwrap();
        let many = plane(&repeated, built_in()).unwrap();
        prop_assert_eq!(one.cheapest, many.cheapest);
        for (a, b) in one.borders.iter().zip(&many.borders) {
            prop_assert_eq!((&a.below, &a.above), (&b.below, &b.above));
            prop_assert!((a.ratio - b.ratio).abs() <= a.ratio * 1e-9);
        }
        for (a, b) in one.profiles.iter().zip(&many.profiles) {
            prop_assert_eq!(&a.cheapest, &b.cheapest);
            // A rounding apart at most.
            match (a.next_costs_more_percent, b.next_costs_more_percent) {
                (Some(a), Some(b)) => prop_assert!((a - b).abs() <= 0.002 + a * 1e-9),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }

    /// Nobody is cheaper than the cheapest, and the borders say who it is.
    #[test]
    fn the_borders_and_the_grid_agree(counts in some_counts()) {
        let plane = plane(&counts, &[]).unwrap();
        let (schemes, borders) = (&plane.counts.schemes, &plane.borders);
        prop_assert!(borders.is_sorted_by(|a, b| a.ratio < b.ratio && a.above == b.below));
        for (row, &c) in plane.exchange_costs.iter().enumerate() {
            for (column, &t) in plane.round_trips.iter().enumerate() {
                let least = cost(&schemes[plane.cheapest[row][column]], t, c);
                let mut costs: Vec<u128> = schemes.iter().map(|each| cost(each, t, c)).collect();
                costs.sort_unstable();
                prop_assert_eq!(costs[0], least);
                let next = costs.get(1).and_then(|&next| percent_more(next, least));
                prop_assert_eq!(plane.next_costs_more_percent[row][column], next);
                let passed = borders.iter().rfind(|border| border.ratio * (t as f64) < c as f64);
                let first = borders.first().map(|border| &border.below);
                if let Some(name) = passed.map(|border| &border.above).or(first) {
                    // On a border and between equals, another may be meant.
                    let by_border = schemes.iter().find(|each| each.scheme == *name).unwrap();
                    prop_assert_eq!(cost(by_border, t, c), least);
                }
            }
        }
    }

    /// No counts, however large, overflow.
    #[test]
    fn large_counts_do_not_panic(numbers in proptest::collection::vec(any::<(u64, u64)>(), 1..4)) {
        let schemes: Vec<_> = numbers
            .iter()
            .zip(["eager", "owner", "credit"])
            .map(|(&(traps, exchanges), name)| (name, traps, exchanges))
            .collect();
        let plane = plane(&counts(u64::MAX, &schemes), &[profile(u32::MAX, u32::MAX)]).unwrap();
        render(&plane);
    }
}
