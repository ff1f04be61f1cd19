//! Commands for single deliveries: list and read them, resend or cancel one.

use worker::Result;

use super::{Open, WebhookObject, store::Listed};
use crate::{
    domain::{
        event::EVENT_ID_KEPT,
        ids::{DeliveryId, EventId},
        record::{DeliveryFilter, DeliveryRecord},
    },
    runtime::{
        commands::{Refusal, WebhookReply},
        entropy::now,
    },
};

impl WebhookObject {
    pub(super) fn read(&self, id: &DeliveryId) -> Result<WebhookReply> {
        self.on_desk(|_| {
            let record = self.store.read_whole(id)?;
            Ok(
                record.map_or(WebhookReply::Refused(Refusal::NoDelivery), |record| {
                    WebhookReply::Delivery(Box::new(record))
                }),
            )
        })
    }

    pub(super) fn list(&self, mut filter: DeliveryFilter) -> Result<WebhookReply> {
        self.on_desk(|_| {
            let Listed {
                mut records,
                mut next,
            } = self.store.list(&filter)?;
            // A Worker of an earlier release takes a page that is not full for the last one.
            while !filter.is_brief && next.is_some() && records.len() < filter.limit {
                filter.before = next;
                let further = self.store.list(&filter)?;
                records.extend(further.records);
                next = further.next;
            }
            let more = next.is_some();
            Ok(WebhookReply::Deliveries {
                records,
                more,
                next,
            })
        })
    }

    /// Finds a delivery by its event's id or its own; without its payload.
    pub(super) fn trace(&self, event_id: &EventId, is_brief: bool) -> Result<WebhookReply> {
        let now = now();
        self.on_desk(|_| {
            let id = match DeliveryId::parse(event_id.as_ref()) {
                Ok(id) => Some(id),
                Err(_) => self.store.find_event_id(event_id, now, EVENT_ID_KEPT)?,
            };
            let found = match id {
                Some(id) if is_brief => self.store.read_summary(&id)?,
                Some(id) => self.store.read(&id)?,
                None => None,
            };
            Ok(
                found.map_or(WebhookReply::Refused(Refusal::NoDelivery), |record| {
                    WebhookReply::Delivery(Box::new(record))
                }),
            )
        })
    }

    /// Resends one delivery: it is due at once.
    pub(super) fn resend(&self, id: &DeliveryId) -> Result<WebhookReply> {
        self.change(id, |open, record| {
            record.delivery.resend(now())?;
            if open.dispatch.is_enabled() {
                Ok(())
            } else {
                Err(Refusal::WebhookDisabled)
            }
        })
    }

    /// Stops further attempts of one delivery.
    pub(super) fn cancel(&self, id: &DeliveryId) -> Result<WebhookReply> {
        self.change(id, |_, record| Ok(record.delivery.cancel(now())?))
    }

    fn change(
        &self,
        id: &DeliveryId,
        change: impl FnOnce(&Open, &mut DeliveryRecord) -> std::result::Result<(), Refusal>,
    ) -> Result<WebhookReply> {
        self.change_on_desk(|open| {
            let Some(mut record) = self.store.read_whole(id)? else {
                return Ok(WebhookReply::Refused(Refusal::NoDelivery));
            };
            let was_settled = record.delivery.is_settled();
            if let Err(refusal) = change(open, &mut record) {
                return Ok(WebhookReply::Refused(refusal));
            }
            self.put(&mut open.dispatch, &record, was_settled)?;
            Ok(WebhookReply::Delivery(Box::new(record)))
        })
    }
}
