//! The alarm: takes back ended leases, holds, hires Senders for what is due, deletes, tells the workspace, and arms the
//! next alarm.

use std::{cell::RefCell, time::Duration};

use worker::{Result, console_error};

use super::{WebhookObject, store::PURGE_SLICE};
use crate::{
    domain::{
        budget::Budget,
        delivery::Change,
        event::EVENT_ID_KEPT,
        policy::Policy,
        record::DeliveryRecord,
        stats::{HOURS_LIMIT, hour_of},
        timestamp::Timestamp,
    },
    machines::hiring::Means,
    runtime::{
        commands::{WorkspaceCommand, ask_workspace, parse_webhook_object_name},
        config::{Config, config},
        entropy::now,
        observer::Observer,
    },
};

/// The time between two slices of a purge: more is deleted in it than is accepted.
const BETWEEN_SLICES: Duration = Duration::from_millis(250);

/// How long until there may be something to delete for want of storage, after there was nothing.
const TRIM_AGAIN: Duration = Duration::from_secs(60);

/// How many due deliveries of a disabled webhook are held at a time.
const HOLD_SLICE: usize = 500;

impl WebhookObject {
    /// The alarm's work: takes back ended leases, holds what is due at a disabled webhook, has attempts made of what is
    /// due, deletes what is old, tells the workspace, and arms the next alarm last.
    pub(super) async fn work(&self) -> Result<()> {
        let config =
            config(&self.env).map_err(|error| worker::Error::RustError(error.to_string()))?;
        self.is_working.set(true);
        let held_all = self.take_back_and_hold(now(), &config.policy)?;
        self.flush()?;
        if held_all {
            self.have_attempts_made(&config).await?;
        }
        let more_to_delete = self.delete_old(&config.policy)?;
        self.is_working.set(false);
        self.tell_workspace().await;
        self.fold_counts()?;
        self.arm_or_go_on_deleting(more_to_delete).await
    }

    /// Has attempts made of what is due.
    async fn have_attempts_made(&self, config: &Config) -> Result<()> {
        let requests = config.policy.subrequests;
        let budget = RefCell::new(Budget::new(requests));
        if let Means::Hire { at_most } = self.means(requests) {
            let hires = self.hire(at_most, &config.policy).await?;
            budget.borrow_mut().take_posts(hires);
        }
        if let Means::ByItself { until } = self.means(requests) {
            self.send_by_itself(until, &budget, config).await?;
        }
        Ok(())
    }

    fn means(&self, requests: usize) -> Means {
        self.hiring.borrow().means(now(), requests)
    }

    /// Takes back the leases that have ended; if the webhook is disabled, holds a slice of what is due. Returns whether
    /// nothing is left to hold.
    fn take_back_and_hold(&self, now: Timestamp, policy: &Policy) -> Result<bool> {
        let done = self.change_desk(|open| {
            while let Some(id) = open.dispatch.queue.ended_lease(now) {
                let Some(mut record) = self.store.read(&id)? else {
                    open.dispatch.queue.remove(&id);
                    continue;
                };
                let change = self.and_standing(open, |dispatch| {
                    dispatch.take_back_lease(&mut record, now, policy)
                })?;
                self.put(&mut open.dispatch, &record, false)?;
                if change != Change::DueAgain {
                    open.count(&record, change, now);
                }
                if matches!(change, Change::Rescheduled | Change::Failed(_)) {
                    self.observe_last_attempt(&record);
                }
            }
            self.feed_job(open, now)?;
            let dispatch = &mut open.dispatch;
            for _ in 0..HOLD_SLICE {
                let Some(id) = dispatch
                    .queue
                    .any_due(now)
                    .filter(|_| !dispatch.is_enabled())
                else {
                    return Ok(true);
                };
                let Some(mut record) = self.store.read(&id)? else {
                    dispatch.queue.remove(&id);
                    continue;
                };
                record.delivery.hold();
                self.put(dispatch, &record, false)?;
            }
            Ok(false)
        })?;
        Ok(done.unwrap_or(true))
    }

    /// Logs an attempt that was lost, as no sender will.
    fn observe_last_attempt(&self, record: &DeliveryRecord) {
        let Some(attempt) = record.attempts.last() else {
            return;
        };
        let delivery = (
            &record.id,
            record.event_type.as_str(),
            record.delivery.kind(),
        );
        Observer::of_object(&self.env, &self.name()).attempt_ended(delivery, attempt);
    }

    /// Tells the workspace the webhook's standing if that has changed; after a fault, a later alarm tries again.
    async fn tell_workspace(&self) {
        let untold = self.with_desk(|open| {
            let standing = open.reportable(now());
            Ok((standing != open.told).then_some(standing))
        });
        let Ok(Some(Some(standing))) = untold else {
            return;
        };
        let Some((workspace, id)) = parse_webhook_object_name(&self.name()) else {
            return;
        };
        let command = WorkspaceCommand::ReportStanding {
            id,
            standing: standing.clone(),
        };
        match ask_workspace(&self.env, &workspace, &command).await {
            Ok(_) => {
                let kept = self.with_desk(|open| {
                    self.store.put_told(&standing)?;
                    open.told = standing;
                    Ok(())
                });
                self.telling.borrow_mut().succeeded();
                if let Err(error) = kept {
                    console_error!("standing of {}: {error}", self.name());
                    let wait = self.telling.borrow_mut().failed();
                    self.tell_after.set(now().saturating_add(wait));
                }
            }
            Err(error) => {
                console_error!("standing of {}: {error}", self.name());
                let wait = self.telling.borrow_mut().failed();
                self.tell_after.set(now().saturating_add(wait));
            }
        }
    }

    /// The daily look at the alarm, which deletes too: nothing else would wake a webhook that has nothing to send.
    pub(super) async fn look_at_alarm(&self, policy: &Policy) -> Result<()> {
        let more_to_delete = self.delete_old(policy)?;
        self.arm_or_go_on_deleting(more_to_delete).await
    }

    /// Deletes a slice of what is too old to keep, and of what there is no storage for; returns whether more of it is
    /// left.
    fn delete_old(&self, policy: &Policy) -> Result<bool> {
        let more_to_purge = self.purge_in_turn(policy)?;
        let more_to_trim = self.trim(policy)?;
        Ok(more_to_purge || more_to_trim)
    }

    fn trim(&self, policy: &Policy) -> Result<bool> {
        let now = now();
        let limit = policy.max_storage;
        let more = self.change_desk(|open| {
            let has_to = if open.is_trimming {
                !self.store.is_trimmed(limit)
            } else {
                now >= self.trim_after.get() && self.store.is_nearly_full(limit)
            };
            open.is_trimming = has_to;
            if !has_to {
                return Ok(false);
            }
            if let Some(since) = self.store.trim()? {
                open.log_since = Some(since);
                return Ok(true);
            }
            open.is_trimming = false;
            self.trim_after.set(now.saturating_add(TRIM_AGAIN));
            Ok(false)
        })?;
        Ok(more.unwrap_or(false))
    }

    /// The same as [`Self::purge`], but nothing if the last slice was deleted a moment ago: there may be many alarms in a
    /// second.
    fn purge_in_turn(&self, policy: &Policy) -> Result<bool> {
        let now = now();
        let (next, more) = self.next_slice.get();
        let wait = next.saturating_duration_since(now);
        // The wait is longer if the clock was put back.
        if !wait.is_zero() && wait <= BETWEEN_SLICES {
            return Ok(more);
        }
        let more = self.purge(policy)?;
        self.next_slice
            .set((now.saturating_add(BETWEEN_SLICES), more));
        Ok(more)
    }

    /// Deletes a slice of what is too old to keep; returns whether more of it is left.
    fn purge(&self, policy: &Policy) -> Result<bool> {
        let now = now();
        let kept_since = now.saturating_sub(policy.retention);
        let more = self.change_desk(|open| {
            let held = self.store.held_before(kept_since)?;
            for id in &held {
                self.store.delete_unsettled(id)?;
                open.dispatch.queue.remove(id);
            }
            let first_hour = hour_of(now).saturating_sub(i64::from(HOURS_LIMIT));
            self.store.purge_hours(first_hour)?;
            let more = self
                .store
                .purge(kept_since, now.saturating_sub(EVENT_ID_KEPT))?;
            Ok(more || held.len() == PURGE_SLICE)
        })?;
        Ok(more.unwrap_or(false))
    }

    /// Arms the next alarm, soon if there is more to delete. What will be too old later needs none: the daily walk, or an
    /// alarm for something else, deletes it.
    async fn arm_or_go_on_deleting(&self, more_to_delete: bool) -> Result<()> {
        self.arm().await?;
        if more_to_delete {
            self.clock.arm(now().saturating_add(BETWEEN_SLICES)).await?;
        }
        Ok(())
    }
}
