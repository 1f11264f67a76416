//! What the trials under QEMU have in common: how they find what was built, and how they judge.

#![allow(dead_code, reason = "not every group of trials needs all of it")]

use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use trapcast_tool::paths::Paths;

/// The result of a trial.
pub type Outcomes = Result<(), Failed>;

/// Runs those of the `trials` that the command line asks for, and ends the program.
pub fn run(trials: impl FnOnce(&Arc<Paths>) -> Vec<Trial>) -> ! {
    let arguments = Arguments::from_args();
    let paths = match Paths::find(std::env::var_os("TRAPCAST_TARGET").map(Into::into)) {
        Ok(paths) => Arc::new(paths),
        Err(error) => panic!("{error}"),
    };
    libtest_mimic::run(&arguments, trials(&paths)).exit()
}

/// Fails a trial with a sentence unless something holds.
pub fn check(holds: bool, sentence: impl FnOnce() -> String) -> Outcomes {
    if holds {
        Ok(())
    } else {
        Err(sentence().into())
    }
}
