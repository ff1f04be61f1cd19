//! Texts of strangers, made visible and cut: an endpoint's response must not rearrange the page.

use std::{
    borrow::{Borrow, Cow},
    fmt::Write,
};

/// A text with its control characters, and those that reverse or hide text, made visible: an endpoint's response must
/// not rearrange the page.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_treacherous) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        push_visible(&mut shown, character);
    }
    Cow::Owned(shown)
}

fn push_visible(shown: &mut String, character: char) {
    if is_treacherous(character) {
        // Writing to a String cannot fail.
        let _ = write!(shown, "[U+{:04X}]", u32::from(character));
    } else {
        shown.push(character);
    }
}

/// Adds a character to HTML between tags: visible, and escaped.
pub(super) fn push_escaped(html: &mut String, character: char) {
    match character {
        '<' => html.push_str("&#60;"),
        '>' => html.push_str("&#62;"),
        '&' => html.push_str("&#38;"),
        _ => push_visible(html, character),
    }
}

const fn is_treacherous(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Controls; marks, embeddings, overrides and isolates of direction; separators and joiners without width.
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => true,
        _ => false,
    }
}

/// The beginning of a text whose HTML has at most that many bytes, and whether that is the whole text.
#[must_use]
pub fn beginning(text: &str, bytes: impl Borrow<usize>) -> (&str, bool) {
    let mut total: usize = 0;
    for (index, character) in text.char_indices() {
        total = total.saturating_add(weight_of(character));
        if total > *bytes.borrow() {
            return (text.get(..index).unwrap_or_default(), false);
        }
    }
    (text, true)
}

/// The bytes of a text in HTML, made visible and escaped.
#[must_use]
pub fn weight(text: &str) -> usize {
    text.chars().map(weight_of).fold(0, usize::saturating_add)
}

const fn weight_of(character: char) -> usize {
    match character {
        '<' | '>' | '&' | '"' | '\'' => 5,
        _ if is_treacherous(character) => 10,
        _ => character.len_utf8(),
    }
}

/// A text on one line for a table: visible, cut after that many characters.
#[must_use]
pub fn one_line(text: &str, characters: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(characters).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    visible(&shown).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_turns_or_hides_is_made_visible_and_other_text_is_not_touched() {
        assert_eq!(visible("a\u{202e}b\0\r"), "a[U+202E]b[U+0000][U+000D]");
        assert!(matches!(visible("ümlaut, العربية\n\t"), Cow::Borrowed(_)));
        assert_eq!(one_line("first\nsecond", 80), "first…");
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("abc", 3), "abc");
    }

    #[test]
    fn a_beginning_fits_its_room_when_it_is_escaped() {
        for text in [
            "<<<<<<<<<<",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "ééééééééééé",
            "\0\0\0\0",
        ] {
            let (shown, is_all) = beginning(text, 20);
            assert!(weight(shown) <= 20 && !is_all, "{text}");
            assert_eq!(beginning(text, 1_000), (text, true));
        }
    }
}
