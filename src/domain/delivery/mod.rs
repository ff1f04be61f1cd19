//! The delivery state machine: how accepting, leases, reports, lost leases and people change a delivery.
//!
//! ```text
//!             accept            attempt failed, schedule left (or lease lost: same attempt, due at once)
//!  (nothing) ───────▶ Leased ──────────────▶ Scheduled ────next lease─────▶ Leased
//!      └─▶ Scheduled    │                        │ due while disabled          │
//!      └─▶ Held         ├── success ─▶ Delivered │                ◀────────────┤
//!                       └── spent ───▶ Failed    └──▶ Held        ◀────────────┘
//!    resend: Delivered | Failed | Held ──▶ Scheduled (same id, schedule restarts, attempt numbers continue)
//! ```
//! Delivery is at least once: a lease rules out needless duplicates, not all of them. A report names its lease, so one
//! that comes after its lease was lost cannot settle the attempt that followed. Only a late success settles it, because
//! then the endpoint has the event.

mod state;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::state::{End, FailedReason, Kind, State, Status};

use super::{
    outcome::Outcome,
    policy::Policy,
    retry::{RetrySchedule, delay_honouring},
    timestamp::Timestamp,
};
use crate::mutants::Mutant;

/// Leases of one attempt that may end without a report before the attempt counts as failed.
const LEASES_OF_AN_ATTEMPT: u32 = 3;

/// The status with which an endpoint asks for no more deliveries (Standard Webhooks, "Responding to webhooks").
pub const GONE: u16 = 410;

/// A delivery's progress; the payload is kept separately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    kind: Kind,
    state: State,
    /// Attempts that have ended.
    attempts: u32,
    /// Of these, the ones that ended before the schedule last started.
    schedule_start: u32,
    /// Leases granted so far.
    leases: u32,
    /// Leases of the attempt under way that ended without a report.
    lost: u32,
    /// Leases granted before the last resend: their reports say nothing of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    leases_before: u32,
    /// Whether the attempt that ended last was lost: it may have succeeded all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    last_lost: bool,
    /// The retry schedule that its webhook had of its own when it was accepted or resent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<RetrySchedule>,
    /// Its place in the order of an ordered webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turn: Option<TurnNumber>,
    /// How it had ended when it was last resent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_before: Option<End>,
}

/// When a delivery joined those of an ordered webhook, in microseconds; no two are the same.
pub type TurnNumber = u64;

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

/// A person asked for something that the delivery's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Resend of a delivery that is still pending.
    #[error("the delivery is still pending; it can be resent once it is delivered, failed or held")]
    AlreadyPending,
    /// Resend of a ping or a test.
    #[error("a ping or a test cannot be resent; send a new test instead")]
    NotResendable,
    /// Cancel, or sending now, of a delivery that has ended.
    #[error(
        "the delivery has already ended; only a pending or held one can be cancelled or sent now"
    )]
    AlreadySettled,
    /// Sending a delivery now that is being sent.
    #[error("an attempt of the delivery is under way")]
    AttemptUnderWay,
}

impl Delivery {
    /// A delivery whose first attempt is due at once.
    #[must_use]
    pub const fn due(kind: Kind, now: Timestamp) -> Self {
        Self {
            kind,
            state: State::Scheduled { due: now },
            attempts: 0,
            schedule_start: 0,
            leases: 0,
            lost: 0,
            leases_before: 0,
            last_lost: false,
            schedule: None,
            turn: None,
            ended_before: None,
        }
    }

    /// A delivery of a disabled webhook.
    #[must_use]
    pub fn held() -> Self {
        Self {
            state: State::Held,
            ..Self::due(Kind::Event, Timestamp::default())
        }
    }

    /// The same with the retry schedule of a webhook that has one of its own, and with a place in its order.
    #[must_use]
    pub fn paced(self, schedule: Option<RetrySchedule>, turn: Option<TurnNumber>) -> Self {
        Self {
            schedule,
            turn,
            ..self
        }
    }

    /// What it was made for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Its status, in the API's words.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self.state {
            State::Scheduled { .. } | State::Leased { .. } => Status::Pending,
            State::Held => Status::Held,
            State::Delivered { .. } => Status::Delivered,
            State::Failed { .. } => Status::Failed,
        }
    }

    /// Its place in the order of an ordered webhook, if it has one.
    #[must_use]
    pub const fn turn(&self) -> Option<TurnNumber> {
        self.turn
    }

    /// The schedule of its attempts.
    #[must_use]
    pub fn schedule<'s>(&'s self, policy: &'s Policy) -> &'s RetrySchedule {
        let own = self.schedule.as_ref();
        own.filter(|_| !Mutant::OwnScheduleIgnored.is_on())
            .unwrap_or(&policy.schedule)
    }

    /// Attempts that have ended.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether it is pending with an attempt behind it.
    #[must_use]
    pub const fn is_retrying(&self) -> bool {
        self.attempts > 0 && matches!(self.status(), Status::Pending)
    }

    /// Leases of the attempt under way that ended without a report.
    #[must_use]
    pub const fn lost_leases(&self) -> u32 {
        self.lost
    }

    /// Whether it has ended; a resend may still start it again.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.state, State::Delivered { .. } | State::Failed { .. })
    }

    /// Whether it can be resent as it is: an event that is held or has ended.
    #[must_use]
    pub fn is_resendable(&self) -> bool {
        self.kind == Kind::Event && self.status() != Status::Pending
    }

    /// How its attempts ended last, if they ever did.
    #[must_use]
    pub const fn last_end(&self) -> Option<End> {
        let (at, is_delivered) = match self.state {
            State::Delivered { at } => (at, true),
            State::Failed {
                reason: FailedReason::Cancelled,
                ..
            }
            | State::Scheduled { .. }
            | State::Leased { .. }
            | State::Held => return self.ended_before,
            State::Failed { at, .. } => (at, false),
        };
        Some(End {
            at,
            attempt: self.attempts,
            is_delivered,
        })
    }

    /// When the next attempt is due, or the current lease ends.
    #[must_use]
    pub const fn next_wake(&self) -> Option<Timestamp> {
        match self.state {
            State::Scheduled { due } => Some(due),
            State::Leased { until } => Some(until),
            State::Held | State::Delivered { .. } | State::Failed { .. } => None,
        }
    }

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

    /// Holds a due delivery, because its webhook is disabled. Returns whether it did.
    pub const fn hold(&mut self) -> bool {
        let holds = matches!(self.state, State::Scheduled { .. });
        if holds {
            self.state = State::Held;
        }
        holds
    }

    /// Makes the next attempt due at once; the schedule goes on from there. What is held is attempted again.
    ///
    /// # Errors
    /// `AttemptUnderWay` while it is leased, `AlreadySettled` if it has ended.
    pub fn send_now(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let due = match self.state {
            State::Scheduled { due } => due.min(now),
            State::Held => now,
            State::Leased { .. } => return Err(Refusal::AttemptUnderWay),
            State::Delivered { .. } | State::Failed { .. } => return Err(Refusal::AlreadySettled),
        };
        self.state = State::Scheduled { due };
        Ok(())
    }

    /// Restarts the schedule, its webhook's own or the deployment's; attempt numbers continue.
    ///
    /// # Errors
    /// `NotResendable` for pings and tests, `AlreadyPending` while attempts are still to come.
    pub fn resend(
        &mut self,
        now: Timestamp,
        schedule: Option<RetrySchedule>,
    ) -> Result<(), Refusal> {
        if self.kind != Kind::Event {
            return Err(Refusal::NotResendable);
        }
        if self.status() == Status::Pending {
            return Err(Refusal::AlreadyPending);
        }
        self.ended_before = self.last_end();
        self.state = State::Scheduled { due: now };
        self.schedule = schedule;
        self.schedule_start = self.attempts;
        self.leases_before = self.leases;
        self.lost = 0;
        self.last_lost = false;
        Ok(())
    }

    /// Takes another place in the order, or none.
    pub const fn join(&mut self, turn: Option<TurnNumber>) {
        self.turn = turn;
    }

    /// The lease that is out, and when it ends.
    #[must_use]
    pub const fn lease_out(&self) -> Option<(u32, Timestamp)> {
        match self.state {
            State::Leased { until } => Some((self.leases, until)),
            _ => None,
        }
    }

    /// Stops further attempts; one in flight that succeeds still makes it delivered.
    ///
    /// # Errors
    /// `AlreadySettled` if there are none to stop.
    pub const fn cancel(&mut self, now: Timestamp) -> Result<(), Refusal> {
        if self.is_settled() {
            return Err(Refusal::AlreadySettled);
        }
        self.state = State::Failed {
            at: now,
            reason: FailedReason::Cancelled,
        };
        Ok(())
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
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
