//! Takes one line of a text trace apart: of `trace_pipe`, `trace-cmd report`, `perf script`, or our bpftrace script,
//! which prints as `trace_pipe` does.
//!
//! All have, in this order: the task, the CPU in brackets, a time in seconds, an event, and the event's own text. The
//! task is `name-1234` or `name 1234`, and its name may have blanks, dashes and brackets itself.

/// What one line says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Line<'a> {
    /// An event.
    Event(Entry<'a>),
    /// Events were lost, on this CPU if it is known; how many, if that is.
    Lost {
        /// The CPU.
        cpu: Option<u32>,
        /// How many.
        events: Option<u64>,
    },
    /// What the recorder says of the host: a key and its value.
    About(&'a str, &'a str),
    /// A comment, an empty line.
    Nothing,
    /// None of these.
    Unknown,
}

/// An event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry<'a> {
    /// The thread that was running.
    pub thread: u32,
    /// Its process, where the trace says so.
    pub process: Option<u32>,
    /// The CPU.
    pub cpu: u32,
    /// When: nanoseconds of the trace's clock.
    pub time: u64,
    /// The event's name, without its group.
    pub event: &'a str,
    /// What it says.
    pub text: &'a str,
}

/// What begins a line about the host.
const ABOUT: &str = "# trapcast ";

/// Takes a line apart.
pub fn parse(line: &str) -> Line<'_> {
    let line = line.trim_end_matches(['\r', '\n']);
    if let Some(about) = line.strip_prefix(ABOUT) {
        let (key, value) = about.split_once(' ').unwrap_or((about, ""));
        return Line::About(key, value.trim());
    }
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with("cpus=") {
        return Line::Nothing;
    }
    if let Some(lost) = lost(trimmed) {
        return lost;
    }
    entry(line).map_or(Line::Unknown, Line::Event)
}

/// `CPU:3 [LOST 17 EVENTS]` of trace_pipe, `CPU:3 [17 EVENTS DROPPED]` of trace-cmd, `Lost 17 events` of bpftrace,
/// `PERF_RECORD_LOST lost 17` of perf.
fn lost(line: &str) -> Option<Line<'_>> {
    let upper = line.to_ascii_uppercase();
    let of_a_cpu =
        upper.starts_with("CPU") && (upper.contains("LOST") || upper.contains("DROPPED"));
    let of_all = upper.starts_with("LOST ") || upper.contains("PERF_RECORD_LOST");
    if !of_a_cpu && !of_all {
        return None;
    }
    let mut numbers = line
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse::<u64>().ok());
    let cpu = if of_a_cpu { numbers.next() } else { None };
    Some(Line::Lost {
        cpu: cpu.and_then(|cpu| cpu.try_into().ok()),
        events: match of_all {
            // What comes before perf's are a time and addresses.
            true => numbers.next_back(),
            false => numbers.next(),
        },
    })
}

/// An event, if the line is one.
fn entry(line: &str) -> Option<Entry<'_>> {
    // A task's name may have brackets: the CPU is the first in them whose next words are a time and an event.
    let mut from = 0;
    loop {
        let open = from + line[from..].find('[')?;
        from = open + 1;
        let length = line[from..].find(']')?;
        let number = line[from..from + length].trim();
        let rest = &line[from + length + 1..];
        let cpu = number.parse().ok();
        if let Some((cpu, (time, event, text))) = cpu.zip(event(rest)) {
            let (thread, process) = task(&line[..open])?;
            return Some(Entry {
                thread,
                process,
                cpu,
                time,
                event,
                text,
            });
        }
    }
}

/// The time, the event and its text of what stands behind the CPU; between them may be flags.
fn event(rest: &str) -> Option<(u64, &str, &str)> {
    let mut rest = rest.trim_start();
    let mut time = None;
    // The flags, if there are some, and the time.
    for _ in 0..2 {
        let (word, after) = rest.split_once(' ')?;
        rest = after.trim_start();
        time = word.strip_suffix(':').and_then(nanoseconds);
        if time.is_some() {
            break;
        }
    }
    let time = time?;
    // perf prints a count of events before the name if it samples.
    let (mut name, mut text) = rest.split_once(':')?;
    // `kvm:kvm_entry:` of perf, `kvm_entry:` of the others.
    if !text.is_empty() && !text.starts_with(' ') {
        (name, text) = text.split_once(':')?;
    }
    let name = name.rsplit(' ').next()?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
    (!name.is_empty() && name.chars().all(is_name)).then_some((time, name, text.trim()))
}

/// Seconds with a fraction, in nanoseconds.
fn nanoseconds(word: &str) -> Option<u64> {
    let (seconds, fraction) = word.split_once('.')?;
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10u64.pow(9 - fraction.len() as u32);
    let fraction = fraction.parse::<u64>().ok()? * scale;
    seconds
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(fraction)
}

/// The thread, and the process if it stands behind in parentheses or before a slash.
fn task(words: &str) -> Option<(u32, Option<u32>)> {
    let mut words = words.trim_end();
    let mut process = None;
    if let Some((before, inside)) = words
        .strip_suffix(')')
        .and_then(|words| words.rsplit_once('('))
    {
        process = inside.trim().parse().ok();
        words = before.trim_end();
    }
    let (before, digits) = digits_at_end(words);
    let thread = digits.parse().ok()?;
    // perf's `comm 1200/1234`.
    if let Some(before) = before.strip_suffix('/') {
        process = digits_at_end(before).1.parse().ok();
    }
    Some((thread, process))
}

fn digits_at_end(words: &str) -> (&str, &str) {
    let before = words.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (before, &words[before.len()..])
}

/// The value of a field `name=value` of an event's text.
pub fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let values = text.split_whitespace();
    values
        .filter_map(|word| word.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// A number as traces print them: with 0x in hexadecimal, else decimal.
pub fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(thread: u32, process: Option<u32>, cpu: u32, time: u64) -> Entry<'static> {
        Entry {
            thread,
            process,
            cpu,
            time,
            event: "kvm_entry",
            text: "PC: 0xffff800010a2c5b0",
        }
    }

    #[test]
    fn an_event_is_read_as_each_tool_prints_it() {
        let plain = of(1234, None, 3, 55_123_456_000);
        let cases = [
            (
                " qemu-system-aar-1234    [003] d..1.    55.123456: kvm_entry: PC: 0xffff800010a2c5b0",
                plain.clone(),
            ),
            (
                " qemu-system-aar-1234    (   1200) [003] d....    55.123456: kvm_entry: PC: 0xffff800010a2c5b0",
                Entry {
                    process: Some(1200),
                    ..plain.clone()
                },
            ),
            // trace-cmd report, without and with nanoseconds.
            (
                " CPU 0/KVM-1234  [003]    55.123456: kvm_entry:            PC: 0xffff800010a2c5b0",
                plain.clone(),
            ),
            (
                " CPU 0/KVM-1234  [003] d..2.   55.123456789: kvm_entry:            PC: 0xffff800010a2c5b0",
                Entry {
                    time: 55_123_456_789,
                    ..plain.clone()
                },
            ),
            // perf script, also with --ns and -F +pid.
            (
                " CPU 0/KVM  1234 [003]    55.123456:       kvm:kvm_entry: PC: 0xffff800010a2c5b0",
                plain.clone(),
            ),
            (
                "qemu-system-aar  1200/1234  [003]    55.123456789:          1       kvm:kvm_entry: PC: 0xffff800010a2c5b0",
                Entry {
                    process: Some(1200),
                    time: 55_123_456_789,
                    ..plain.clone()
                },
            ),
            // A name with a letter of several bytes before the number, as in what is not UTF-8.
            (
                " qemu\u{fffd}1234 [003] ..... 55.123456: kvm_entry: PC: 0xffff800010a2c5b0",
                plain.clone(),
            ),
            // A name with brackets, digits and dashes.
            (
                " [7] x [1] -9-1234 [003] ..... 55.123456: kvm_entry: PC: 0xffff800010a2c5b0",
                plain,
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Line::Event(expected), "{line}");
        }
    }

    #[test]
    fn losses_are_seen_in_the_words_of_each_tool() {
        let lost = |cpu, events| Line::Lost { cpu, events };
        let cases = [
            ("CPU:3 [LOST 117 EVENTS]", lost(Some(3), Some(117))),
            ("CPU:12 [EVENTS DROPPED]", lost(Some(12), None)),
            ("CPU:0 [17 EVENTS DROPPED]", lost(Some(0), Some(17))),
            ("Lost 4711 events", lost(None, Some(4711))),
            (
                "  0 12.5 0x5f8 [0x20]: PERF_RECORD_LOST lost 12",
                lost(None, Some(12)),
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_event_is_told_apart() {
        assert_eq!(
            parse("# trapcast kernel 6.1.0 arm64\n"),
            Line::About("kernel", "6.1.0 arm64")
        );
        for nothing in ["", "# tracer: nop", "cpus=8", "   \r\n"] {
            assert_eq!(parse(nothing), Line::Nothing);
        }
        let cut = " qemu-1234 [003] d..1. 55.123456: kvm_entry";
        for unknown in [
            "hello",
            cut,
            "[",
            "[3] 5.5:",
            "a-1 [0] 99999999999999999999.1: e: x",
        ] {
            assert_eq!(parse(unknown), Line::Unknown, "{unknown}");
        }
    }

    #[test]
    fn fields_and_numbers() {
        let text = "(kvm_arch_vcpu_load_fp+0x0/0x90) vcpu=0xffff0000 vm=0x1f";
        assert_eq!(field(text, "vm").and_then(number), Some(0x1f));
        assert_eq!(
            (field(text, "vmx"), number("0x"), number("17")),
            (None, None, Some(17))
        );
    }

    proptest::proptest! {
        #[test]
        fn no_line_does_harm(line in ".*") {
            parse(&line);
        }

        #[test]
        fn no_line_of_a_traces_letters_does_harm(line in "[\\[\\]()a\u{fffd}:/ 0-9.=-]{0,60}") {
            parse(&line);
        }
    }
}
