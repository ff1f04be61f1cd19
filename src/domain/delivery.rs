//! The delivery state machine: what an acceptance, a lease, a report, an ended lease and a person do to a delivery.
//!
//! ```text
//!             accept            attempt failed, schedule left (or lease lost: same attempt, due at once)
//!  (nothing) ───────▶ Leased ──────────────▶ Scheduled ──alarm or Worker──▶ Leased
//!      └─▶ Scheduled    │                        │ due while disabled          │
//!      └─▶ Held         ├── success ─▶ Delivered │                ◀────────────┤
//!                       └── spent ───▶ Failed    └──▶ Held        ◀────────────┘
//!    resend: Delivered | Failed | Held ──▶ Scheduled (same id, schedule anew, attempt numbers go on)
//! ```
//! Delivery is at least once: a lease rules out needless duplicates, not all of them. A report names its lease, so one
//! that comes after its lease was lost cannot settle the attempt that followed; only a late success settles, because
//! the endpoint has the event then.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    outcome::Outcome,
    policy::Policy,
    retry::{RetrySchedule, delay_honouring},
    timestamp::Timestamp,
};

/// Leases of one attempt that may end without a report before the attempt counts as failed.
const LEASES_OF_AN_ATTEMPT: u32 = 3;

/// The status by which an endpoint says that it wants no more (Standard Webhooks, "Responding to webhooks").
pub const GONE: u16 = 410;

/// What a delivery was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A posted event.
    Event,
    /// The greeting of a new webhook; one attempt.
    Ping,
    /// A test that a person asked for; one attempt.
    Test,
}

impl Kind {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Ping => "ping",
            Self::Test => "test",
        }
    }
}

/// Why a delivery failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedReason {
    /// Each attempt of the schedule failed.
    ScheduleSpent,
    /// The endpoint answered 410.
    Gone,
    /// A person cancelled it.
    Cancelled,
    /// A ping or a test, whose only attempt failed.
    SingleAttempt,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// An attempt is due at a time.
    Scheduled {
        /// When.
        due: Timestamp,
    },
    /// Somebody may make an attempt.
    Leased {
        /// Until when its report is awaited.
        until: Timestamp,
    },
    /// Kept, not attempted, because the webhook is disabled.
    Held,
    /// An attempt succeeded.
    Delivered {
        /// When its report came.
        at: Timestamp,
    },
    /// No further attempt is made.
    Failed {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: FailedReason,
    },
}

/// The four statuses of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Scheduled or leased.
    Pending,
    /// An attempt succeeded.
    Delivered,
    /// No further attempt is made.
    Failed,
    /// Waits for a resend.
    Held,
}

impl Status {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}

/// A delivery's progress; what it delivers is kept beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    kind: Kind,
    state: State,
    /// Attempts that have ended.
    attempts: u32,
    /// Of these, the ones that ended before the schedule began (anew).
    schedule_start: u32,
    /// Leases granted so far.
    leases: u32,
    /// Leases of the attempt under way that ended without a report.
    lost: u32,
}

/// The right to make one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The attempt to make, from 1.
    pub attempt: u32,
    /// Told apart from an earlier lease of the same attempt by its number.
    pub lease: u32,
}

/// What the holder of a lease says of its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The lease that it had.
    pub lease: Lease,
    /// What came of the attempt.
    pub outcome: Outcome,
    /// The endpoint's status, where one arrived.
    pub response_status: Option<u16>,
    /// The endpoint's `Retry-After`, from the time of the report.
    pub retry_after: Option<Duration>,
}

/// What a report or an ended lease has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the report came too late.
    None,
    /// The attempt succeeded.
    Delivered,
    /// The attempt failed and another one is scheduled.
    Rescheduled,
    /// The attempt failed and it was the last.
    Failed(FailedReason),
    /// A lease was lost; the same attempt is due again and has not ended.
    DueAgain,
}

/// A person asked for what the delivery's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Resend of a delivery that is on its way.
    #[error("the delivery is still pending; it can be resent once it is delivered, failed or held")]
    AlreadyPending,
    /// Resend of a ping or a test.
    #[error("a ping or a test cannot be resent; send a new test instead")]
    NotResendable,
    /// Cancel of a delivery that has ended.
    #[error("the delivery has already ended; only a pending or held one can be cancelled")]
    AlreadySettled,
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
        }
    }

    /// A delivery of a disabled webhook.
    #[must_use]
    pub const fn held() -> Self {
        Self {
            kind: Kind::Event,
            state: State::Held,
            attempts: 0,
            schedule_start: 0,
            leases: 0,
            lost: 0,
        }
    }

    /// What it was made for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Where it stands, in the API's words.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self.state {
            State::Scheduled { .. } | State::Leased { .. } => Status::Pending,
            State::Held => Status::Held,
            State::Delivered { .. } => Status::Delivered,
            State::Failed { .. } => Status::Failed,
        }
    }

    /// Attempts that have ended.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Leases of the attempt under way that ended without a report.
    #[must_use]
    pub const fn lost_leases(&self) -> u32 {
        self.lost
    }

    /// Whether it has ended; a resend may still start it anew.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.state, State::Delivered { .. } | State::Failed { .. })
    }

    /// When the next attempt is due, or the lease of the present one ends.
    #[must_use]
    pub const fn next_wake(&self) -> Option<Timestamp> {
        match self.state {
            State::Scheduled { due } => Some(due),
            State::Leased { until } => Some(until),
            State::Held | State::Delivered { .. } | State::Failed { .. } => None,
        }
    }

    /// Grants the next attempt, where one is scheduled.
    pub fn lease(&mut self, now: Timestamp, policy: &Policy) -> Option<Lease> {
        let State::Scheduled { .. } = self.state else {
            return None;
        };
        self.leases = self.leases.saturating_add(1);
        self.state = State::Leased {
            until: now.saturating_add(policy.lease_length()),
        };
        Some(Lease {
            attempt: self.attempts.saturating_add(1),
            lease: self.leases,
        })
    }

    /// Takes the report of an attempt.
    pub fn report(&mut self, now: Timestamp, policy: &Policy, report: &Report) -> Change {
        let in_time = matches!(self.state, State::Leased { .. })
            && report.lease
                == Lease {
                    attempt: self.attempts.saturating_add(1),
                    lease: self.leases,
                };
        if report.outcome.is_success() {
            let settles = in_time || !self.is_settled() || self.is_cancelled();
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

    /// Takes back a lease that ended without a report: the same attempt is due at once and costs no step of the
    /// schedule, until too many were lost.
    pub fn lease_ended(&mut self, now: Timestamp, policy: &Policy) -> Change {
        let State::Leased { until } = self.state else {
            return Change::None;
        };
        if now < until {
            return Change::None;
        }
        self.lost = self.lost.saturating_add(1);
        if self.lost < LEASES_OF_AN_ATTEMPT && self.kind == Kind::Event {
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

    /// Holds a due delivery, because its webhook is disabled. Tells whether it did.
    pub const fn hold(&mut self) -> bool {
        let holds = matches!(self.state, State::Scheduled { .. });
        if holds {
            self.state = State::Held;
        }
        holds
    }

    /// Starts the schedule anew; attempt numbers go on.
    ///
    /// # Errors
    /// `NotResendable` for pings and tests, `AlreadyPending` while attempts are still to come.
    pub fn resend(&mut self, now: Timestamp) -> Result<(), Refusal> {
        if self.kind != Kind::Event {
            return Err(Refusal::NotResendable);
        }
        if self.status() == Status::Pending {
            return Err(Refusal::AlreadyPending);
        }
        self.state = State::Scheduled { due: now };
        self.schedule_start = self.attempts;
        self.lost = 0;
        Ok(())
    }

    /// Stops further attempts; one in flight that succeeds still makes it delivered.
    ///
    /// # Errors
    /// `AlreadySettled` where there are none to stop.
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

    fn succeeded(&mut self, now: Timestamp, attempt: u32) -> Change {
        self.attempts = self.attempts.max(attempt);
        self.lost = 0;
        self.state = State::Delivered { at: now };
        Change::Delivered
    }

    fn attempt_failed(&mut self, now: Timestamp, policy: &Policy, report: &Report) -> Change {
        self.attempts = self.attempts.saturating_add(1);
        self.lost = 0;
        if self.kind != Kind::Event {
            return self.failed(now, FailedReason::SingleAttempt);
        }
        if report.response_status == Some(GONE) {
            return self.failed(now, FailedReason::Gone);
        }
        let failures = self.attempts.saturating_sub(self.schedule_start);
        match next_delay(&policy.schedule, failures, report) {
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
        self.state = State::Failed { at: now, reason };
        Change::Failed(reason)
    }
}

/// The delay before the next attempt; a `Retry-After` counts on 429 and 503 alone (RFC 9110, 10.2.3 and RFC 6585, 4).
fn next_delay(schedule: &RetrySchedule, failures: u32, report: &Report) -> Option<Duration> {
    let delay = schedule.delay_after(usize::try_from(failures).ok()?)?;
    let retry_after = match report.response_status {
        Some(429 | 503) => report.retry_after,
        _ => None,
    };
    Some(delay_honouring(delay, retry_after, schedule.longest()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_pinned() {
        let mut delivery = Delivery::due(Kind::Event, at(5));
        let scheduled = r#"{"kind":"event","state":{"scheduled":{"due":5000}},"attempts":0,"schedule_start":0,"leases":0,"lost":0}"#;
        assert_stored(&delivery, scheduled);
        delivery.lease(at(5), &policy());
        let leased = r#"{"kind":"event","state":{"leased":{"until":20000}},"attempts":0,"schedule_start":0,"leases":1,"lost":0}"#;
        assert_stored(&delivery, leased);
        delivery.cancel(at(6)).unwrap();
        let failed = r#"{"kind":"event","state":{"failed":{"at":6000,"reason":"cancelled"}},"attempts":0,"schedule_start":0,"leases":1,"lost":0}"#;
        assert_stored(&delivery, failed);
        assert_stored(
            &Delivery::held(),
            r#"{"kind":"event","state":"held","attempts":0,"schedule_start":0,"leases":0,"lost":0}"#,
        );
    }

    #[test]
    fn a_late_report_does_not_settle_the_next_attempt() {
        let (mut delivery, first) = leased();
        assert_eq!(delivery.lease_ended(at(15), &policy()), Change::DueAgain);
        let second = delivery.lease(at(15), &policy()).unwrap();
        assert_eq!(
            (second.attempt, second.lease),
            (first.attempt, first.lease + 1)
        );
        assert_eq!(
            delivery.report(at(16), &policy(), &failure(first, 500)),
            Change::None
        );
        assert_eq!(
            delivery.report(at(17), &policy(), &failure(second, 500)),
            Change::Rescheduled
        );
        assert_eq!(delivery.next_wake(), Some(at(17 + 60)));
    }

    #[test]
    fn a_late_success_settles_what_is_not_settled_yet() {
        let (mut delivery, first) = leased();
        delivery.lease_ended(at(15), &policy());
        assert_eq!(
            delivery.report(at(16), &policy(), &success(first)),
            Change::Delivered
        );
        assert_eq!(delivery.attempts(), 1);
    }

    #[test]
    fn a_late_success_does_not_revive_a_spent_delivery() {
        let (mut delivery, lease) = leased();
        delivery.report(at(1), &policy(), &failure(lease, 410));
        assert_eq!(
            delivery.report(at(2), &policy(), &success(lease)),
            Change::None
        );
        assert_eq!(delivery.status(), Status::Failed);
    }

    #[test]
    fn a_late_410_changes_nothing() {
        let (mut delivery, first) = leased();
        delivery.lease_ended(at(15), &policy());
        assert_eq!(
            delivery.report(at(16), &policy(), &failure(first, GONE)),
            Change::None
        );
        assert_eq!(delivery.status(), Status::Pending);
    }

    #[test]
    fn a_lease_does_not_end_before_its_time() {
        let (mut delivery, _) = leased();
        assert_eq!(delivery.lease_ended(at(14), &policy()), Change::None);
        assert_eq!(delivery.next_wake(), Some(at(15)));
    }

    #[test]
    fn two_lost_leases_cost_no_step_and_the_third_counts_as_a_failed_attempt() {
        let mut delivery = Delivery::due(Kind::Event, at(0));
        for (now, change) in [
            (15, Change::DueAgain),
            (30, Change::DueAgain),
            (45, Change::Rescheduled),
        ] {
            assert_eq!(delivery.lease(at(now - 15), &policy()).unwrap().attempt, 1);
            assert_eq!(delivery.lease_ended(at(now), &policy()), change);
        }
        assert_eq!(
            (delivery.attempts(), delivery.next_wake()),
            (1, Some(at(45 + 60)))
        );
        assert_eq!(delivery.lost_leases(), 0);
    }

    #[test]
    fn gone_ends_a_delivery_at_once() {
        let (mut delivery, lease) = leased();
        assert_eq!(
            delivery.report(at(1), &policy(), &failure(lease, GONE)),
            Change::Failed(FailedReason::Gone)
        );
        assert_eq!(delivery.next_wake(), None);
    }

    #[test]
    fn retry_after_lengthens_a_delay_on_429_and_503_alone_and_to_the_longest_step_at_most() {
        let due_after = |status, seconds| {
            let (mut delivery, lease) = leased();
            let retry_after = Some(Duration::from_secs(seconds));
            delivery.report(
                at(0),
                &policy(),
                &Report {
                    retry_after,
                    ..failure(lease, status)
                },
            );
            delivery.next_wake().unwrap()
        };
        assert_eq!(due_after(429, 90), at(90));
        assert_eq!(due_after(503, 90), at(90));
        assert_eq!(due_after(500, 90), at(60));
        assert_eq!(due_after(429, 5), at(60));
        assert_eq!(due_after(429, 1_000_000), at(8 * 3600));
    }

    #[test]
    fn a_ping_has_one_attempt_whatever_comes_of_it() {
        for kind in [Kind::Ping, Kind::Test] {
            let mut delivery = Delivery::due(kind, at(0));
            let lease = delivery.lease(at(0), &policy()).unwrap();
            let change = delivery.report(at(1), &policy(), &failure(lease, GONE));
            assert_eq!(change, Change::Failed(FailedReason::SingleAttempt));
            assert_eq!(delivery.resend(at(2)), Err(Refusal::NotResendable));

            let mut lost = Delivery::due(kind, at(0));
            lost.lease(at(0), &policy());
            assert_eq!(
                lost.lease_ended(at(15), &policy()),
                Change::Failed(FailedReason::SingleAttempt)
            );
        }
    }

    #[test]
    fn a_resend_starts_the_schedule_anew_and_attempt_numbers_go_on() {
        let (mut delivery, lease) = leased();
        delivery.report(at(1), &policy(), &success(lease));
        delivery.resend(at(100)).unwrap();
        assert_eq!(delivery.resend(at(100)), Err(Refusal::AlreadyPending));
        for number in 2..=7 {
            let lease = delivery.lease(at(100), &policy()).unwrap();
            assert_eq!(lease.attempt, number);
            let last = number == 7;
            let expected = if last {
                Change::Failed(FailedReason::ScheduleSpent)
            } else {
                Change::Rescheduled
            };
            assert_eq!(
                delivery.report(at(100), &policy(), &failure(lease, 500)),
                expected
            );
        }
    }

    #[test]
    fn a_cancelled_delivery_is_delivered_when_the_attempt_in_flight_succeeds() {
        let (mut delivery, lease) = leased();
        delivery.cancel(at(1)).unwrap();
        assert_eq!(delivery.cancel(at(1)), Err(Refusal::AlreadySettled));
        assert_eq!(
            delivery.report(at(2), &policy(), &failure(lease, 500)),
            Change::None
        );
        assert_eq!(
            delivery.report(at(2), &policy(), &success(lease)),
            Change::Delivered
        );
    }

    #[test]
    fn only_a_scheduled_delivery_is_held_and_only_a_resend_frees_it() {
        let mut delivery = Delivery::due(Kind::Event, at(0));
        assert!(delivery.hold());
        assert_eq!(
            (delivery.status(), delivery.next_wake()),
            (Status::Held, None)
        );
        assert_eq!(delivery.lease(at(1), &policy()), None);
        delivery.resend(at(2)).unwrap();
        assert_eq!(delivery.lease(at(2), &policy()).unwrap().attempt, 1);
        assert!(!delivery.hold(), "a lease in flight is finished");
    }

    fn assert_stored(delivery: &Delivery, stored: &str) {
        assert_eq!(serde_json::to_string(delivery).unwrap(), stored);
        assert_eq!(&serde_json::from_str::<Delivery>(stored).unwrap(), delivery);
    }

    fn leased() -> (Delivery, Lease) {
        let mut delivery = Delivery::due(Kind::Event, at(0));
        let lease = delivery.lease(at(0), &policy()).unwrap();
        (delivery, lease)
    }

    fn success(lease: Lease) -> Report {
        Report {
            lease,
            outcome: Outcome::Succeeded,
            response_status: Some(200),
            retry_after: None,
        }
    }

    fn failure(lease: Lease, status: u16) -> Report {
        Report {
            lease,
            outcome: Outcome::HttpError,
            response_status: Some(status),
            retry_after: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn policy() -> Policy {
        Policy::parse(|_| None).unwrap()
    }
}
