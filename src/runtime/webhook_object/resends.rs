//! Resending many deliveries: the job of `domain::resend`, fed whenever an attempt has ended.

use worker::Result;

use super::{Open, WebhookObject};
use crate::{
    domain::{
        ids::ResendId,
        resend::{JobStatus, ResendJob, Selection, UNDER_WAY_LIMIT},
        timestamp::Timestamp,
    },
    runtime::{
        commands::{Refusal, WebhookReply},
        entropy::now,
    },
};

impl WebhookObject {
    /// Starts a job unless one is running.
    pub(super) fn start_job(&self, id: ResendId, selection: Selection) -> Result<WebhookReply> {
        let now = now();
        self.change_on_desk(|open| {
            self.feed_job(open, now)?;
            if open
                .job
                .as_ref()
                .is_some_and(|job| job.status == JobStatus::Running)
            {
                return Ok(WebhookReply::Refused(Refusal::ResendRunning));
            }
            if !open.dispatch.is_enabled() {
                return Ok(WebhookReply::Refused(Refusal::WebhookDisabled));
            }
            let total = self.store.count_selected(&selection)?;
            let job = ResendJob {
                id,
                selection,
                began_at: now,
                status: JobStatus::Running,
                total,
                delivered: 0,
                failed: 0,
                taken: None,
                under_way: Vec::new(),
            };
            self.store.put_job(&job)?;
            open.job = Some(job);
            self.feed_job(open, now)?;
            Ok(shown(open))
        })
    }

    pub(super) fn read_job(&self, id: &ResendId) -> Result<WebhookReply> {
        self.with_job(id, |_| ())
    }

    pub(super) fn stop_job(&self, id: &ResendId) -> Result<WebhookReply> {
        self.with_job(id, ResendJob::stop)
    }

    fn with_job(&self, id: &ResendId, change: impl FnOnce(&mut ResendJob)) -> Result<WebhookReply> {
        let now = now();
        self.change_on_desk(|open| {
            self.feed_job(open, now)?;
            let Some(job) = open.job.as_mut().filter(|job| job.id == *id) else {
                return Ok(WebhookReply::Refused(Refusal::NoJob));
            };
            let before = job.status;
            change(job);
            if job.status != before {
                self.store.put_job(job)?;
            }
            Ok(shown(open))
        })
    }

    /// Follows the deliveries that a job has under way, and takes more when half of its places are free. The job's row
    /// is written together with the deliveries that it takes.
    pub(super) fn feed_job(&self, open: &mut Open, now: Timestamp) -> Result<()> {
        let Some(mut job) = open.job.take() else {
            return Ok(());
        };
        let fed = self.feed(open, &mut job, now);
        open.job = Some(job);
        fed
    }

    fn feed(&self, open: &mut Open, job: &mut ResendJob, now: Timestamp) -> Result<()> {
        let mut present = Vec::new();
        for under_way in &job.under_way {
            if let Some(record) = self.store.read(&under_way.id)? {
                present.push((record.id, record.delivery));
            }
        }
        job.follow(|id| {
            present
                .iter()
                .find(|(found, _)| found == id)
                .map(|(_, delivery)| delivery.clone())
        });
        if job.status != JobStatus::Running {
            return Ok(());
        }
        if !open.dispatch.is_enabled() {
            job.stop();
            return self.store.put_job(job);
        }
        if job.under_way.len() > UNDER_WAY_LIMIT / 2 {
            return Ok(());
        }
        let taken = job.taken.as_ref();
        let (found, through) =
            self.store
                .next_selected(&job.selection, taken, job.free_places())?;
        let is_last = through.is_none() && found.len() < job.free_places();
        for id in found {
            let Some(mut record) = self.store.read(&id)? else {
                continue;
            };
            if !job.selection.takes(&record.delivery, job.began_at) {
                job.taken = Some(id);
                continue;
            }
            let was_settled = record.delivery.is_settled();
            job.take(id, &record.delivery);
            if record.delivery.resend(now).is_ok() {
                self.put(&mut open.dispatch, &record, was_settled)?;
            }
        }
        if let Some(through) = through {
            job.taken = Some(through);
        }
        if is_last {
            job.finish_where_done();
        }
        self.store.put_job(job)
    }
}

fn shown(open: &Open) -> WebhookReply {
    open.job
        .clone()
        .map_or(WebhookReply::Refused(Refusal::NoJob), |job| {
            WebhookReply::Job(Box::new(job))
        })
}
