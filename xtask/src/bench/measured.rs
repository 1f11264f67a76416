//! The profile of this hypervisor under QEMU, made from what its own bench counts.

use object::{Object, ObjectSymbol};

use trapcast_tool::error::{Error, Result};

/// One write of `CPTR_EL2`, one instruction.
const GATE: u32 = 1;
/// One ISB.
const ISB: u32 = 1;

/// What is counted under QEMU, in instructions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Measured {
    /// A trap of the closed gate from the guest's use to its return, with an exchange in it: the
    /// bench's path `fp-trap`.
    pub trap_with_switch: u32,
    /// The same where the registers are in the CPU: only the observer armed the gate.
    pub trap_without_switch: u32,
    /// `trapcast_fpsimd_save`, its return included: see [`moves`].
    pub save: u32,
    /// `trapcast_fpsimd_load`, its return included.
    pub load: u32,
}

impl Measured {
    /// Returns the profile's TOML, to be kept as `crates/profile/profiles/measured-qemu.toml`.
    ///
    /// An exchange saves and loads in one function, with one return and one call: as many
    /// instructions as a save and a load with a return each. So the trap alone is what is left of
    /// the trap with an exchange behind save, load, gate and ISB.
    ///
    /// # Errors
    /// [`Error::Run`] where a trap is shorter than what is done in it.
    pub fn toml(&self) -> Result<String> {
        let Self {
            trap_with_switch,
            trap_without_switch,
            save,
            load,
        } = *self;
        let rest = |whole: u32, parts: &[u32]| {
            let rest = parts
                .iter()
                .try_fold(whole, |rest, &part| rest.checked_sub(part));
            rest.ok_or_else(|| {
                Error::run(format!(
                    "a trap of {whole} instructions cannot hold parts of {parts:?}: measure again \
                     with the image that the parts were counted in"
                ))
            })
        };
        let trap = rest(trap_with_switch, &[save, load, GATE, ISB])?;
        let probe = rest(trap_without_switch, &[GATE, ISB])?;
        Ok(format!(
            r#"# Written from measured figures: docs/profiles.md says how.
name = "measured-qemu"
about = "This hypervisor under QEMU's TCG: EL2 instructions, counted exactly."
unit = "instructions"
source = "cargo xtask bench, and the functions of the linked image"
certainty = "measured"
note = "A trap with an exchange takes {trap_with_switch}, one without {trap_without_switch}; save {save} and load {load} with call and return; gate and ISB one each. An instruction is not a cycle."

[fp]
# {trap_with_switch} - {save} - {load} - {GATE} - {ISB}
trap = {trap}
# {trap_without_switch} - {GATE} - {ISB}: another branch of the trap's path.
probe = {probe}
save = {save}
load = {load}
gate = {GATE}
isb = {ISB}
"#
        ))
    }
}

/// Returns the instructions of `trapcast_fpsimd_save` and of `trapcast_fpsimd_load` in the linked
/// hypervisor, an ELF file. Both run straight through, so that their size says it.
///
/// # Errors
/// [`Error::Input`] where it is no ELF file or lacks one of them.
pub fn moves(elf: &[u8]) -> Result<(u32, u32)> {
    let file = object::File::parse(elf)
        .map_err(|error| Error::input(format!("the hypervisor is not an ELF file: {error}")))?;
    let instructions = |name: &str| {
        let symbol = file.symbol_by_name(name).filter(|symbol| symbol.size() > 0);
        symbol
            .and_then(|symbol| u32::try_from(symbol.size() / 4).ok())
            .ok_or_else(|| {
                Error::input(format!(
                    "the hypervisor's ELF file has no function {name}: give it as it was linked"
                ))
            })
    };
    Ok((
        instructions("trapcast_fpsimd_save")?,
        instructions("trapcast_fpsimd_load")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapcast_profile::{find, parse};

    const MEASURED: Measured = Measured {
        trap_with_switch: 92,
        trap_without_switch: 57,
        save: 20,
        load: 20,
    };

    #[test]
    fn the_costs_add_up_to_what_was_measured() {
        let profile = parse(&MEASURED.toml().unwrap(), "measured").unwrap();
        let fp = profile.fp;
        assert_eq!((fp.trap, fp.probe), (50, 55));
        assert_eq!(profile.round_trip() + fp.exchange(), 92);
        assert_eq!(u64::from(fp.probe) + fp.unlock(), 57);
    }

    /// The file in the repository is one that [`Measured::toml`] wrote, whatever it was given.
    #[test]
    fn the_built_in_profile_was_written_here() {
        let fp = find("measured-qemu").unwrap().fp;
        let measured = Measured {
            trap_with_switch: fp.trap + fp.gate + fp.isb + fp.save + fp.load,
            trap_without_switch: fp.probe + fp.gate + fp.isb,
            save: fp.save,
            load: fp.load,
        };
        let file = include_str!("../../../crates/profile/profiles/measured-qemu.toml");
        assert_eq!(measured.toml().unwrap(), file);
    }

    #[test]
    fn a_trap_that_is_shorter_than_its_parts_is_refused() {
        for measured in [
            Measured {
                trap_with_switch: 41,
                ..MEASURED
            },
            Measured {
                trap_without_switch: 1,
                ..MEASURED
            },
        ] {
            assert_eq!(measured.toml().unwrap_err().exit_code(), 1);
        }
    }

    #[test]
    fn an_image_without_the_functions_is_refused() {
        assert!(moves(b"no hypervisor").is_err());
        let this = std::fs::read("/proc/self/exe").unwrap();
        let error = moves(&this).unwrap_err().to_string();
        assert!(error.contains("trapcast_fpsimd_save"), "{error}");
    }
}
