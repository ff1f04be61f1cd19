//! Resending many deliveries: the bulk resend of `domain::resend`, fed whenever an attempt has ended.

use super::turn::Turn;
use crate::{
    domain::{
        delivery::Status,
        ids::ResendId,
        resend::{BulkResend, BulkResendStatus, Selection, UNDER_WAY_LIMIT},
    },
    machines::{
        messages::{Refusal, WebhookReply},
        sql::Result,
    },
};

impl Turn<'_> {
    /// Starts a bulk resend unless one is running.
    pub(super) fn start_resend(
        &mut self,
        id: ResendId,
        mut selection: Selection,
    ) -> Result<WebhookReply> {
        self.feed_resend()?;
        let latest = self.open.bulk_resend.as_ref();
        if latest.is_some_and(|bulk_resend| bulk_resend.status == BulkResendStatus::Running) {
            return Ok(WebhookReply::Refused(Refusal::ResendRunning));
        }
        if !self.open.dispatch.is_enabled() {
            return Ok(WebhookReply::Refused(Refusal::WebhookDisabled));
        }
        if selection.status == Some(Status::Pending) {
            // Whoever asks for it knows better than what the endpoint asked for.
            self.and_standing(|dispatch| dispatch.standing.waits_until = None)?;
        }
        if selection.is_named() {
            selection.ids = self.tables.find_named(&selection, self.now)?;
        }
        let total = self.tables.count_selected(&selection, self.now)?;
        let bulk_resend = BulkResend {
            id,
            selection,
            began_at: self.now,
            status: BulkResendStatus::Running,
            total,
            delivered: 0,
            failed: 0,
            taken: None,
            under_way: Vec::new(),
        };
        self.tables.put_bulk_resend(&bulk_resend)?;
        self.open.bulk_resend = Some(bulk_resend);
        self.feed_resend()?;
        Ok(self.latest_resend())
    }

    /// Runs `change` on a bulk resend, if it is the latest one.
    pub(super) fn change_resend(
        &mut self,
        id: &ResendId,
        change: impl FnOnce(&mut BulkResend),
    ) -> Result<WebhookReply> {
        self.feed_resend()?;
        let Some(bulk_resend) = self
            .open
            .bulk_resend
            .as_mut()
            .filter(|bulk_resend| bulk_resend.id == *id)
        else {
            return Ok(WebhookReply::Refused(Refusal::NoResend));
        };
        let before = bulk_resend.status;
        change(bulk_resend);
        if bulk_resend.status != before {
            self.tables.put_bulk_resend(bulk_resend)?;
        }
        Ok(self.latest_resend())
    }

    fn latest_resend(&self) -> WebhookReply {
        let bulk_resend = self.open.bulk_resend.clone();
        bulk_resend.map_or(WebhookReply::Refused(Refusal::NoResend), |bulk_resend| {
            WebhookReply::BulkResend(Box::new(bulk_resend))
        })
    }

    /// Follows the deliveries that a bulk resend has under way, and takes more when half of its places are free. The bulk resend's row
    /// is written together with the deliveries that it takes.
    pub(super) fn feed_resend(&mut self) -> Result<()> {
        let Some(mut bulk_resend) = self.open.bulk_resend.take() else {
            return Ok(());
        };
        let fed = self.feed(&mut bulk_resend);
        self.open.bulk_resend = Some(bulk_resend);
        fed
    }

    fn feed(&mut self, bulk_resend: &mut BulkResend) -> Result<()> {
        let mut present = Vec::new();
        for under_way in &bulk_resend.under_way {
            if let Some(record) = self.tables.read(&under_way.id)? {
                present.push((record.id, record.delivery));
            }
        }
        bulk_resend.follow(|id| {
            let found = present.iter().find(|(found, _)| found == id);
            found.map(|(_, delivery)| delivery.clone())
        });
        if bulk_resend.status != BulkResendStatus::Running {
            return Ok(());
        }
        if !self.open.dispatch.is_enabled() {
            bulk_resend.stop();
            return self.tables.put_bulk_resend(bulk_resend);
        }
        if bulk_resend.under_way.len() > UNDER_WAY_LIMIT / 2 {
            return Ok(());
        }
        let taken = bulk_resend.taken.as_ref();
        let places = bulk_resend.free_places();
        let (found, through) = self.tables.next_selected(
            &bulk_resend.selection,
            bulk_resend.began_at,
            taken,
            places,
        )?;
        let is_last = through.is_none() && found.len() < places;
        for id in found {
            let Some(mut record) = self.tables.read(&id)? else {
                bulk_resend.taken = Some(id);
                continue;
            };
            if !bulk_resend
                .selection
                .takes(&record.delivery, bulk_resend.began_at)
            {
                bulk_resend.taken = Some(id);
                continue;
            }
            let was_settled = record.delivery.is_settled();
            bulk_resend.take(id, &record.delivery);
            let dispatch = &self.open.dispatch;
            let changed = if bulk_resend.selection.status == Some(Status::Pending) {
                dispatch.send_now(&mut record.delivery, self.now)
            } else {
                dispatch.resend(&mut record.delivery, self.now)
            };
            if changed.is_ok() {
                self.put(&record, was_settled)?;
            }
        }
        if let Some(through) = through {
            bulk_resend.taken = Some(through);
        }
        if is_last {
            bulk_resend.finish_where_done();
        }
        self.tables.put_bulk_resend(bulk_resend)
    }
}
