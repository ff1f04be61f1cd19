//! A webhook's part of a post: its new deliveries, the command that stores them, and what its object replied.

use std::time::Duration;

use serde_json::value::to_raw_value;

use super::{DrawBytes, PostRefusal};
use crate::{
    domain::{
        event::{Event, Payload},
        ids::{DeliveryId, WebhookId},
        timestamp::Timestamp,
    },
    machines::messages::{Acceptance, Grant, NewDelivery, Refusal, WebhookCommand, WebhookReply},
};

/// A webhook and its new deliveries.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize, serde::Deserialize))]
pub struct Batch {
    /// The webhook.
    pub webhook: WebhookId,
    /// Each with the place of its event in the request.
    pub deliveries: Vec<(usize, DeliveryId)>,
    /// How many leases it asks for.
    pub leases: usize,
}

/// What a webhook replied for one event.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize, serde::Deserialize))]
pub struct Found {
    /// The webhook.
    pub webhook: WebhookId,
    /// Its reply.
    pub taken: Acceptance,
    /// The id of the new delivery.
    pub id: DeliveryId,
}

/// What became of a batch.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize, serde::Deserialize))]
pub enum Stored {
    /// Its object replied.
    Done {
        /// Each with the place of its event in the request.
        found: Vec<(usize, Found)>,
        /// Whether many attempts of the webhook are under way.
        is_busy: bool,
    },
    /// A key has been revoked since the copy of the keys was made; nothing is stored.
    StaleKey(Batch),
    /// Its object has too much to do; nothing is stored.
    Overloaded,
    /// Its object did not answer.
    Failed,
}

/// What the reply to a batch's command says.
#[derive(Debug)]
pub struct Replied {
    /// What became of the batch.
    pub stored: Stored,
    /// The granted leases.
    pub grants: Vec<Grant>,
    /// How many leases it asked for and did not get.
    pub unused: usize,
    /// The delivery to wait for before the machine of the post is told, because the relay is behind.
    pub waits_for: Option<DeliveryId>,
}

impl Batch {
    /// Makes the deliveries of a webhook, without leases. Their ids have the time of a generated event id, by which an
    /// object finds a delivery again.
    pub(super) fn mint(
        webhook: WebhookId,
        places: &[usize],
        now: Timestamp,
        draw: DrawBytes<'_>,
    ) -> Result<Self, PostRefusal> {
        let ids = places.iter().map(|_| {
            let bytes = draw().ok_or(PostRefusal::NoRandomBytes)?;
            Ok(DeliveryId::mint(now, bytes))
        });
        let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
        // Lists show the deliveries in the order of the array.
        ids.sort_unstable();
        Ok(Self {
            webhook,
            deliveries: places.iter().copied().zip(ids).collect(),
            leases: 0,
        })
    }

    /// About how many bytes its command has.
    pub(super) fn length(&self, events: &[Event]) -> usize {
        let places = self.deliveries.iter();
        let events = places.filter_map(|(place, _)| events.get(*place));
        events
            .map(Event::length_in_command)
            .fold(0, usize::saturating_add)
    }

    /// The command that stores it. The sender of its leases can wait `ahead` to begin.
    #[must_use]
    pub fn command<'a>(
        &'a self,
        events: &'a [Event],
        ahead: Duration,
        keys_revision: Option<u64>,
    ) -> WebhookCommand<Payload<'a>> {
        let deliveries = self.deliveries.iter().filter_map(|(place, id)| {
            let event = events.get(*place)?;
            Some(NewDelivery {
                id: id.clone(),
                event_id: event.id.clone(),
                event_id_given: event.id_given,
                event_type: event.event_type.as_str().to_string(),
                payload: payload(event, id),
            })
        });
        WebhookCommand::Accept {
            events: deliveries.collect(),
            leases: self.leases,
            ahead_ms: u64::try_from(ahead.as_millis()).unwrap_or_default(),
            keys_revision,
        }
    }

    /// Reads the reply to its command, none if there was no reply.
    #[must_use]
    pub fn read(self, mut reply: Option<WebhookReply>) -> Replied {
        let leases = self.leases;
        let waits_for = match &mut reply {
            Some(WebhookReply::Accepted { waits_for, .. }) => waits_for.take(),
            _ => None,
        };
        let (stored, grants) = self.read_stored(reply);
        Replied {
            stored,
            waits_for,
            unused: leases.saturating_sub(grants.len()),
            grants,
        }
    }

    fn read_stored(self, reply: Option<WebhookReply>) -> (Stored, Vec<Grant>) {
        match reply {
            Some(WebhookReply::Accepted {
                deliveries: taken,
                grants,
                busy,
                ..
            }) => {
                let found = self.deliveries.into_iter().zip(taken);
                let found = found.map(|((place, id), taken)| {
                    let webhook = self.webhook.clone();
                    (place, Found { webhook, taken, id })
                });
                let stored = Stored::Done {
                    found: found.collect(),
                    is_busy: busy,
                };
                (stored, grants)
            }
            Some(WebhookReply::Refused(Refusal::StaleKey)) => (Stored::StaleKey(self), Vec::new()),
            Some(WebhookReply::Refused(Refusal::Overloaded)) => (Stored::Overloaded, Vec::new()),
            // The webhook is deleted, but the copy in KV still has it.
            Some(WebhookReply::Refused(Refusal::NoWebhook)) => {
                let found = Vec::new();
                let is_busy = false;
                (Stored::Done { found, is_busy }, Vec::new())
            }
            Some(_) | None => (Stored::Failed, Vec::new()),
        }
    }
}

/// Gives leases of this post's own deliveries their payloads, which the object leaves out of its reply. `deliveries` are
/// those of the batch.
#[must_use]
pub fn add_payloads(
    grants: Vec<Grant>,
    deliveries: &[(usize, DeliveryId)],
    events: &[Event],
) -> Vec<Grant> {
    let add = |grant: Grant| {
        let own = deliveries.iter().find(|(_, id)| *id == grant.id);
        let own = own.and_then(|(place, id)| Some(payload(events.get(*place)?, id)));
        let payload = own.and_then(|own| to_raw_value(&own).ok());
        Grant {
            payload: payload.or(grant.payload),
            ..grant
        }
    };
    grants.into_iter().map(add).collect()
}

/// The payload of an event's delivery.
fn payload<'a>(event: &'a Event, id: &'a DeliveryId) -> Payload<'a> {
    Payload {
        id,
        event_type: event.event_type.as_str(),
        timestamp: &event.timestamp,
        data: &event.data,
    }
}
