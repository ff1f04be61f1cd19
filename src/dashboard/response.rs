//! An endpoint's answer and a payload, cut to the room that the page has for them.

use serde::de::IgnoredAny;

use super::{
    json,
    markup::{self, Markup, Room},
    words::{beginning, one_line, size, visible, weight},
};
use crate::domain::attempt::Attempt;

/// Headers of one response.
const HEADERS_SHOWN: usize = 40;

/// Bytes of HTML for a cell of a table of headers.
const HEADER_ROOM: usize = 1024;

/// Bytes of HTML around a header.
const HEADER_FRAME: usize = 45;

/// Bytes of HTML for the headers of a response.
const HEADERS_ROOM: usize = 8 * 1024;

/// What a page shows of a body; the rest is a download away.
const BODY_ROOM: Room = Room {
    text: 8 * 1024,
    html: 12 * 1024,
};

/// Characters of a content type.
const TYPE_LIMIT: usize = 60;

/// A body as the page shows it.
pub(super) struct ShownBody {
    /// Its beginning: JSON indented and coloured unless it is asked for as it is, anything else as text.
    pub(super) html: Markup,
    /// Whether it is JSON, which can be shown in two ways.
    pub(super) is_json: bool,
    /// Whether the page lacks room for all that is kept.
    pub(super) is_cut: bool,
    /// Its size in words.
    pub(super) size: String,
}

impl ShownBody {
    /// Shows a body; `raw`: JSON as it is, and not indented.
    pub(super) fn new(text: &str, raw: bool) -> Self {
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        let (html, is_all) = match (is_json, raw) {
            (true, false) => markup::json(&json::indented(text), BODY_ROOM),
            (true, true) => markup::json(text, BODY_ROOM),
            (false, _) => markup::plain(text, BODY_ROOM),
        };
        Self {
            html,
            is_json,
            is_cut: !is_all,
            size: size(text.len()),
        }
    }
}

/// A response as the page shows it.
pub(super) struct ShownResponse {
    /// Headers, visible.
    pub(super) headers: Vec<(String, String)>,
    /// How many headers came.
    pub(super) header_count: usize,
    /// The body; none if there was no response or it is no longer kept.
    pub(super) body: Option<ShownBody>,
    /// What the endpoint says that the body is; empty if it does not.
    pub(super) content_type: String,
    /// Whether the page lacks room for all headers that are kept.
    pub(super) lacks_headers: bool,
    /// Whether only a part of what was sent is kept.
    pub(super) is_truncated: bool,
    /// The size that the endpoint announced, if more than is kept.
    pub(super) announced: Option<String>,
}

impl ShownResponse {
    pub(super) fn new(attempt: &Attempt, raw: bool) -> Self {
        let mut room = HEADERS_ROOM;
        let mut headers = Vec::new();
        for (name, value) in attempt.response_headers.iter().take(HEADERS_SHOWN) {
            if room < HEADER_FRAME {
                break;
            }
            room = room.saturating_sub(HEADER_FRAME);
            let mut cell = |text: &str| {
                let (shown, is_all) = beginning(text, room.min(HEADER_ROOM));
                room = room.saturating_sub(weight(shown));
                let ending = if is_all { "" } else { "…" };
                format!("{}{ending}", visible(shown))
            };
            headers.push((cell(name), cell(value)));
        }
        let header = |name: &str| attempt.response_headers.get(name);
        let kept = attempt.response_body.as_ref().map_or(0, String::len);
        let announced = header("content-length").and_then(|length| length.parse().ok());
        let announced = announced.filter(|length| attempt.response_truncated && *length > kept);
        Self {
            lacks_headers: headers.len() < attempt.response_headers.len(),
            headers,
            header_count: attempt.response_headers.len(),
            body: attempt
                .response_body
                .as_deref()
                .map(|body| ShownBody::new(body, raw)),
            content_type: header("content-type")
                .map(|value| one_line(value, TYPE_LIMIT))
                .unwrap_or_default(),
            is_truncated: attempt.response_truncated,
            announced: announced.map(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn an_answer_never_exceeds_its_room() {
        let mut attempt = answered(&"<".repeat(16_000), 50);
        for value in attempt.response_headers.values_mut() {
            *value = "<".repeat(2_000);
        }
        let shown = ShownResponse::new(&attempt, false);
        let body = shown.body.unwrap();
        assert!(body.is_cut && body.html.to_string().len() <= BODY_ROOM.html + 10);
        assert_eq!(body.size, "16 kB");
        let cells = shown.headers.iter();
        let html: usize = cells
            .map(|(name, value)| weight(name) + weight(value))
            .sum();
        assert!(shown.lacks_headers && html <= HEADERS_ROOM + 3 * HEADERS_SHOWN);
    }

    #[test]
    fn what_fits_is_shown_whole() {
        let shown = ShownResponse::new(&answered("ok\u{0}", 2), false);
        let body = shown.body.unwrap();
        assert_eq!(body.html.to_string(), "ok[U+0000]");
        assert_eq!(
            (
                shown.headers.len(),
                shown.lacks_headers,
                body.is_cut,
                body.is_json
            ),
            (2, false, false, false)
        );
    }

    #[test]
    fn json_is_indented_unless_it_is_asked_for_as_it_is() {
        let shown = |raw| ShownBody::new("{\"a\":1}", raw).html.to_string();
        assert_eq!(shown(false), "{\n  <b>\"a\"</b>: <i>1</i>\n}");
        assert_eq!(shown(true), "{<b>\"a\"</b>:<i>1</i>}");
    }

    #[test]
    fn a_larger_size_than_is_kept_is_told_if_the_endpoint_announced_it() {
        let mut attempt = answered("abc", 0);
        attempt
            .response_headers
            .insert("content-length".into(), "1500000".into());
        assert_eq!(ShownResponse::new(&attempt, false).announced, None);
        attempt.response_truncated = true;
        let shown = ShownResponse::new(&attempt, false);
        assert_eq!(shown.announced.as_deref(), Some("1.5 MB"));
    }

    #[test]
    fn a_hundred_headers_are_cut() {
        let shown = ShownResponse::new(&answered("", 100), false);
        assert_eq!(
            (shown.headers.len(), shown.header_count),
            (HEADERS_SHOWN, 100)
        );
        assert!(shown.lacks_headers);
    }

    fn answered(body: &str, headers: usize) -> Attempt {
        let at = Timestamp::from_millis(0);
        let header = |number| (format!("x-{number}"), "value".to_string());
        Attempt {
            response_body: Some(body.into()),
            response_headers: (0..headers).map(header).collect::<BTreeMap<_, _>>(),
            ..Attempt::lost(1, at, at)
        }
    }
}
