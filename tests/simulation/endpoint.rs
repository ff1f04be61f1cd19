//! An endpoint: what it answers at a time, and what it has seen. What it accepted is the truth about "delivered".

use std::collections::BTreeMap;

use webhook_relay::domain::ids::DeliveryId;

use crate::choices::Choices;

/// How an endpoint behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Fails(u16),
    Busy,
    Hangs,
    Slow,
    Gone,
}

impl Mood {
    pub(crate) fn draw(choices: &mut Choices) -> Self {
        match choices.below(100) {
            0..=38 => Self::Well,
            39..=58 => Self::Fails(500),
            59..=68 => Self::Fails(503),
            69..=78 => Self::Busy,
            79..=88 => Self::Hangs,
            89..=98 => Self::Slow,
            _ => Self::Gone,
        }
    }
}

/// An endpoint and what it has seen.
pub(crate) struct Endpoint {
    pub(crate) mood: Mood,
    pub(crate) bodies: BTreeMap<DeliveryId, String>,
}

/// What an endpoint answers: its status, if there is one, how long that takes in milliseconds, and `Retry-After`.
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    pub(crate) after_ms: u64,
    pub(crate) retry_after_ms: Option<u64>,
}

impl Endpoint {
    pub(crate) const fn new() -> Self {
        Self {
            mood: Mood::Well,
            bodies: BTreeMap::new(),
        }
    }

    /// Gets a request; returns its answer.
    pub(crate) fn gets(&mut self, id: &DeliveryId, body: &str, choices: &mut Choices) -> Answer {
        let known = self.bodies.entry(id.clone()).or_insert_with(|| body.into());
        assert_eq!(known, body, "{id} was sent with other bytes");
        let answer = |status, after_ms| Answer {
            status,
            after_ms,
            retry_after_ms: None,
        };
        match self.mood {
            Mood::Well => answer(Some(200), choices.between(1, 200)),
            Mood::Fails(status) => answer(Some(status), choices.between(1, 200)),
            Mood::Busy => Answer {
                retry_after_ms: Some(choices.between(0, 600) * 1000),
                ..answer(Some(429), 5)
            },
            Mood::Hangs => answer(None, 10_000),
            Mood::Gone => answer(Some(410), choices.between(1, 5_000)),
            Mood::Slow => answer(Some(200), choices.between(3_000, 9_900)),
        }
    }
}
