//! What earlier posts of the same events stored: the first post of an `event_id` wins, and a later one is stored only
//! with webhooks that had selected the type when the first was accepted.
//!
//! If all webhooks have selected the same types for a day, nobody is asked: each finds its duplicates when it accepts.

use std::collections::BTreeMap;

use super::{PostStep, batch::Found};
use crate::{
    domain::{
        event::{EVENT_ID_KEPT, Event},
        ids::WebhookId,
        subscriptions::{Snapshot, Subscription},
        timestamp::Timestamp,
    },
    machines::messages::{Acceptance, WebhookCommand, WebhookReply},
    mutants::Mutant,
};

/// What earlier posts of the same events stored, each with the place of its event in the request.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// The deliveries of a first post under another type: nothing more is stored.
    pub(super) found: BTreeMap<usize, Vec<Found>>,
    /// The first post under the same type.
    first: BTreeMap<usize, First>,
}

/// The first post of an event.
#[derive(Debug)]
struct First {
    at: Timestamp,
    /// The webhooks that have it.
    holders: Vec<WebhookId>,
}

/// Asks all webhooks what they have of the events, unless it cannot matter.
pub(super) fn recall(snapshot: &Snapshot, events: &[Event], now: Timestamp) -> Option<PostStep> {
    let kept_since = now.saturating_sub(EVENT_ID_KEPT);
    let is_selected_lately = |(_, event): (usize, &Event)| {
        let event_type = event.event_type.as_str();
        snapshot.webhooks.iter().any(|webhook| {
            webhook.selects(event_type) && !webhook.selected_at(event_type, kept_since)
        })
    };
    let may_differ = snapshot.selections_differ() || given(events).any(is_selected_lately);
    if given(events).next().is_none() || !may_differ || Mutant::EarlierPostNotAsked.is_on() {
        return None;
    }
    let webhooks = snapshot.webhooks.iter().map(|webhook| webhook.id.clone());
    Some(PostStep::Recall {
        webhooks: webhooks.collect(),
        command: Box::new(WebhookCommand::Recall {
            event_ids: given(events).map(|(_, event)| event.id.clone()).collect(),
        }),
    })
}

/// The events whose ids the producer gave, each with its place in the request.
fn given(events: &[Event]) -> impl Iterator<Item = (usize, &Event)> {
    let events = events.iter().enumerate();
    events.filter(|(_, event)| event.id_given)
}

impl Earlier {
    /// Reads the replies to a recall. A webhook that is deleted has nothing.
    pub(super) fn read(replies: Vec<(WebhookId, WebhookReply)>, events: &[Event]) -> Self {
        let mut earlier = Self::default();
        for (webhook, reply) in replies {
            let WebhookReply::Recalled(recalled) = reply else {
                continue;
            };
            for ((place, event), recalled) in given(events).zip(recalled) {
                let Some(recalled) = recalled else { continue };
                let id = recalled.id.clone();
                if recalled.event_type == event.event_type.as_str() {
                    let at = id.minted_at();
                    let first = earlier.first.entry(place).or_insert(First {
                        at,
                        holders: Vec::new(),
                    });
                    first.at = at.min(first.at);
                    first.holders.push(webhook.clone());
                } else {
                    let taken = Acceptance::Duplicate(recalled);
                    let webhook = webhook.clone();
                    let found = Found { webhook, taken, id };
                    earlier.found.entry(place).or_default().push(found);
                }
            }
        }
        earlier
    }

    /// Whether an event may reach a webhook: it selects the type; or, if the event was posted before, it has it or
    /// should have got it.
    pub(super) fn concerns(&self, place: usize, event: &Event, webhook: &Subscription) -> bool {
        let event_type = event.event_type.as_str();
        match self.first.get(&place) {
            Some(first) => {
                first.holders.contains(&webhook.id) || webhook.selected_at(event_type, first.at)
            }
            None => webhook.selects(event_type),
        }
    }
}
