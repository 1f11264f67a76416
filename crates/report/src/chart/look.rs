//! How the parts of charts look: in plain attributes, which every renderer of SVG knows, and in a style for
//! the page, which changes the colours in the dark and in print. Both come from the table below.

use std::fmt::Write;

/// A colour of the page, in the light, in the dark and in print. The style names it `--NAME`.
#[derive(Debug, Eq, PartialEq)]
pub struct Colour {
    /// Its name.
    pub name: &'static str,
    /// In the light, and in a picture without the page.
    pub light: &'static str,
    /// In the dark.
    pub dark: &'static str,
    /// In print, if that is another one than in the light.
    pub print: Option<&'static str>,
}

impl Colour {
    /// A colour that print does not change.
    pub const fn new(name: &'static str, light: &'static str, dark: &'static str) -> Self {
        Self {
            name,
            light,
            dark,
            print: None,
        }
    }

    /// The same with another colour in print.
    pub const fn with_print(self, print: &'static str) -> Self {
        Self {
            print: Some(print),
            ..self
        }
    }
}

/// What is written on.
pub static PAPER: Colour = Colour::new("paper", "#fdfdfb", "#15161a").with_print("#fff");
/// What is read first.
pub static INK: Colour = Colour::new("ink", "#1c1d21", "#e9e8e3").with_print("#000");
/// What is read second.
static SOFT: Colour = Colour::new("soft", "#5b5f68", "#a2a5ad").with_print("#444");
/// Fine lines.
static FAINT: Colour = Colour::new("faint", "#e4e3dd", "#2a2c33").with_print("#ddd");
/// Axes and borders.
static LINE: Colour = Colour::new("line", "#c9c8c0", "#454851").with_print("#999");

/// What something is painted with.
#[derive(Clone, Copy, Debug)]
enum Paint {
    /// A colour of the page.
    Of(&'static Colour),
    /// The colour of the series that it belongs to.
    Series,
}

/// A part of charts, by the name of its class in the style.
#[derive(Debug)]
pub struct Part {
    name: &'static str,
    fill: Option<Paint>,
    stroke: Option<Paint>,
    /// Further attributes: widths, sizes, opacity. The style does not change these.
    attributes: &'static str,
}

macro_rules! parts {
    ($($(#[$doc:meta])* $part:ident $name:literal $fill:expr, $stroke:expr, $attributes:literal;)*) => {
        $($(#[$doc])* pub static $part: Part = Part {
            name: $name, fill: $fill, stroke: $stroke, attributes: $attributes,
        };)*
        static PARTS: &[&Part] = &[$(&$part),*];
    };
}

use Paint::{Of, Series};

parts! {
    /// What a chart is drawn on.
    GROUND "c-ground" Some(Of(&PAPER)), None, "";
    /// Plain text.
    PLAIN "c-text" Some(Of(&INK)), None, "";
    /// The value of a tick.
    TICK "c-tick" Some(Of(&SOFT)), None, "";
    /// What an axis shows.
    LABEL "c-label" Some(Of(&SOFT)), None, "font-size=\"11.5\"";
    /// The name of a reference.
    NOTE "c-note" Some(Of(&SOFT)), None, "";
    /// A heading over rows.
    HEADING "c-heading" Some(Of(&INK)), None, "font-weight=\"600\"";
    /// The name of a mark.
    NAME "c-name" Some(Of(&INK)), None, "font-size=\"11\"";
    /// The name of a sector.
    SECTOR "c-sector" Some(Series), None, "font-size=\"15\" font-weight=\"700\"";
    /// The line of a tick.
    GRID "c-grid" None, Some(Of(&FAINT)), "stroke-width=\"1\"";
    /// An axis.
    AXIS "c-axis" None, Some(Of(&LINE)), "stroke-width=\"1\"";
    /// The line of a row.
    ROW "c-row" None, Some(Of(&FAINT)), "stroke-width=\"1\"";
    /// A range to compare with.
    BAND "c-band" Some(Of(&FAINT)), None, "";
    /// A value to compare with.
    REFERENCE "c-reference" None, Some(Of(&SOFT)), "stroke-width=\"1\" stroke-dasharray=\"4 3\"";
    /// What leads from a mark to its name.
    LEAD "c-lead" None, Some(Of(&SOFT)), "stroke-width=\"0.8\"";
    /// The line of a series.
    CURVE "c-line" None, Some(Series), "fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\"";
    /// One of many lines, which another one sums up.
    THIN "c-thin" None, Some(Series), "fill=\"none\" stroke-width=\"1\" stroke-linejoin=\"round\" opacity=\"0.6\"";
    /// The line that sums up others.
    THICK "c-thick" None, Some(Series), "fill=\"none\" stroke-width=\"2.8\" stroke-linejoin=\"round\"";
    /// An interval.
    INTERVAL "c-interval" None, Some(Series), "stroke-width=\"1.6\" opacity=\"0.75\"";
    /// A filled marker.
    SOLID "c-solid" Some(Series), None, "";
    /// An empty marker.
    RING "c-ring" Some(Of(&PAPER)), Some(Series), "stroke-width=\"2\"";
    /// A marker of lines.
    STROKE "c-stroke" None, Some(Series), "stroke-width=\"2.2\" stroke-linecap=\"round\"";
    /// A filled bar.
    FILLED "c-filled" Some(Series), None, "";
    /// An empty bar.
    EMPTY "c-empty" None, Some(Series), "fill=\"none\" stroke-width=\"1.4\"";
    /// A sector.
    AREA "c-area" Some(Series), Some(Series), "fill-opacity=\"0.13\" stroke-opacity=\"0.5\" stroke-width=\"1\"";
}

/// A part in the colour of a series, if it belongs to one.
#[derive(Clone, Copy, Debug)]
pub struct Pen {
    part: &'static Part,
    colour: Option<&'static Colour>,
}

impl From<&'static Part> for Pen {
    fn from(part: &'static Part) -> Self {
        Self { part, colour: None }
    }
}

impl Part {
    /// Returns it in the colour of a series.
    pub const fn of(&'static self, colour: &'static Colour) -> Pen {
        Pen {
            part: self,
            colour: Some(colour),
        }
    }
}

impl Pen {
    /// The attributes of an element that it draws.
    pub(super) fn attributes(self) -> String {
        let Part {
            name,
            fill,
            stroke,
            attributes,
        } = self.part;
        let mut text = format!("class=\"{name}");
        if let Some(colour) = self.colour {
            let _ = write!(text, " s-{}", colour.name);
        }
        text.push('"');
        for (attribute, paint) in [("fill", fill), ("stroke", stroke)] {
            let colour = match paint {
                Some(Of(colour)) => colour,
                Some(Series) => self.colour.unwrap_or(&INK),
                None => continue,
            };
            let _ = write!(text, " {attribute}=\"{}\"", colour.light);
        }
        if !attributes.is_empty() {
            text.push(' ');
            text += attributes;
        }
        text
    }
}

/// The style of a page with charts, and with these colours besides those of the charts themselves.
pub fn style(colours: &[&Colour]) -> String {
    let all = || {
        let own = [&PAPER, &INK, &SOFT, &FAINT, &LINE];
        own.into_iter().chain(colours.iter().copied())
    };
    let variables = |shade: &dyn Fn(&Colour) -> Option<&'static str>| -> String {
        let declared =
            all().filter_map(|colour| Some(format!("--{}: {}; ", colour.name, shade(colour)?)));
        declared.collect()
    };
    let mut css = format!(
        ":root {{ color-scheme: light dark; {}}}\n\
         @media (prefers-color-scheme: dark) {{ :root {{ {}}} }}\n\
         @media print {{ :root {{ {}}} }}\n\
         svg text {{ paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }}\n",
        variables(&|colour| Some(colour.light)),
        variables(&|colour| Some(colour.dark)),
        variables(&|colour| colour.print)
    );
    for colour in all() {
        let _ = writeln!(css, ".s-{0} {{ --c: var(--{0}); }}", colour.name);
    }
    for part in PARTS {
        let _ = write!(css, ".{} {{ ", part.name);
        for (property, paint) in [("fill", part.fill), ("stroke", part.stroke)] {
            let _ = match paint {
                Some(Of(colour)) => write!(css, "{property}: var(--{}); ", colour.name),
                Some(Series) => write!(css, "{property}: var(--c, var(--ink)); "),
                None => Ok(()),
            };
        }
        css += "}\n";
    }
    css
}
