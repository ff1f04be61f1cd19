//! Leases and reports: who may make which attempt, and its outcome.

use std::time::Duration;

use worker::Result;

use super::{Open, WebhookObject};
use crate::{
    domain::{
        delivery::{Change, Report},
        dispatch::Dispatch,
        ids::DeliveryId,
        policy::Policy,
        record::DeliveryRecord,
        timestamp::Timestamp,
    },
    runtime::{
        commands::{AttemptReport, Grant, Refusal, WebhookReply},
        entropy::now,
    },
};

impl WebhookObject {
    /// Stores reports of attempts, and grants at most `leases` further leases.
    pub(super) async fn take_reports(
        &self,
        reports: Vec<AttemptReport>,
        leases: usize,
        policy: &Policy,
    ) -> Result<WebhookReply> {
        let now = now();
        let granted = self.change_desk(|open| {
            for report in reports {
                self.settle(open, report, now, policy)?;
            }
            let mut grants = Vec::new();
            let dispatch = &mut open.dispatch;
            while grants.len() < leases && dispatch.has_free_lease(policy) {
                let Some(id) = dispatch.queue.next_to_go_on_with(now) else {
                    break;
                };
                grants.extend(self.lease(dispatch, &id, now, policy)?);
            }
            Ok(grants)
        })?;
        let Some(grants) = granted else {
            return Ok(WebhookReply::Refused(Refusal::NoWebhook));
        };
        self.arm().await?;
        self.write_report(&grants).await?;
        Ok(WebhookReply::Granted(grants))
    }

    /// Stores a report.
    fn settle(
        &self,
        open: &mut Open,
        report: AttemptReport,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<()> {
        self.first_attempts.ended(&report.id);
        let Some(mut record) = self.store.read(&report.id)? else {
            return Ok(());
        };
        let was_settled = record.delivery.is_settled();
        let told = Report {
            lease: report.lease,
            outcome: report.attempt.outcome,
            response_status: report.attempt.response_status,
            retry_after: report.retry_after_ms.map(Duration::from_millis),
        };
        let change = self.and_standing(open, |dispatch| {
            dispatch.take_report(
                &mut record,
                &told,
                report.attempt,
                report.revision,
                now,
                policy,
            )
        })?;
        if change == Change::None {
            return Ok(());
        }
        record.request = report.request.or(record.request);
        self.put(&mut open.dispatch, &record, was_settled)?;
        open.count(&record, change, now);
        self.feed_job(open, now)
    }

    /// Calls the domain, and stores the standing if that has changed.
    pub(super) fn and_standing<T>(
        &self,
        open: &mut Open,
        change: impl FnOnce(&mut Dispatch) -> T,
    ) -> Result<T> {
        let before = open.dispatch.standing.clone();
        let changed = change(&mut open.dispatch);
        if open.dispatch.standing != before {
            self.store.put_standing(&open.dispatch.standing)?;
        }
        Ok(changed)
    }

    pub(super) fn put(
        &self,
        dispatch: &mut Dispatch,
        record: &DeliveryRecord,
        was_settled: bool,
    ) -> Result<()> {
        self.store.update(record, was_settled)?;
        if record.delivery.is_settled() {
            // There is something to delete again.
            self.trim_after.set(Timestamp::default());
        }
        let bytes = if was_settled {
            self.store.bytes(&record.id)?
        } else {
            dispatch.queue.bytes_of(&record.id)
        };
        dispatch.queue.place(&record.id, &record.delivery, bytes);
        Ok(())
    }

    /// Leases a delivery that is due, its payload included.
    pub(super) fn lease(
        &self,
        dispatch: &mut Dispatch,
        id: &DeliveryId,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Option<Grant>> {
        let Some(mut record) = self.store.read_whole(id)? else {
            dispatch.queue.remove(id);
            return Ok(None);
        };
        let lease = dispatch.lease(&mut record.delivery, now, policy);
        self.put(dispatch, &record, false)?;
        let Some(lease) = lease else {
            return Ok(None);
        };
        let grant = Grant::new(&dispatch.settings, &record, lease, now);
        Ok(Some(Grant {
            payload: record.payload,
            ..grant
        }))
    }
}
