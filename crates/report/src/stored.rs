//! The results of a study as commands read them: errors that say what to do.

use std::{fs, path::Path};

use trapcast_results::Results;
use trapcast_tool::{
    error::{Error, Result},
    input,
};

/// The most bytes of such a file: a hundred times those of a full study.
const MOST_BYTES: u64 = 512 << 20;

/// In a study's directory, the file that is there as long as the study is not done: the command that continues
/// it.
pub const UNFINISHED: &str = "runs/unfinished";

/// Reads what a study has written.
///
/// # Errors
/// [`Error::Input`] where the file cannot be read, is no study's, is another version's, or is that of a
/// study that has been started again and is not done.
pub fn read(path: &Path) -> Result<Results> {
    parse(&text(path)?, path)
}

/// Reads the file's text.
///
/// # Errors
/// As [`read`].
pub fn text(path: &Path) -> Result<Vec<u8>> {
    let directory = path.parent().unwrap_or(Path::new(""));
    if let Ok(command) = fs::read_to_string(directory.join(UNFINISHED)) {
        return Err(Error::input(format!(
            "the study in {} is not finished: go on with {}",
            directory.display(),
            command.trim_end()
        )));
    }
    input::read("results", path, MOST_BYTES).map_err(|error| match error {
        Error::Input(sentence) => Error::input(format!("{sentence}; run trapcast study")),
        other => other,
    })
}

/// Takes the text of the file `path`, which a study has written.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &[u8], path: &Path) -> Result<Results> {
    Results::parse(text).map_err(|error| {
        Error::input(format!(
            "{} holds no results of this version's study: {error}; run trapcast study",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use trapcast_results::example::results;
    use trapcast_tool::output;

    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.json");
        output::write_json(&path, &results()).unwrap();
        assert_eq!(read(&path), Ok(results()));
    }

    #[test]
    fn what_is_not_of_this_version_is_refused_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.json");
        let refused = |text: &str| {
            output::write(&path, text.as_bytes()).unwrap();
            read(&path).unwrap_err()
        };
        let whole = serde_json::to_string(&results()).unwrap();
        for (text, reason) in [
            (r#"{"format": 2}"#, "its format is 2, and this version's is"),
            ("{}", "missing field `format`"),
            (&whole[..whole.len() - 1], "EOF"),
            (
                &whole.replace("last-trap", "lazy"),
                "unknown scheme; one of none",
            ),
        ] {
            let error = refused(text);
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        let error = read(&directory.path().join("none.json")).unwrap_err();
        assert!(error.to_string().contains("run trapcast study"), "{error}");
    }

    #[test]
    fn a_study_that_is_not_done_is_told_with_the_command_that_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.json");
        // The results of the study before it.
        output::write_json(&path, &results()).unwrap();
        let command = "target/debug/trapcast study --full\n";
        output::write(&directory.path().join(UNFINISHED), command.as_bytes()).unwrap();
        let error = read(&path).unwrap_err();
        let wanted = "is not finished: go on with target/debug/trapcast study --full";
        assert!(error.to_string().ends_with(wanted), "{error}");
    }
}
