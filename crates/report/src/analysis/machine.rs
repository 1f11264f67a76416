//! The machines that costs are asked for: every cost profile, in classes by what a trap costs, and some
//! of them with larger register files.

use serde::Serialize;
use trapcast_forecast::Costs;
use trapcast_fpsimd::{FPSIMD_BYTES, VectorLength};

use trapcast_profile::{self, Profile, Unit};

/// The round trip from which on a trap counts as expensive, in cycles: a few times what is published for one
/// that does nothing else.
const EXPENSIVE: u64 = 2_000;

/// The round trip from which on a trap must have been forwarded to another hypervisor.
const NESTED: u64 = 20_000;

/// Bytes of FPSR and FPCR, which go with registers of any size.
const STATUS_BYTES: usize = 8;

/// What kind of machine it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// This hypervisor under an emulator, which counts instructions.
    Emulated,
    /// A trap costs less than `EXPENSIVE`.
    CheapTrap,
    /// A trap costs less than `NESTED`.
    ExpensiveTrap,
    /// A trap costs more than that.
    Nested,
    /// The registers are larger than FP/SIMD's, a trap is cheap.
    LargeState,
    /// The registers are larger, and a trap is forwarded to another hypervisor.
    LargeNested,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 6] = [
        Self::Emulated,
        Self::CheapTrap,
        Self::ExpensiveTrap,
        Self::Nested,
        Self::LargeState,
        Self::LargeNested,
    ];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Emulated => "emulated",
            Self::CheapTrap => "cheap trap",
            Self::ExpensiveTrap => "expensive trap",
            Self::Nested => "nested",
            Self::LargeState => "large state",
            Self::LargeNested => "large state, nested",
        }
    }

    /// Where one of the class is meant, in a sentence.
    pub const fn place(self) -> &'static str {
        match self {
            Self::Emulated => "under the emulator",
            Self::CheapTrap => "where a trap is cheap",
            Self::ExpensiveTrap => "where a trap is expensive",
            Self::Nested => "under nested virtualisation",
            Self::LargeState => "where registers are large",
            Self::LargeNested => "where registers are large, nested",
        }
    }

    /// The name of the machine that represents the class where only one is shown.
    pub const fn representative(self) -> &'static str {
        match self {
            Self::Emulated => "measured-qemu",
            Self::CheapTrap => CHEAP,
            Self::ExpensiveTrap => "kvm-x-gene",
            Self::Nested => FORWARDED,
            Self::LargeState => "kvm-neoverse-n1 with SVE-2048",
            Self::LargeNested => "nested-nv2 with SVE-2048",
        }
    }
}

/// The profiles that represent a cheap and a forwarded trap, with larger registers too.
const CHEAP: &str = "kvm-neoverse-n1";
const FORWARDED: &str = "nested-nv2";

/// Registers that are larger than FP/SIMD's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct State {
    /// Its name.
    pub name: &'static str,
    /// Bytes to save or to load.
    pub bytes: usize,
}

const fn sve(name: &'static str, bits: usize) -> State {
    let length = VectorLength::from_bits(bits).expect("a vector length");
    State {
        name,
        bytes: length.sve_bytes() + STATUS_BYTES,
    }
}

const fn sme(name: &'static str, bits: usize) -> State {
    let length = VectorLength::from_bits(bits).expect("a vector length");
    State {
        name,
        bytes: length.sve_bytes() + length.za_bytes() + STATUS_BYTES,
    }
}

/// The larger register files, ascending: Z, P and FFR; for SME ZA beside them.
pub const STATES: [State; 6] = [
    sve("SVE-256", 256),
    sve("SVE-512", 512),
    sve("SVE-1024", 1024),
    sme("SME-512", 512),
    sve("SVE-2048", 2048),
    sme("SME-2048", 2048),
];

/// One machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// What kind of machine it is.
    pub class: Class,
    /// The profile that its costs come from.
    pub profile: Profile,
    /// Registers larger than FP/SIMD's, if it has them.
    pub state: Option<State>,
    /// What trapping and moving costs.
    pub costs: Costs,
}

impl Machine {
    /// The machine of a profile, with FP/SIMD's registers.
    pub fn plain(profile: &Profile) -> Self {
        let class = match (profile.unit, profile.round_trip()) {
            (Unit::Instructions, _) => Class::Emulated,
            (_, NESTED..) => Class::Nested,
            (_, EXPENSIVE..) => Class::ExpensiveTrap,
            _ => Class::CheapTrap,
        };
        Self {
            name: profile.label(),
            class,
            profile: profile.clone(),
            state: None,
            costs: profile.fp,
        }
    }

    /// The machine of a profile with larger registers: saving and loading take in proportion to the bytes.
    fn with(profile: &Profile, state: State) -> Self {
        let plain = Self::plain(profile);
        let class = match plain.class {
            Class::Nested => Class::LargeNested,
            _ => Class::LargeState,
        };
        Self {
            name: format!("{} with {}", plain.name, state.name),
            class,
            state: Some(state),
            costs: profile.fp.scaled(state.bytes as u32, FPSIMD_BYTES as u32),
            ..plain
        }
    }

    /// T: the round trip of a trap, in the profile's unit.
    pub const fn round_trip(&self) -> u64 {
        self.profile.round_trip()
    }

    /// C: one save and one load.
    pub const fn exchange(&self) -> u64 {
        self.costs.exchange()
    }
}

/// Every machine: all profiles that are built in, then the larger register files on two of them.
///
/// # Panics
/// If one of those two is not built in, which a test rules out.
pub fn all() -> Vec<Machine> {
    let plain = trapcast_profile::built_in().iter().map(Machine::plain);
    let large = [CHEAP, FORWARDED].into_iter().flat_map(|name| {
        let profile = trapcast_profile::find(name).expect("it is built in");
        STATES.iter().map(|&state| Machine::with(profile, state))
    });
    plain.chain(large).collect()
}

/// The machine of a name among some.
pub fn find<'a>(machines: &'a [Machine], name: &str) -> Option<&'a Machine> {
    machines.iter().find(|machine| machine.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_representative_within() {
        let machines = all();
        for class in Class::ALL {
            let machine = find(&machines, class.representative()).unwrap();
            assert_eq!(machine.class, class);
        }
        let names: std::collections::BTreeSet<_> = machines.iter().map(|m| &m.name).collect();
        assert_eq!(names.len(), machines.len());
    }

    #[test]
    fn larger_registers_cost_in_proportion_and_traps_the_same() {
        let machines = all();
        let plain = find(&machines, CHEAP).unwrap();
        let large = find(&machines, "kvm-neoverse-n1 with SVE-2048").unwrap();
        assert_eq!(large.round_trip(), plain.round_trip());
        assert_eq!(large.state.unwrap().bytes, 8736 + 8);
        let ratio = large.exchange() as f64 / plain.exchange() as f64;
        assert!((ratio - 8744.0 / 520.0).abs() < 0.02, "{ratio}");
    }

    #[test]
    fn states_ascend_in_bytes() {
        let bytes = STATES.map(|state| state.bytes);
        assert!(bytes.is_sorted(), "{bytes:?}");
        assert_eq!(bytes[5], 8744 + 65_536);
    }

    #[test]
    fn classes_go_by_the_round_trip() {
        let class = |name| Machine::plain(trapcast_profile::find(name).unwrap()).class;
        assert_eq!(class("measured-qemu"), Class::Emulated);
        assert_eq!(class("cortex-a53-floor"), Class::CheapTrap);
        assert_eq!(class("kvm-cortex-a57-split"), Class::ExpensiveTrap);
        assert_eq!(class("nested-v8.3-low"), Class::Nested);
    }
}
