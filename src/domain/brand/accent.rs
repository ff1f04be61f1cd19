//! The brand's colour, and the shades of it that people can read.
//!
//! Contrast is that of WCAG 2.2 (1.4.3, 1.4.11): the ratio of relative luminances.

use std::fmt;

/// The contrast that text needs with what is behind it.
const FOR_TEXT: f64 = 4.5;

/// The contrast that a control needs with what is around it.
const FOR_CONTROLS: f64 = 3.0;

/// Steps from a colour to black or white.
const STEPS: u32 = 64;

/// How many steps a hovered control differs from one at rest.
const HOVER_STEPS: u32 = 10;

/// The channels of white; those of black are 0.
const WHITE: Colour = Colour([255; 3]);
const BLACK: Colour = Colour([0; 3]);

/// A colour without transparency: red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl fmt::Display for Colour {
    /// Writes `#rrggbb`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(formatter, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.040_45 {
                share / 12.92
            } else {
                ((share + 0.055) / 1.055).powf(2.4)
            }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn stands_out(self, from: &[Self], contrast: f64) -> bool {
        from.iter().all(|other| self.contrast(*other) >= contrast)
    }

    /// The colour some steps of `STEPS` on the way to another.
    fn towards(self, end: Self, steps: u32) -> Self {
        let mut mixed = self.0;
        for (from, to) in mixed.iter_mut().zip(end.0) {
            let (here, there) = (u32::from(*from), u32::from(to));
            let sum = here
                .saturating_mul(STEPS.saturating_sub(steps))
                .saturating_add(there.saturating_mul(steps));
            *from = u8::try_from(sum.div_euclid(STEPS)).unwrap_or(u8::MAX);
        }
        Self(mixed)
    }
}

/// The brand's colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent(Colour);

/// What the shades of a theme are seen on.
#[derive(Clone, Copy, Debug)]
pub struct Theme<'a> {
    /// Every background of links and controls.
    pub backgrounds: &'a [Colour],
    /// Whether they are dark, so that shades get lighter.
    pub is_dark: bool,
}

/// The colours that a theme derives from the brand's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shades {
    /// Links, and lines around what is chosen or has the focus.
    pub text: Colour,
    /// Links under the pointer.
    pub text_hover: Colour,
    /// Filled buttons and marks.
    pub fill: Colour,
    /// Filled buttons under the pointer.
    pub fill_hover: Colour,
    /// Text on filled buttons.
    pub on_fill: Colour,
}

impl Accent {
    /// The required form.
    pub const ALLOWED: &'static str = "a colour such as #4338ca";

    /// Reads `#rrggbb`; none if it has not the form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let mut channels = [0; 3];
        hex::decode_to_slice(digits, &mut channels).ok()?;
        Some(Self(Colour(channels)))
    }

    /// The six digits, in lower case.
    #[must_use]
    pub fn digits(self) -> String {
        hex::encode(self.0.0)
    }

    /// Derives the shades of a theme. Each is the brand's colour where that can be read, else the nearest that can, on
    /// the way to black or, in a dark theme, to white.
    #[must_use]
    pub fn shades(self, theme: Theme<'_>) -> Shades {
        let end = if theme.is_dark { WHITE } else { BLACK };
        let nearest = |contrast| {
            let mut steps = 0..=STEPS;
            let step = steps.find(|steps| {
                let shade = self.0.towards(end, *steps);
                shade.stands_out(theme.backgrounds, contrast)
            });
            self.0.towards(end, step.unwrap_or(STEPS))
        };
        let (text, fill) = (nearest(FOR_TEXT), nearest(FOR_CONTROLS));
        // One of the two has 4.5:1 with any colour: the worst is 4.58:1.
        let readable = |one: &Colour| one.contrast(fill) >= FOR_TEXT;
        let on_fill = if readable(&WHITE) { WHITE } else { BLACK };
        let hovered = [BLACK, WHITE].map(|end| fill.towards(end, HOVER_STEPS));
        let fill_hover = hovered.into_iter().find(|shade| {
            on_fill.contrast(*shade) >= FOR_TEXT
                && shade.stands_out(theme.backgrounds, FOR_CONTROLS)
        });
        Shades {
            text,
            text_hover: text.towards(end, HOVER_STEPS),
            fill,
            fill_hover: fill_hover.unwrap_or(fill),
            on_fill,
        }
    }
}

impl Default for Accent {
    fn default() -> Self {
        Self(Colour([0x43, 0x38, 0xca]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_has_six_digits() {
        for text in ["#000000", "#4338ca", "#FFde00"] {
            let digits = Accent::parse(text).unwrap().digits();
            assert_eq!(format!("#{digits}"), text.to_lowercase());
        }
        for text in [
            "", "4338ca", "#4338c", "#4338cag", "#438", "#4338cg", "red", "#4338ca ",
        ] {
            assert_eq!(Accent::parse(text), None, "{text}");
        }
        assert_eq!(Accent::parse("#4338ca"), Some(Accent::default()));
    }

    #[test]
    fn the_contrast_is_that_of_wcag() {
        assert!((WHITE.contrast(BLACK) - 21.0).abs() < 0.001);
        // The lightest grey that WCAG allows for text on white.
        let grey = |channel| Colour([channel; 3]).contrast(WHITE);
        assert!(grey(0x76) >= 4.5 && grey(0x77) < 4.5);
    }

    #[test]
    fn a_colour_that_can_be_read_stays_as_it_is() {
        let theme = Theme {
            backgrounds: &[WHITE],
            is_dark: false,
        };
        let shades = Accent::default().shades(theme);
        let own = Colour([0x43, 0x38, 0xca]);
        assert_eq!(
            (shades.text, shades.fill, shades.on_fill),
            (own, own, WHITE)
        );
    }
}
