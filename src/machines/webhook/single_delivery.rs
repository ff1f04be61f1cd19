//! Commands for single deliveries: list and read them, resend or cancel one.

use super::{memory::Open, tables::Listed, turn::Turn};
use crate::{
    domain::{
        event::EVENT_ID_KEPT,
        ids::{DeliveryId, EventId},
        record::{DeliveryFilter, DeliveryRecord},
    },
    machines::{
        messages::{Refusal, WebhookReply},
        sql::Result,
    },
    mutants::Mutant,
};

impl Turn<'_> {
    pub(super) fn read(&self, id: &DeliveryId) -> Result<WebhookReply> {
        Ok(reply_with(self.tables.read_whole(id)?))
    }

    pub(super) fn list(&self, mut filter: DeliveryFilter) -> Result<WebhookReply> {
        let Listed {
            mut records,
            mut next,
        } = self.tables.list(&filter)?;
        // A Worker of an earlier release takes a page that is not full for the last one.
        while !filter.is_brief && next.is_some() && records.len() < filter.limit {
            filter.before = next;
            let further = self.tables.list(&filter)?;
            records.extend(further.records);
            next = further.next;
        }
        let more = next.is_some();
        if more && Mutant::PageLosesItsLast.is_on() {
            records.pop();
        }
        Ok(WebhookReply::Deliveries {
            records,
            more,
            next,
        })
    }

    /// Finds a delivery by its event's id or its own; without its payload.
    pub(super) fn trace(&self, event_id: &EventId, is_brief: bool) -> Result<WebhookReply> {
        let id = match DeliveryId::parse(event_id.as_ref()) {
            Ok(id) => Some(id),
            Err(_) => self
                .tables
                .find_event_id(event_id, self.now, EVENT_ID_KEPT)?,
        };
        let found = match id {
            Some(id) if is_brief => self.tables.read_summary(&id)?,
            Some(id) => self.tables.read(&id)?,
            None => None,
        };
        Ok(reply_with(found))
    }

    /// Resends one delivery: it is due at once.
    pub(super) fn resend(&mut self, id: &DeliveryId) -> Result<WebhookReply> {
        let now = self.now;
        self.change(id, |open, record| {
            record.delivery.resend(now)?;
            if open.dispatch.is_enabled() {
                Ok(())
            } else {
                Err(Refusal::WebhookDisabled)
            }
        })
    }

    /// Stops further attempts of one delivery.
    pub(super) fn cancel(&mut self, id: &DeliveryId) -> Result<WebhookReply> {
        let now = self.now;
        self.change(id, |_, record| {
            record.delivery.cancel(now)?;
            if Mutant::CancelledIsAttempted.is_on() {
                record.delivery.resend(now)?;
            }
            Ok(())
        })
    }

    fn change(
        &mut self,
        id: &DeliveryId,
        change: impl FnOnce(&Open, &mut DeliveryRecord) -> std::result::Result<(), Refusal>,
    ) -> Result<WebhookReply> {
        let Some(mut record) = self.tables.read_whole(id)? else {
            return Ok(WebhookReply::Refused(Refusal::NoDelivery));
        };
        let was_settled = record.delivery.is_settled();
        if let Err(refusal) = change(self.open, &mut record) {
            return Ok(WebhookReply::Refused(refusal));
        }
        self.put(&record, was_settled)?;
        Ok(WebhookReply::Delivery(Box::new(record)))
    }
}

fn reply_with(found: Option<DeliveryRecord>) -> WebhookReply {
    found.map_or(WebhookReply::Refused(Refusal::NoDelivery), |record| {
        WebhookReply::Delivery(Box::new(record))
    })
}
