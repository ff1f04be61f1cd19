//! Finding what earlier posts of the same events stored: the first post of an `event_id` wins, and a later one is stored
//! only with webhooks that had selected the type when the first was accepted.
//!
//! If all webhooks have selected the same types for a day, nobody is asked: each finds its duplicates when it accepts.

use std::collections::HashMap;

use futures_util::future::join_all;

use super::Found;
use crate::{
    domain::{
        event::{EVENT_ID_KEPT, Event},
        ids::WebhookId,
        subscriptions::{Snapshot, Subscription},
        timestamp::Timestamp,
    },
    runtime::{
        commands::{CallError, Taken, WebhookCommand, WebhookReply, ask_webhook},
        request::Call,
    },
};

/// What earlier posts of the same events stored, each with the index of its event in the request.
#[derive(Default)]
pub(super) struct Earlier {
    /// The deliveries of a first post under another type: nothing more is stored.
    pub(super) found: HashMap<usize, Vec<Found>>,
    /// The first post under the same type.
    pub(super) first: HashMap<usize, First>,
}

/// The first post of an event.
pub(super) struct First {
    at: Timestamp,
    /// The webhooks that have it.
    holders: Vec<WebhookId>,
}

impl First {
    /// Whether a later post may reach a webhook: it has the event, or should have got it.
    pub(super) fn concerns(&self, webhook: &Subscription, event_type: &str) -> bool {
        self.holders.contains(&webhook.id) || webhook.selected_at(event_type, self.at)
    }
}

/// Asks all webhooks what they have of the events.
pub(super) async fn recall(
    call: &Call<'_>,
    snapshot: &Snapshot,
    events: &[Event],
    now: Timestamp,
) -> Result<Earlier, CallError> {
    let given = || {
        events
            .iter()
            .enumerate()
            .filter(|(_, event)| event.id_given)
    };
    let kept_since = now.saturating_sub(EVENT_ID_KEPT);
    let selected_lately = |(_, event): (usize, &Event)| {
        let event_type = event.event_type.as_str();
        let mut webhooks = snapshot.webhooks.iter();
        webhooks.any(|webhook| {
            webhook.selects(event_type) && !webhook.selected_at(event_type, kept_since)
        })
    };
    let mut earlier = Earlier::default();
    if given().next().is_none() || !(snapshot.selections_differ() || given().any(selected_lately)) {
        return Ok(earlier);
    }
    let command = WebhookCommand::Recall {
        event_ids: given().map(|(_, event)| event.id.clone()).collect(),
    };
    let asked = snapshot.webhooks.iter().map(|webhook| async {
        let reply = ask_webhook(call.env, &call.workspace, &webhook.id, &command).await?;
        Ok::<_, CallError>((webhook.id.clone(), reply))
    });
    for asked in join_all(asked).await {
        let (webhook, WebhookReply::Recalled(recalled)) = asked? else {
            continue;
        };
        for ((index, event), recalled) in given().zip(recalled) {
            let Some(recalled) = recalled else { continue };
            let id = recalled.id.clone();
            if recalled.event_type == event.event_type.as_str() {
                let at = id.minted_at();
                let first = earlier.first.entry(index).or_insert(First {
                    at,
                    holders: Vec::new(),
                });
                first.at = at.min(first.at);
                first.holders.push(webhook.clone());
            } else {
                let taken = Taken::Duplicate(recalled);
                let webhook = webhook.clone();
                let found = Found { webhook, taken, id };
                earlier.found.entry(index).or_default().push(found);
            }
        }
    }
    Ok(earlier)
}
