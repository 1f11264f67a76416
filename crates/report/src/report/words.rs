//! How numbers are written.

use crate::analysis::estimate::Estimate;

/// How a number is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// A share, in percent.
    Percent,
    /// A number, with as many places as it needs for three significant digits.
    Plain,
    /// A factor, likewise, with a sign of multiplication before it.
    Times,
}

impl Format {
    /// Writes a number.
    pub fn write(self, number: f64) -> String {
        match self {
            Self::Percent => percent(number),
            Self::Plain => plain(number),
            Self::Times => format!("× {}", plain(number)),
        }
    }

    /// Writes the ends of an interval.
    pub fn write_interval(self, (low, high): (f64, f64)) -> String {
        match self {
            Self::Percent => format!("{}–{}", percent_digits(low), percent(high)),
            Self::Plain | Self::Times => format!("{}–{}", plain(low), plain(high)),
        }
    }

    /// Writes a number with its interval behind it, for running text.
    pub fn estimate(self, estimate: &Estimate) -> String {
        let Some(value) = estimate.value else {
            return NOTHING.to_string();
        };
        let value = self.write(value);
        match estimate.ends() {
            Some(ends) => format!("{value} ({})", self.write_interval(ends)),
            None => value,
        }
    }
}

/// The sign behind a share, on one line with it.
pub const PERCENT: &str = "\u{a0}%";

/// Shown where there is no number.
pub const NOTHING: &str = "–";

/// A share in percent, with a digit that tells small ones from nothing.
pub fn percent(share: f64) -> String {
    format!("{}{PERCENT}", percent_digits(share))
}

/// The same without the sign, for ticks and intervals.
pub fn percent_digits(share: f64) -> String {
    let percent = share * 100.0;
    let text = match percent.abs() {
        0.0 => "0".to_string(),
        below if below < 1e-5 => format!("{percent:.0e}"),
        // One digit that is not zero, and one more.
        below if below < 1.0 => {
            let places = 1 - below.log10().floor() as i32;
            format!("{percent:.*}", places.unsigned_abs() as usize)
        }
        _ => format!("{percent:.1}"),
    };
    // What is whole by its nature needs no place.
    minus(if text == "100.0" { "100" } else { &text })
}

/// A number with three significant digits; whole ones as they are.
pub fn plain(number: f64) -> String {
    let text = match number.abs() {
        whole if whole >= 100.0 => {
            let sign = if number < 0.0 { "-" } else { "" };
            return minus(&format!("{sign}{}", self::whole(whole.round() as u64)));
        }
        0.0 => "0".to_string(),
        tens if tens >= 10.0 => format!("{number:.1}"),
        ones if ones >= 1.0 => format!("{number:.2}"),
        below if below >= 0.001 => format!("{number:.3}"),
        _ => format!("{number:.1e}"),
    };
    minus(&text)
}

/// A whole number with its thousands apart.
pub fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A tick of an axis: 500, 20k, 3M.
pub fn tick(number: f64) -> String {
    match number {
        large if large >= 1e9 => format!("{}G", large / 1e9),
        large if large >= 1e6 => format!("{}M", large / 1e6),
        large if large >= 1e4 => format!("{}k", large / 1e3),
        small if small < 0.001 && small > 0.0 => format!("{small:.0e}"),
        number => format!("{}", (number * 1e6).round() / 1e6),
    }
}

/// A tick of an axis of shares.
pub fn percent_tick(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.000_05 {
        return format!("{percent:.0e}{PERCENT}");
    }
    format!("{}{PERCENT}", (percent * 1e6).round() / 1e6)
}

/// A number in words of a list: "a", "a and b", "a, b and c".
pub fn list(words: &[String]) -> String {
    match words {
        [] => "none".to_string(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A text for a terminal, in lines of at most so many letters if its words are not longer, each behind
/// `indent`.
pub fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    // Not every terminal's font has the other space.
    lines.join("\n").replace('\u{a0}', " ")
}

/// A number of things, with the word in its right form.
pub fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{} {many}", whole(number as u64)),
    }
}

/// A text that begins with a capital letter.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

fn minus(text: &str) -> String {
    match text.strip_prefix('-') {
        Some(rest) => format!("−{rest}"),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::estimate::Interval;

    #[test]
    fn shares_keep_a_digit_that_tells_them_from_nothing() {
        let shares = [
            0.137, 1.0, 0.0, 0.9996, 0.00042, 0.000043, 0.0000044, 1e-9, -0.05,
        ];
        let written = shares.map(|share| percent(share).replace('\u{a0}', " "));
        assert_eq!(
            written,
            [
                "13.7 %",
                "100 %",
                "0 %",
                "100 %",
                "0.042 %",
                "0.0043 %",
                "0.00044 %",
                "1e-7 %",
                "−5.0 %"
            ]
        );
    }

    #[test]
    fn numbers_have_three_digits() {
        let written = [1234567.0, 123.4, 12.34, 1.234, 0.1234, -2.0, 0.0].map(plain);
        assert_eq!(
            written,
            ["1,234,567", "123", "12.3", "1.23", "0.123", "−2.00", "0"]
        );
        assert_eq!([0.5, 2000.0, 50_000.0].map(tick), ["0.5", "2000", "50k"]);
        let ticks = [0.5, 1e-6, 1e-8].map(percent_tick);
        assert_eq!(
            ticks.map(|tick| tick.replace('\u{a0}', " ")),
            ["50 %", "0.0001 %", "1e-6 %"]
        );
    }

    #[test]
    fn estimates_show_their_interval() {
        let estimate = Estimate {
            value: Some(0.25),
            interval: Some(Interval {
                low: 0.2,
                high: 0.3,
            }),
        };
        assert_eq!(
            Format::Percent.estimate(&estimate),
            "25.0\u{a0}% (20.0–30.0\u{a0}%)"
        );
        assert_eq!(Format::Plain.estimate(&Estimate::default()), NOTHING);
    }

    #[test]
    fn texts_are_wrapped_between_words_but_not_before_a_sign() {
        let text = format!("one two {} four", percent(0.5));
        assert_eq!(wrapped(&text, 11, "  "), "  one two\n  50.0 %\n  four");
        assert_eq!(wrapped("longer-than-that", 4, ""), "longer-than-that");
    }

    #[test]
    fn lists_and_counts_are_in_words() {
        let words = ["a", "b", "c"].map(String::from);
        assert_eq!(list(&words), "a, b and c");
        assert_eq!(list(&words[..2]), "a and b");
        assert_eq!(count(1, "run", "runs"), "1 run");
        assert_eq!(count(1200, "run", "runs"), "1,200 runs");
    }
}
