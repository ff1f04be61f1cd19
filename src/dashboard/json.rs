//! Indents JSON without parsing it: only white space between its tokens changes, never a number or a member.

use super::words::visible;

/// The text with a line for each member, indented by two spaces. Text that is not JSON stays harmless and readable.
#[must_use]
pub(super) fn indented(json: &str) -> String {
    let mut shown = String::with_capacity(json.len().saturating_mul(2));
    let mut depth: usize = 0;
    let mut in_string = false;
    let mut escaped = false;
    let mut tokens = json.chars().peekable();
    while let Some(token) = tokens.next() {
        if in_string {
            shown.push(token);
            in_string = escaped || token != '"';
            escaped = !escaped && token == '\\';
            continue;
        }
        match token {
            '{' | '[' => {
                shown.push(token);
                while tokens.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = tokens.next_if(|next| matches!(next, '}' | ']')) {
                    shown.push(end);
                } else {
                    depth = depth.saturating_add(1);
                    break_line(&mut shown, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut shown, depth);
                shown.push(token);
            }
            ',' => {
                shown.push(token);
                break_line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            _ if token.is_ascii_whitespace() => {}
            _ => {
                in_string = token == '"';
                shown.push(token);
            }
        }
    }
    shown
}

/// The same with its control characters made visible.
#[must_use]
pub(super) fn shown(json: &str) -> String {
    visible(&indented(json)).into_owned()
}

/// The deepest indent: more would only push the text out of sight and cost bytes.
const DEPTH_LIMIT: usize = 12;

fn break_line(shown: &mut String, depth: usize) {
    shown.push('\n');
    for _ in 0..depth.min(DEPTH_LIMIT) {
        shown.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_a_line() {
        assert_eq!(
            indented(r#"{"a":[1, 2.50],"b":{},"c":[ ],"d":{"e":"x"}}"#),
            "{\n  \"a\": [\n    1,\n    2.50\n  ],\n  \"b\": {},\n  \"c\": [],\n  \"d\": {\n    \"e\": \"x\"\n  }\n}"
        );
    }

    #[test]
    fn strings_stay_as_they_are() {
        for text in [r#""a,b:{}[]""#, r#""\"{""#, r#""\\""#, r#""\\\",""#] {
            assert_eq!(indented(text), text);
        }
        assert_eq!(indented(r#"["\\",1]"#), "[\n  \"\\\\\",\n  1\n]");
    }

    #[test]
    fn deep_nesting_does_not_multiply_the_text() {
        let deep = "[".repeat(10_000);
        assert!(indented(&deep).len() < deep.len() * 30);
    }
}
