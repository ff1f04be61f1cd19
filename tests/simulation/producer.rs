//! Producers: they post events, repeat what was not stored everywhere, and sometimes post an event that they posted before.

use webhook_relay::domain::{
    ids::{DeliveryId, EventId},
    timestamp::Timestamp,
    token::TokenHash,
};

use std::collections::BTreeMap;

use crate::{
    happenings::Happening,
    world::{HOUR, World},
};

/// An event of a producer.
pub(crate) struct Event {
    pub(crate) workspace: usize,
    pub(crate) type_name: &'static str,
    pub(crate) id: EventId,
    pub(crate) is_given: bool,
    pub(crate) payload_bytes: usize,
    /// Whether it is posted with a key of the workspace, not by the operator.
    pub(crate) has_key: bool,
    /// Whether it is posted when all has been well for hours: then nothing excuses a webhook that is left out.
    pub(crate) is_last: bool,
    pub(crate) try_number: u32,
    pub(crate) first_posted_at: Option<Timestamp>,
    /// What answers have promised, by webhook.
    pub(crate) promised: BTreeMap<usize, DeliveryId>,
}

/// What a producer is answered.
#[derive(Debug)]
pub(crate) enum PostAnswer {
    /// 202, with the deliveries, and the webhooks that have no room.
    Accepted {
        stored: Vec<(usize, DeliveryId)>,
        full: Vec<usize>,
    },
    /// 401.
    Unauthorized,
    /// 503, or another error, or nothing.
    NotStored,
}

impl World {
    pub(crate) fn post(&mut self, event: usize) {
        let now = self.now;
        let workspace = self.events[event].workspace;
        let key = if self.events[event].has_key {
            let Some(key) = self.any_key(workspace) else {
                return;
            };
            Some(key)
        } else {
            None
        };
        if !self.events[event].is_given {
            // A Worker makes the id when the event is posted.
            self.events[event].id = EventId::mint(now, self.choices.bytes());
        }
        let one = &mut self.events[event];
        one.try_number += 1;
        one.first_posted_at.get_or_insert(now);
        self.begin_post(event, key);
    }

    /// A key that was answered to be made; one that is revoked, too, as long as its producer has not noticed.
    fn any_key(&mut self, workspace: usize) -> Option<TokenHash> {
        let keys = self.workspaces[workspace].keys.iter();
        let made: Vec<_> = keys.filter(|known| known.is_made).collect();
        let chosen = self.choices.below(made.len().max(1) as u64);
        let chosen = made.get(usize::try_from(chosen).expect("it is small"))?;
        Some(chosen.key.hash.clone())
    }

    /// A post was answered.
    pub(crate) fn producer_answered(&mut self, event: usize, answer: PostAnswer) {
        match answer {
            PostAnswer::Accepted { stored, .. } => {
                for (object, id) in stored {
                    let known = self.events[event]
                        .promised
                        .entry(object)
                        .or_insert_with(|| id.clone());
                    let known = known.clone();
                    let kept_since = self.now.saturating_sub(HOUR * 24);
                    let is_one = known == id
                        || known.minted_at() < kept_since
                        || self.is_trimmed(object, &known)
                        || !self.events[event].is_given;
                    assert!(is_one, "two deliveries of event {event}: {id} at {object}");
                    self.promised.insert(id, object);
                }
                if self.events[event].is_given && self.choices.happens(100) {
                    let after = self.after_ms(1_000, 20_000_000);
                    self.later(after, Happening::Posts(event));
                }
            }
            PostAnswer::Unauthorized => {}
            PostAnswer::NotStored => {
                if self.events[event].is_given && self.events[event].try_number < 200 {
                    let after = self.after_ms(1_000, 30_000);
                    self.later(after, Happening::Posts(event));
                }
            }
        }
    }
}
