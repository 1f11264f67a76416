//! What each scheme's decisions take: the paths of the bench, without what their moves are charged.

use serde::Serialize;
use trapcast_forecast::{Scheme, Window};
use trapcast_profile::Decision;

use super::{Inputs, PROFILE_CORE, Path, Watch, find, measure_paths, shared};
use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
};

/// The scheme that decides nothing: the others' paths are compared with its.
const BASE: Scheme = Scheme::Owner;

/// A hypercall by a vCPU that has not used the registers, and a wait by it.
const ENTRY: &str = "hvc-null";
const LOAD: &str = "entry-exit-wfi-unused";
/// A switch to another VM that uses the registers, too.
const SWITCH: &str = "tick-switch-fp";

/// What the decisions of one scheme take, in instructions beyond those of `owner`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Row {
    /// The scheme.
    pub scheme: &'static str,
    /// Each time that it is asked.
    pub asked: u32,
    /// Each time that it is told.
    pub told: u32,
}

/// Measures them.
///
/// # Errors
/// As for [`bench()`](super::bench()).
pub fn measure(rounds: u32, paths: &Paths) -> Result<Vec<Row>> {
    let inputs = Inputs::load(paths)?;
    let mut measured = Vec::new();
    for scheme in Scheme::ALL {
        let bootargs = format!("rounds={rounds}");
        measured.extend(measure_paths(
            &bootargs,
            &inputs,
            PROFILE_CORE,
            scheme,
            Watch::Not,
        )?);
    }
    for scheme in SWITCHED {
        measured.push(switch(scheme, rounds, &inputs)?);
    }
    of(&measured)
}

/// Schemes under which a switch to another VM is measured, too.
pub(super) const SWITCHED: [Scheme; 2] = [BASE, Scheme::EagerOwner];

/// Measures that under one of them.
pub(super) fn switch(scheme: Scheme, rounds: u32, inputs: &Inputs) -> Result<Path> {
    let mut paths = shared::SHARED.iter();
    let switch = paths.find(|path| path.name == SWITCH);
    let switch = switch.expect("it is one of them");
    switch.measure_under(scheme, rounds, inputs, PROFILE_CORE)
}

/// What follows from the paths that were measured.
pub(super) fn of(paths: &[Path]) -> Result<Vec<Row>> {
    let row = |scheme: Scheme| {
        let Decision { asked, told } = decision(paths, scheme)?;
        Ok(Row {
            scheme: scheme.name(),
            asked,
            told,
        })
    };
    Scheme::ALL.into_iter().map(row).collect()
}

/// The table that `crates/profile/src/decision.rs` holds.
pub fn table() -> Vec<Row> {
    let row = |scheme: Scheme| {
        let Decision { asked, told } = Decision::of(scheme);
        Row {
            scheme: scheme.name(),
            asked,
            told,
        }
    };
    Scheme::ALL.map(row).into()
}

/// Shows rows, one a line.
pub fn render(rows: &[Row]) -> String {
    let line = |row: &Row| format!("  {:<15} {:>4} {:>4}\n", row.scheme, row.asked, row.told);
    let rows: String = rows.iter().map(line).collect();
    format!("  scheme         asked told\n{rows}")
}

/// What the decisions of a scheme take.
fn decision(paths: &[Path], scheme: Scheme) -> Result<Decision> {
    let median = |scheme: Scheme, path: &str| {
        let found = find(paths, PROFILE_CORE, scheme, path);
        let found = found.map(|path| path.median as i64);
        found.ok_or_else(|| Error::run(format!("{path} was not measured under {scheme}")))
    };
    let costs = trapcast_profile::of_this_machine().fp;
    let exchange = costs.exchange() as i64;
    let beyond = |path: &str| Ok::<_, Error>(median(scheme, path)? - median(BASE, path)?);
    // Both ways of an eager entry are exchanges, at the exit or at the put.
    let moved = match scheme {
        Scheme::Eager | Scheme::EagerUntilPut => 2 * exchange,
        _ => 0,
    };
    let (asked, told) = match (scheme, scheme.window()) {
        // It loads where the other traps, on the way to the same registers.
        (Scheme::EagerOwner, _) => {
            let trap = i64::from(costs.trap) + costs.unlock() as i64;
            (beyond(SWITCH)? + trap, 0)
        }
        (_, Window::Entry) => (beyond(ENTRY)? - moved, 0),
        (_, Window::Load) => (beyond(LOAD)? - moved, 0),
        // Each further entry of an absence is asked, and its end told.
        (_, Window::Absence) => (beyond(ENTRY)?, beyond(LOAD)? - beyond(ENTRY)?),
    };
    let least = |instructions: i64| u32::try_from(instructions.max(0)).unwrap_or(u32::MAX);
    Ok(Decision {
        asked: least(asked),
        told: least(told),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tests::path;

    #[test]
    fn what_is_charged_as_a_move_is_no_decision() {
        let exchange = trapcast_profile::of_this_machine().fp.exchange();
        let mut paths = vec![
            path(Scheme::Owner, ENTRY, 100),
            path(Scheme::Owner, LOAD, 1000),
            path(Scheme::Owner, SWITCH, 2000),
            path(Scheme::Eager, ENTRY, 107 + 2 * exchange),
            path(Scheme::Forecast, ENTRY, 130),
            path(Scheme::Forecast, LOAD, 1060),
            path(Scheme::EagerOwner, SWITCH, 1960),
            path(Scheme::Kvm, LOAD, 999),
        ];
        let of = |paths: &[Path], scheme| decision(paths, scheme).unwrap();
        let decided = |asked, told| Decision { asked, told };
        assert_eq!(of(&paths, Scheme::Eager), decided(7, 0));
        assert_eq!(of(&paths, Scheme::Forecast), decided(30, 30));
        let trap = trapcast_profile::of_this_machine().round_trip() as u32;
        assert_eq!(of(&paths, Scheme::EagerOwner), decided(trap - 40, 0));
        assert_eq!(of(&paths, Scheme::Kvm), decided(0, 0));
        paths.clear();
        assert!(decision(&paths, Scheme::Kvm).is_err());
    }
}
