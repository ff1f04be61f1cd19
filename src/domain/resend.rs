//! A bulk resend: which deliveries, how far it is, and when it ends.
//!
//! It resends a few deliveries at a time, oldest first, and continues when their first new attempt is over, so the
//! endpoint sets the pace. Its row names the ones under way, so that after a restart it continues without resending
//! anything twice.

use serde::{Deserialize, Serialize};

use super::{
    delivery::{Delivery, Kind, State, Status},
    ids::{DeliveryId, ResendId},
    last_attempt::LastAttemptFilter,
    record::DeliveryRecord,
    timestamp::Timestamp,
};

/// Deliveries of a bulk resend that wait for their first new attempt at a time.
pub const UNDER_WAY_LIMIT: usize = 12;

/// Which deliveries a bulk resend covers: those of one status, by what they have in common, or those that are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Failed or held; or pending, to be sent at once. None if they are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Made at this time or later.
    pub since: Option<Timestamp>,
    /// Made before this time.
    pub until: Option<Timestamp>,
    /// Of one event type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// By their last attempt.
    #[serde(default, skip_serializing_if = "LastAttemptFilter::is_empty")]
    pub last_attempt: LastAttemptFilter,
    /// By name, in order and each once; empty if they are chosen by the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<DeliveryId>,
}

/// What a bulk resend would cover.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Preview {
    /// How many deliveries; at least so many if it is not exact.
    pub total: u64,
    /// Whether all were counted.
    pub is_exact: bool,
    /// When the oldest of them was made.
    pub oldest_at: Option<Timestamp>,
    /// When the newest of them was made.
    pub newest_at: Option<Timestamp>,
    /// The oldest of them, without payload; objects of an earlier release leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Box<DeliveryRecord>>,
    /// The newest of them, if there is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Box<DeliveryRecord>>,
}

/// The status of a bulk resend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkResendStatus {
    /// It still has deliveries to resend.
    Running,
    /// Each delivery has had its first new attempt.
    Finished,
    /// A person stopped it, or the webhook was disabled.
    Stopped,
}

/// A bulk resend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkResend {
    /// Its id.
    pub id: ResendId,
    /// What it resends.
    pub selection: Selection,
    /// When it began; it does not cover what failed later.
    pub began_at: Timestamp,
    /// Its status.
    pub status: BulkResendStatus,
    /// Deliveries that it has to resend.
    pub total: u64,
    /// Of these, the ones whose first new attempt succeeded.
    pub delivered: u64,
    /// Of these, the ones whose first new attempt failed, or that ended without one.
    pub failed: u64,
    /// Up to where it has looked for deliveries to resend.
    pub taken: Option<DeliveryId>,
    /// The ones whose first new attempt is not over.
    pub under_way: Vec<UnderWay>,
}

/// A delivery that a bulk resend has resent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// The delivery.
    pub id: DeliveryId,
    /// Its attempts before the resend.
    pub attempts: u32,
}

impl Selection {
    /// All of one status.
    #[must_use]
    pub fn of(status: Status) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// Those with these ids: failed, held or delivered ones.
    #[must_use]
    pub fn named(mut ids: Vec<DeliveryId>) -> Self {
        ids.sort();
        ids.dedup();
        Self {
            ids,
            ..Self::default()
        }
    }

    /// Whether its deliveries are named.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        self.status.is_none()
    }

    /// Whether it has what objects of an earlier release would pass over, and so resend more than is asked for.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        let Self {
            status,
            since: _,
            until: _,
            event_type,
            last_attempt,
            ids,
        } = self;
        status.is_none() || event_type.is_some() || !last_attempt.is_empty() || !ids.is_empty()
    }

    /// Whether a delivery already had the wanted status when the bulk resend began.
    #[must_use]
    pub fn takes(&self, delivery: &Delivery, began_at: Timestamp) -> bool {
        let is_wanted = |status| self.status.is_none_or(|wanted| wanted == status);
        let had_ended = match delivery.state() {
            State::Failed { at, .. } => is_wanted(Status::Failed) && at <= began_at,
            // Who names a delivered one wants it resent.
            State::Delivered { at } => is_wanted(Status::Delivered) && at <= began_at,
            // Only a disabled webhook holds deliveries, and a bulk resend stops when its webhook is disabled.
            State::Held => is_wanted(Status::Held),
            // What is due already cannot be sent sooner.
            State::Scheduled { due } => self.status == Some(Status::Pending) && due > began_at,
            State::Leased { .. } => false,
        };
        had_ended && delivery.kind() == Kind::Event
    }
}

impl BulkResend {
    /// Deliveries whose first new attempt is over.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.delivered.saturating_add(self.failed)
    }

    /// How many deliveries it may resend at present.
    #[must_use]
    pub fn free_places(&self) -> usize {
        match self.status {
            BulkResendStatus::Running => UNDER_WAY_LIMIT.saturating_sub(self.under_way.len()),
            BulkResendStatus::Finished | BulkResendStatus::Stopped => 0,
        }
    }

    /// Records that a delivery is resent; `before` is its state before that.
    pub fn take(&mut self, id: DeliveryId, before: &Delivery) {
        self.taken = Some(id.clone());
        self.under_way.push(UnderWay {
            id,
            attempts: before.attempts(),
        });
    }

    /// Checks the deliveries under way; `find` gives the current state of one, or `None` if it was purged. Returns
    /// whether anything changed.
    pub fn follow(&mut self, find: impl Fn(&DeliveryId) -> Option<Delivery>) -> bool {
        let before = self.under_way.len();
        let (mut delivered, mut failed): (u64, u64) = (0, 0);
        self.under_way.retain(|under_way| {
            let delivery = find(&under_way.id);
            let is_over = |delivery: &Delivery| {
                delivery.attempts() > under_way.attempts || delivery.is_settled()
            };
            match delivery {
                Some(delivery) if !is_over(&delivery) => return true,
                Some(delivery) if delivery.status() == Status::Delivered => {
                    delivered = delivered.saturating_add(1);
                }
                Some(_) | None => failed = failed.saturating_add(1),
            }
            false
        });
        self.delivered = self.delivered.saturating_add(delivered);
        self.failed = self.failed.saturating_add(failed);
        self.under_way.len() != before
    }

    /// Ends a running bulk resend that found nothing more to resend, once nothing is under way.
    pub const fn finish_where_done(&mut self) {
        if matches!(self.status, BulkResendStatus::Running) && self.under_way.is_empty() {
            self.status = BulkResendStatus::Finished;
        }
    }

    /// Stops a running bulk resend; what is under way continues.
    pub const fn stop(&mut self) {
        if matches!(self.status, BulkResendStatus::Running) {
            self.status = BulkResendStatus::Stopped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{delivery::Report, outcome::Outcome, policy::Policy};

    #[test]
    fn the_stored_form_is_pinned() {
        let mut bulk_resend = bulk_resend(Status::Failed);
        bulk_resend.take(id(1), &failed(0));
        let stored = concat!(
            r#"{"id":"rs_00000000000070008000000000000000","selection":{"status":"failed","since":null,"until":null},"#,
            r#""began_at":100000,"status":"running","total":3,"delivered":0,"failed":0,"#,
            r#""taken":"evt_00000000000071018101010101010101","#,
            r#""under_way":[{"id":"evt_00000000000071018101010101010101","attempts":0}]}"#,
        );
        assert_eq!(serde_json::to_string(&bulk_resend).unwrap(), stored);
        assert_eq!(
            serde_json::from_str::<BulkResend>(stored).unwrap(),
            bulk_resend
        );
    }

    #[test]
    fn what_failed_after_a_job_began_is_not_its() {
        let bulk_resend = bulk_resend(Status::Failed);
        assert!(
            bulk_resend
                .selection
                .takes(&failed(100), bulk_resend.began_at)
        );
        assert!(
            !bulk_resend
                .selection
                .takes(&failed(101), bulk_resend.began_at)
        );
        assert!(
            !bulk_resend
                .selection
                .takes(&Delivery::held(), bulk_resend.began_at)
        );
        assert!(
            !bulk_resend
                .selection
                .takes(&Delivery::due(Kind::Event, at(0)), bulk_resend.began_at)
        );
    }

    #[test]
    fn who_names_deliveries_gets_those_that_have_ended_or_are_held() {
        let named = Selection::named(vec![id(2), id(1), id(2)]);
        assert_eq!(named.ids, [id(1), id(2)]);
        assert!(named.is_narrowed() && !Selection::of(Status::Failed).is_narrowed());
        let policy = Policy::parse(|_| None).unwrap();
        let mut leased = Delivery::due(Kind::Event, at(0));
        let lease = leased.lease(at(0), &policy).unwrap();
        let mut delivered = leased.clone();
        let report = Report {
            lease,
            outcome: Outcome::Succeeded,
            response_status: Some(200),
            retry_after: None,
        };
        delivered.report(at(100), &policy, &report);
        let mut test = Delivery::due(Kind::Test, at(0));
        test.cancel(at(1)).unwrap();
        for (delivery, is_taken) in [
            (failed(100), true),
            (failed(101), false),
            (delivered, true),
            (Delivery::held(), true),
            (Delivery::due(Kind::Event, at(200)), false),
            (leased, false),
            (test, false),
        ] {
            assert_eq!(named.takes(&delivery, at(100)), is_taken, "{delivery:?}");
        }
    }

    #[test]
    fn a_delivery_is_done_when_its_first_new_attempt_is_over() {
        for (outcome, status, ends) in [
            (Outcome::HttpError, 500, (0, 1)),
            (Outcome::Succeeded, 200, (1, 0)),
        ] {
            let mut bulk_resend = bulk_resend(Status::Held);
            let policy = Policy::parse(|_| None).unwrap();
            bulk_resend.take(id(1), &Delivery::held());
            let mut delivery = Delivery::held();
            delivery.resend(at(101), None).unwrap();
            let lease = delivery.lease(at(101), &policy).unwrap();
            assert!(!bulk_resend.follow(|_| Some(delivery.clone())));
            let report = Report {
                lease,
                outcome,
                response_status: Some(status),
                retry_after: None,
            };
            delivery.report(at(102), &policy, &report);
            assert!(bulk_resend.follow(|_| Some(delivery.clone())));
            assert_eq!((bulk_resend.delivered, bulk_resend.failed), ends);
            assert_eq!(bulk_resend.done(), 1);
            bulk_resend.finish_where_done();
            assert_eq!(bulk_resend.status, BulkResendStatus::Finished);
        }
    }

    #[test]
    fn a_job_takes_a_few_at_a_time_and_none_when_it_is_stopped() {
        let mut bulk_resend = bulk_resend(Status::Failed);
        for number in 0..u8::try_from(UNDER_WAY_LIMIT).unwrap() {
            bulk_resend.take(id(number), &failed(0));
        }
        assert_eq!(bulk_resend.free_places(), 0);
        bulk_resend.follow(|_| None);
        assert_eq!(
            (bulk_resend.free_places(), bulk_resend.done()),
            (UNDER_WAY_LIMIT, 12)
        );
        bulk_resend.stop();
        assert_eq!(
            (bulk_resend.free_places(), bulk_resend.status),
            (0, BulkResendStatus::Stopped)
        );
    }

    fn bulk_resend(status: Status) -> BulkResend {
        BulkResend {
            id: ResendId::mint(at(0), [0; 10]),
            selection: Selection::of(status),
            began_at: at(100),
            status: BulkResendStatus::Running,
            total: 3,
            delivered: 0,
            failed: 0,
            taken: None,
            under_way: Vec::new(),
        }
    }

    fn failed(seconds: i64) -> Delivery {
        let mut delivery = Delivery::due(Kind::Event, at(0));
        delivery.cancel(at(seconds)).unwrap();
        delivery
    }

    fn id(number: u8) -> DeliveryId {
        DeliveryId::mint(at(0), [number; 10])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
