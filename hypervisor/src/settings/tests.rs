//! Tests of the command line's words.

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

#[test]
fn an_empty_line_leaves_the_defaults() {
    let settings = Settings::parse("").unwrap();
    assert!(settings.vhe && !settings.record && !settings.publish);
    assert_eq!((settings.slice, settings.disturb), (10_000, None));
    let expected = VmSettings {
        memory: 0x1000_0000,
        vcpus: 1,
        scheme: Scheme::UntilPut,
        observe: false,
        costs: Costs::FREE,
        prompt: true,
        fp: true,
        sve: VectorSetting::Off,
        sme: VectorSetting::Off,
        pmu: false,
    };
    assert_eq!(settings.for_vms(MAX_VMS), Ok(&[expected; MAX_VMS][..]));
}

#[test]
fn every_word_sets_its_own_value() {
    let line = "vhe=off  slice=250 disturb=7 publish=on latency=on idle=poll vm0.memory=64M vm1.vcpus=4 \
                vm1.scheme=last-trap vm0.observe=on vm0.prompt=off vm1.pmu=on vm2.memory=1G vm15.memory=4096K";
    let settings = Settings::parse(line).unwrap();
    assert!(
        !settings.vhe
            && settings.publish
            && settings.latency
            && settings.idle_polls
            && !settings.record
    );
    assert_eq!((settings.slice, settings.disturb), (250, Some(7)));
    let vms = settings.for_vms(16).unwrap();
    let default = VmSettings::DEFAULT;
    assert_eq!(
        vms[0],
        VmSettings {
            memory: 64 << 20,
            observe: true,
            prompt: false,
            ..default
        }
    );
    assert_eq!(
        vms[1],
        VmSettings {
            vcpus: 4,
            scheme: Scheme::LastTrap,
            pmu: true,
            ..default
        }
    );
    assert_eq!(vms[2].memory, 1 << 30);
    assert_eq!(vms[3], default);
    assert_eq!(vms[15].memory, 4 << 20);
}

#[test]
fn every_scheme_can_be_chosen() {
    for scheme in Scheme::ALL {
        let line = format!("vm0.scheme={scheme} costs=1,2,3,4,5,6");
        let settings = Settings::parse(&line).unwrap();
        assert_eq!(settings.for_vms(1).unwrap()[0].scheme, scheme);
    }
}

#[test]
fn the_forecast_is_told_what_switching_costs() {
    let settings = Settings::parse("costs=1,2,3,4,5,6 vm1.scheme=forecast").unwrap();
    let costs = Costs {
        trap: 1,
        probe: 2,
        save: 3,
        load: 4,
        gate: 5,
        isb: 6,
    };
    assert!(
        settings
            .for_vms(2)
            .unwrap()
            .iter()
            .all(|vm| vm.costs == costs)
    );
    let error = Settings::parse("vm0.scheme=forecast").unwrap_err();
    assert_eq!(error.expected, Expected::ForecastCosts);
    assert!(error.to_string().contains("costs="), "{error}");
}

#[test]
fn the_last_word_holds() {
    let settings = Settings::parse("slice=100 vhe=off slice=200 vhe=on").unwrap();
    assert_eq!((settings.slice, settings.vhe), (200, true));
}

#[test]
fn a_wrong_word_is_named_with_what_was_expected() {
    for (word, expected) in [
        ("vhe", Expected::Setting),
        ("quiet=on", Expected::Setting),
        ("cpu0.memory=64M", Expected::Setting),
        ("vhe=yes", Expected::Switch),
        ("vhe=", Expected::Switch),
        ("idle=on", Expected::Idle),
        ("slice=0", Expected::Slice),
        ("slice=10ms", Expected::Slice),
        ("slice=99999999999999999999", Expected::Slice),
        ("costs=1,2,3,4,5", Expected::Costs),
        ("costs=1,2,3,4,5,6,7", Expected::Costs),
        ("costs=1,2,3,4,5,x", Expected::Costs),
        ("disturb=on", Expected::Seed),
        ("disturb=18446744073709551616", Expected::Seed),
        ("vm.memory=64M", Expected::VmNumber),
        ("vm+1.memory=64M", Expected::VmNumber),
        ("vm255.memory=64M", Expected::VmNumber),
        ("vm0.size=64M", Expected::VmSetting),
        ("vm0.memory=64", Expected::Memory),
        ("vm0.memory=M", Expected::Memory),
        ("vm0.memory=63M", Expected::Memory),
        ("vm0.memory=2M", Expected::Memory),
        ("vm0.memory=512G", Expected::Memory),
        ("vm0.memory=17179869185G", Expected::Memory),
        ("vm0.memory=64MiB", Expected::Memory),
        ("vm0.memory=6\u{20ac}", Expected::Memory),
        ("vm0.vcpus=0", Expected::Vcpus),
        ("vm0.vcpus=9", Expected::Vcpus),
        ("vm0.vcpus=-1", Expected::Vcpus),
        ("vm0.scheme=lazy", Expected::Scheme),
        ("vm0.scheme=Eager", Expected::Scheme),
        ("vm0.observe=1", Expected::Switch),
        ("vm0.pmu=1", Expected::Switch),
    ] {
        let line = format!("vhe=on {word} slice=100");
        let error = Settings::parse(&line).unwrap_err();
        assert_eq!(error, SettingsError { word, expected });
    }
}

#[test]
fn sentences_say_what_is_wrong_and_what_to_write() {
    let sentence = |line| Settings::parse(line).unwrap_err().to_string();
    assert_eq!(
        sentence("vm0.memory=63M"),
        "the setting \"vm0.memory=63M\" is not understood: expected a size such as 64M or 1G, a \
         multiple of 2M from 4M to 511G"
    );
    assert_eq!(
        sentence("vm0.scheme=lazy"),
        "the setting \"vm0.scheme=lazy\" is not understood: expected one of the schemes none, \
         eager, per-entry, last-trap, until-put, eager-until-put, kvm, counter, credit, owner, \
         eager-owner, forecast"
    );
    // A command line must not send control characters to a console.
    assert!(sentence("\u{1b}[2J").contains("\\u{1b}[2J"));
}

#[test]
fn settings_for_a_vm_that_does_not_exist_are_refused() {
    let settings = Settings::parse("vm1.vcpus=2").unwrap();
    assert!(settings.for_vms(2).is_ok());
    let error = settings.for_vms(1).unwrap_err();
    assert_eq!(error, NoSuchVm(1));
    assert!(
        error
            .to_string()
            .starts_with("vm1 has settings but no kernel")
    );
}

/// A line that looks like settings, with values that are right or wrong.
fn near_settings() -> impl Strategy<Value = String> {
    let key = "(vhe|slice|disturb|costs|vm[0-9]{0,2}\\.(memory|vcpus|scheme|observe|prompt|pmu)|[a-z.=]{0,6})";
    let value = "(on|off|[0-9]{0,20}[KMGkmg]?|until-put|eager|\\PC{0,4})";
    let word = (key, "=?", value).prop_map(|(key, sign, value)| key + &sign + &value);
    prop::collection::vec(word, 0..6).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x5e77),
        failure_persistence: None,
        cases: 1024,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_line_breaks_it_and_what_it_accepts_is_in_range(line in near_settings()) {
        match Settings::parse(&line) {
            Ok(settings) => {
                prop_assert!(SLICE.contains(&settings.slice));
                for vm in settings.for_vms(MAX_VMS).unwrap() {
                    prop_assert!((MIN_MEMORY..=MAX_MEMORY).contains(&vm.memory));
                    prop_assert!(vm.memory.is_multiple_of(MEMORY_STEP));
                    prop_assert!((1..=MAX_VCPUS).contains(&vm.vcpus));
                }
            }
            Err(error) => {
                prop_assert!(line.contains(error.word));
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn no_text_at_all_breaks_it(line in any::<String>()) {
        let _ = Settings::parse(&line).map_err(|error| error.to_string());
    }
}

#[test]
fn vectors_are_off_or_of_a_length_that_can_be() {
    fn vm(line: &str) -> Result<VmSettings, SettingsError<'_>> {
        Settings::parse(line).map(|settings| settings.for_vms(1).unwrap()[0])
    }
    let settings = vm("vm0.sve=max vm0.sme=512 vm0.fp=off").unwrap();
    assert_eq!(settings.sve, VectorSetting::Max);
    assert_eq!(settings.sme, VectorSetting::Bits(512));
    assert!(!settings.fp);
    for bits in (128..=2048).step_by(128) {
        let settings = vm(&format!("vm0.sve={bits}")).unwrap().sve;
        assert_eq!(settings, VectorSetting::Bits(bits));
        assert_eq!(settings.to_string(), bits.to_string());
    }
    for value in ["", "on", "0", "100", "129", "2176", "-128"] {
        for key in ["sve", "sme"] {
            let line = format!("vm0.{key}={value}");
            assert_eq!(vm(&line).unwrap_err().expected, Expected::Vectors, "{line}");
        }
    }
}
