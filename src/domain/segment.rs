//! Deliveries that were accepted within a moment of each other and share one row.
//!
//! Each row written costs money, so what arrives together is stored and settled together. A segment holds the normal
//! case: accepted, leased, delivered at the first attempt. If anything else happens to a delivery, it moves to a row
//! of its own, so every other rule deals only with single deliveries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    attempt::{Attempt, forget_responses},
    delivery::{Delivery, Kind, State},
    ids::{DeliveryId, EventId},
    record::DeliveryRecord,
    timestamp::Timestamp,
};

/// Deliveries of a segment at most: each change of one writes the whole row again.
pub const MEMBERS_LIMIT: usize = 16;

/// Deliveries from which on a segment that has its row takes no more: those that come later would write the row again, and
/// most of them need one of their own anyway.
const ENOUGH: usize = MEMBERS_LIMIT / 2;

/// Bytes of a segment's payloads at most; a delivery with more has a segment of its own.
pub const BYTES_LIMIT: u64 = 64 * 1024;

/// The most by which the time in a member's id may differ from the time in its segment's key; a search by time is
/// widened by it.
pub const SPAN: Duration = Duration::from_millis(20);

/// Bytes of a kept response, above which a delivery leaves its segment.
const RESPONSE_LIMIT: usize = 2048;

/// A delivery in a segment, without its payload. Its kind is always `Event`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    id: DeliveryId,
    event_id: EventId,
    #[serde(rename = "type")]
    event_type: String,
    /// The length of the payload.
    bytes: u64,
    delivery: Delivery,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt>,
}

impl Member {
    /// The delivery's id.
    #[must_use]
    pub const fn id(&self) -> &DeliveryId {
        &self.id
    }

    /// The event's id.
    #[must_use]
    pub const fn event_id(&self) -> &EventId {
        &self.event_id
    }

    /// The delivery's progress.
    #[must_use]
    pub const fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The attempts so far.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The length of the payload.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The delivery as a record, without its payload.
    #[must_use]
    pub fn to_record(&self) -> DeliveryRecord {
        DeliveryRecord {
            id: self.id.clone(),
            event_id: self.event_id.clone(),
            event_type: self.event_type.clone(),
            delivery: self.delivery.clone(),
            attempts: self.attempts.clone(),
            payload: None,
            request: None,
            waiting_for: None,
        }
    }
}

/// What a wake-up needs of a delivery in a segment.
#[derive(Debug, Deserialize)]
pub struct PendingMember<'a> {
    /// The delivery's id.
    pub id: &'a str,
    /// The length of the payload.
    pub bytes: u64,
    /// The delivery's progress.
    pub delivery: Delivery,
    /// The attempts so far.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
}

/// Deliveries in one row, in the order in which they were accepted. Its key is the id of the first.
#[derive(Clone, Debug)]
pub struct Segment {
    key: DeliveryId,
    members: Vec<Member>,
}

impl Segment {
    /// Whether a delivery may be in a segment.
    #[must_use]
    pub fn takes(record: &DeliveryRecord) -> bool {
        let untried = record.delivery.attempts() == 0 && record.delivery.lost_leases() == 0;
        let as_it_should = match record.delivery.state() {
            State::Scheduled { .. } | State::Leased { .. } => untried,
            State::Delivered { .. } => record.attempts.len() == 1,
            State::Held | State::Failed { .. } => false,
        };
        record.delivery.kind() == Kind::Event
            && record.request.is_none()
            && as_it_should
            && record.attempts.iter().all(Self::takes_attempt)
    }

    /// Whether what is kept of an attempt's answer is short enough; a delivery in a segment has one attempt at most.
    #[must_use]
    pub fn takes_attempt(attempt: &Attempt) -> bool {
        attempt.weight() <= RESPONSE_LIMIT
    }

    /// Makes a segment of one delivery that [`Self::takes`] allows; `bytes` is the length of its payload.
    #[must_use]
    pub fn of(record: &DeliveryRecord, bytes: u64) -> Self {
        let mut segment = Self {
            key: record.id.clone(),
            members: Vec::new(),
        };
        segment.push(record, bytes);
        segment
    }

    /// A stored segment.
    #[must_use]
    pub const fn stored(key: DeliveryId, members: Vec<Member>) -> Self {
        Self { key, members }
    }

    /// The segment's key; the ids of its members are at most [`SPAN`] away from it.
    #[must_use]
    pub const fn key(&self) -> &DeliveryId {
        &self.key
    }

    /// Its deliveries.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether it has so many deliveries that it takes no more once it has its row.
    #[must_use]
    pub const fn has_enough(&self) -> bool {
        self.members.len() >= ENOUGH
    }

    /// Whether there is room for one more delivery.
    #[must_use]
    pub fn has_room_for(&self, id: &DeliveryId, bytes: u64) -> bool {
        let (key, time) = (self.key.minted_at(), id.minted_at());
        let apart = key
            .saturating_duration_since(time)
            .max(time.saturating_duration_since(key));
        let held = self.members.iter().map(Member::bytes);
        self.members.len() < MEMBERS_LIMIT
            && apart <= SPAN
            && held.fold(bytes, u64::saturating_add) <= BYTES_LIMIT
    }

    /// Adds a delivery that [`Self::takes`] allows and that there is room for.
    pub fn push(&mut self, record: &DeliveryRecord, bytes: u64) {
        self.members.push(Member {
            id: record.id.clone(),
            event_id: record.event_id.clone(),
            event_type: record.event_type.clone(),
            bytes,
            delivery: record.delivery.clone(),
            attempts: record.attempts.clone(),
        });
    }

    /// The place of a delivery.
    #[must_use]
    pub fn position(&self, id: &DeliveryId) -> Option<usize> {
        self.members.iter().position(|member| member.id == *id)
    }

    /// A delivery.
    #[must_use]
    pub fn find(&self, id: &DeliveryId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    /// Updates the progress of a delivery that stays.
    pub fn update(&mut self, record: &DeliveryRecord) {
        if let Some(member) = self
            .members
            .iter_mut()
            .find(|member| member.id == record.id)
        {
            member.delivery = record.delivery.clone();
            member.attempts.clone_from(&record.attempts);
        }
    }

    /// Removes a delivery and returns its place.
    pub fn remove(&mut self, id: &DeliveryId) -> Option<usize> {
        let position = self.position(id)?;
        self.members.remove(position);
        Some(position)
    }

    /// Forgets what the endpoint answered; returns whether anything was kept of it.
    pub fn forget_responses(&mut self) -> bool {
        let mut had_any = false;
        for member in &mut self.members {
            had_any |= forget_responses(&mut member.attempts);
        }
        had_any
    }

    /// When the newest of its deliveries was made.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        let members = self.members.iter();
        members.map(|member| member.id.minted_at()).max()
    }

    /// Whether all its deliveries are settled.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.members
            .iter()
            .all(|member| member.delivery.is_settled())
    }
}

/// The range of times in which to look for the keys of segments with deliveries from a range of time.
#[must_use]
pub fn times_around(since: Timestamp, until: Timestamp) -> (Timestamp, Timestamp) {
    (since.saturating_sub(SPAN), until.saturating_add(SPAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        delivery::{Lease, Report},
        outcome::Outcome,
        policy::Policy,
    };

    #[test]
    fn the_stored_form_is_pinned() {
        let mut segment = Segment::of(&record(1, Delivery::due(Kind::Event, at(0))), 17);
        segment.push(&delivered(2), 18);
        let stored = concat!(
            r#"[{"id":"evt_00000000000170008000000000000000","event_id":"order-1","type":"alert.triggered","bytes":17,"#,
            r#""delivery":{"kind":"event","state":{"scheduled":{"due":0}},"attempts":0,"schedule_start":0,"leases":0,"lost":0}},"#,
            r#"{"id":"evt_00000000000270008000000000000000","event_id":"order-2","type":"alert.triggered","bytes":18,"#,
            r#""delivery":{"kind":"event","state":{"delivered":{"at":1}},"attempts":1,"schedule_start":0,"leases":1,"lost":0},"#,
            r#""attempts":[{"attempt":1,"started_at":0,"duration_ms":1,"outcome":"succeeded","response_status":200}]}]"#,
        );
        assert_eq!(serde_json::to_string(segment.members()).unwrap(), stored);
        let members: Vec<Member> = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&members).unwrap(), stored);
        let pending: Vec<PendingMember<'_>> = serde_json::from_str(stored).unwrap();
        for (read, whole) in pending.iter().zip(&members) {
            assert_eq!((read.id, read.bytes), (whole.id().as_ref(), whole.bytes()));
            assert_eq!(read.delivery, *whole.delivery());
            assert_eq!(read.attempts, whole.attempts());
        }
    }

    #[test]
    fn what_goes_as_it_should_stays_from_acceptance_to_delivery() {
        let mut record = record(1, Delivery::due(Kind::Event, at(0)));
        assert!(Segment::takes(&record));
        record.delivery.lease(at(0), &policy());
        assert!(Segment::takes(&record));
        assert!(Segment::takes(&delivered(1)));
    }

    #[test]
    fn what_failed_lost_its_lease_was_held_cancelled_or_resent_is_a_row_of_its_own() {
        let leased = || {
            let mut delivery = Delivery::due(Kind::Event, at(0));
            delivery.lease(at(0), &policy());
            delivery
        };
        let mut failed = leased();
        failed.report(at(1), &policy(), &report(Outcome::HttpError));
        let mut lost = leased();
        lost.lease_ended(at(60_000), &policy());
        let mut cancelled = leased();
        cancelled.cancel(at(1)).unwrap();
        let mut resent = delivered(1).delivery;
        resent.resend(at(2), None).unwrap();
        for delivery in [failed, lost, cancelled, resent, Delivery::held()] {
            assert!(
                !Segment::takes(&record(1, delivery.clone())),
                "{delivery:?}"
            );
        }
    }

    #[test]
    fn pings_and_tests_and_long_responses_are_rows_of_their_own() {
        assert!(!Segment::takes(&record(
            1,
            Delivery::due(Kind::Ping, at(0))
        )));
        let mut long = delivered(1);
        long.attempts[0].response_body = Some("x".repeat(RESPONSE_LIMIT + 1));
        assert!(!Segment::takes(&long));
    }

    #[test]
    fn a_segment_is_bounded_in_number_bytes_and_time() {
        let scheduled = |millis| record(millis, Delivery::due(Kind::Event, at(millis)));
        let mut segment = Segment::of(&scheduled(1000), BYTES_LIMIT / 2);
        assert!(segment.has_room_for(&id(980), BYTES_LIMIT / 2));
        assert!(segment.has_room_for(&id(1020), 1));
        assert!(!segment.has_room_for(&id(979), 1) && !segment.has_room_for(&id(1021), 1));
        assert!(!segment.has_room_for(&id(1000), BYTES_LIMIT / 2 + 1));
        for millis in 1001..1016 {
            segment.push(&scheduled(millis), 1);
        }
        assert!(!segment.has_room_for(&id(1010), 1));
    }

    #[test]
    fn it_is_settled_when_all_are_and_forgets_who_left() {
        let mut segment = Segment::of(&delivered(1), 1);
        segment.push(&record(2, Delivery::due(Kind::Event, at(0))), 1);
        assert!(!segment.is_settled());
        assert_eq!(segment.remove(&id(2)), Some(1));
        assert_eq!(segment.remove(&id(2)), None);
        assert!(segment.is_settled() && segment.find(&id(2)).is_none());
    }

    fn delivered(millis: i64) -> DeliveryRecord {
        let mut delivery = Delivery::due(Kind::Event, at(0));
        delivery.lease(at(0), &policy());
        delivery.report(at(1), &policy(), &report(Outcome::Succeeded));
        let mut record = record(millis, delivery);
        record.attempts = vec![Attempt {
            response_status: Some(200),
            ..Attempt::new(1, at(0), 1, Outcome::Succeeded)
        }];
        record
    }

    fn report(outcome: Outcome) -> Report {
        Report {
            lease: Lease {
                attempt: 1,
                lease: 1,
            },
            outcome,
            response_status: None,
            retry_after: None,
        }
    }

    fn record(millis: i64, delivery: Delivery) -> DeliveryRecord {
        DeliveryRecord {
            id: id(millis),
            event_id: EventId::parse(&format!("order-{millis}")).unwrap(),
            event_type: "alert.triggered".into(),
            delivery,
            attempts: Vec::new(),
            payload: None,
            request: None,
            waiting_for: None,
        }
    }

    fn id(millis: i64) -> DeliveryId {
        DeliveryId::mint(at(millis), [0; 10])
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn policy() -> Policy {
        Policy::parse(|_| None).unwrap()
    }
}
