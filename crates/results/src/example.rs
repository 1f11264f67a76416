//! Results for the tests of what reads them.

use trapcast_forecast::Scheme;
use trapcast_profile::Unit;
use trapcast_trace::report::{ClassReport, CoreReport};
use zerocopy::FromZeros;

use crate::{
    Agreement, Counters, CourseResult, FORMAT, Figures, Integrity, Moved, ProfileCosts, Replay,
    Results, RunCounters, RunTiming, Scale, SchemeResult, Timing, VcpuCounters, Verdict, Versions,
    plane,
};

/// Results in which every field has a value of its own.
pub fn results() -> Results {
    let counters = Counters {
        entries: u64::MAX,
        exits: [("wait".to_string(), 3)].into(),
        forecast: [[1, 2], [3, 4]],
        ..Counters::default()
    };
    let with_vectors = Counters {
        sve: ClassReport {
            traps: 5,
            ..ClassReport::default()
        },
        ..counters.clone()
    };
    let run = RunCounters {
        cores: vec![CoreReport::new_zeroed(); 2],
        vcpus: vec![VcpuCounters {
            vm: 1,
            index: 2,
            counters: with_vectors,
        }],
        total: counters.clone(),
    };
    let moved = Moved {
        traps: 1,
        ..Moved::default()
    };
    Results {
        format: FORMAT,
        versions: Versions {
            commit: Some("0123456789ab-dirty".to_string()),
            guest: serde_json::json!({"kernel": "6.1"}),
            ..Versions::default()
        },
        cpu: "max".to_string(),
        vhe: true,
        scale: Scale::QUICK,
        slice: Some(1000),
        courses: 2,
        further_courses: vec![CourseResult {
            workload: "linux".to_string(),
            course: 1,
            slice: Some(1007),
            seed: 11,
            integrity: Integrity::default(),
            entries: 3,
            moved,
        }],
        results: vec![SchemeResult {
            workload: "linux".to_string(),
            scheme: Scheme::LastTrap,
            figures: Some(Figures {
                accuracy: Some(0.1 + 0.2),
                precision: None,
                ..Figures::derive(Scheme::LastTrap, &counters, &counters, &run.cores)
            }),
            integrity: Integrity {
                verdict: Verdict::Corrupt,
                failures: vec!["vm0: stopped".to_string()],
                ..Integrity::default()
            },
            plain: Some(run),
            observed: None,
            agreement: Some(Agreement {
                live: moved,
                recorded: moved,
                own: moved,
                reference: "owner".to_string(),
                replayed: moved,
            }),
        }],
        replays: vec![Replay {
            workload: "linux".to_string(),
            record: Scheme::Owner,
            plane: plane::Counts {
                schemes: Vec::new(),
                oracle_exchanges: 6,
            },
            profiles: vec![ProfileCosts {
                profile: "mine [?]".to_string(),
                unit: Unit::Cycles,
                oracle: 8,
                schemes: [("eager".to_string(), 9)].into(),
                decisions: [("eager".to_string(), 10)].into(),
            }],
        }],
        failures: vec!["linux/last-trap: it broke".to_string()],
        timing: Timing {
            seconds: 1.0 / 3.0,
            runs: [(
                "linux/last-trap/plain".to_string(),
                RunTiming {
                    seconds: 2.0 / 3.0,
                    ticks: 7,
                },
            )]
            .into(),
        },
    }
}
