//! The places in a document that are written from results.

use trapcast_tool::error::{Error, Result};

const OPENING: &str = "<!-- study: ";
const CLOSING: &str = "<!-- /study -->";

/// A place in a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Marked<'a> {
    /// The content, in the words of the marker.
    pub words: &'a str,
    /// The line of the marker, from 1.
    pub line: usize,
    /// Whether it takes lines of its own: nothing follows the marker on its line.
    pub is_block: bool,
    /// From the end of the opening marker to the start of the closing one, in bytes.
    span: (usize, usize),
}

/// Finds all places of a document.
///
/// # Errors
/// Where a marker is not closed, closes nothing, or is within another place.
pub fn marked(text: &str) -> Result<Vec<Marked<'_>>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(OPENING).map(|at| from + at) {
        let line = 1 + text[..at].matches('\n').count();
        let wrong = |what: &str| Error::input(format!("line {line}: {what}"));
        if text[from..at].contains(CLOSING) {
            return Err(wrong(&format!("before it, `{CLOSING}` closes nothing")));
        }
        let words = at + OPENING.len();
        let end = text[words..].find(" -->").map(|end| words + end);
        let end = end.ok_or_else(|| wrong("the marker has no end: ` -->`"))?;
        let start = end + " -->".len();
        let close = text[start..].find(CLOSING).map(|close| start + close);
        let close = close.ok_or_else(|| wrong(&format!("there is no `{CLOSING}` behind it")))?;
        if text[start..close].contains(OPENING) {
            return Err(wrong("there is another marker before it is closed"));
        }
        let place = Marked {
            words: &text[words..end],
            line,
            is_block: text[start..].starts_with('\n'),
            span: (start, close),
        };
        if !place.is_block && (at == 0 || text[..at].ends_with('\n')) {
            return Err(wrong(
                "Markdown takes a line that begins with a marker for HTML as a whole: put a word before it",
            ));
        }
        found.push(place);
        from = close + CLOSING.len();
    }
    if text[from..].contains(CLOSING) {
        return Err(Error::input(format!(
            "behind the last marker, `{CLOSING}` closes nothing"
        )));
    }
    Ok(found)
}

/// Rewrites a document: each place gets what `content` has for its words.
///
/// # Errors
/// Those of [`marked`] and of `content`, with the line.
pub fn rewritten(text: &str, mut content: impl FnMut(&str) -> Result<String>) -> Result<String> {
    let mut written = String::new();
    let mut from = 0;
    for place in marked(text)? {
        let (start, end) = place.span;
        let content = content(place.words)
            .map_err(|error| Error::input(format!("line {}: {error}", place.line)))?;
        let content = content.trim_end();
        written += &text[from..start];
        if place.is_block {
            // Lines that end in spaces are lines that break in Markdown.
            let lines: Vec<&str> = content.lines().map(str::trim_end).collect();
            written += &format!("\n{}\n", lines.join("\n"));
        } else if content.contains('\n') {
            return Err(Error::input(format!(
                "line {}: `{}` takes lines of its own: put the closing marker on another line",
                place.line, place.words
            )));
        } else {
            written += content;
        }
        from = end;
    }
    Ok(written + &text[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A\n<!-- study: block a -->\nold\nlines\n<!-- /study -->\n\
                        There are <!-- study: count -->7<!-- /study --> of them.\n";

    #[test]
    fn places_are_rewritten_and_all_else_is_left() {
        let content = |words: &str| {
            Ok(match words {
                "count" => "8".to_string(),
                other => format!("new {other}  \nline\n"),
            })
        };
        let written = rewritten(TEXT, content).unwrap();
        assert_eq!(
            written,
            "# A\n<!-- study: block a -->\nnew block a\nline\n<!-- /study -->\n\
             There are <!-- study: count -->8<!-- /study --> of them.\n"
        );
        assert_eq!(rewritten(&written, content).unwrap(), written);
        assert_eq!(marked(TEXT).unwrap()[1].line, 6);
        let error = rewritten(TEXT, |_| Ok("two\nlines".to_string())).unwrap_err();
        assert!(
            error.to_string().starts_with("line 6: `count` takes lines"),
            "{error}"
        );
        let error = rewritten(TEXT, |_| Err(Error::input("it is missing"))).unwrap_err();
        assert_eq!(error, Error::input("line 2: it is missing"));
    }

    #[test]
    fn markers_that_do_not_match_are_refused() {
        for (text, reason) in [
            ("\n<!-- study: a -->\n", "line 2: there is no"),
            ("<!-- study: a ", "the marker has no end"),
            (
                "<!-- study: a --><!-- study: b --><!-- /study -->",
                "another marker",
            ),
            (
                "<!-- /study --><!-- study: b --><!-- /study -->",
                "closes nothing",
            ),
            (
                "a <!-- study: b --><!-- /study --><!-- /study -->",
                "closes nothing",
            ),
            (
                "a\n<!-- study: b -->7<!-- /study -->",
                "line 2: Markdown takes",
            ),
        ] {
            let error = marked(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
