//! Resending many deliveries: the job of `domain::resend`, fed whenever an attempt has ended.

use super::turn::Turn;
use crate::{
    domain::{
        ids::ResendId,
        resend::{JobStatus, ResendJob, Selection, UNDER_WAY_LIMIT},
    },
    machines::{
        messages::{Refusal, WebhookReply},
        sql::Result,
    },
};

impl Turn<'_> {
    /// Starts a job unless one is running.
    pub(super) fn start_resend(
        &mut self,
        id: ResendId,
        selection: Selection,
    ) -> Result<WebhookReply> {
        self.feed_resend()?;
        let latest = self.open.job.as_ref();
        if latest.is_some_and(|job| job.status == JobStatus::Running) {
            return Ok(WebhookReply::Refused(Refusal::ResendRunning));
        }
        if !self.open.dispatch.is_enabled() {
            return Ok(WebhookReply::Refused(Refusal::WebhookDisabled));
        }
        let total = self.tables.count_selected(&selection)?;
        let job = ResendJob {
            id,
            selection,
            began_at: self.now,
            status: JobStatus::Running,
            total,
            delivered: 0,
            failed: 0,
            taken: None,
            under_way: Vec::new(),
        };
        self.tables.put_job(&job)?;
        self.open.job = Some(job);
        self.feed_resend()?;
        Ok(self.latest_resend())
    }

    /// Runs `change` on a job, if it is the latest one.
    pub(super) fn change_resend(
        &mut self,
        id: &ResendId,
        change: impl FnOnce(&mut ResendJob),
    ) -> Result<WebhookReply> {
        self.feed_resend()?;
        let Some(job) = self.open.job.as_mut().filter(|job| job.id == *id) else {
            return Ok(WebhookReply::Refused(Refusal::NoJob));
        };
        let before = job.status;
        change(job);
        if job.status != before {
            self.tables.put_job(job)?;
        }
        Ok(self.latest_resend())
    }

    fn latest_resend(&self) -> WebhookReply {
        let job = self.open.job.clone();
        job.map_or(WebhookReply::Refused(Refusal::NoJob), |job| {
            WebhookReply::Job(Box::new(job))
        })
    }

    /// Follows the deliveries that a job has under way, and takes more when half of its places are free. The job's row
    /// is written together with the deliveries that it takes.
    pub(super) fn feed_resend(&mut self) -> Result<()> {
        let Some(mut job) = self.open.job.take() else {
            return Ok(());
        };
        let fed = self.feed(&mut job);
        self.open.job = Some(job);
        fed
    }

    fn feed(&mut self, job: &mut ResendJob) -> Result<()> {
        let mut present = Vec::new();
        for under_way in &job.under_way {
            if let Some(record) = self.tables.read(&under_way.id)? {
                present.push((record.id, record.delivery));
            }
        }
        job.follow(|id| {
            let found = present.iter().find(|(found, _)| found == id);
            found.map(|(_, delivery)| delivery.clone())
        });
        if job.status != JobStatus::Running {
            return Ok(());
        }
        if !self.open.dispatch.is_enabled() {
            job.stop();
            return self.tables.put_job(job);
        }
        if job.under_way.len() > UNDER_WAY_LIMIT / 2 {
            return Ok(());
        }
        let taken = job.taken.as_ref();
        let places = job.free_places();
        let (found, through) = self.tables.next_selected(&job.selection, taken, places)?;
        let is_last = through.is_none() && found.len() < places;
        for id in found {
            let Some(mut record) = self.tables.read(&id)? else {
                continue;
            };
            if !job.selection.takes(&record.delivery, job.began_at) {
                job.taken = Some(id);
                continue;
            }
            let was_settled = record.delivery.is_settled();
            job.take(id, &record.delivery);
            if record.delivery.resend(self.now).is_ok() {
                self.put(&record, was_settled)?;
            }
        }
        if let Some(through) = through {
            job.taken = Some(through);
        }
        if is_last {
            job.finish_where_done();
        }
        self.tables.put_job(job)
    }
}
