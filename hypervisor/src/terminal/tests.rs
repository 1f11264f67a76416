//! All input arrives, whole and in order, however fast either side is.

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

/// Every run draws the same cases.
fn seeded() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn terminal(vms: usize) -> Terminal {
    let mut terminal = Terminal::new();
    terminal.expect_vms(vms);
    terminal
}

fn send(terminal: &mut Terminal, vm: usize, text: &str) {
    for byte in text.bytes() {
        assert!(terminal.send(vm, byte));
    }
}

/// A line of the hypervisor's own, as EL2 prints it; whether it is shown.
fn say(terminal: &mut Terminal, line: &str) -> bool {
    let line = line.strip_prefix(OWN).unwrap_or(line);
    terminal.say_line(format_args!("{line}"));
    terminal.left_out == 0
}

fn shown(terminal: &mut Terminal) -> String {
    let mut shown = Vec::new();
    while !terminal.output().is_empty() {
        shown.extend_from_slice(terminal.output());
        terminal.sent(terminal.output().len());
    }
    String::from_utf8(shown).unwrap()
}

#[test]
fn one_vm_has_the_terminal_to_itself() {
    let mut terminal = terminal(1);
    send(&mut terminal, 0, "a\r\nb");
    assert!(say(&mut terminal, "trapcast: up"));
    send(&mut terminal, 0, "c\x1d");
    assert!(!terminal.has_prompt(0));
    assert_eq!(shown(&mut terminal), "a\r\nb\r\ntrapcast: up\r\nc\x1d");
    for byte in *b"\x1d1\x1d" {
        assert_eq!(terminal.type_key(byte), Some(0));
    }
    let typed = core::iter::from_fn(|| terminal.next_typed(0));
    assert_eq!(typed.collect::<Vec<_>>(), *b"\x1d1\x1d");
}

#[test]
fn lines_of_several_vms_are_told_apart() {
    let mut terminal = terminal(2);
    send(&mut terminal, 0, "one\r\ntw");
    send(&mut terminal, 1, "# ");
    terminal.show_prompt(1);
    assert!(!terminal.has_prompt(1) && terminal.has_prompt(0));
    // What is typed is echoed on the prompt's line.
    send(&mut terminal, 1, "l");
    terminal.show_prompt(1);
    send(&mut terminal, 1, "s\r\n");
    send(&mut terminal, 1, "# ");
    terminal.show_prompt(1);
    terminal.show_prompt(1);
    send(&mut terminal, 0, "o\n");
    send(&mut terminal, 1, "pwd\n");
    assert!(say(&mut terminal, "trapcast: vm0: powered off"));
    assert_eq!(
        shown(&mut terminal),
        "[vm0] one\r\n[vm1] # ls\r\n[vm1] # \r\n[vm0] two\r\n[vm1+] pwd\r\n\
         trapcast: vm0: powered off\r\n"
    );
}

#[test]
fn a_long_line_goes_on_where_it_was() {
    let mut terminal = terminal(2);
    let long = "x".repeat(LINE + 3);
    send(&mut terminal, 0, &long);
    send(&mut terminal, 0, "\n");
    assert_eq!(shown(&mut terminal), format!("[vm0] {long}\r\n"));
}

#[test]
fn the_escape_key_chooses_a_vm() {
    let mut terminal = terminal(3);
    let keys = b"a\x1d2b\x1d9c\x1d\x1dd\x1d0e";
    let typed_to: Vec<_> = keys.iter().map(|key| terminal.type_key(*key)).collect();
    let none = None;
    assert_eq!(
        typed_to,
        [
            Some(0),
            none,
            none,
            Some(2),
            none,
            Some(2),
            Some(2),
            none,
            Some(2),
            Some(2),
            none,
            none,
            Some(0)
        ]
    );
    let mut typed = |vm| core::iter::from_fn(|| terminal.next_typed(vm)).collect::<Vec<_>>();
    assert_eq!(typed(0), *b"ae");
    assert_eq!(typed(1), *b"");
    assert_eq!(typed(2), *b"b\x1d9c\x1dd");
}

#[test]
fn whatever_vms_send_there_is_room_for_what_the_hypervisor_says() {
    for vms in [1, 2] {
        let mut terminal = terminal(vms);
        while terminal.send(0, b'\n') {}
        let line = "x".repeat(100);
        for _ in 0..RESERVED / (OWN.len() + 104) {
            assert!(say(&mut terminal, &line));
            assert!(!terminal.send(0, b'\n'));
        }
        shown(&mut terminal);
        assert!(terminal.send(0, b'\n'));
    }
}

#[test]
fn own_lines_without_room_are_left_out_as_a_whole_and_counted() {
    let mut terminal = terminal(2);
    let line = "x".repeat(100);
    let mut said = 0;
    while say(&mut terminal, &line) {
        said += 1;
        assert!(said < OUTPUT);
    }
    assert!(!say(
        &mut terminal,
        "short, but there is no room for the note"
    ));
    let mut console = shown(&mut terminal);
    assert!(say(&mut terminal, "again"));
    assert!(say(&mut terminal, "and again"));
    console += &shown(&mut terminal);
    let whole = format!("{OWN}{line}\r\n").repeat(said);
    let rest = console.strip_prefix(&whole).unwrap();
    assert_eq!(
        rest,
        "trapcast: no room for 2 lines before this one\r\ntrapcast: again\r\ntrapcast: and again\r\n"
    );
    assert!(said > 100);
}

#[test]
fn a_vm_that_is_off_holds_nothing_back() {
    let mut terminal = terminal(2);
    while terminal.wants_keys() {
        terminal.type_key(b'x');
    }
    terminal.forget_typed(0);
    assert!(terminal.wants_keys());
    assert_eq!(terminal.next_typed(0), None);
}

/// The lines that a VM of several has shown, their pieces put together.
fn of(vm: usize, console: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for shown in console.lines() {
        if let Some(line) = shown.strip_prefix(&format!("[vm{vm}] ")) {
            lines.push(line.to_string());
        } else if let Some(rest) = shown.strip_prefix(&format!("[vm{vm}+] "))
            && let Some(line) = lines.last_mut()
        {
            line.push_str(rest);
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[derive(Clone, Debug)]
enum Step {
    /// A VM sends a line of so many bytes, with or without an end.
    Send(usize, usize, bool),
    Wait(usize),
    Say(usize),
    /// The UART takes so many bytes.
    Take(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3usize, 0..600usize, any::<bool>()).prop_map(|(vm, n, end)| Step::Send(vm, n, end)),
        3 => (0..3usize).prop_map(Step::Wait),
        1 => (0..90usize).prop_map(Step::Say),
        3 => (0..1500usize).prop_map(Step::Take),
    ]
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn output_is_whole_whatever_the_speed(vms in 1..4usize, steps in prop::collection::vec(step(), 0..400)) {
        let mut terminal = terminal(vms);
        let mut sent = vec![String::new(); vms];
        let (mut console, mut said) = (String::new(), 0);
        let mut take = |terminal: &mut Terminal, most: usize| {
            for _ in 0..most {
                let Some(byte) = terminal.output().first() else {
                    break;
                };
                console.push(char::from(*byte));
                terminal.sent(1);
            }
        };
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Send(vm, length, ends) => {
                    let vm = vm % vms;
                    let mut text: String =
                        (0..length).map(|at| char::from(b'a' + ((at + n) % 26) as u8)).collect();
                    if ends {
                        text.push('\n');
                    }
                    for byte in text.bytes() {
                        while !terminal.send(vm, byte) {
                            prop_assert!(!terminal.output().is_empty());
                            take(&mut terminal, 7);
                        }
                        sent[vm].push(char::from(byte));
                    }
                }
                Step::Wait(vm) => terminal.show_prompt(vm % vms),
                Step::Say(length) => {
                    let line = format!("trapcast: {}", "!".repeat(length));
                    prop_assert!(say(&mut terminal, &line));
                    said += length;
                    // It is not often that EL2 says something.
                    take(&mut terminal, 2 * line.len());
                }
                Step::Take(most) => take(&mut terminal, most),
            }
            prop_assert!(terminal.screen.waiting <= OUTPUT);
        }
        // Each ends its last line.
        for (vm, sent) in sent.iter_mut().enumerate() {
            take(&mut terminal, usize::MAX);
            prop_assert!(terminal.send(vm, b'\n'));
            sent.push('\n');
        }
        take(&mut terminal, usize::MAX);
        if vms > 1 {
            for (vm, sent) in sent.iter().enumerate() {
                let shown = of(vm, &console);
                prop_assert_eq!(&shown, sent);
            }
        }
        let lines = console.lines().filter_map(|line| line.strip_prefix("trapcast: "));
        prop_assert_eq!(lines.map(str::len).sum::<usize>(), said);
    }

    #[test]
    fn input_is_whole_whatever_the_speed(
        parts in prop::collection::vec((0..3u8, 0..20_000usize), 1..8),
        readers in prop::collection::vec((0..3usize, 0..3000usize), 1..60),
    ) {
        let mut terminal = terminal(3);
        let mut keys = Vec::new();
        let mut typed = vec![Vec::new(); 3];
        for (n, (vm, length)) in parts.into_iter().enumerate() {
            keys.extend([ESCAPE, b'0' + vm]);
            let text = (0..length).map(|at| b'a' + ((at + n) % 26) as u8);
            typed[usize::from(vm)].extend(text.clone());
            keys.extend(text);
        }
        let mut keys = keys.into_iter().peekable();
        let mut read = vec![Vec::new(); 3];
        for (vm, most) in readers.into_iter().cycle().chain((0..3).map(|vm| (vm, 1))) {
            while keys.peek().is_some() && terminal.wants_keys() {
                if let Some(key) = keys.next() {
                    terminal.type_key(key);
                }
            }
            for side in &terminal.sides {
                prop_assert!(side.typed.len() <= TYPED);
            }
            let more = core::iter::from_fn(|| terminal.next_typed(vm));
            read[vm].extend(more.take(most));
            // The VM that gets the input reads in the end.
            if !terminal.wants_keys() || keys.peek().is_none() {
                let vm = if keys.peek().is_none() { vm } else { terminal.focus };
                let more = core::iter::from_fn(|| terminal.next_typed(vm));
                read[vm].extend(more.take(500));
            }
            let left = terminal.sides.iter().any(|side| !side.typed.is_empty());
            if keys.peek().is_none() && !left {
                break;
            }
            if keys.peek().is_none() {
                for (vm, read) in read.iter_mut().enumerate() {
                    read.extend(core::iter::from_fn(|| terminal.next_typed(vm)));
                }
            }
        }
        prop_assert_eq!(read, typed);
    }
}
