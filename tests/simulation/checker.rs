//! The promises, held against what the endpoints saw and what the objects say at the end.

use std::{collections::BTreeMap, time::Duration};

use webhook_relay::{
    domain::{
        delivery::{FailedReason, State, Status},
        ids::{DeliveryId, EventId},
        outcome::Outcome,
        record::{DeliveryFilter, DeliveryRecord},
    },
    machines::{
        messages::{Grant, Refusal, WebhookCommand, WebhookReply},
        webhook::Input,
    },
};

use crate::world::World;

/// The clocks of the simulation count whole milliseconds.
const CLOCK: Duration = Duration::from_millis(1);

impl World {
    /// Whether an attempt may begin: the webhook is open, or the lease was granted before it was closed.
    pub(crate) fn check_may_be_sent(&self, object: usize, grant: &Grant) {
        let Some(closed) = self.objects[object].closed_since else {
            return;
        };
        let lasts = self.policy.lease_length();
        assert!(
            self.now <= closed.saturating_add(lasts),
            "{} is sent to a webhook that was disabled or deleted",
            grant.id
        );
    }

    /// Checks everything at the end of the world.
    pub(crate) fn check(&mut self) {
        for object in 0..self.objects.len() {
            self.check_object(object);
        }
        self.check_workspaces();
    }

    fn check_object(&mut self, object: usize) {
        // What is read is what is stored.
        self.objects[object].restart();
        if self.objects[object].settings().is_none() {
            let reply = self.ask(object, WebhookCommand::Gauges);
            assert!(matches!(reply, WebhookReply::Refused(Refusal::NoWebhook)));
            return;
        }
        let records = self.records(object);
        let promised = self.promised.iter().filter(|(_, one)| **one == object);
        for (id, _) in promised {
            assert!(records.contains_key(id), "{id} was promised, and is gone");
        }
        let mut by_event: BTreeMap<&EventId, &DeliveryId> = BTreeMap::new();
        for record in records.values() {
            if let Some(other) = by_event.insert(&record.event_id, &record.id) {
                let given = self
                    .events
                    .iter()
                    .any(|event| event.is_given && event.id == record.event_id);
                assert!(!given, "{other} and {} are one event", record.id);
            }
            self.check_delivery(object, record);
        }
        self.check_counts(object, &records);
    }

    fn check_delivery(&self, object: usize, record: &DeliveryRecord) {
        let id = &record.id;
        let seen = self.endpoints[object].seen.get(id);
        let seen = seen.map_or(&[][..], Vec::as_slice);
        match record.delivery.state() {
            State::Delivered { .. } => assert!(
                seen.iter().any(|seen| seen.is_accepted),
                "{id} is delivered, but was never accepted"
            ),
            State::Failed {
                reason: FailedReason::ScheduleSpent,
                ..
            } => assert!(
                record.attempts.len() >= 6,
                "{id} failed after {} attempts",
                record.attempts.len()
            ),
            State::Failed {
                reason: FailedReason::Cancelled,
                ..
            } => {
                assert!(self.touched.contains(id), "nobody cancelled {id}");
            }
            State::Failed { .. } => panic!("{id} failed for no reason: {:?}", record.delivery),
            State::Held => {}
            State::Scheduled { .. } | State::Leased { .. } => {
                panic!("{id} is still {:?}", record.delivery.state());
            }
        }
        let is_touched = self.touched.contains(id) || self.resent.contains(&object);
        for pair in record.attempts.windows(2) {
            if is_touched || pair[0].outcome == Outcome::Lost || pair[1].outcome == Outcome::Lost {
                continue;
            }
            let delay = self.policy.schedule.delay_after(pair[0].attempt as usize);
            let due = pair[0].started_at.saturating_add(delay.unwrap_or_default());
            assert!(
                pair[1].started_at >= due,
                "attempt {} of {id} came early: {:?}",
                pair[1].attempt,
                record.attempts
            );
        }
        let is_excused = is_touched || self.excused.contains(id);
        if !is_excused && self.faults.occurred.is_empty() {
            for pair in seen.windows(2) {
                assert!(
                    pair[0].attempt != pair[1].attempt,
                    "{id} was sent twice in a calm world"
                );
            }
            self.check_is_on_time(record);
        }
    }

    /// In a calm world nothing is late but for the width.
    fn check_is_on_time(&self, record: &DeliveryRecord) {
        let Some(first) = record.attempts.first() else {
            return;
        };
        if self.policy.max_leases < 50 {
            return;
        }
        let waited = first
            .started_at
            .saturating_duration_since(record.id.minted_at());
        assert!(
            waited < Duration::from_secs(20) + CLOCK,
            "{} waited {waited:?}",
            record.id
        );
    }

    fn check_counts(&mut self, object: usize, records: &BTreeMap<DeliveryId, DeliveryRecord>) {
        let hours = match self.ask(object, WebhookCommand::Stats { hours: 24 * 5 }) {
            WebhookReply::Stats(hours) => hours,
            other => panic!("{other:?}"),
        };
        let counted: u64 = hours.iter().map(|(_, hour)| hour.attempts).sum();
        let made: u64 = records
            .values()
            .map(|record| u64::from(record.delivery.attempts()))
            .sum();
        assert_eq!(
            counted, made,
            "the counts of webhook {object} do not add up"
        );
        let alarms = self.objects[object].host.alarms_run;
        let begun: usize = self.begun.values().map(Vec::len).sum();
        let limit = 2 * (begun as u64) + 2_000;
        assert!(alarms <= limit, "{alarms} alarms for {begun} attempts");
    }

    fn records(&mut self, object: usize) -> BTreeMap<DeliveryId, DeliveryRecord> {
        let mut records = BTreeMap::new();
        let mut before = None;
        loop {
            let filter = DeliveryFilter {
                limit: 100,
                is_brief: true,
                before: before.take(),
                ..DeliveryFilter::default()
            };
            let WebhookReply::Deliveries {
                records: page,
                next,
                ..
            } = self.ask(object, WebhookCommand::List(filter))
            else {
                panic!("no page");
            };
            records.extend(page.into_iter().map(|record| (record.id.clone(), record)));
            match next {
                Some(next) => before = Some(next),
                None => return records,
            }
        }
    }

    fn ask(&mut self, object: usize, command: WebhookCommand) -> WebhookReply {
        let now = self.now;
        let outputs =
            self.objects[object].happens(Input::Command(u64::MAX, command), now, &self.policy);
        let answer = outputs
            .answers
            .into_iter()
            .find(|(call, _)| *call == u64::MAX);
        answer
            .expect("it is answered at once")
            .1
            .expect("storage works")
    }

    /// How many deliveries were promised, and how many of them are delivered.
    pub(crate) fn summary(&mut self) -> (usize, usize) {
        let mut delivered = 0;
        for object in 0..self.objects.len() {
            if self.objects[object].settings().is_none() {
                continue;
            }
            let records = self.records(object);
            let is_delivered =
                |record: &&DeliveryRecord| record.delivery.status() == Status::Delivered;
            delivered += records.values().filter(is_delivered).count();
        }
        (self.promised.len(), delivered)
    }
}
