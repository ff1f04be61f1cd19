//! The style sheet keeps its scales: a few sizes of text, and one row of spaces.

use std::collections::BTreeSet;

use webhook_relay::dashboard::assets::STYLE;

/// Each declaration: its property and its value.
fn declarations() -> impl Iterator<Item = (&'static str, &'static str)> {
    let parts = STYLE.split(['{', '}', ';']);
    parts.filter_map(|part| {
        let (name, value) = part.rsplit('\n').next()?.trim().split_once(':')?;
        Some((name.trim(), value.trim()))
    })
}

#[test]
fn text_has_at_most_six_sizes() {
    let sizes: BTreeSet<_> = declarations()
        .filter_map(|(name, value)| match name {
            "font-size" => Some(value),
            "font" if value != "inherit" => {
                let size = value.split_whitespace().find(|word| word.contains('/'));
                size.and_then(|size| size.split('/').next())
            }
            _ => None,
        })
        .collect();
    assert!((2..=6).contains(&sizes.len()), "{sizes:?}");
}

#[test]
fn spaces_are_those_of_the_scale() {
    let mut seen = 0;
    for (name, value) in declarations() {
        let is_space = ["margin", "padding", "gap"]
            .iter()
            .any(|space| name == *space || name.starts_with(&format!("{space}-")));
        if is_space {
            assert!(!value.contains("rem"), "{name}: {value}");
            seen += usize::from(value.contains("var(--space-"));
        }
    }
    assert!(seen > 50, "{seen}");
}
