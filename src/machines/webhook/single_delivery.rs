//! Commands for single deliveries: list and read them, resend or cancel one.

use std::time::Duration;

use super::{memory::Open, tables::Listed, turn::Turn};
use crate::{
    domain::{
        delivery::State,
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

/// Of which age an event's delivery is found by its id for certain, by whichever clock its own id was made.
const SURELY_FOUND: Duration = Duration::from_secs(12 * 60 * 60);

impl Turn<'_> {
    pub(super) fn read(&self, id: &DeliveryId) -> Result<WebhookReply> {
        Ok(self.reply_with(self.tables.read_whole(id)?))
    }

    pub(super) fn list(&self, mut filter: DeliveryFilter) -> Result<WebhookReply> {
        if let Some(event_id) = filter.event_id.as_ref().filter(|_| filter.before.is_none()) {
            filter.before = Some(self.begin_looking_for(event_id)?);
        }
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
        for record in &mut records {
            self.say_what_it_waits_for(record);
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

    /// Where to begin a search for the deliveries of an event, newest first: at the newest that its id finds, or before
    /// all that it would find.
    fn begin_looking_for(&self, event_id: &EventId) -> Result<DeliveryId> {
        let found = self
            .tables
            .find_event_id(event_id, self.now, Duration::MAX)?;
        let newest = match found {
            Some(found) => found.minted_at(),
            None => self.now.saturating_sub(SURELY_FOUND),
        };
        Ok(DeliveryId::after(newest))
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
        Ok(self.reply_with(found))
    }

    /// Resends one delivery: it is due at once.
    pub(super) fn resend(&mut self, id: &DeliveryId) -> Result<WebhookReply> {
        let now = self.now;
        self.change(id, |open, record| {
            open.dispatch.resend(&mut record.delivery, now)?;
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
        let mut is_under_way = false;
        let reply = self.change(id, |open, record| {
            is_under_way = open.dispatch.cancel(record, now)?;
            if Mutant::CancelledIsAttempted.is_on() {
                record.delivery.resend(now, None)?;
            }
            Ok(())
        })?;
        if is_under_way {
            self.tables.put_stray(&self.open.dispatch.stray)?;
        }
        Ok(reply)
    }

    /// Makes the next attempt of one delivery due at once.
    pub(super) fn send_now(&mut self, id: &DeliveryId) -> Result<WebhookReply> {
        let now = self.now;
        let reply = self.change(id, |open, record| {
            open.dispatch.send_now(&mut record.delivery, now)?;
            if open.dispatch.is_enabled() {
                Ok(())
            } else {
                Err(Refusal::WebhookDisabled)
            }
        })?;
        if matches!(reply, WebhookReply::Delivery(_)) {
            // Whoever asks for it knows better than what the endpoint asked for.
            self.and_standing(|dispatch| dispatch.standing.waits_until = None)?;
        }
        Ok(reply)
    }

    fn change(
        &mut self,
        id: &DeliveryId,
        change: impl FnOnce(&mut Open, &mut DeliveryRecord) -> std::result::Result<(), Refusal>,
    ) -> Result<WebhookReply> {
        let Some(mut record) = self.tables.read_whole(id)? else {
            return Ok(WebhookReply::Refused(Refusal::NoDelivery));
        };
        let was_settled = record.delivery.is_settled();
        if let Err(refusal) = change(self.open, &mut record) {
            return Ok(WebhookReply::Refused(refusal));
        }
        self.put(&record, was_settled)?;
        Ok(self.reply_with(Some(record)))
    }

    fn reply_with(&self, found: Option<DeliveryRecord>) -> WebhookReply {
        let Some(mut record) = found else {
            return WebhookReply::Refused(Refusal::NoDelivery);
        };
        self.say_what_it_waits_for(&mut record);
        WebhookReply::Delivery(Box::new(record))
    }

    fn say_what_it_waits_for(&self, record: &mut DeliveryRecord) {
        let is_scheduled = matches!(record.delivery.state(), State::Scheduled { .. });
        let head = self.open.dispatch.queue.head();
        record.waiting_for = head.filter(|head| is_scheduled && *head != record.id);
    }
}
