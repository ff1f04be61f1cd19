//! Reports of attempts: what each one changes, and the leases that a report is answered with.

use std::time::Duration;

use super::{commands::Asked, turn::Turn};
use crate::{
    domain::{
        delivery::{Change, Kind, Report},
        segment::Segment,
    },
    machines::{
        messages::{AttemptReport, Grant},
        sql::Result,
    },
    mutants::Mutant,
};

impl Turn<'_> {
    /// Whether reports change only what is in memory and written by the next flush: successes of deliveries in segments,
    /// at a webhook that has nothing else to store and nothing that waits for a lease.
    pub(super) fn stays_in_memory(&self, reports: &[AttemptReport], asked: Asked) -> bool {
        let dispatch = &self.open.dispatch;
        let mut standing = dispatch.standing.clone();
        standing.attempt_succeeded(self.now);
        let leases_nothing = asked.leases == 0 || dispatch.queue.oldest_due(self.now).is_none();
        let has_nothing_else = dispatch.stray.is_empty()
            && self.open.bulk_resend.is_none()
            && !self.open.counts.has_older()
            && !standing.differs_from(&dispatch.standing);
        let stays = |report: &AttemptReport| {
            report.attempt.outcome.is_success()
                && self.tables.lease_of_member(&report.id) == Some(report.lease.lease)
                && Segment::takes_attempt(&report.attempt)
                && !self.open.counts.is_older(&report.id, &report.attempt)
        };
        leases_nothing && has_nothing_else && reports.iter().all(stays)
    }

    /// Stores reports of attempts, and grants as many further leases as are asked for.
    pub(super) fn take_reports(
        &mut self,
        mut reports: Vec<AttemptReport>,
        asked: Asked,
    ) -> Result<Vec<Grant>> {
        if Mutant::LastReportForgotten.is_on() && reports.len() > 1 {
            reports.pop();
        }
        for report in reports {
            self.settle(report)?;
        }
        self.fold_older()?;
        let mut grants = Vec::new();
        let (policy, ahead) = (self.policy, asked.ahead);
        while grants.len() < asked.leases
            && self.open.dispatch.has_free_lease(self.now, ahead, policy)
        {
            let Some(id) = self.open.dispatch.queue.next_to_go_on_with(self.now) else {
                break;
            };
            grants.extend(self.lease(&id, ahead)?);
        }
        Ok(grants)
    }

    fn settle(&mut self, report: AttemptReport) -> Result<()> {
        self.noted.reported.push(report.id.clone());
        let stray = self.open.dispatch.stray.clone();
        let dispatch = &mut self.open.dispatch;
        dispatch.forget_stray(&report.id, report.lease.lease);
        self.take_report(report)?;
        if self.open.dispatch.stray != stray {
            self.tables.put_stray(&self.open.dispatch.stray)?;
        }
        Ok(())
    }

    fn take_report(&mut self, report: AttemptReport) -> Result<()> {
        let Some(mut record) = self.tables.read(&report.id)? else {
            return Ok(());
        };
        let was_settled = record.delivery.is_settled();
        let before = record.delivery.last_end();
        let told = Report {
            lease: report.lease,
            outcome: report.attempt.outcome,
            response_status: report.attempt.response_status,
            retry_after: report.retry_after_ms.map(Duration::from_millis),
        };
        let (now, policy) = (self.now, self.policy);
        if record.delivery.kind() == Kind::Event {
            let took = Duration::from_millis(report.attempt.duration_ms);
            self.open.occupancy.attempt_ended(took, now);
        }
        let change = self.and_standing(|dispatch| {
            let attempt = report.attempt;
            dispatch.take_report(&mut record, &told, attempt, report.revision, now, policy)
        })?;
        if change == Change::None {
            return Ok(());
        }
        record.request = report.request.or(record.request);
        self.put(&record, was_settled)?;
        self.count(&record, change, before);
        self.feed_resend()
    }
}
