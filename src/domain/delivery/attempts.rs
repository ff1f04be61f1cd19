//! The attempts of a delivery: how a lease is granted, and what its report, or its loss, changes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Delivery, FailedReason, GONE, Kind, State};
use crate::{
    domain::{
        outcome::Outcome,
        policy::Policy,
        retry::{RetrySchedule, delay_honouring},
        timestamp::Timestamp,
    },
    mutants::Mutant,
};

/// Leases of one attempt that may end without a report before the attempt counts as failed.
const LEASES_OF_AN_ATTEMPT: u32 = 3;

/// The right to make one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The attempt to make, from 1.
    pub attempt: u32,
    /// The lease's number, which distinguishes it from earlier leases of the same attempt.
    pub lease: u32,
}

/// What the holder of a lease reports about its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The lease that it held.
    pub lease: Lease,
    /// The attempt's outcome.
    pub outcome: Outcome,
    /// The endpoint's status, if one arrived.
    pub response_status: Option<u16>,
    /// The endpoint's `Retry-After`, from the time of the report.
    pub retry_after: Option<Duration>,
}

/// What a report or a lost lease has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the report came too late.
    None,
    /// The attempt succeeded.
    Delivered,
    /// The attempt failed and another one is scheduled.
    Rescheduled,
    /// The attempt failed and was the last.
    Failed(FailedReason),
    /// A lease was lost; the same attempt is due again and has not ended.
    DueAgain,
}

impl Delivery {
    /// Grants a lease of the next attempt, if one is scheduled. The attempt may begin at a time, not before.
    pub fn lease(&mut self, not_before: Timestamp, policy: &Policy) -> Option<Lease> {
        let State::Scheduled { .. } = self.state else {
            return None;
        };
        self.leases = self.leases.saturating_add(1);
        self.state = State::Leased {
            until: not_before.saturating_add(policy.lease_length()),
        };
        Some(Lease {
            attempt: self.attempts.saturating_add(1),
            lease: self.leases,
        })
    }

    /// Applies the report of an attempt.
    pub fn report(&mut self, now: Timestamp, policy: &Policy, report: &Report) -> Change {
        let in_time = self.is_out(report.lease)
            || (Mutant::LateReportSettles.is_on() && matches!(self.state, State::Leased { .. }));
        if report.outcome.is_success() {
            let is_open = !self.is_settled() || self.is_cancelled() || self.is_failed_by_lost();
            let settles = in_time || (is_open && report.lease.lease > self.leases_before);
            return if settles {
                self.succeeded(now, report.lease.attempt)
            } else {
                Change::None
            };
        }
        if in_time {
            self.attempt_failed(now, policy, report)
        } else {
            Change::None
        }
    }

    /// Whether a lease is the one under which an attempt may be made.
    fn is_out(&self, lease: Lease) -> bool {
        let last = Lease {
            attempt: self.attempts.saturating_add(1),
            lease: self.leases,
        };
        matches!(self.state, State::Leased { .. }) && lease == last
    }

    /// Withdraws a lease that reached nobody: the same attempt is due at once, and no lease was lost. The next lease has
    /// a number of its own, so a report under this one, should it come all the same, is a late one. Returns whether the
    /// lease was out.
    pub fn withdraw(&mut self, lease: Lease, now: Timestamp) -> bool {
        let is_out = self.is_out(lease);
        if is_out {
            self.state = State::Scheduled { due: now };
        }
        is_out
    }

    /// Revokes a lease that ended without a report: the same attempt is due at once and costs no step of the
    /// schedule, until too many leases were lost.
    pub fn lease_ended(&mut self, now: Timestamp, policy: &Policy) -> Change {
        let State::Leased { until } = self.state else {
            return Change::None;
        };
        if now < until {
            return Change::None;
        }
        self.lost = self.lost.saturating_add(1);
        let costs_a_step = Mutant::LostLeaseCostsAStep.is_on();
        if self.lost < LEASES_OF_AN_ATTEMPT && self.kind == Kind::Event && !costs_a_step {
            self.state = State::Scheduled { due: now };
            return Change::DueAgain;
        }
        let lease = Lease {
            attempt: self.attempts.saturating_add(1),
            lease: self.leases,
        };
        let report = Report {
            lease,
            outcome: Outcome::Lost,
            response_status: None,
            retry_after: None,
        };
        self.attempt_failed(now, policy, &report)
    }

    const fn is_cancelled(&self) -> bool {
        matches!(
            self.state,
            State::Failed {
                reason: FailedReason::Cancelled,
                ..
            }
        )
    }

    const fn is_failed_by_lost(&self) -> bool {
        self.last_lost && matches!(self.state, State::Failed { .. })
    }

    fn succeeded(&mut self, now: Timestamp, attempt: u32) -> Change {
        self.attempts = self.attempts.max(attempt);
        self.lost = 0;
        self.last_lost = false;
        self.ended_before = None;
        self.state = State::Delivered { at: now };
        Change::Delivered
    }

    fn attempt_failed(&mut self, now: Timestamp, policy: &Policy, report: &Report) -> Change {
        self.attempts = self.attempts.saturating_add(1);
        self.lost = 0;
        self.last_lost = report.outcome == Outcome::Lost;
        if self.kind != Kind::Event {
            return self.failed(now, FailedReason::SingleAttempt);
        }
        if report.response_status == Some(GONE) {
            return self.failed(now, FailedReason::Gone);
        }
        let failures = self.attempts.saturating_sub(self.schedule_start);
        match next_delay(self.schedule(policy), failures, report) {
            Some(delay) => {
                self.state = State::Scheduled {
                    due: now.saturating_add(delay),
                };
                Change::Rescheduled
            }
            None => self.failed(now, FailedReason::ScheduleSpent),
        }
    }

    const fn failed(&mut self, now: Timestamp, reason: FailedReason) -> Change {
        self.ended_before = None;
        self.state = State::Failed { at: now, reason };
        Change::Failed(reason)
    }
}

/// The delay before the next attempt; a `Retry-After` counts only on 429 and 503 (RFC 9110, 10.2.3 and RFC 6585, 4).
fn next_delay(schedule: &RetrySchedule, failures: u32, report: &Report) -> Option<Duration> {
    let skipped = u32::from(Mutant::StepSkipped.is_on() && failures == 2);
    let failures = failures.saturating_add(skipped);
    let delay = schedule.delay_after(usize::try_from(failures).ok()?)?;
    let retry_after = match report.response_status {
        Some(429 | 503) => report.retry_after,
        _ => None,
    };
    if Mutant::RetryAfterShortens.is_on() {
        return Some(retry_after.unwrap_or(delay));
    }
    Some(delay_honouring(delay, retry_after, schedule.longest()))
}
