//! The whole retry schedule on a virtual clock, with the domain driven as an object drives it: from wake-up to wake-up.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "what is not as expected has to end the test"
)]

use std::{collections::BTreeMap, time::Duration};

use serde_json::value::RawValue;
use webhook_relay::domain::{
    attempt::Attempt,
    delivery::{Change, FailedReason, Kind, Report, Status},
    dispatch::Dispatch,
    ids::{DeliveryId, EventId, WebhookId},
    outcome::Outcome,
    pace::Pace,
    policy::Policy,
    queue::Queue,
    record::DeliveryRecord,
    sealed::{EncryptionKeys, Field},
    timestamp::Timestamp,
    webhook::{AutoDisableReason, HealthState, Settings, Standing},
    width::Width,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

#[test]
fn a_failing_delivery_is_attempted_six_times_in_10_6_hours_exactly_on_schedule() {
    let mut relay = Relay::start();
    let id = relay.accept();
    let attempts = relay.run_until_idle(|_| 500);
    let delays: Vec<Duration> = attempts
        .windows(2)
        .map(|pair| pair[1].saturating_duration_since(pair[0]))
        .collect();
    assert_eq!(
        delays,
        [MINUTE, MINUTE * 5, MINUTE * 30, HOUR * 2, HOUR * 8]
    );
    assert_eq!(
        attempts[5].saturating_duration_since(attempts[0]),
        Duration::from_secs(38_160)
    );
    let record = &relay.records[&id];
    assert_eq!(record.delivery.status(), Status::Failed);
    let numbers: Vec<u32> = record
        .attempts
        .iter()
        .map(|attempt| attempt.attempt)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_delivery_whose_endpoint_recovers_is_delivered_by_the_next_retry() {
    let mut relay = Relay::start();
    let id = relay.accept();
    let recovered = relay.now.saturating_add(HOUR);
    let attempts = relay.run_until_idle(|now| if now < recovered { 503 } else { 200 });
    assert_eq!(attempts.len(), 5);
    assert_eq!(
        relay.records[&id].delivery.status(),
        Status::Delivered,
        "by the attempt after two hours"
    );
    let standing = &relay.dispatch.standing;
    assert_eq!(
        (standing.failing_since, standing.last_failure),
        (None, None)
    );
    assert_eq!(HealthState::of(standing.health), HealthState::Healthy);
}

#[test]
fn an_attempt_that_is_never_reported_is_made_three_times_and_then_the_schedule_goes_on() {
    let mut relay = Relay::start();
    let id = relay.accept();
    let mut leases = Vec::new();
    while relay.records[&id].delivery.attempts() == 0 {
        relay.wake();
        if let Some((_, lease)) = relay.lease() {
            leases.push((lease.attempt, lease.lease));
        }
    }
    assert_eq!(leases, [(1, 1), (1, 2), (1, 3)]);
    let record = &relay.records[&id];
    assert_eq!(record.attempts[0].outcome, Outcome::Lost);
    assert_eq!(
        record.delivery.next_wake(),
        Some(relay.now.saturating_add(MINUTE))
    );
}

#[test]
fn a_webhook_that_fails_for_five_days_is_disabled_by_the_delivery_that_ends_then_and_holds_what_comes()
 {
    let mut relay = Relay::start();
    let started_at = relay.now;
    while relay.dispatch.standing.disabled.is_none() {
        relay.accept();
        relay.run_until(relay.now.saturating_add(HOUR), |_| 500);
    }
    let disabled = relay.dispatch.standing.disabled.unwrap();
    assert_eq!(disabled.reason, AutoDisableReason::Failing);
    let lived = disabled.at.saturating_duration_since(started_at);
    assert!(lived >= HOUR * 120 && lived < HOUR * 122, "{lived:?}");
    let id = relay.accept();
    assert_eq!(relay.records[&id].delivery.status(), Status::Held);
    let attempts = relay.run_until_idle(|_| 500);
    assert!(attempts.is_empty(), "what was scheduled is held");
    assert!(
        relay
            .records
            .values()
            .all(|record| record.delivery.status() != Status::Pending)
    );
}

#[test]
fn gone_disables_the_webhook_unless_its_settings_have_changed_since_the_lease() {
    for (revision_at_report, disables) in [(1, true), (2, false)] {
        let mut relay = Relay::start();
        let id = relay.accept();
        let (_, lease) = relay.lease().unwrap();
        relay.dispatch.settings.revision = revision_at_report;
        let change = relay.report(&id, lease, 410, 1);
        assert_eq!(change, Change::Failed(FailedReason::Gone));
        assert_eq!(relay.dispatch.standing.disabled.is_some(), disables);
    }
}

#[test]
fn a_full_backlog_refuses_events_and_takes_pings() {
    let mut relay = Relay::start();
    relay.policy.max_backlog = 2;
    relay.accept();
    relay.accept();
    let admit = |kind| {
        relay
            .dispatch
            .accept(kind, 10, relay.now, &relay.policy)
            .is_ok()
    };
    assert!(!admit(Kind::Event));
    assert!(admit(Kind::Ping) && admit(Kind::Test));
}

#[test]
fn no_more_leases_are_out_than_the_policy_allows() {
    let mut relay = Relay::start();
    relay.policy.max_leases = 3;
    for _ in 0..5 {
        relay.accept();
    }
    let leased = std::iter::from_fn(|| relay.lease()).count();
    assert_eq!((leased, relay.dispatch.queue.leases()), (3, 3));
}

/// What a WebhookObject does, with rows in a map and a clock that jumps.
struct Relay {
    now: Timestamp,
    policy: Policy,
    dispatch: Dispatch,
    records: BTreeMap<DeliveryId, DeliveryRecord>,
    made: u8,
}

impl Relay {
    fn start() -> Self {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let secret = EncryptionKeys::default()
            .seal(
                "12345678",
                &WebhookId::mint(now, [0; 10]),
                Field::Secret,
                [0; 12],
            )
            .unwrap();
        Self {
            now,
            policy: Policy::parse(|_| None).unwrap(),
            dispatch: Dispatch {
                settings: Settings {
                    revision: 1,
                    status_revision: 1,
                    status_changed_at: now,
                    enabled: true,
                    url: "https://hooks.example.com/".into(),
                    events: vec!["agent.error".into()],
                    headers: Vec::new(),
                    secret,
                    previous_secret: None,
                    keys_revision: 0,
                    paused: false,
                    pace: Pace::default(),
                },
                standing: Standing::default(),
                queue: Queue::default(),
                width: Width::begin(false),
                bucket: None,
                stray: Vec::new(),
            },
            records: BTreeMap::new(),
            made: 0,
        }
    }

    fn accept(&mut self) -> DeliveryId {
        self.made += 1;
        let id = DeliveryId::mint(self.now, [self.made; 10]);
        let delivery = self
            .dispatch
            .accept(Kind::Event, 2, self.now, &self.policy)
            .unwrap();
        self.dispatch.queue.place(&id, &delivery, 2);
        let record = DeliveryRecord {
            id: id.clone(),
            event_id: EventId::mint(self.now, [self.made; 10]),
            event_type: "agent.error".into(),
            delivery,
            attempts: Vec::new(),
            payload: Some(RawValue::from_string("{}".into()).unwrap()),
            request: None,
            waiting_for: None,
        };
        self.records.insert(id.clone(), record);
        id
    }

    /// Jumps to the next moment at which something is due, and revokes the leases that ended then.
    fn wake(&mut self) -> bool {
        let Some(next) = self.dispatch.next_wake(&self.policy) else {
            return false;
        };
        self.now = self.now.max(next);
        while let Some(id) = self.dispatch.queue.ended_lease(self.now) {
            let record = self.records.get_mut(&id).unwrap();
            self.dispatch
                .take_back_lease(record, self.now, &self.policy);
            self.dispatch.queue.place(&id, &record.delivery, 2);
        }
        while !self.dispatch.is_enabled()
            && let Some(id) = self.dispatch.queue.any_due(self.now)
        {
            let record = self.records.get_mut(&id).unwrap();
            record.delivery.hold();
            self.dispatch.queue.place(&id, &record.delivery, 2);
        }
        true
    }

    fn lease(&mut self) -> Option<(DeliveryId, webhook_relay::domain::delivery::Lease)> {
        let (id, _) = self.dispatch.queue.next(self.now)?;
        let record = self.records.get_mut(&id).unwrap();
        let granted =
            self.dispatch
                .lease(&mut record.delivery, self.now, Duration::ZERO, &self.policy)?;
        self.dispatch.queue.place(&id, &record.delivery, 2);
        Some((id, granted.lease))
    }

    fn report(
        &mut self,
        id: &DeliveryId,
        lease: webhook_relay::domain::delivery::Lease,
        status: u16,
        revision: u64,
    ) -> Change {
        let outcome = Outcome::of_status(status);
        let report = Report {
            lease,
            outcome,
            response_status: Some(status),
            retry_after: None,
        };
        let attempt = Attempt {
            response_status: Some(status),
            ..Attempt::new(lease.attempt, self.now, 0, outcome)
        };
        let record = self.records.get_mut(id).unwrap();
        let change =
            self.dispatch
                .take_report(record, &report, attempt, revision, self.now, &self.policy);
        self.dispatch.queue.place(id, &record.delivery, 2);
        change
    }

    /// Runs up to a time and returns the times of the attempts. `answer` is the endpoint's status at a time.
    fn run_until(&mut self, end: Timestamp, answer: impl Fn(Timestamp) -> u16) -> Vec<Timestamp> {
        let mut attempts = Vec::new();
        while self
            .dispatch
            .next_wake(&self.policy)
            .is_some_and(|next| next <= end)
        {
            self.wake();
            while let Some((id, lease)) = self.lease() {
                attempts.push(self.now);
                self.report(&id, lease, answer(self.now), 1);
            }
        }
        self.now = self.now.max(end);
        attempts
    }

    fn run_until_idle(&mut self, answer: impl Fn(Timestamp) -> u16) -> Vec<Timestamp> {
        self.run_until(Timestamp::from_millis(i64::MAX), answer)
    }
}
