//! A request as a command for a POSIX shell, that sends the same bytes whatever a stranger wrote in them.

use super::words::visible;

/// Bytes of a body that stands in the command; a larger one is read from a file.
pub const BODY_LIMIT: usize = 8 * 1024;

/// A request as a `curl` command; the body is read from `file` where it is too large for a command, or has characters
/// that cannot be shown as they are.
#[must_use]
pub fn command(url: &str, headers: &[(String, String)], body: &str, file: &str) -> String {
    // Without globbing, `[` and `{` in an address are what they are.
    let mut parts = vec![format!("curl --globoff --request POST {}", quoted(url))];
    for (name, value) in headers {
        parts.push(format!("--header {}", quoted(&format!("{name}: {value}"))));
    }
    // A leading @ would name a file.
    let is_plain = !body.starts_with('@') && visible(body) == body;
    let data = if body.len() <= BODY_LIMIT && is_plain {
        quoted(body)
    } else {
        quoted(&format!("@{file}"))
    };
    parts.push(format!("--data-binary {data}"));
    parts.join(" \\\n  ")
}

/// Whether the command reads the body from a file.
#[must_use]
pub fn needs_file(body: &str) -> bool {
    body.len() > BODY_LIMIT || body.starts_with('@') || visible(body) != body
}

/// In single quotes nothing is special but the single quote.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
