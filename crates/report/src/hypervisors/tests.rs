use trapcast_observe::{ExitCost, Observed, Policy, Quantiles, Summary};

use super::*;

/// A hypervisor whose exits for devices take so many instructions.
fn observation(hypervisor: &str, family: Family, mmio: u64, policy: Policy) -> Observation {
    let mut summary = Summary::of(&Observed::of(Vec::new()));
    summary.entries = 100;
    summary.guest_instructions = 1000;
    summary.el2_instructions = mmio;
    summary.verdict.policy = policy;
    let counts = |median, count| Quantiles {
        count,
        median,
        p90: median,
        longest: median,
    };
    let exit = |exit: &str, instructions| ExitCost {
        exit: exit.to_string(),
        windows: 60,
        instructions: Some(instructions),
    };
    summary.exits = vec![
        exit("mmio", counts(mmio, 60)),
        // Too few to be compared.
        exit("wait", counts(1, 2)),
    ];
    Observation {
        hypervisor: hypervisor.to_string(),
        family,
        cpu: "neoverse-n1".to_string(),
        workload: "redis".to_string(),
        summary,
    }
}

fn comparison(ours: u64, theirs: u64) -> Comparison {
    Comparison {
        qemu: "QEMU 10".to_string(),
        guest: "6.1".to_string(),
        observations: vec![
            observation("Trapcast, none", Family::Trapcast, 1, Policy::None),
            observation("Trapcast, owner", Family::Trapcast, ours, Policy::Owner),
            observation(
                "Trapcast, eager",
                Family::Trapcast,
                900,
                Policy::EagerEachEntry,
            ),
            observation("Xen", Family::Xen, theirs, Policy::EagerEachSwitch),
            observation("KVM", Family::Kvm, 2000, Policy::UntilPut),
        ],
    }
}

#[test]
fn where_another_is_cheaper_is_said() {
    let told = |ours, theirs| {
        comparison(ours, theirs)
            .part(&["cheapest", "redis"])
            .unwrap()
    };
    let text = told(300, 800);
    assert!(text.starts_with("Of 3 measures, another"), "{text}");
    // At its best it is cheaper; under another scheme it is not.
    assert!(
        text.contains("| exit: mmio | 300 | Trapcast, owner | 800 | Xen | eager |"),
        "{text}"
    );
    let text = told(801, 800);
    let wanted = "Trapcast is not the cheapest in 2 of 3 measures, even under its best scheme: exit: mmio (801 under \
                  Trapcast, owner; 800 under Xen); outside of guests";
    assert!(text.starts_with(wanted), "{text}");
    assert!(!text.contains("exit: wait"), "{text}");
}

#[test]
fn each_part_has_a_row_for_each_hypervisor() {
    let comparison = comparison(300, 800);
    for part in ["policies", "exits", "switches", "use"] {
        let text = comparison.part(&[part, "redis"]).unwrap();
        assert_eq!(
            text.lines().count(),
            2 + comparison.observations.len(),
            "{text}"
        );
    }
    let exits = comparison.part(&["exits", "redis"]).unwrap();
    assert!(
        exits.contains("| Xen | neoverse-n1 | 1 (60) | 800 (60) |"),
        "{exits}"
    );
    assert!(comparison.part(&["scope"]).unwrap().contains("QEMU 10"));
    let page = comparison.section();
    assert!(
        page.contains("<td>KVM</td>") && page.contains("id=\"hypervisors\""),
        "{page}"
    );
    for (words, why) in [
        (&["weather", "redis"][..], "`weather redis` is no part"),
        (&["exits"], "`exits` is no part"),
        (&["exits", "gcc"], "no hypervisor was seen with gcc"),
    ] {
        let told = comparison.part(words).unwrap_err().to_string();
        assert!(told.starts_with(why), "{told}");
    }
}

#[test]
fn what_is_kept_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE);
    let told = Comparison::read(&file).unwrap_err().to_string();
    assert!(told.contains("run make hypervisors"), "{told}");
    let comparison = comparison(300, 800);
    std::fs::write(&file, serde_json::to_vec(&comparison).unwrap()).unwrap();
    assert_eq!(Comparison::read(&file).unwrap(), comparison);
    std::fs::write(&file, "[]").unwrap();
    let told = Comparison::read(&file).unwrap_err().to_string();
    assert!(told.contains("of this version"), "{told}");
}
