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

mod attempts;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::{
    attempts::{Change, Lease, Report},
    state::{End, FailedReason, Kind, State, Status},
};

use super::{policy::Policy, retry::RetrySchedule, timestamp::Timestamp};
use crate::mutants::Mutant;

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
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}
