//! The profiles that come with this crate: one file each in `profiles/`.

use std::sync::LazyLock;

use crate::{Profile, parse};

/// Names their files, in the order in which tables show the profiles.
macro_rules! files {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../profiles/", $name, ".toml")))),*]
    };
}

/// Each profile's name and text.
const FILES: [(&str, &str); 19] = files![
    "measured-qemu"
    "cortex-a53-floor"
    "cortex-a53-ceiling"
    "cortex-a57-floor"
    "cortex-a57-ceiling"
    "kvm-cortex-a57-vhe"
    "kvm-cortex-a57-split"
    "kvm-neoverse-n1"
    "kvm-x-gene"
    "xen-x-gene"
    "x-gene-recalled"
    "port-model-cortex-a53"
    "port-model-cortex-a57"
    "port-model-thunderx2"
    "port-model-kunpeng-920"
    "port-model-a64fx"
    "nested-nv2"
    "nested-v8.3-low"
    "nested-v8.3-high"
];

/// Returns the built-in profiles, in the order in which tables show them.
///
/// # Panics
/// If a file in `profiles/` is no profile, which a test rules out.
pub fn built_in() -> &'static [Profile] {
    static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
        let parsed = FILES.iter().map(|(name, text)| {
            parse(text, name).unwrap_or_else(|error| panic!("built-in profile: {error}"))
        });
        parsed.collect()
    });
    &PROFILES
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Certainty, Unit};

    #[test]
    fn every_file_of_the_directory_is_built_in_under_its_own_name() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
        let files: BTreeSet<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let names = built_in().iter().map(|p| format!("{}.toml", p.name));
        assert_eq!(names.collect::<BTreeSet<_>>(), files);
        for ((file, _), profile) in FILES.iter().zip(built_in()) {
            assert_eq!(*file, profile.name);
        }
    }

    /// A recalled figure is shown nowhere without a sign: its name says it too.
    #[test]
    fn recalled_figures_are_told_by_their_names() {
        for profile in built_in() {
            let recalled = profile.certainty == Certainty::Recalled;
            assert_eq!(
                profile.name.contains("recalled"),
                recalled,
                "{}",
                profile.name
            );
            assert_eq!(
                profile.label().ends_with("[?]"),
                recalled,
                "{}",
                profile.name
            );
        }
    }

    /// Figures of other sizes than FP/SIMD's are not published.
    #[test]
    fn none_has_figures_that_nobody_has_published() {
        for profile in built_in() {
            assert!(profile.sve.is_empty() && profile.za.is_empty());
            assert_eq!(
                profile.unit == Unit::Instructions,
                profile.certainty == Certainty::Measured,
                "{}",
                profile.name
            );
        }
    }

    /// The costs that each profile was given are those that its note names.
    #[test]
    fn the_published_sums_come_out() {
        for (name, trap, exchange) in [
            ("cortex-a53-floor", 135, 145),
            ("cortex-a53-ceiling", 750, 145),
            ("cortex-a57-floor", 135, 183),
            ("cortex-a57-ceiling", 750, 183),
            ("kvm-cortex-a57-vhe", 752, 183),
            ("kvm-cortex-a57-split", 6_413, 183),
            ("kvm-neoverse-n1", 918, 183),
            ("kvm-x-gene", 6_500, 183),
            ("xen-x-gene", 376, 183),
            ("x-gene-recalled", 137, 592),
            ("port-model-cortex-a53", 135, 51),
            ("port-model-cortex-a57", 135, 71),
            ("port-model-thunderx2", 135, 42),
            ("port-model-kunpeng-920", 135, 31),
            ("port-model-a64fx", 135, 23),
            ("nested-nv2", 96_640, 183),
            ("nested-v8.3-low", 307_363, 183),
            ("nested-v8.3-high", 422_720, 183),
        ] {
            let profile = crate::find(name).unwrap();
            assert_eq!(
                (profile.fp.trap, profile.fp.exchange()),
                (trap, exchange),
                "{name}"
            );
            assert_eq!((profile.fp.gate, profile.fp.isb), (9, 30), "{name}");
        }
    }
}
