//! What is read, and what every kind of mistake is answered with.

use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"name = "mine"
about = "A core of mine."
unit = "cycles"
source = "a logic analyser"
certainty = "measured"
note = "Ten rounds."

[fp]
trap = 10
probe = 9
save = 0x14
load = 3_0
gate = 1
isb = 2

[[sve]]
vector_length = 512
trap = 11
save = 21
load = 31
gate = 1
isb = 2

[[sve]]
vector_length = 128
trap = 12
save = 22
load = 32
gate = 1
isb = 4294967295

[[za]]
vector_length = 2048
trap = 13
probe = 0
save = 23
load = 33
gate = 1
isb = 2
"#;

fn sentence(text: &str) -> String {
    let error = parse(text, "mine.toml").unwrap_err();
    error.to_string()
}

/// Checks that `GOOD` with `from` replaced once by `to` is answered with a sentence that names the
/// line and each of `parts`.
#[track_caller]
fn refused(from: &str, to: &str, line: usize, parts: &[&str]) {
    assert!(GOOD.contains(from), "{from}");
    let sentence = sentence(&GOOD.replacen(from, to, 1));
    assert!(
        sentence.starts_with(&format!("mine.toml, line {line}: ")),
        "{sentence}"
    );
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    for part in parts {
        assert!(sentence.contains(part), "no {part} in: {sentence}");
    }
}

#[test]
fn everything_that_a_good_profile_says_is_kept() {
    let costs = |trap, probe, save, load, isb| Costs {
        trap,
        probe,
        save,
        load,
        gate: 1,
        isb,
    };
    let expected = Profile {
        name: "mine".to_string(),
        about: "A core of mine.".to_string(),
        unit: Unit::Cycles,
        source: "a logic analyser".to_string(),
        certainty: Certainty::Measured,
        note: Some("Ten rounds.".to_string()),
        trap_is: TrapIs::Trap,
        instructions_per_100_cycles: 100,
        fp: costs(10, 9, 20, 30, 2),
        sve: vec![
            (128, costs(12, 12, 22, 32, u32::MAX)),
            (512, costs(11, 11, 21, 31, 2)),
        ],
        za: vec![(2048, costs(13, 0, 23, 33, 2))],
    };
    assert_eq!(parse(GOOD, "mine.toml").unwrap(), expected);
}

#[test]
fn what_a_trap_was_measured_of_and_the_rate_of_instructions_may_be_said() {
    let with = |keys: &str| GOOD.replacen("[fp]", &format!("{keys}\n[fp]"), 1);
    let text = with("trap_is = \"at-most\"\ninstructions_per_100_cycles = 150");
    let profile = parse(&text, "mine.toml").unwrap();
    assert_eq!(profile.trap_is, TrapIs::AtMost);
    assert_eq!(profile.instructions_per_100_cycles, 150);
    for (keys, wanted) in [
        (
            "trap_is = \"hvc\"",
            "`trap_is` is \"hvc\"; expected one of \"trap\"",
        ),
        (
            "instructions_per_100_cycles = 0",
            "is 0; expected a whole number from 1",
        ),
    ] {
        let told = sentence(&with(keys));
        assert!(told.contains(wanted), "{told}");
    }
}

#[test]
fn a_note_a_probe_and_the_larger_registers_may_be_left_out() {
    let start = GOOD.split("[[sve]]").next().unwrap();
    let text = start
        .replace("note = \"Ten rounds.\"\n", "")
        .replace("probe = 9\n", "");
    let profile = parse(&text, "mine.toml").unwrap();
    assert_eq!(profile.note, None);
    assert_eq!(profile.fp.probe, profile.fp.trap);
    assert!(profile.sve.is_empty() && profile.za.is_empty());
}

#[test]
fn a_missing_key_is_named_and_so_is_its_tables_line() {
    for key in ["name", "about", "unit", "source", "certainty"] {
        let line = GOOD.lines().find(|line| line.starts_with(key)).unwrap();
        refused(
            &format!("{line}\n"),
            "",
            1,
            &[&format!("`{key}` is missing")],
        );
    }
    for (line, key) in [
        ("trap = 10\n", "fp.trap"),
        ("save = 0x14\n", "fp.save"),
        ("load = 3_0\n", "fp.load"),
    ] {
        refused(line, "", 8, &[&format!("`{key}` is missing"), COST]);
    }
    refused("save = 22\n", "", 24, &["`sve.save` is missing", COST]);
    refused(
        "vector_length = 2048\n",
        "",
        32,
        &["`za.vector_length` is missing"],
    );
    refused(
        "[fp]",
        "[fpsimd]",
        8,
        &["unknown key `fpsimd`", "fp, sve, za"],
    );
    let sentence = sentence(GOOD.split("[fp]").next().unwrap());
    assert!(sentence.contains("`fp` is missing"), "{sentence}");
}

#[test]
fn the_first_unknown_key_is_named() {
    refused(
        "probe = 9",
        "zzz = 1\nprob = 9",
        10,
        &["`fp.zzz`", "trap, probe"],
    );
    refused("note", "comment", 6, &["unknown key `comment`", "note"]);
    refused(
        "[[za]]\n",
        "[[za]]\nbytes = 4\n",
        33,
        &["`za.bytes`", "vector_length"],
    );
    refused(
        "isb = 2\n",
        "isb = 2\nvector_length = 128\n",
        15,
        &["`fp.vector_length`"],
    );
}

#[test]
fn a_number_has_to_be_whole_and_in_range() {
    for (bad, found) in [
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("4294967296", "4294967296"),
        ("99999999999999999999999999", "99999999999999999999999999"),
        ("inf", "inf"),
        ("\"10\"", "\"10\""),
        ("true", "true"),
        ("[1]", "a list"),
        ("{a = 1}", "a table"),
        ("2018-05-16", "2018-05-16"),
    ] {
        let found = format!("`fp.trap` is {found}; expected {COST}");
        refused("trap = 10", &format!("trap = {bad}"), 9, &[&found]);
    }
    refused("probe = 9", "probe = -9", 10, &["`fp.probe` is -9"]);
    refused("isb = 4294967295", "isb = 4294967296", 30, &["`sve.isb`"]);
}

#[test]
fn words_that_are_not_known_are_answered_with_those_that_are() {
    refused(
        "\"cycles\"",
        "\"ns\"",
        3,
        &["`unit` is \"ns\"", "\"cycles\", \"instructions\""],
    );
    refused(
        "\"measured\"",
        "\"sure\"",
        5,
        &["`certainty`", "\"derived\"", "\"recalled\""],
    );
    refused("\"cycles\"", "1", 3, &["`unit` is 1"]);
}

#[test]
fn a_name_is_one_word_and_texts_are_one_line() {
    for bad in [
        "",
        "Mine",
        "-mine",
        "my profile",
        "../mine",
        "all",
        "\\u001b[31m",
    ] {
        refused(
            "\"mine\"",
            &format!("{bad:?}").replace("\\\\", "\\"),
            1,
            &["`name` is", NAME],
        );
    }
    refused("\"mine\"", &format!("\"{}\"", "a".repeat(25)), 1, &[NAME]);
    refused("\"A core of mine.\"", "\" \"", 2, &["`about` is", SENTENCE]);
    refused(
        "\"Ten rounds.\"",
        "\"Ten\\nrounds.\"",
        6,
        &["`note` is", SENTENCE],
    );
    refused(
        "\"a logic analyser\"",
        "\"\\u001b[2J\"",
        4,
        &["`source` is", "u{1b}"],
    );
    refused("\"a logic analyser\"", "7", 4, &["`source` is 7", SENTENCE]);
}

#[test]
fn vector_lengths_are_those_of_the_architecture_and_each_is_there_once() {
    for bad in ["64", "192", "4096", "-128", "\"128\""] {
        let to = format!("vector_length = {bad}");
        refused(
            "vector_length = 512",
            &to,
            17,
            &["`sve.vector_length`", "128, 256, 512"],
        );
    }
    refused(
        "vector_length = 128",
        "vector_length = 512",
        24,
        &["512 is there twice"],
    );
}

#[test]
fn tables_and_lists_of_tables_are_told_apart() {
    refused("[[za]]", "[za]", 32, &["`za` is a table", "[[za]]"]);
    refused("[fp]", "[[fp]]", 8, &["`fp` is a list", "[fp]"]);
    let head = GOOD.split("[fp]").next().unwrap();
    let list = format!("{head}sve = [1]\n[fp]\ntrap=1\nsave=1\nload=1\ngate=1\nisb=1");
    assert!(
        sentence(&list).contains("line 8: `sve` is 1"),
        "{}",
        sentence(&list)
    );
}

#[test]
fn what_is_not_toml_is_shown_with_its_line() {
    refused("trap = 10", "trap == 10", 9, &["not TOML"]);
    refused(
        "trap = 10",
        "trap = 10\ntrap = 11",
        10,
        &["not TOML", "duplicate key", "`trap`"],
    );
    refused("[fp]", "[fp", 8, &["not TOML"]);
    assert!(sentence("\0").contains("line 1: not TOML"));
    assert!(sentence("").contains("line 1: `fp` is missing"));
}

/// Texts that look like TOML, so that more than the first byte of them is read.
fn toml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("name = \"x\"\n".to_string()),
        Just("[fp]\n".to_string()),
        Just("[[sve]]\n".to_string()),
        Just("vector_length = 128\n".to_string()),
        "[a-z.]{1,5} ?= ?[-+0-9a-fx_.e\"'{}\\[\\],:TZ]{0,12}\n",
        "[\\[\\]\"'{}=.#\\\\\r\n\t a-z0-9é\u{feff}]{0,8}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in toml_like()) {
        if let Err(error) = parse(&text, "mine.toml") {
            prop_assert!(error.to_string().starts_with("mine.toml, line "));
        }
    }

    /// A good profile with some bytes replaced, taken out or put in is read or refused, and what
    /// is refused is said in one line.
    #[test]
    fn damage_is_read_or_refused(
        edits in proptest::collection::vec((0..GOOD.len(), 0..3usize, any::<u8>()), 1..6),
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        for (at, kind, byte) in edits {
            let at = at % bytes.len();
            match kind {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                _ => bytes.insert(at, byte),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(error) = parse(&text, "mine.toml") {
            let sentence = error.to_string();
            prop_assert!(sentence.starts_with("mine.toml, line "));
            prop_assert!(!sentence.chars().any(char::is_control), "{:?}", sentence);
        }
    }

    #[test]
    fn every_cost_in_range_is_read(trap in any::<u32>()) {
        let profile = parse(&GOOD.replacen("trap = 10", &format!("trap = {trap}"), 1), "mine.toml");
        prop_assert_eq!(profile.unwrap().fp.trap, trap);
    }
}
