//! All that a page of the dashboard shows of a webhook, in one reply.

use super::turn::Turn;
use crate::machines::{
    messages::{Refusal, Shown, Wanted, WebhookReply},
    sql::Result,
};

impl Turn<'_> {
    pub(super) fn show(&mut self, wanted: Wanted) -> Result<WebhookReply> {
        let mut shown = Shown::default();
        if wanted.hours > 0 {
            shown.hours = self.hours(wanted.hours)?;
        }
        if !wanted.durations {
            for (_, counts) in &mut shown.hours {
                counts.durations.clear();
            }
        }
        let replies = [
            wanted.deliveries.map(|filter| self.list(filter)),
            wanted.delivery.map(|id| self.read(&id)),
        ];
        for reply in replies.into_iter().flatten() {
            match reply? {
                WebhookReply::Deliveries {
                    records,
                    more,
                    next,
                    ..
                } => {
                    shown.deliveries = records;
                    shown.more = more;
                    shown.next = next;
                }
                WebhookReply::Delivery(record) => shown.delivery = Some(*record),
                WebhookReply::Refused(Refusal::NoDelivery) => {}
                refused => return Ok(refused),
            }
        }
        if let Some(id) = wanted.looked_up
            && let WebhookReply::Delivery(record) = self.trace(&id, true)?
        {
            shown.looked_up = Some(record.id);
        }
        shown.head = self.open.dispatch.queue.head();
        shown.lateness = self.lateness();
        shown.health = self.open.dispatch.standing.health;
        shown.last = self.open.counts.last();
        if wanted.failures {
            shown.failures = self.tables.group_failures()?;
        }
        if wanted.bulk_resend {
            self.feed_resend()?;
            shown.bulk_resend.clone_from(&self.open.bulk_resend);
        }
        Ok(WebhookReply::Shown(Box::new(shown)))
    }
}
