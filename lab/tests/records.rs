//! The commands that make, read and replay records, from outside: what they print, what they refuse,
//! and what they leave behind.

use std::{fs, path::Path};

use serde_json::Value;
use trapcast_forecast::Scheme;
use trapcast_report::record::{self, Shape};

mod outside;

use outside::{files, refused, trapcast};

const MINE: &str = r#"
name = "mine"
about = "A core of mine."
unit = "cycles"
source = "a logic analyser"
certainty = "measured"
[fp]
trap = 100
probe = 90
save = 20
load = 30
gate = 4
isb = 7
"#;

/// Runs a command that must succeed, and returns what it printed.
fn printed(directory: &Path, arguments: &[&str]) -> String {
    let output = trapcast(directory, arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    assert_eq!(told, "", "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// As [`printed`], of a text, which must fit the width.
fn text(directory: &Path, arguments: &[&str]) -> String {
    let text = printed(directory, arguments);
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{arguments:?}: {line}");
    }
    text
}

fn json(directory: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(directory, arguments)).unwrap()
}

/// A directory with records `a.parquet` and `b.parquet`.
fn records() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, vcpus, seed) in [("a.parquet", 3, 1), ("b.parquet", 1, 2)] {
        let shape = Shape {
            windows: 20_000,
            vcpus,
            seed,
            replay_only: false,
        };
        record::generate(&directory.path().join(name), shape).unwrap();
    }
    directory
}

#[test]
fn the_help_says_where_to_read_on() {
    for (command, wanted) in [
        ("record", ["docs/records.md", "target/records"]),
        ("inspect", ["<FILE>", "--json"]),
        ("replay", ["docs/profiles.md", "measured-qemu"]),
        ("plane", ["trapcast plane records/linux.parquet", "--json"]),
        ("profiles", ["cost profiles", "--json"]),
    ] {
        let help = printed(Path::new("/"), &[command, "--help"]);
        for wanted in wanted {
            assert!(help.contains(wanted), "{command}: {wanted}: {help}");
        }
    }
}

#[test]
fn what_is_generated_can_be_inspected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let shape = Shape {
        windows: 5000,
        vcpus: 2,
        seed: 9,
        replay_only: false,
    };
    record::generate(&path.join("one.parquet"), shape).unwrap();

    let summary = json(path, &["inspect", "one.parquet", "--json"]);
    assert_eq!(summary["entry_windows"]["windows"], 5000);
    assert_eq!(summary["metadata"]["seed"], 9);
    assert_eq!(summary["vcpus"].as_array().unwrap().len(), 2);
    let shown = text(path, &["inspect", "one.parquet"]);
    for wanted in ["generated", "vm1 vcpu0", "fp_used", "exit_before", "5000"] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
}

#[test]
fn a_replay_counts_every_scheme_and_says_what_it_costs() {
    let directory = records();
    let path = directory.path();
    fs::write(path.join("mine.toml"), MINE).unwrap();
    let replayed = json(
        path,
        &["replay", "a.parquet", "--profile", "mine.toml", "--json"],
    );
    let file = &replayed[0];
    let windows = &json(path, &["inspect", "a.parquet", "--json"])["entry_windows"];
    assert_eq!(file["entry_windows"]["windows"], 20_000);
    assert_eq!(file["entry_windows"]["used"], windows["used"]);
    let schemes = file["schemes"].as_array().unwrap();
    let costs = file["profiles"][0]["schemes"].as_array().unwrap();
    let all = Scheme::ALL.len();
    assert_eq!((schemes.len(), costs.len()), (all, all));
    for (scheme, cost) in schemes.iter().zip(costs) {
        let count = |name: &str| scheme["counts"][name].as_u64().unwrap();
        let loads = scheme["loads"].as_u64().unwrap();
        assert_eq!(loads, count("traps") + count("eager_loads"), "{scheme}");
        let exchanges = loads + count("give_backs") + count("host_evictions");
        let gate = 4 * count("gate_writes") + 7 * count("isbs");
        let traps = 100 * count("traps") + 90 * count("probes");
        let left_out = 20 * count("without_save") + 30 * count("without_load");
        assert_eq!(cost["cost"], traps + 50 * exchanges - left_out + gate);
        match (cost["scheme"].as_str(), cost["over_oracle"].as_f64()) {
            // It is wrong, so it is compared with nothing.
            (Some("none"), over_oracle) => assert_eq!(over_oracle, None),
            (_, over_oracle) => assert!(over_oracle.unwrap() >= 1.0, "{cost}"),
        }
    }
    let eager = &schemes[1];
    assert_eq!(
        (&eager["scheme"], &eager["loads"]),
        (&"eager".into(), &20_000.into())
    );

    let shown = text(path, &["replay", "a.parquet"]);
    for wanted in [
        "a.parquet: generated",
        "until-put",
        "measured-qemu",
        "x better fixed",
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
}

#[test]
fn a_replay_takes_several_files_schemes_and_profiles() {
    let directory = records();
    let path = directory.path();
    fs::write(path.join("mine.toml"), MINE).unwrap();
    let both = ["replay", "b.parquet", "a.parquet"];
    let shown = text(path, &[&both[..], &["--profile", "all"]].concat());
    let (b, a) = (shown.find("b.parquet:"), shown.find("a.parquet:"));
    assert!(b.unwrap() < a.unwrap(), "{shown}");
    assert!(shown.contains("nested-nv2") && shown.contains("x-gene-recalled [?]"));

    let chosen = [
        "--scheme",
        "owner",
        "--scheme",
        "eager",
        "--profile",
        "kvm-x-gene",
    ];
    let more = ["--profile", "mine.toml", "--json"];
    let replayed = json(path, &[&both[..], &chosen, &more].concat());
    let names = |list: &Value, key: &str| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|each| each[key].as_str().unwrap().to_string())
            .collect()
    };
    assert_eq!(names(&replayed, "file"), ["b.parquet", "a.parquet"]);
    for file in replayed.as_array().unwrap() {
        assert_eq!(names(&file["schemes"], "scheme"), ["eager", "owner"]);
        assert_eq!(names(&file["profiles"], "profile"), ["kvm-x-gene", "mine"]);
        // The fixed pair is replayed even where it is not asked for.
        assert!(file["profiles"][0]["schemes"][1]["over_fixed"].is_f64());
    }
    let all = json(path, &["replay", "b.parquet", "--scheme", "all", "--json"]);
    assert_eq!(
        all[0]["schemes"].as_array().unwrap().len(),
        Scheme::ALL.len()
    );
}

#[test]
fn a_bad_profile_or_scheme_is_refused_before_any_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let with = |option, value| refused(path, &["replay", "none.parquet", option, value]);
    for (old, new, wanted) in [
        (
            "save = 20",
            "save = -20",
            "bad.toml, line 10: `fp.save` is -20; expected a whole number",
        ),
        (
            "gate = 4",
            "gates = 4",
            "bad.toml, line 12: unknown key `fp.gates`",
        ),
        ("isb = 7", "", "bad.toml, line 7: `fp.isb` is missing"),
        ("[fp]", "[fp", "bad.toml, line 7: not TOML"),
    ] {
        fs::write(path.join("bad.toml"), MINE.replace(old, new)).unwrap();
        let told = with("--profile", "bad.toml");
        assert!(told.starts_with(wanted), "{told}");
    }
    assert!(with("--profile", "no-such").contains("no profile and no file named no-such"));
    let output = trapcast(path, &["replay", "none.parquet", "--scheme", "lazy"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("until-put")
    );
}

#[test]
fn the_plane_says_where_each_scheme_is_cheapest() {
    let directory = records();
    let path = directory.path();
    let plane = json(path, &["plane", "a.parquet", "--json"]);
    let schemes = plane["schemes"].as_array().unwrap();
    let replayed = json(path, &["replay", "a.parquet", "--json"]);
    for scheme in schemes {
        let rows = replayed[0]["schemes"].as_array().unwrap().iter();
        let mut same = rows.filter(|row| row["scheme"] == scheme["scheme"]);
        assert_eq!(same.next().unwrap()["counts"]["traps"], scheme["traps"]);
    }
    assert!(schemes.iter().all(|scheme| scheme["scheme"] != "none"));
    let length = |key: &str| plane[key].as_array().unwrap().len();
    assert_eq!(length("cheapest"), length("exchange_costs"));
    assert_eq!(plane["round_trips"][0], 30);
    assert_eq!(plane["exchange_costs"][0], 10);

    let shown = text(path, &["plane", "a.parquet"]);
    for wanted in [
        "500000  T",
        "C / T",
        "kvm-neoverse-n1",
        "owner",
        "oracle  +",
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
}

/// Writes what comes of `record` if all of `old` in its footer become `new`, sealed anew.
fn forged(record: &[u8], file: &Path, changes: &[(&[u8], &[u8])]) {
    let mut bytes = record.to_vec();
    for (old, new) in changes {
        assert_eq!(old.len(), new.len());
        let places: Vec<_> = (0..bytes.len() - old.len())
            .filter(|place| bytes[*place..].starts_with(old))
            .collect();
        assert!(!places.is_empty(), "{old:?}");
        for place in places {
            bytes[place..place + new.len()].copy_from_slice(new);
        }
    }
    record::reseal(&mut bytes);
    fs::write(file, bytes).unwrap();
}

#[test]
fn what_is_no_record_is_refused_in_one_sentence() {
    let directory = records();
    let path = directory.path();
    let whole = fs::read(path.join("b.parquet")).unwrap();
    let file = |name: &str, bytes: &[u8]| fs::write(path.join(name), bytes).unwrap();
    file("text", b"start,end\n1,2\n3,4\n5,6\n");
    file("empty", b"");
    file("truncated", &whole[..whole.len() - 100]);
    file("halved", &whole[..whole.len() / 2]);
    let mut flipped = whole.clone();
    flipped[1000] ^= 4;
    file("flipped", &flipped);
    fs::create_dir(path.join("directory")).unwrap();
    let forge = |name: &str, changes: &[(&[u8], &[u8])]| forged(&whole, &path.join(name), changes);
    forge("foreign", &[(b"trapcast.format", b"somebody.format")]);
    forge(
        "newer",
        &[(b"trapcast.format\x18\x014", b"trapcast.format\x18\x015")],
    );
    forge("without", &[(b"fp_used", b"fp_lost")]);
    // Two columns change their names.
    forge(
        "wrong_type",
        &[
            (b"loaded", b"------"),
            (b"pstate", b"loaded"),
            (b"------", b"pstate"),
        ],
    );
    for (name, wanted) in [
        ("text", "is not a Parquet file, so no record of Trapcast"),
        ("empty", "is not a Parquet file, so no record of Trapcast"),
        ("truncated", "is cut off or damaged"),
        ("halved", "is cut off or damaged"),
        ("flipped", "is damaged in windows 0 to 19999"),
        ("directory", "is not a file"),
        ("foreign", "is a Parquet file, but no record of Trapcast"),
        (
            "newer",
            "was written by a newer trapcast (format 5; this one reads 4)",
        ),
        ("without", "has no column fp_used (bool or null)"),
        (
            "wrong_type",
            "has a column loaded of type uint32; a record's is bool",
        ),
        ("nowhere", "cannot read nowhere"),
    ] {
        for command in ["inspect", "replay", "plane"] {
            // A replay does not read every column.
            if name == "flipped" && command != "inspect" {
                continue;
            }
            let told = refused(path, &[command, name]);
            assert!(told.contains(wanted) && told.contains(name), "{told}");
        }
    }
    // One file of several is enough, at any position.
    let told = refused(path, &["replay", "a.parquet", "halved", "b.parquet"]);
    assert!(told.starts_with("halved "), "{told}");
}

#[test]
fn a_record_without_windows_can_be_looked_at_but_not_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let shape = Shape {
        windows: 0,
        vcpus: 1,
        seed: 1,
        replay_only: false,
    };
    record::generate(&path.join("nothing"), shape).unwrap();
    for command in ["replay", "plane"] {
        let told = refused(path, &[command, "nothing"]);
        assert_eq!(told, "nothing has no windows: nothing was recorded");
    }
    let shown = text(path, &["inspect", "nothing"]);
    assert!(shown.contains("0 row groups"), "{shown}");
}

#[test]
fn what_cannot_be_recorded_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let told = refused(path, &["record", "windows", "-o", "out"]);
    assert!(
        told.contains("windows") && told.contains("linux-mix"),
        "{told}"
    );
    let told = refused(path, &["record", "pair", "-o", "out"]);
    assert!(told.contains("trapcast-el2: run make build"), "{told}");
    assert_eq!(files(path), [""; 0]);
}

#[test]
fn a_record_in_which_not_all_was_seen_is_replayed_by_its_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // In each of two loads the guest uses the registers in its second window, and owns them in its third.
    let mut trace = String::new();
    let mut time = 0;
    let mut event = |what: &str| {
        time += 1;
        trace += &format!(" CPU 0/KVM-7 (  100) [000] d..1. 1.{time:06}: {what}\n");
    };
    for _ in 0..2 {
        event("load_fp: (kvm_arch_vcpu_load_fp+0x0/0x90) vcpu=0x70 vm=0xf0");
        for owns in [false, true, true] {
            event("kvm_entry: PC: 0xffff800010a2c5b0");
            event("ctxsync_fp: (kvm_arch_vcpu_ctxsync_fp+0x0/0x90)");
            if owns {
                event("bind: (fpsimd_bind_state_to_cpu+0x0/0x50)");
            }
            event("kvm_exit: TRAP: HSR_EC: 0x0001 (WFx), PC: 0xffff800010a2c5b0");
        }
        event("put_fp: (kvm_arch_vcpu_put_fp+0x0/0x90)");
    }
    fs::write(path.join("trace.txt"), trace).unwrap();
    let imported = trapcast(path, &["import", "trace.txt", "-o", "host.parquet"]);
    assert!(imported.status.success(), "{imported:?}");

    let replayed = &json(path, &["replay", "host.parquet", "--json"])[0];
    assert_eq!(replayed["unseen_windows"], 2);
    let traps = |figures: &Value, scheme: &str| {
        let mut rows = figures["schemes"].as_array().unwrap().iter();
        let row = rows.find(|row| row["scheme"] == scheme).unwrap();
        row["counts"]["traps"].as_u64().unwrap()
    };
    for (scheme, unused, used) in [("per-entry", 2, 4), ("until-put", 2, 2), ("owner", 1, 1)] {
        assert_eq!(traps(replayed, scheme), unused, "{scheme}");
        assert_eq!(traps(&replayed["all_used"], scheme), used, "{scheme}");
    }
    let work = &json(path, &["replay", "host.parquet", "--work", "--json"])[0];
    assert_eq!(work["counted"], "work");
    assert_eq!(work["schemes"], replayed["schemes"]);

    let shown = text(path, &["replay", "host.parquet"]);
    for wanted in ["33.3-66.7 % used", "whether 2 windows", "2-4"] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    let shown = text(path, &["plane", "host.parquet", "--work"]);
    assert!(shown.contains("Not all windows were seen"), "{shown}");

    let asked = ["report", "host.parquet", "--profile", "kvm-neoverse-n1"];
    let shown = printed(path, &asked);
    for wanted in [
        "In 33.3-66.7 % of 6 entry windows and in 100.0 % of 2 load windows.",
        "It is right in 20.0~40.0 % of entry windows",
        "a use follows a use with a probability of 0.0~66.7 %, and no use with 66.7~100.0 %",
        "Whether 2 windows used the registers was not to be seen.",
        "takes the core's --frequency",
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    // The last window begins 20 us after the first: 222 cycles of 20,000.
    let shown = printed(path, &[&asked[..], &["--frequency", "1000"]].concat());
    assert!(
        shown.contains("is 1.110 % of 0.000020 s on 1 cores."),
        "{shown}"
    );
    let told = refused(
        path,
        &[
            "report",
            "host.parquet",
            "--profile",
            "measured-qemu",
            "--frequency",
            "1000",
        ],
    );
    assert!(told.contains("take a profile in cycles"), "{told}");
    let told = refused(path, &["report", "missing", "--profile", "measured-qemu"]);
    assert!(told.contains("give its file"), "{told}");
    let told = refused(path, &["report", "host.parquet", "-o", "out"]);
    assert!(told.contains("leave out --output"), "{told}");
}

#[test]
fn results_of_replays_add_up_in_any_order() {
    let directory = records();
    let path = directory.path();
    for name in ["a", "b"] {
        let record = format!("{name}.parquet");
        let result = printed(path, &["replay", &record, "--profile", "all", "--json"]);
        fs::write(path.join(format!("{name}.json")), result).unwrap();
    }
    let together = printed(
        path,
        &[
            "replay",
            "a.parquet",
            "b.parquet",
            "--profile",
            "all",
            "--json",
        ],
    );
    fs::write(path.join("both.json"), together).unwrap();
    let merged = json(path, &["merge", "b.json", "a.json", "--json"]);
    assert_eq!(merged, json(path, &["merge", "both.json", "--json"]));
    assert_eq!(merged["records"], 2);
    assert_eq!(merged["entry_windows"]["windows"], 40_000);

    let shown = text(path, &["merge", "a.json", "b.json"]);
    assert!(shown.starts_with("2 records\n"), "{shown}");

    let other = printed(path, &["replay", "a.parquet", "--json"]);
    fs::write(path.join("other.json"), other).unwrap();
    let told = refused(path, &["merge", "a.json", "other.json"]);
    assert!(
        told.contains("other.json and what was read before"),
        "{told}"
    );
    fs::write(path.join("empty.json"), "[]").unwrap();
    assert_eq!(
        refused(path, &["merge", "empty.json"]),
        "there is nothing to merge"
    );
}
