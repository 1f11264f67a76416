//! Each gate stops its class and no other, at EL1 and at EL2 itself.

use trapcast_fpsimd::Opening;

use crate::{
    board,
    check::{Checks, Core, Outcome, expect},
    guest::{
        self, HVC, check_guest_sme, check_guest_svcr, check_guest_v, check_guest_z, check_guest_zcr,
    },
    registers,
};

/// The checks of this file.
pub const CHECKS: Checks = &[
    ("gates/el1", el1),
    ("gates/el2", el2),
    ("gates/two-values", two_values),
];

/// ESR_EL2.EC of each class of gate.
const FP: u64 = 0x07;
const SVE: u64 = 0x19;
const SME: u64 = 0x1d;

fn openings() -> impl Iterator<Item = Opening> {
    (0..8).map(|bits| Opening {
        fp: bits & 1 != 0,
        sve: bits & 2 != 0,
        sme: bits & 4 != 0,
    })
}

/// A probe of one class: whether it is open, the class of its trap, the guest.
type Probe = (bool, u64, &'static u8);

/// What can be asked of a core.
fn probes(core: &Core, opening: Opening) -> impl Iterator<Item = Probe> {
    let fp = opening.fp || opening.sve || opening.sme;
    [
        Some((fp, FP, &check_guest_v)),
        core.has_sve().then_some((opening.sve, SVE, &check_guest_z)),
        core.has_sve()
            .then_some((opening.sve, SVE, &check_guest_zcr)),
        core.has_sme()
            .then_some((opening.sme, SME, &check_guest_sme)),
        core.has_sme()
            .then_some((opening.sme, SME, &check_guest_svcr)),
    ]
    .into_iter()
    .flatten()
}

fn el1(core: &Core) -> Outcome {
    for opening in openings() {
        for (number, (open, class, entry)) in probes(core, opening).enumerate() {
            // SAFETY: no VM's registers are in the core.
            unsafe { core.gates.set(opening) }
            let exit = guest::run(entry, 0);
            let expected = if open { HVC } else { class };
            expect(
                exit.class() == expected,
                "opening, probe, expected and found class:",
                [
                    core.gates.value(opening),
                    number as u64,
                    expected,
                    exit.class(),
                ],
            )?;
        }
    }
    Ok(())
}

fn el2(core: &Core) -> Outcome {
    for opening in openings() {
        // SAFETY: as above.
        unsafe { core.gates.unlock(opening) }
        let fp = opening.fp || opening.sve || opening.sme;
        let probe = |present: bool, open: bool, class: u64, touch: fn()| {
            if !present {
                return Ok(());
            }
            board::refusal();
            touch();
            let found = board::refusal();
            expect(
                found == (!open).then_some(class),
                "opening, class, found class:",
                [core.gates.value(opening), class, found.unwrap_or(0), 0],
            )
        };
        probe(true, fp, FP, registers::touch_v)?;
        probe(core.has_sve(), opening.sve, SVE, registers::touch_z)?;
        probe(core.has_sme(), opening.sme, SME, registers::touch_sme)?;
    }
    Ok(())
}

/// The pair of values that hypervisors take which know one gate only.
fn two_values(core: &Core) -> Outcome {
    for opening in openings().filter(|opening| *opening != Opening::NONE) {
        let cptr = core.gates.cptr(opening);
        for open in [false, true] {
            // SAFETY: as above.
            unsafe { cptr.set(open) }
            let class = guest::run(&check_guest_v, 0).class();
            let expected = if open { HVC } else { FP };
            expect(
                class == expected,
                "class of a V instruction:",
                [open.into(), class, 0, 0],
            )?;
        }
        // SAFETY: as above.
        unsafe { cptr.unlock() }
        registers::touch_v();
        expect(
            board::refusal().is_none(),
            "an unlocked gate trapped",
            [0; 4],
        )?;
    }
    Ok(())
}
