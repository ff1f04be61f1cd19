//! Accepting deliveries: events from the Worker, pings and tests.

use std::time::Duration;

use worker::Result;

use super::{Open, WebhookObject};
use crate::{
    domain::{
        delivery::{Delivery, Kind},
        dispatch::{BacklogFull, Dispatch, WORKER_LEASES},
        event::EVENT_ID_KEPT,
        ids::{DeliveryId, EventId},
        policy::Policy,
        record::DeliveryRecord,
        timestamp::Timestamp,
    },
    runtime::{
        commands::{Grant, NewDelivery, Recalled, Refusal, Taken, WebhookReply},
        entropy::now,
    },
};

/// How many new deliveries are worth a commit of their own.
const ENOUGH: usize = 8;

/// How many bytes of payloads are worth it: if another command takes their leases, they are copied to its Worker.
const ENOUGH_BYTES: usize = 16 * 1024;

impl WebhookObject {
    /// Accepts events, and grants at most `leases` leases to the caller.
    ///
    /// If other commands are likely to arrive at the same moment, they share one commit, and the first to resume takes
    /// the leases of all, so that their attempts are reported together.
    pub(super) async fn accept(
        &self,
        events: Vec<NewDelivery>,
        leases: usize,
        policy: &Policy,
    ) -> Result<WebhookReply> {
        let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
        let payloads = events.iter().map(|event| event.payload.get().len());
        let is_enough =
            events.len() >= ENOUGH || payloads.fold(0, usize::saturating_add) >= ENOUGH_BYTES;
        let together = !is_enough && !self.is_quiet()?;
        let taken = self.change_desk(|open| self.take_all_in(open, events, leases, policy))?;
        let Some((deliveries, mut grants)) = taken else {
            return Ok(WebhookReply::Refused(Refusal::NoWebhook));
        };
        let own = grants.first().map(|grant| grant.id.clone());
        if together {
            self.granted.borrow_mut().append(&mut grants);
        }
        self.arm().await?;
        if together {
            self.write_within(Duration::ZERO).await?;
            grants = self.take_leases(&ids, leases)?;
        } else {
            self.flush()?;
        }
        for known in grants.iter_mut().filter(|grant| ids.contains(&grant.id)) {
            known.payload = None;
        }
        // Most events of a large array are not sent at once, so its answer does not wait for an attempt.
        let is_few = deliveries.len() <= WORKER_LEASES;
        let busy = is_few && self.is_busy()?;
        // Without a lease of its own, no attempt is near.
        if busy
            && grants.is_empty()
            && let Some(own) = own
        {
            self.first_attempts.wait_for(own).await;
        }
        Ok(WebhookReply::Taken {
            busy: busy && !grants.is_empty(),
            deliveries,
            grants,
        })
    }

    /// Whether nothing else is likely to arrive at the same moment.
    fn is_quiet(&self) -> Result<bool> {
        let quiet = self.with_desk(|open| Ok(open.dispatch.is_quiet()))?;
        Ok(quiet.unwrap_or(true))
    }

    fn is_busy(&self) -> Result<bool> {
        let busy = self.with_desk(|open| Ok(open.dispatch.is_busy()))?;
        Ok(busy.unwrap_or(false))
    }

    /// Takes leases that were granted to the commands of one moment: the caller's own first, then in the order of the
    /// commands; none if another command has taken the caller's own.
    fn take_leases(&self, own: &[DeliveryId], leases: usize) -> Result<Vec<Grant>> {
        let mut granted = self.granted.borrow_mut();
        granted.sort_by_key(|grant| !own.contains(&grant.id));
        if !granted.first().is_some_and(|grant| own.contains(&grant.id)) {
            return Ok(Vec::new());
        }
        let taken = leases.min(granted.len());
        let taken = granted.drain(..taken).collect();
        // Leases granted to others since the last commit must be flushed before they are used.
        self.flush()?;
        Ok(taken)
    }

    fn take_all_in(
        &self,
        open: &mut Open,
        events: Vec<NewDelivery>,
        leases: usize,
        policy: &Policy,
    ) -> Result<(Vec<Taken>, Vec<Grant>)> {
        let now = now();
        let mut deliveries = Vec::with_capacity(events.len());
        let mut grants = Vec::new();
        for event in events {
            let may_lease = grants.len() < leases;
            let (taken, grant) = self.take_in(&mut open.dispatch, event, may_lease, now, policy)?;
            deliveries.push(taken);
            grants.extend(grant);
        }
        Ok((deliveries, grants))
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
        if self.store.is_full(bytes, policy.max_storage) {
            return Ok((Taken::StorageFull, None));
        }
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
        let grant = lease.map(|lease| Grant {
            payload: record.payload.clone(),
            ..Grant::new(&dispatch.settings, &record, lease, now)
        });
        self.store.insert(&mut record)?;
        dispatch.queue.place(&record.id, &record.delivery, bytes);
        Ok((Taken::New { status }, grant))
    }

    pub(super) fn recall(&self, event_ids: &[EventId]) -> Result<WebhookReply> {
        let now = now();
        self.on_desk(|_| {
            let found = event_ids.iter().map(|id| self.find_event(id, now));
            let found = found.collect::<Result<Vec<_>>>()?;
            // What is recalled is promised, so it must be stored.
            if found.iter().any(Option::is_some) {
                self.flush()?;
            }
            Ok(WebhookReply::Recalled(found))
        })
    }

    /// Finds the delivery that an earlier post of the same event made.
    fn find_event(&self, id: &EventId, now: Timestamp) -> Result<Option<Recalled>> {
        let found = self.store.find_event(id, now, EVENT_ID_KEPT)?;
        Ok(found.map(|found| Recalled {
            id: found.id,
            status: found.delivery.status(),
            event_type: found.event_type,
        }))
    }

    /// Finds a ping, or test, if there is to be only one.
    pub(super) fn find_probe(&self, kind: Kind, once: bool) -> Result<Option<DeliveryId>> {
        if !once {
            return Ok(None);
        }
        let found = self.with_desk(|_| self.store.find_probe(kind))?;
        Ok(found.flatten())
    }

    pub(super) fn probe(
        &self,
        kind: Kind,
        event: NewDelivery,
        policy: &Policy,
    ) -> Result<WebhookReply> {
        let now = now();
        self.change_on_desk(|Open { dispatch, .. }| {
            let bytes = length(&event);
            let Ok(mut delivery) = dispatch.admit(kind, bytes, now, policy) else {
                return Ok(WebhookReply::Granted(Vec::new()));
            };
            let lease = dispatch.lease(&mut delivery, now, policy);
            let mut record = new_record(event, delivery);
            self.store.insert(&mut record)?;
            dispatch.queue.place(&record.id, &record.delivery, bytes);
            let grant = lease.map(|lease| Grant::new(&dispatch.settings, &record, lease, now));
            Ok(WebhookReply::Granted(grant.into_iter().collect()))
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
