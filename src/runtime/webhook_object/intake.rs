//! Taking deliveries in: events from the Worker, pings and tests.

use std::time::Duration;

use worker::Result;

use super::{Open, WebhookObject};
use crate::{
    domain::{
        delivery::{Delivery, Kind},
        dispatch::{BacklogFull, Dispatch},
        ids::EventId,
        policy::Policy,
        record::DeliveryRecord,
        timestamp::Timestamp,
    },
    runtime::{
        commands::{Grant, NewDelivery, Recalled, Taken, WebhookReply},
        entropy::now,
    },
};

/// How long a producer's `event_id` finds its delivery.
pub(super) const EVENT_ID_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

impl WebhookObject {
    pub(super) fn accept(
        &self,
        events: Vec<NewDelivery>,
        leases: usize,
        policy: &Policy,
    ) -> Result<WebhookReply> {
        let now = now();
        self.on_desk(|open| {
            let mut deliveries = Vec::with_capacity(events.len());
            let mut grants = Vec::new();
            for event in events {
                let may_lease = grants.len() < leases;
                let (taken, grant) =
                    self.take_in(&mut open.dispatch, event, may_lease, now, policy)?;
                deliveries.push(taken);
                grants.extend(grant);
            }
            Ok(WebhookReply::Taken {
                deliveries,
                grants,
                busy: open.dispatch.is_busy(),
            })
        })
    }

    fn take_in(
        &self,
        dispatch: &mut Dispatch,
        event: NewDelivery,
        may_lease: bool,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<(Taken, Option<Grant>)> {
        if event.event_id_given
            && let Some(found) = self.find_event(&event.event_id, now)?
        {
            return Ok((Taken::Duplicate(found), None));
        }
        if !dispatch.settings.selects(&event.event_type) {
            return Ok((Taken::NotSelected, None));
        }
        let bytes = length(&event);
        let mut delivery = match dispatch.admit(Kind::Event, bytes, now, policy) {
            Ok(delivery) => delivery,
            Err(BacklogFull) => return Ok((Taken::BacklogFull, None)),
        };
        let lease = if may_lease {
            dispatch.lease(&mut delivery, now, policy)
        } else {
            None
        };
        let status = delivery.status();
        if event.event_id_given {
            self.store.put_event_id(&event.event_id, &event.id, now);
        }
        let mut record = new_record(event, delivery);
        self.store.insert(&mut record)?;
        dispatch.queue.place(&record.id, &record.delivery, bytes);
        let grant = lease.map(|lease| Grant::new(&dispatch.settings, &record, lease, now));
        Ok((Taken::New { status }, grant))
    }

    pub(super) fn recall(&self, event_ids: &[EventId]) -> Result<WebhookReply> {
        let now = now();
        self.on_desk(|_| {
            let found = event_ids.iter().map(|id| self.find_event(id, now));
            Ok(WebhookReply::Recalled(found.collect::<Result<_>>()?))
        })
    }

    /// The delivery that an earlier post of the same event made.
    fn find_event(&self, id: &EventId, now: Timestamp) -> Result<Option<Recalled>> {
        let found = self.store.find_event(id, now, EVENT_ID_KEPT)?;
        Ok(found.map(|found| Recalled {
            id: found.id,
            status: found.delivery.status(),
            event_type: found.event_type,
        }))
    }

    pub(super) fn probe(
        &self,
        kind: Kind,
        event: NewDelivery,
        policy: &Policy,
    ) -> Result<WebhookReply> {
        let now = now();
        self.on_desk(|Open { dispatch, .. }| {
            let bytes = length(&event);
            let Ok(mut delivery) = dispatch.admit(kind, bytes, now, policy) else {
                return Ok(WebhookReply::Granted(None));
            };
            let lease = dispatch.lease(&mut delivery, now, policy);
            let mut record = new_record(event, delivery);
            self.store.insert(&mut record)?;
            dispatch.queue.place(&record.id, &record.delivery, bytes);
            Ok(WebhookReply::Granted(lease.map(|lease| {
                Grant::new(&dispatch.settings, &record, lease, now)
            })))
        })
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
    }
}
