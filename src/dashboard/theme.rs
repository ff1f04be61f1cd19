//! The colours of a brand on pages: `/assets/theme.css?accent=rrggbb`, the only way by which they get there.

use crate::domain::brand::{Accent, Brand, Colour, Shades, Theme};

/// The path of the style sheet with a brand's colours.
pub const PATH: &str = "/assets/theme.css";

/// The backgrounds of links and controls in `style.css`: page, card, sunken, and those of notices; a test compares them.
const LIGHT: [Colour; 6] = [
    Colour([0xf6, 0xf7, 0xf9]),
    Colour([0xff; 3]),
    Colour([0xf3, 0xf4, 0xf7]),
    Colour([0xe4, 0xf5, 0xeb]),
    Colour([0xfd, 0xec, 0xeb]),
    Colour([0xff, 0xf4, 0xd9]),
];
const DARK: [Colour; 6] = [
    Colour([0x0f, 0x12, 0x18]),
    Colour([0x17, 0x1b, 0x24]),
    Colour([0x10, 0x14, 0x1c]),
    Colour([0x12, 0x30, 0x1f]),
    Colour([0x3a, 0x19, 0x17]),
    Colour([0x33, 0x27, 0x0c]),
];

/// The address of a brand's colours.
#[must_use]
pub fn address(brand: &Brand) -> String {
    format!("{PATH}?accent={}", brand.accent.digits())
}

/// The accent that the query of such an address names.
#[must_use]
pub fn accent_of(query: &str) -> Option<Accent> {
    Accent::parse(&format!("#{}", query.strip_prefix("accent=")?))
}

/// The style sheet of an accent, for both themes.
#[must_use]
pub fn style(accent: Accent) -> String {
    let variables = |backgrounds: &[Colour], is_dark| {
        let Shades {
            text,
            text_hover,
            fill,
            fill_hover,
            on_fill,
        } = accent.shades(Theme {
            backgrounds,
            is_dark,
        });
        format!(
            ":root {{ --accent: {text}; --accent-hover: {text_hover}; --fill: {fill}; --fill-hover: {fill_hover}; \
             --on-fill: {on_fill}; }}"
        )
    };
    format!(
        "{}\n@media (prefers-color-scheme: dark) {{ {} }}\n",
        variables(&LIGHT, false),
        variables(&DARK, true)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::assets::STYLE;

    const BACKGROUNDS: [&str; 6] = [
        "page",
        "card",
        "sunken",
        "good-soft",
        "bad-soft",
        "warn-soft",
    ];

    #[test]
    fn the_backgrounds_are_those_of_the_style_sheet() {
        for (colours, theme) in [(LIGHT, light(STYLE)), (DARK, dark(STYLE))] {
            for (colour, name) in colours.into_iter().zip(BACKGROUNDS) {
                assert_eq!(colour.0, variable(theme, name), "{name}");
            }
        }
    }

    /// 16 values of each channel: 4,096 colours. Contrast is computed here from the style sheets as browsers get them,
    /// by another formula for a channel than the program's.
    #[test]
    fn every_accent_can_be_read_in_both_themes() {
        for number in 0..4_096_u16 {
            let channel = |shift: u16| u8::try_from((number >> shift & 15) * 17).unwrap();
            let digits = hex::encode([channel(8), channel(4), channel(0)]);
            let sheet = style(accent_of(&format!("accent={digits}")).unwrap());
            for (theme, page) in [(light(&sheet), light(STYLE)), (dark(&sheet), dark(STYLE))] {
                let [text, hover, fill, fill_hover, on] =
                    ["accent", "accent-hover", "fill", "fill-hover", "on-fill"]
                        .map(|name| variable(theme, name));
                for background in BACKGROUNDS.map(|name| variable(page, name)) {
                    assert!(contrast(text, background) >= 4.5, "{digits} as text");
                    assert!(
                        contrast(hover, background) >= 4.5,
                        "{digits} as text, hovered"
                    );
                    assert!(contrast(fill, background) >= 3.0, "{digits} as control");
                    assert!(contrast(fill_hover, background) >= 3.0, "{digits}, hovered");
                }
                assert!(contrast(on, fill) >= 4.5, "{digits} under text");
                assert!(
                    contrast(on, fill_hover) >= 4.5,
                    "{digits} under text, hovered"
                );
            }
        }
    }

    #[test]
    fn an_address_names_its_accent_and_nothing_else() {
        let brand = Brand::default();
        let address = address(&brand);
        assert_eq!(address, "/assets/theme.css?accent=4338ca");
        let query = address.split_once('?').unwrap().1;
        assert_eq!(accent_of(query), Some(brand.accent));
        for query in [
            "",
            "accent=",
            "accent=red",
            "accent=#4338ca",
            "accent=4338ca&a=b",
            "a=4338ca",
        ] {
            assert_eq!(accent_of(query), None, "{query}");
        }
    }

    fn dark(sheet: &str) -> &str {
        sheet.split_once("prefers-color-scheme: dark").unwrap().1
    }

    fn light(sheet: &str) -> &str {
        sheet.split_once("prefers-color-scheme: dark").unwrap().0
    }

    fn variable(sheet: &str, name: &str) -> [u8; 3] {
        let (_, rest) = sheet.split_once(&format!("--{name}: #")).unwrap();
        let digits = rest.split(';').next().unwrap();
        let digits = match digits.len() {
            3 => digits.chars().flat_map(|digit| [digit; 2]).collect(),
            _ => digits.to_owned(),
        };
        hex::decode(digits).unwrap().try_into().unwrap()
    }

    /// Of IEC 61966-2-1, whose threshold differs from WCAG's where no channel of 8 bits lies.
    fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
        let luminance = |colour: [u8; 3]| {
            let linear = colour.map(|channel| match f64::from(channel) / 255.0 {
                dark if dark <= 0.039_28 => dark / 12.92,
                light => ((light + 0.055) / 1.055).powf(2.4),
            });
            linear[0] * 0.2126 + linear[1] * 0.7152 + linear[2] * 0.0722
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }
}
