//! How each scheme looks, the same over all figures.

use trapcast_forecast::Scheme;

use crate::{
    analysis::costs::Of,
    chart::{Dash, Marker, Series},
};

/// The series of a scheme.
pub fn scheme(scheme: Scheme) -> Series {
    let (marker, dash) = match scheme {
        Scheme::None => (Marker::Stroke, Dash::Dotted),
        Scheme::Eager => (Marker::Square, Dash::Long),
        Scheme::PerEntry => (Marker::Up, Dash::Short),
        Scheme::LastTrap => (Marker::Down, Dash::Dotted),
        Scheme::UntilPut => (Marker::Ring, Dash::Mixed),
        Scheme::Counter => (Marker::Plus, Dash::Short),
        Scheme::Credit => (Marker::Cross, Dash::Dotted),
        Scheme::Owner => (Marker::Circle, Dash::Solid),
        Scheme::Forecast => (Marker::Diamond, Dash::Solid),
    };
    Series {
        name: scheme.name().to_string(),
        class: format!("s-{}", scheme.name()),
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
        class: "s-oracle".to_string(),
        marker: Marker::Stroke,
        dash: Dash::Dotted,
    }
}

/// The first and the second of two series that are no schemes.
pub fn pair(names: [&str; 2]) -> Vec<Series> {
    let looks = [
        ("s-first", Marker::Circle, Dash::Solid),
        ("s-second", Marker::Square, Dash::Short),
    ];
    names
        .into_iter()
        .zip(looks)
        .map(|(name, (class, marker, dash))| Series {
            name: name.to_string(),
            class: class.to_string(),
            marker,
            dash,
        })
        .collect()
}
