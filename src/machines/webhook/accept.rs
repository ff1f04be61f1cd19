//! Accepting deliveries: events from the Worker, pings and tests.

use std::time::Duration;

use super::{commands::Asked, turn::Turn};
use crate::{
    domain::{
        delivery::{Delivery, Kind},
        dispatch::BacklogFull,
        event::EVENT_ID_KEPT,
        ids::{DeliveryId, EventId},
        record::DeliveryRecord,
    },
    machines::{
        messages::{Acceptance, Grant, NewDelivery, Recalled, WebhookReply},
        sql::Result,
    },
    mutants::Mutant,
};

/// How much there is to do.
#[derive(Clone, Copy, Default)]
pub(super) struct Load {
    /// Whether many attempts are under way.
    pub(super) is_busy: bool,
    /// Whether what is due waits for the relay, and neither for the endpoint nor for what its owner set.
    pub(super) is_behind: bool,
    /// Whether something is due and not leased.
    pub(super) has_due: bool,
}

impl Turn<'_> {
    /// Whether new deliveries change only what is in memory and written by the next flush; held ones are rows at once.
    pub(super) fn accepts_in_memory(&self) -> bool {
        self.open.dispatch.is_enabled()
    }

    /// Accepts events, and leases as many of the new deliveries as are asked for; the grants have their payloads.
    pub(super) fn accept(
        &mut self,
        events: Vec<NewDelivery>,
        asked: Asked,
    ) -> Result<(Vec<Acceptance>, Vec<Grant>)> {
        let mut deliveries = Vec::with_capacity(events.len());
        let mut grants = Vec::new();
        for event in events {
            let ahead = (grants.len() < asked.leases).then_some(asked.ahead);
            let (taken, grant) = self.accept_one(event, ahead)?;
            deliveries.push(taken);
            grants.extend(grant);
        }
        Ok((deliveries, grants))
    }

    /// The order of the checks is that of API.md: a duplicate first, since it was accepted before.
    fn accept_one(
        &mut self,
        event: NewDelivery,
        ahead: Option<Duration>,
    ) -> Result<(Acceptance, Option<Grant>)> {
        let (now, policy) = (self.now, self.policy);
        if event.event_id_given
            && !Mutant::AcceptedTwice.is_on()
            && let Some(found) = self.find_event(&event.event_id)?
        {
            return Ok((Acceptance::Duplicate(found), None));
        }
        let dispatch = &mut self.open.dispatch;
        if !dispatch.settings.selects(&event.event_type) {
            return Ok((Acceptance::NotSelected, None));
        }
        let bytes = length(&event);
        if self.tables.is_full(bytes, policy.max_storage) {
            return Ok((Acceptance::StorageFull, None));
        }
        let mut delivery = match dispatch.accept(Kind::Event, bytes, now, policy) {
            Ok(delivery) => delivery,
            Err(BacklogFull) => return Ok((Acceptance::BacklogFull, None)),
        };
        let lease = ahead.and_then(|ahead| dispatch.lease_first(&mut delivery, now, ahead, policy));
        let status = delivery.status();
        if event.event_id_given {
            self.tables.put_event_id(&event.event_id, &event.id, now);
        }
        let mut record = new_record(event, delivery);
        let grant = lease.map(|lease| Grant {
            payload: record.payload.clone(),
            ..Grant::new(&dispatch.settings, &record, lease, now)
        });
        self.tables.insert(&mut record)?;
        dispatch.queue.place(&record.id, &record.delivery, bytes);
        Ok((Acceptance::New { status }, grant))
    }

    /// What the answer to a producer waits for.
    pub(super) fn load(&self) -> Load {
        let dispatch = &self.open.dispatch;
        let slots = dispatch.width.slots(self.policy.max_leases);
        Load {
            is_busy: dispatch.is_busy(),
            is_behind: dispatch.is_unhindered(self.now)
                && self.open.occupancy.is_low(slots, self.now),
            has_due: dispatch.queue.any_due(self.now).is_some(),
        }
    }

    /// Finds the deliveries that the webhook has for events.
    pub(super) fn recall(&self, event_ids: &[EventId]) -> Result<Vec<Option<Recalled>>> {
        event_ids.iter().map(|id| self.find_event(id)).collect()
    }

    /// Finds the delivery that an earlier post of the same event made.
    fn find_event(&self, id: &EventId) -> Result<Option<Recalled>> {
        let kept = if Mutant::EventIdForgotten.is_on() {
            Duration::from_secs(60 * 60)
        } else {
            EVENT_ID_KEPT
        };
        let found = self.tables.find_event(id, self.now, kept)?;
        Ok(found.map(|found| Recalled {
            id: found.id,
            status: found.delivery.status(),
            event_type: found.event_type,
        }))
    }

    /// Makes a ping or a test, and leases it. `once`: only if there is none of the kind.
    pub(super) fn probe(
        &mut self,
        kind: Kind,
        event: NewDelivery,
        once: bool,
    ) -> Result<WebhookReply> {
        if once && let Some(found) = self.tables.find_probe(kind)? {
            return Ok(WebhookReply::Probed(found));
        }
        let (now, policy) = (self.now, self.policy);
        let dispatch = &mut self.open.dispatch;
        let bytes = length(&event);
        let Ok(mut delivery) = dispatch.accept(kind, bytes, now, policy) else {
            return Ok(WebhookReply::Granted(Vec::new()));
        };
        let lease = dispatch.lease(&mut delivery, now, Duration::ZERO, policy);
        let mut record = new_record(event, delivery);
        self.tables.insert(&mut record)?;
        dispatch.queue.place(&record.id, &record.delivery, bytes);
        let grant = lease.map(|lease| Grant::new(&dispatch.settings, &record, lease, now));
        Ok(WebhookReply::Granted(grant.into_iter().collect()))
    }
}

fn length(event: &NewDelivery) -> u64 {
    u64::try_from(event.payload.get().len()).unwrap_or(u64::MAX)
}

fn new_record(event: NewDelivery, delivery: Delivery) -> DeliveryRecord {
    DeliveryRecord {
        id: event.id,
        event_id: event.event_id,
        event_type: event.event_type,
        delivery,
        attempts: Vec::new(),
        payload: Some(event.payload),
        request: None,
        waiting_for: None,
    }
}

/// The ids of new deliveries.
pub(super) fn ids_of(events: &[NewDelivery]) -> Vec<DeliveryId> {
    events.iter().map(|event| event.id.clone()).collect()
}
