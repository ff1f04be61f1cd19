//! The alarm: takes back ended leases, holds, leases and hires, deletes, counts, and tells the workspace.
//!
//! It is short: it waits for the answers to its hires and for the workspace, and for attempts only if hiring fails again
//! and again. What it leaves undone is a reason to wake, so the next alarm does it.

use std::time::Duration;

use super::{Context, Fault, WebhookMachine};
use crate::{
    domain::{dispatch::LEASED_AHEAD, webhook::ReportedStanding},
    machines::{
        hiring::{Crew, Means},
        messages::UnusedLease,
    },
    mutants::Mutant,
};

/// The time between two slices of a purge: more is deleted in it than is accepted.
const BETWEEN_SLICES: Duration = Duration::from_millis(250);

/// The time between the end of a purge and the next: what is kept for days may be kept for an hour longer, and alarms of
/// a webhook that is called often need not look for it.
const BETWEEN_PURGES: Duration = Duration::from_secs(60 * 60);

impl WebhookMachine {
    pub(super) fn alarm_fired(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        let means = self.hiring.means(context.now, context.policy.subrequests);
        let senders = match means {
            Means::Hire { at_most } => at_most,
            Means::ByItself { .. } => 1,
            Means::Wait { .. } => 0,
        };
        let crew = Crew::new(senders, context.policy.subrequests);
        let ahead = match means {
            Means::ByItself { until } => until.saturating_duration_since(context.now),
            Means::Hire { .. } | Means::Wait { .. } => LEASED_AHEAD,
        };
        let leased = self.change(context, |turn| {
            turn.take_back_leases()?;
            turn.feed_resend()?;
            turn.fold_counts()?;
            if turn.hold()? {
                turn.lease_for(crew, ahead)
            } else {
                Ok(Vec::new())
            }
        })?;
        // A Sender begins after its leases are flushed.
        self.flush(context)?;
        let mut groups = leased.unwrap_or_default();
        match means {
            Means::ByItself { until } => {
                self.outputs.attempts = groups.pop().map(|group| (group, until));
            }
            Means::Hire { .. } | Means::Wait { .. } => self.outputs.hires = groups,
        }
        self.delete_old(context)?;
        self.tell(context)
    }

    /// Deletes a slice of what is too old to keep, unless one was deleted a moment ago or nothing was left within the hour,
    /// as there may be many alarms in a second; and of what there is no storage for.
    pub(super) fn delete_old(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        let wait = self.purge_after.saturating_duration_since(context.now);
        // The wait is longer if the clock was put back.
        let may_purge = wait.is_zero() || wait > BETWEEN_PURGES;
        let known = self.has_more_to_purge;
        let more = self.change(context, |turn| {
            let more_to_purge = if may_purge { turn.purge()? } else { known };
            Ok((more_to_purge, turn.trim()?))
        })?;
        let (more_to_purge, more_to_trim) = more.unwrap_or_default();
        self.has_more_to_purge = more_to_purge;
        self.has_more_to_delete = more_to_purge || more_to_trim;
        if may_purge {
            let wait = if more_to_purge {
                BETWEEN_SLICES
            } else {
                BETWEEN_PURGES
            };
            self.purge_after = context.now.saturating_add(wait);
        }
        self.delete_after = context.now.saturating_add(BETWEEN_SLICES);
        Ok(())
    }

    /// Asks that the workspace is told the standing, if that has changed.
    fn tell(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        if self.is_telling || context.now < self.tell_after {
            return Ok(());
        }
        let untold = self.look(context, |turn| Ok(turn.open.untold(turn.now)))?;
        let due = untold.flatten().filter(|(at, _)| *at <= context.now);
        self.outputs.tell = due.map(|(_, standing)| standing);
        self.is_telling = self.outputs.tell.is_some();
        Ok(())
    }

    /// Keeps what the workspace was told; if it did not answer, or that cannot be kept, a later alarm tells it again.
    pub(super) fn told(
        &mut self,
        standing: ReportedStanding,
        is_answered: bool,
        context: &Context<'_>,
    ) -> Result<(), Fault> {
        self.is_telling = false;
        let kept = if is_answered {
            self.change(context, |turn| {
                turn.tables.put_told(&standing)?;
                turn.open.told = standing;
                turn.open.told_at = turn.now;
                Ok(())
            })
        } else {
            Ok(None)
        };
        if is_answered && kept.is_ok() {
            self.telling.succeeded();
        } else {
            self.tell_after = context.now.saturating_add(self.telling.failed());
        }
        kept?;
        Ok(())
    }

    /// Records how many Senders were hired and how many were not, and withdraws the leases that reached nobody.
    pub(super) fn hires_answered(
        &mut self,
        hired: usize,
        failed: usize,
        unused: &[UnusedLease],
        context: &Context<'_>,
    ) -> Result<(), Fault> {
        self.hiring.answered(hired, failed, context.now);
        if !Mutant::RefusedHireForgotten.is_on() {
            self.change(context, |turn| turn.withdraw(unused))?;
        }
        self.flush(context)
    }
}
