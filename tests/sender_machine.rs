//! The machine of one sender: what it makes at a time, what it reports together, and when it stops.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "what is not as expected has to end the test"
)]

use std::{rc::Rc, time::Duration};

use webhook_relay::{
    domain::{
        attempt::Attempt,
        budget::Budget,
        delivery::{Kind, Lease},
        ids::{DeliveryId, WebhookId},
        policy::Policy,
        sealed::{EncryptionKeys, Field},
        secret::SignHeaderWith,
        timestamp::Timestamp,
    },
    machines::{
        messages::{AttemptReport, Grant, WebhookCommand},
        sender::{SenderContext, SenderInput, SenderMachine, SenderOutputs},
        shift::Shift,
    },
};

#[test]
fn what_ends_within_10_ms_is_reported_together() {
    let mut sender = Sender::with(50);
    assert_eq!(sender.lease(3).attempts.len(), 3);
    assert_eq!(sender.ends(0).timer, Some(Duration::from_millis(10)));
    assert!(sender.ends(1).report.is_none());
    let (reported, leases) = report_in(&sender.timer_fires());
    assert_eq!((reported, leases), (2, 2));
}

#[test]
fn what_makes_room_for_more_that_is_due_is_reported_within_3_ms() {
    let mut sender = Sender::with(50);
    sender.lease(3);
    for (is_behind, within) in [(true, 10), (false, 3), (false, 10)] {
        let waits = sender.ends(0).timer;
        assert_eq!(waits, Some(Duration::from_millis(within)));
        report_in(&sender.timer_fires());
        sender.answered(usize::from(is_behind));
        if !is_behind {
            sender.lease(1);
        }
    }
}

#[test]
fn a_lease_for_which_no_connection_was_free_is_given_back_with_the_next_report() {
    let mut sender = Sender::with(50);
    sender.lease(2);
    let lease = grant(1).lease;
    let not_begun = sender.happens(SenderInput::NotBegun(id(1), lease));
    assert_eq!(not_begun.timer, Some(Duration::from_millis(10)));
    let report = sender.ends(0).report;
    let Some(WebhookCommand::Report {
        reports,
        unused,
        leases,
        ..
    }) = report.as_deref()
    else {
        panic!("{report:?}");
    };
    assert_eq!((reports.len(), *leases), (1, 1));
    assert_eq!(*unused, [(id(1), lease)]);
    sender.answered(0);
    assert_eq!(sender.budget.posts(), 51, "its POST was not made");
}

#[test]
fn a_sender_that_got_no_connection_gives_its_lease_back_at_once() {
    let mut sender = Sender::with(50);
    sender.lease(1);
    let given_back = sender.happens(SenderInput::NotBegun(id(0), grant(0).lease));
    assert_eq!(report_in(&given_back), (0, 0));
    assert!(sender.answered(0).is_done);
}

#[test]
fn the_last_attempt_is_reported_at_once() {
    let mut sender = Sender::with(50);
    sender.lease(2);
    sender.ends(0);
    let (reported, leases) = report_in(&sender.ends(1));
    assert_eq!((reported, leases), (2, 2));
}

#[test]
fn it_goes_on_with_the_leases_of_its_reports_and_never_has_more_under_way_than_at_first() {
    let mut sender = Sender::with(50);
    sender.lease(6);
    for _ in 0..20 {
        sender.ends(0);
        let (_, leases) = report_in(&sender.timer_fires());
        let answered = sender.answered(leases);
        assert_eq!(answered.attempts.len(), 1);
        assert!(!answered.is_done);
    }
}

#[test]
fn a_report_that_is_not_answered_is_sent_again_twice_and_its_leases_are_given_back() {
    let mut sender = Sender::with(1);
    sender.lease(1);
    let first = sender.ends(0).report.unwrap();
    for wait in [200, 400] {
        let unanswered = sender.happens(SenderInput::Answered(None));
        assert_eq!(unanswered.timer, Some(Duration::from_millis(wait)));
        let again = sender.timer_fires().report.unwrap();
        assert!(Rc::ptr_eq(&again, &first), "the same report");
    }
    let given_up = sender.happens(SenderInput::Answered(None));
    assert!(given_up.is_done);
    assert_eq!(sender.budget.posts(), 1);
}

#[test]
fn without_requests_it_reports_and_asks_for_no_leases() {
    let mut sender = Sender::with(0);
    sender.lease(1);
    let (reported, leases) = report_in(&sender.ends(0));
    assert_eq!((reported, leases), (1, 0));
    assert!(sender.answered(0).is_done);
}

#[test]
fn after_a_fault_of_the_relays_own_it_asks_for_no_leases() {
    let mut sender = Sender::with(50);
    sender.lease(2);
    assert!(sender.happens(SenderInput::Ended(None)).report.is_none());
    let (reported, leases) = report_in(&sender.ends(1));
    assert_eq!((reported, leases), (1, 0));
}

#[test]
fn it_begins_nothing_that_it_could_not_report_in_time() {
    let mut sender = Sender::with(50);
    sender.now = sender.now.saturating_add(Duration::from_secs(16));
    let late = sender.lease(1);
    assert!(late.attempts.is_empty() && late.is_done);
    assert_eq!(late.too_late.len(), 1);
}

#[test]
fn a_lease_of_which_nothing_is_reported_ends_the_sender_all_the_same() {
    let mut sender = Sender::with(50);
    sender.lease(1);
    assert!(sender.happens(SenderInput::Ended(None)).is_done);
}

#[test]
fn an_attempt_begins_when_its_lease_allows_it_and_reports_do_not_wait_for_it() {
    let mut sender = Sender::with(50);
    let grants = vec![grant(0), grant_from(1, 5), grant_from(2, 10)];
    let outputs = sender.happens(SenderInput::Leased(grants));
    assert_eq!(
        (outputs.attempts.len(), outputs.timer),
        (1, Some(Duration::from_secs(5)))
    );
    assert_eq!(
        report_in(&sender.ends(0)),
        (1, 1),
        "nothing else is under way"
    );
    assert!(
        !sender
            .happens(SenderInput::Answered(Some(Vec::new())))
            .is_done
    );
    let begun = sender.timer_fires();
    assert_eq!(begun.attempts[0].id, id(1));
    assert_eq!(begun.timer, Some(Duration::from_secs(5)));
    assert_eq!(sender.timer_fires().attempts[0].id, id(2));
}

#[test]
fn a_timer_that_fires_early_is_asked_for_again() {
    let mut sender = Sender::with(50);
    sender.happens(SenderInput::Leased(vec![grant_from(1, 5)]));
    sender.now = sender.now.saturating_add(Duration::from_millis(4_999));
    let early = sender.happens(SenderInput::TimerFired);
    assert_eq!(
        (early.attempts.len(), early.timer),
        (0, Some(Duration::from_millis(1)))
    );
}

#[test]
fn a_lease_that_begins_after_the_shift_is_too_late() {
    let mut sender = Sender::with(50);
    let outputs = sender.happens(SenderInput::Leased(vec![
        grant_from(1, 15),
        grant_from(2, 16),
    ]));
    assert_eq!(outputs.too_late, [id(2)]);
    assert!(!outputs.is_done);
}

/// A lease whose attempt may begin so many seconds after the sender did.
fn grant_from(number: u8, seconds: u64) -> Grant {
    Grant {
        not_before: Some(began().saturating_add(Duration::from_secs(seconds))),
        ..grant(number)
    }
}

/// A sender, what its invocation may still ask for, and the time.
struct Sender {
    machine: SenderMachine,
    budget: Budget,
    policy: Policy,
    now: Timestamp,
    timer: Duration,
}

impl Sender {
    fn with(posts: usize) -> Self {
        let policy = Policy::parse(|_| None).unwrap();
        Self {
            machine: SenderMachine::new(Shift::of_invocation(began(), &policy)),
            budget: Budget::new(posts),
            policy,
            now: began(),
            timer: Duration::ZERO,
        }
    }

    fn happens(&mut self, input: SenderInput) -> SenderOutputs {
        let mut context = SenderContext {
            now: self.now,
            policy: &self.policy,
            budget: &mut self.budget,
        };
        let outputs = self.machine.handle(input, &mut context);
        self.timer = outputs.timer.unwrap_or(self.timer);
        outputs
    }

    /// Lets the timer fire that was asked for last.
    fn timer_fires(&mut self) -> SenderOutputs {
        self.now = self.now.saturating_add(self.timer);
        self.happens(SenderInput::TimerFired)
    }

    fn lease(&mut self, count: u8) -> SenderOutputs {
        self.happens(SenderInput::Leased((0..count).map(grant).collect()))
    }

    fn ends(&mut self, number: u8) -> SenderOutputs {
        self.happens(SenderInput::Ended(Some(Box::new(report(number)))))
    }

    fn answered(&mut self, leases: usize) -> SenderOutputs {
        let grants = (0..u8::try_from(leases).unwrap()).map(grant).collect();
        self.happens(SenderInput::Answered(Some(grants)))
    }
}

fn report_in(outputs: &SenderOutputs) -> (usize, usize) {
    match outputs.report.as_deref() {
        Some(WebhookCommand::Report {
            reports, leases, ..
        }) => (reports.len(), *leases),
        other => panic!("{other:?}"),
    }
}

fn began() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

fn id(number: u8) -> DeliveryId {
    DeliveryId::mint(began(), [number; 10])
}

const LEASE: Lease = Lease {
    attempt: 1,
    lease: 1,
};

fn grant(number: u8) -> Grant {
    let webhook = WebhookId::mint(began(), [0; 10]);
    let keys = EncryptionKeys::default();
    Grant {
        id: id(number),
        kind: Kind::Event,
        event_type: "agent.error".into(),
        lease: LEASE,
        until: None,
        not_before: None,
        revision: 1,
        url: "https://hooks.example.com/".into(),
        headers: Vec::new(),
        secret: keys
            .seal("whsec_AA==", &webhook, Field::Secret, [0; 12])
            .unwrap(),
        previous_secret: None,
        sign_header_with: SignHeaderWith::Current,
        payload: None,
    }
}

fn report(number: u8) -> AttemptReport {
    AttemptReport {
        id: id(number),
        lease: LEASE,
        revision: 1,
        attempt: Attempt::lost(1, began(), began()),
        retry_after_ms: None,
        request: None,
    }
}
