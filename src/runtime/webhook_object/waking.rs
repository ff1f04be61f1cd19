//! When the alarm has to fire: the earliest of all the reasons to wake.

use std::time::Duration;

use worker::Result;

use super::{Open, WebhookObject};
use crate::{
    domain::{policy::Policy, resend::UNDER_WAY_LIMIT, timestamp::Timestamp},
    runtime::{config::config, entropy::now},
};

/// How long counts stay only in memory before an alarm folds them: an idle object keeps its memory for 10 s.
const FOLD_WITHIN: Duration = Duration::from_secs(5);

impl WebhookObject {
    /// Arms the alarm for whatever comes first: a due delivery, the end of a lease, a message to the workspace. A running
    /// alarm arms the next one when it is done.
    pub(super) async fn arm(&self) -> Result<()> {
        if self.is_working.get() {
            return Ok(());
        }
        let config =
            config(&self.env).map_err(|error| worker::Error::RustError(error.to_string()))?;
        let next = self.with_desk(|open| Ok(self.next_wake(open, &config.policy)))?;
        match next.flatten() {
            Some(time) => self.clock.arm(time).await,
            None => Ok(()),
        }
    }

    fn next_wake(&self, open: &Open, policy: &Policy) -> Option<Timestamp> {
        let now = now();
        let standing = &open.dispatch.standing;
        let untold = open.reportable(now) != open.told;
        let tell = if untold {
            Some(self.tell_after.get())
        } else {
            standing.failing_reportable_at()
        };
        let tell = tell.filter(|time| untold || *time > now);
        let job = open
            .job
            .as_ref()
            .filter(|job| job.free_places() == UNDER_WAY_LIMIT);
        let fold = open
            .tally
            .has_older()
            .then(|| now.saturating_add(FOLD_WITHIN));
        let queue = open.dispatch.next_wake(policy);
        let queue = queue.map(|time| self.hiring.borrow().wake(time, now));
        let trim = self
            .store
            .is_nearly_full(policy.max_storage)
            .then(|| now.max(self.trim_after.get()));
        [queue, tell, job.map(|_| now), fold, trim]
            .into_iter()
            .flatten()
            .min()
    }
}
