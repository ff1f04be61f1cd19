//! An endpoint's response, cut to the room that the page has for it.

use super::words::{beginning, visible, weight};
use crate::domain::attempt::Attempt;

/// Headers of one response.
const HEADERS_SHOWN: usize = 40;

/// Bytes of HTML for a cell of a table of headers.
const HEADER_ROOM: usize = 1024;

/// Bytes of HTML around a header.
const HEADER_FRAME: usize = 45;

/// A response as the page shows it.
pub(super) struct ShownResponse {
    /// Headers, visible.
    pub(super) headers: Vec<(String, String)>,
    /// How many headers came.
    pub(super) header_count: usize,
    /// The beginning of the body, visible; none if there was no response or it is no longer kept.
    pub(super) body: Option<String>,
    /// Whether the page lacks room for all that is kept.
    pub(super) is_cut: bool,
    /// Whether only a part of what was sent is kept.
    pub(super) is_truncated: bool,
}

impl ShownResponse {
    /// Subtracts what it shows from `room`: at most half of it, so that the next response has room too.
    pub(super) fn new(attempt: &Attempt, room: &mut usize) -> Self {
        let mut share = room.div_euclid(2);
        let before = share;
        let mut is_cut = false;
        let body = attempt.response_body.as_deref().map(|body| {
            let (shown, is_all) = beginning(body, share);
            share = share.saturating_sub(weight(shown));
            is_cut = !is_all;
            visible(shown).into_owned()
        });
        let mut headers = Vec::new();
        for (name, value) in &attempt.response_headers {
            if headers.len() >= HEADERS_SHOWN || share < HEADER_FRAME {
                is_cut = true;
                break;
            }
            share = share.saturating_sub(HEADER_FRAME);
            let mut cell = |text: &str| {
                let (shown, is_all) = beginning(text, share.min(HEADER_ROOM));
                share = share.saturating_sub(weight(shown));
                let ending = if is_all { "" } else { "…" };
                format!("{}{ending}", visible(shown))
            };
            headers.push((cell(name), cell(value)));
        }
        *room = room.saturating_sub(before.saturating_sub(share));
        Self {
            headers,
            header_count: attempt.response_headers.len(),
            body,
            is_cut,
            is_truncated: attempt.response_truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn responses_share_the_room_and_never_exceed_it() {
        let mut room = 10_000;
        let attempt = answered(&"<".repeat(16_000), 50);
        for _ in 0..30 {
            let before = room;
            let shown = ShownResponse::new(&attempt, &mut room);
            let body = shown.body.as_deref().map(weight).unwrap_or_default();
            assert!(body <= before / 2 && shown.is_cut);
            assert!(room <= before);
        }
    }

    #[test]
    fn what_fits_is_shown_whole() {
        let shown = ShownResponse::new(&answered("ok\u{0}", 2), &mut 10_000);
        assert_eq!(shown.body.as_deref(), Some("ok[U+0000]"));
        assert_eq!((shown.headers.len(), shown.is_cut), (2, false));
    }

    #[test]
    fn a_hundred_headers_are_cut() {
        let shown = ShownResponse::new(&answered("", 100), &mut 1_000_000);
        assert_eq!(
            (shown.headers.len(), shown.header_count),
            (HEADERS_SHOWN, 100)
        );
        assert!(shown.is_cut);
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
