//! Text of strangers as HTML of a bounded size: visible, escaped, and coloured where it is JSON.

use std::fmt;

use askama::filters::HtmlSafe;

use super::visible_text::push_escaped;

/// HTML in which every text is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Markup(String);

// Only this module makes one, from escaped text and the two tags below.
impl HtmlSafe for Markup {}
impl askama::FastWritable for Markup {
    fn write_into(&self, into: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        write!(into, "{self}")?;
        Ok(())
    }
}
impl fmt::Display for Markup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Markup {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The room for a text: bytes of it, and bytes of its HTML.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) text: usize,
    pub(super) html: usize,
}

/// The beginning of a text that has room, and whether that is all.
pub(super) fn plain(text: &str, room: Room) -> (Markup, bool) {
    write(text, room, false)
}

/// The same of JSON: `<b>` around the names of members, `<i>` around numbers, `true`, `false` and `null`.
pub(super) fn json(text: &str, room: Room) -> (Markup, bool) {
    write(text, room, true)
}

/// What a character stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    Name,
    Text,
    Word,
}

impl Within {
    const fn tags(self) -> (&'static str, &'static str) {
        match self {
            Self::Name => ("<b>", "</b>"),
            Self::Word => ("<i>", "</i>"),
            Self::Nothing | Self::Text => ("", ""),
        }
    }
}

fn write(text: &str, room: Room, is_json: bool) -> (Markup, bool) {
    let mut html = String::new();
    let mut within = Within::Nothing;
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        if index.saturating_add(character.len_utf8()) > room.text || html.len() > room.html {
            html.push_str(within.tags().1);
            return (Markup(html), false);
        }
        if within == Within::Word && !is_of_word(character) {
            html.push_str(within.tags().1);
            within = Within::Nothing;
        }
        let opens = is_json && within == Within::Nothing;
        if opens && character == '"' {
            let rest = text.get(index..).unwrap_or_default();
            within = if is_name(rest) {
                Within::Name
            } else {
                Within::Text
            };
            html.push_str(within.tags().0);
            html.push('"');
            continue;
        }
        if opens && is_of_word(character) {
            within = Within::Word;
            html.push_str(within.tags().0);
        }
        push_escaped(&mut html, character);
        if matches!(within, Within::Name | Within::Text) {
            if character == '"' && !escaped {
                html.push_str(within.tags().1);
                within = Within::Nothing;
            }
            escaped = !escaped && character == '\\';
        }
    }
    html.push_str(within.tags().1);
    (Markup(html), true)
}

const fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '+' | '.')
}

/// Whether a text that begins with a string goes on with a colon: the string is the name of a member.
fn is_name(text: &str) -> bool {
    let mut escaped = false;
    let mut rest = text.char_indices().skip(1);
    let end = rest.find_map(|(index, character)| {
        let ends = character == '"' && !escaped;
        escaped = !escaped && character == '\\';
        ends.then_some(index)
    });
    let after = end.and_then(|end| text.get(end.saturating_add(1)..));
    after.is_some_and(|after| after.trim_start().starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        text: 1_000,
        html: 1_000,
    };

    #[test]
    fn names_numbers_and_literals_are_marked_and_strings_are_not() {
        let (html, is_all) = json(r#"{"a":[-1.5e+3,true],"b\":":"x: 1"}"#, ROOM);
        assert_eq!(
            html.to_string(),
            r#"{<b>"a"</b>:[<i>-1.5e+3</i>,<i>true</i>],<b>"b\":"</b>:"x: 1"}"#
        );
        assert!(is_all);
    }

    #[test]
    fn nothing_in_a_text_is_markup() {
        let text = "</pre><script>\"&'\u{202e}";
        let shown = "&#60;/pre&#62;&#60;script&#62;\"&#38;'[U+202E]";
        assert_eq!(plain(text, ROOM).0.to_string(), shown);
        let (html, _) = json(&format!("{{\"{text}\":1}}"), ROOM);
        assert!(!html.to_string().contains("<script") && !html.to_string().contains("</pre"));
    }

    #[test]
    fn what_has_no_room_is_left_out_and_every_tag_is_closed() {
        let text = format!("{{\"{}\":{}}}", "<".repeat(300), "1".repeat(300));
        for limit in 0..text.len() {
            let (html, is_all) = json(
                &text,
                Room {
                    text: limit,
                    html: 700,
                },
            );
            let html = html.to_string();
            assert!(!is_all && html.len() < 800);
            for tag in ["b", "i"] {
                let count = |end: &str| html.matches(&format!("<{end}{tag}>")).count();
                assert_eq!(count(""), count("/"), "{limit}");
            }
        }
        assert!(
            json(
                &text,
                Room {
                    text: 1_000,
                    html: 10_000
                }
            )
            .1
        );
    }
}
