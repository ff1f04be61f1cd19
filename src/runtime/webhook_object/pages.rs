//! All that a page of the dashboard shows of a webhook, in one reply.

use worker::Result;

use super::WebhookObject;
use crate::runtime::{
    commands::{Refusal, WebhookReply},
    entropy::now,
    page_reads::{Shown, Wanted},
};

impl WebhookObject {
    pub(super) fn show(&self, wanted: Wanted) -> Result<WebhookReply> {
        let mut shown = Shown::default();
        let replies = [
            (wanted.hours > 0).then(|| self.stats(wanted.hours)),
            wanted.deliveries.map(|filter| self.list(filter)),
            wanted.delivery.map(|id| self.read(&id)),
        ];
        for reply in replies.into_iter().flatten() {
            match reply? {
                WebhookReply::Stats(hours) => shown.hours = hours,
                WebhookReply::Deliveries {
                    records,
                    more,
                    next,
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
        if !wanted.durations {
            for (_, tally) in &mut shown.hours {
                tally.durations.clear();
            }
        }
        if let Some(id) = wanted.looked_up
            && let WebhookReply::Delivery(record) = self.trace(&id, true)?
        {
            shown.looked_up = Some(record.id);
        }
        self.on_desk(|open| {
            if wanted.job {
                self.feed_job(open, now())?;
                shown.job.clone_from(&open.job);
            }
            Ok(WebhookReply::Shown(Box::new(shown)))
        })
    }
}
