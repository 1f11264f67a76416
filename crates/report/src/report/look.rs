//! How each scheme looks, the same over all figures.

use trapcast_forecast::Scheme;

use super::words::Format;
use crate::{
    analysis::{costs::Of, estimate::Estimate},
    chart::{Colour, Dash, Dot, INK, Marker, Series},
};

/// Declares colours, and lists them.
macro_rules! colours {
    ($($colour:ident $name:literal $light:literal $dark:literal;)*) => {
        $(pub(super) static $colour: Colour = Colour::new($name, $light, $dark);)*

        /// The colours of the page and of its series.
        pub static COLOURS: [&Colour; [$($name),*].len()] = [$(&$colour),*];
    };
}

colours! {
    CARD "card" "#f5f4ef" "#1d1f25";
    ACCENT "accent" "#a3161f" "#ff7d83";
    EAGER "eager" "#c2500a" "#ff9d57";
    PER_ENTRY "per-entry" "#8a6a00" "#e0c04a";
    LAST_TRAP "last-trap" "#b01e75" "#ff86c6";
    UNTIL_PUT "until-put" "#1d55c4" "#86adff";
    EAGER_UNTIL_PUT "eager-until-put" "#5d6b00" "#c3d04a";
    KVM "kvm" "#7a4a1e" "#d9a777";
    COUNTER "counter" "#0b7a86" "#4fd0dc";
    CREDIT "credit" "#6b3fc0" "#b99bff";
    OWNER "owner" "#1b7a3d" "#63d08a";
    EAGER_OWNER "eager-owner" "#0b6b5c" "#4fd8bf";
    FORECAST "forecast" "#c21a2c" "#ff6f78";
    ORACLE "oracle" "#5b5f68" "#a2a5ad";
    FIRST "first" "#1d55c4" "#86adff";
    SECOND "second" "#c2500a" "#ff9d57";
}

/// The series of a scheme.
pub fn scheme(scheme: Scheme) -> Series {
    let (colour, marker, dash) = match scheme {
        Scheme::None => (&INK, Marker::Stroke, Dash::Dotted),
        Scheme::Eager => (&EAGER, Marker::Square, Dash::Long),
        Scheme::PerEntry => (&PER_ENTRY, Marker::Up, Dash::Short),
        Scheme::LastTrap => (&LAST_TRAP, Marker::Down, Dash::Dotted),
        Scheme::UntilPut => (&UNTIL_PUT, Marker::Ring, Dash::Mixed),
        Scheme::EagerUntilPut => (&EAGER_UNTIL_PUT, Marker::Square, Dash::Mixed),
        Scheme::Kvm => (&KVM, Marker::Up, Dash::Mixed),
        Scheme::Counter => (&COUNTER, Marker::Plus, Dash::Short),
        Scheme::Credit => (&CREDIT, Marker::Cross, Dash::Dotted),
        Scheme::Owner => (&OWNER, Marker::Circle, Dash::Solid),
        Scheme::EagerOwner => (&EAGER_OWNER, Marker::Ring, Dash::Solid),
        Scheme::Forecast => (&FORECAST, Marker::Diamond, Dash::Solid),
    };
    Series {
        name: scheme.name().to_string(),
        colour,
        marker,
        dash,
    }
}

/// The series of `forecast` with `prompt=off`.
pub fn not_prompt() -> Series {
    Series {
        name: Of::NotPrompt.name().to_string(),
        marker: Marker::Plus,
        dash: Dash::Long,
        ..scheme(Scheme::Forecast)
    }
}

/// The series of what costs this.
pub fn of(of: Of) -> Series {
    match of {
        Of::Scheme(which) => scheme(which),
        Of::NotPrompt => not_prompt(),
        Of::Oracle | Of::BetterFixed => oracle(),
    }
}

/// The series of the oracle.
pub fn oracle() -> Series {
    Series {
        name: "oracle".to_string(),
        colour: &ORACLE,
        marker: Marker::Stroke,
        dash: Dash::Dotted,
    }
}

/// The first and the second of two series that are no schemes.
pub fn pair(names: [&str; 2]) -> Vec<Series> {
    let looks = [
        (&FIRST, Marker::Circle, Dash::Solid),
        (&SECOND, Marker::Square, Dash::Short),
    ];
    names
        .into_iter()
        .zip(looks)
        .map(|(name, (colour, marker, dash))| Series {
            name: name.to_string(),
            colour,
            marker,
            dash,
        })
        .collect()
}

/// Estimates side by side, one of each series, with their intervals.
pub fn dots(estimates: impl IntoIterator<Item = Estimate>, format: Format) -> Vec<Dot> {
    let dots = estimates
        .into_iter()
        .enumerate()
        .filter_map(|(series, estimate)| {
            Some(Dot {
                series,
                value: estimate.value?,
                interval: estimate.ends(),
                hint: format.estimate(&estimate),
                ..Dot::default()
            })
        });
    dots.collect()
}
