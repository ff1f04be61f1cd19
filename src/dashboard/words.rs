//! What happened, in words that people use.

/// A text with its first letter in upper case.
#[must_use]
pub fn capitalise(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
