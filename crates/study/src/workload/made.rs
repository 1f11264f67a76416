//! The workloads that are made for the study: bare-metal guests that use the registers in known patterns, and
//! Linux with a script.

use super::{Extent, Guest, PLAIN, Workload};

/// All of them.
pub(super) const ALL: &[Workload] = &[
    checker(
        "never",
        "never uses the registers",
        &[Guest::Checker("workload=never")],
    ),
    checker(
        "always",
        "uses them in every window",
        &[Guest::Checker("workload=always")],
    ),
    checker(
        "alternating",
        "uses them in every second window",
        &[Guest::Checker("workload=alternating")],
    ),
    checker(
        "random-5",
        "uses them by chance, in 5 % of windows",
        &[Guest::Checker("workload=random p=5")],
    ),
    checker(
        "random-29",
        "uses them by chance, in 29 % of windows",
        &[Guest::Checker("workload=random p=29")],
    ),
    full(checker(
        "random-50",
        "uses them by chance, in 50 % of windows",
        &[Guest::Checker("workload=random p=50")],
    )),
    checker(
        "random-83",
        "uses them by chance, in 83 % of windows",
        &[Guest::Checker("workload=random p=83")],
    ),
    full(checker(
        "random-95",
        "uses them by chance, in 95 % of windows",
        &[Guest::Checker("workload=random p=95")],
    )),
    checker(
        "bursts",
        "uses them in runs of windows",
        &[Guest::Checker("workload=bursts")],
    ),
    checker(
        "resume-point",
        "kernel-like code that does not, user-like code that does",
        &[Guest::Checker("workload=resume-point")],
    ),
    checker(
        "random-29-long",
        "as random-29, with a WFI in every fourth window only",
        &[Guest::Checker("workload=random p=29 exits=4")],
    ),
    checker(
        "bursts-long",
        "as bursts, with a WFI in every fourth window only",
        &[Guest::Checker("workload=bursts exits=4")],
    ),
    Workload {
        name: "pair",
        about: "two bare-metal guests on one core that use them in every window",
        guests: &[
            Guest::Checker("workload=always"),
            Guest::Checker("workload=always exits=4"),
        ],
        cores: 1,
        must_catch_none: true,
        ..PLAIN
    },
    full(shared(
        "shared-never",
        "a guest that never uses the registers, beside one that always does",
        &[Guest::Checker("workload=never"), ALWAYS],
    )),
    full(shared(
        "shared-alternating",
        "one that uses them in every second window, beside one that always does",
        &[Guest::Checker("workload=alternating"), ALWAYS],
    )),
    shared(
        "shared-random-29",
        "one that uses them by chance in 29 % of windows, beside one that always does",
        &[Guest::Checker("workload=random p=29"), ALWAYS],
    ),
    full(shared(
        "shared-random-83",
        "one that uses them by chance in 83 % of windows, beside one that always does",
        &[Guest::Checker("workload=random p=83"), ALWAYS],
    )),
    shared(
        "shared-bursts",
        "one that uses them in runs of windows, beside one that always does",
        &[Guest::Checker("workload=bursts"), ALWAYS],
    ),
    shared(
        "shared-resume-point",
        "one whose use shows in where it resumes, beside one that always uses them",
        &[Guest::Checker("workload=resume-point"), ALWAYS],
    ),
    Workload {
        extent: Extent::Full,
        ..checker(
            "timer",
            "its timer expires at random and it measures the delay; uses them in 50 % of windows",
            &[TIMER],
        )
    },
    Workload {
        // Many of them, each much longer than what the guest takes for a delay of the hypervisor's.
        slice: Some(1000),
        ..shared(
            "shared-timer",
            "the same beside one that always uses them",
            &[TIMER, Guest::Checker("workload=always exits=0")],
        )
    },
    checker(
        "linux",
        "Linux: busybox programs with and without floating point, and one in SIMD",
        &[Guest::Linux],
    ),
    Workload {
        name: "linux-mix",
        about: "two Linux VMs and a bare-metal guest on one core",
        guests: &[
            Guest::Linux,
            Guest::Linux,
            Guest::Checker("workload=random p=50"),
        ],
        cores: 1,
        must_catch_none: true,
        ..PLAIN
    },
    Workload {
        name: "four-on-2",
        about: "four bare-metal guests on two cores",
        guests: FOUR,
        cores: 2,
        must_catch_none: true,
        ..PLAIN
    },
    Workload {
        name: "smp-on-2",
        about: "Linux with two vCPUs, and two bare-metal guests, on two cores",
        guests: &[
            Guest::LinuxSmp,
            Guest::Checker("workload=always"),
            Guest::Checker("workload=random p=50"),
        ],
        cores: 2,
        must_catch_none: true,
        extent: Extent::Full,
        ..PLAIN
    },
    Workload {
        name: "smp-on-4",
        about: "Linux with two vCPUs, and four bare-metal guests, on four cores",
        guests: &[Guest::LinuxSmp, FOUR[0], FOUR[1], FOUR[2], FOUR[3]],
        cores: 4,
        must_catch_none: true,
        ..PLAIN
    },
];

/// Bare-metal guests that use the registers in different ways.
const FOUR: &[Guest] = &[
    Guest::Checker("workload=always"),
    Guest::Checker("workload=always exits=4"),
    Guest::Checker("workload=random p=50"),
    Guest::Checker("workload=bursts"),
];

/// A bare-metal guest that uses the registers in every window.
const ALWAYS: Guest = Guest::Checker("workload=always");

/// A bare-metal guest that measures how late the interrupts of its timer come.
const TIMER: Guest = Guest::Checker("workload=random p=50 timer=8");

/// Two guests on one core, each of which finds the other's registers there.
const fn shared(name: &'static str, about: &'static str, guests: &'static [Guest]) -> Workload {
    Workload {
        must_catch_none: true,
        extent: Extent::Full,
        ..checker(name, about, guests)
    }
}

/// A workload whose kind has others in the quick study.
const fn full(workload: Workload) -> Workload {
    Workload {
        extent: Extent::Full,
        ..workload
    }
}

const fn checker(name: &'static str, about: &'static str, guests: &'static [Guest]) -> Workload {
    Workload {
        name,
        about,
        guests,
        ..PLAIN
    }
}
