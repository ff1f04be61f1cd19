//! The promises, held against what the endpoints saw and what the objects say at the end.

use std::collections::{BTreeMap, BTreeSet};

use webhook_relay::{
    domain::{
        delivery::Status,
        event::EVENT_ID_KEPT,
        ids::{DeliveryId, EventId},
        record::{DeliveryFilter, DeliveryRecord},
        stats::HourCounts,
    },
    machines::messages::{Refusal, WebhookCommand, WebhookReply},
};

use crate::{faults::Fault, world::World};

/// Alarms of an object in a world beside those for attempts.
const ALARMS_BESIDE: u64 = 60;

/// Alarms of an object whose disk is full for hours.
const ALARMS_OF_TROUBLE: u64 = 4 * 60;

impl World {
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
        let records = self.records(object, 100, &DeliveryFilter::default());
        for record in records.values() {
            self.check_record(object, record);
            let status = record.delivery.status();
            assert!(
                status != Status::Pending,
                "{} is still {:?}",
                record.id,
                record.delivery
            );
        }
        self.check_is_complete(object, &records);
        self.check_counts(object, &records);
    }

    /// What was promised is there, and one event is one delivery.
    pub(crate) fn check_is_complete(
        &self,
        object: usize,
        records: &BTreeMap<DeliveryId, DeliveryRecord>,
    ) {
        let kept_since = self.now.saturating_sub(self.policy.retention);
        let kept_since = kept_since.saturating_add(self.ledger.leeway);
        let promised = self.promised.iter().filter(|(_, one)| **one == object);
        for (id, _) in promised {
            let is_trimmed =
                self.is_trimmed(object, id) && !self.ledger.deliveries[id].is_surely_pending();
            let is_there = records.contains_key(id) || id.minted_at() < kept_since || is_trimmed;
            assert!(is_there, "{id} was promised, and is gone");
        }
        let given = self.events.iter().filter(|event| event.is_given);
        let given: BTreeSet<&EventId> = given.map(|event| &event.id).collect();
        let mut by_event: BTreeMap<&EventId, &DeliveryId> = BTreeMap::new();
        for record in records.values() {
            if let Some(other) = by_event.insert(&record.event_id, &record.id) {
                let apart = record.id.minted_at();
                let apart = apart.saturating_duration_since(other.minted_at());
                let is_remembered = apart <= EVENT_ID_KEPT + self.ledger.leeway;
                let is_given = given.contains(&record.event_id) && is_remembered;
                assert!(!is_given, "{other} and {} are one event", record.id);
            }
        }
    }

    pub(crate) fn check_counts(
        &mut self,
        object: usize,
        records: &BTreeMap<DeliveryId, DeliveryRecord>,
    ) {
        let hours = match self.ask(object, WebhookCommand::Stats { hours: 24 * 5 }) {
            WebhookReply::Stats(hours) => hours,
            other => panic!("{other:?}"),
        };
        let count = |status: Status| {
            let with = records.values();
            with.filter(|record| record.delivery.status() == status)
                .count() as u64
        };
        let WebhookReply::Gauges { pending, held, .. } = self.ask(object, WebhookCommand::Gauges)
        else {
            panic!("no gauges");
        };
        let gauges = (pending as u64, held as u64);
        let counted = (count(Status::Pending), count(Status::Held));
        assert_eq!(gauges, counted, "the gauges of webhook {object} are wrong");
        let is_purged = self.ledger.deliveries.iter().any(|(id, known)| {
            let was_stored = known.said.is_some() || !known.leases.is_empty();
            known.object == object && was_stored && !records.contains_key(id)
        });
        // A clock that jumped back shows no hours that it has yet to reach.
        if is_purged || self.has_jumped(object) && !self.is_well() {
            return;
        }
        let sum = |of: fn(&HourCounts) -> u64| hours.iter().map(|(_, hour)| of(hour)).sum::<u64>();
        let made = records.values().map(|record| {
            let numbers = record.attempts.iter().map(|attempt| attempt.attempt);
            let numbers: BTreeSet<_> = numbers.collect();
            // An attempt that was made under two leases counts twice.
            let repeated = record.attempts.len() - numbers.len();
            u64::from(record.delivery.attempts()) + repeated as u64
        });
        assert_eq!(
            sum(|hour| hour.attempts),
            made.sum::<u64>(),
            "the counts of webhook {object} do not add up"
        );
        let attempts = records.values().flat_map(|record| &record.attempts);
        let failed = attempts.filter(|attempt| !attempt.outcome.is_success());
        assert_eq!(
            sum(|hour| hour.failed_attempts),
            failed.count() as u64,
            "the failed attempts of webhook {object} do not add up"
        );
        // Each event once, as it ended last: a resend moves it when it ends again.
        let ends = records.values().map(|record| record.delivery.last_end());
        let ended = |is_delivered| {
            let ends = ends.clone().flatten();
            let alike = ends.filter(|end| end.is_delivered == is_delivered);
            alike.count() as u64
        };
        assert_eq!(
            (sum(|hour| hour.delivered), sum(|hour| hour.failed)),
            (ended(true), ended(false)),
            "the counts of what ended at webhook {object} do not add up"
        );
    }

    /// Alarms run at most twice for an attempt, and for a command that failed; once a minute while a fault lasts; and some
    /// for what else there is to do in days: walks, resets, standings. While the storage is nearly full, three more for
    /// what was settled, and twice an hour.
    pub(crate) fn check_alarms(&self, object: usize) {
        let host = &self.objects[object].host;
        let webhook = &self.ledger.webhooks[object];
        let lasts = self.now.saturating_duration_since(self.began);
        let once_a_minute = lasts.as_secs() / 60;
        let has_full_disk = self.faults.occurred.contains_key(&Fault::DiskFull);
        let beside = if has_full_disk {
            once_a_minute.min(ALARMS_OF_TROUBLE)
        } else {
            0
        };
        let failed = 2 * (webhook.commands_failed + host.life);
        let woken = |reason| host.woken.get(reason).copied().unwrap_or_default();
        let for_storage: u64 = woken("Storage") + woken("Deletion");
        assert!(
            for_storage <= once_a_minute / 30 + 3 * webhook.begun + failed + ALARMS_BESIDE + beside,
            "webhook {object} has woken {for_storage} times for its storage, with {} attempts: {:?}",
            webhook.begun,
            host.woken
        );
        if self.has_jumped(object) {
            // Leases that end in the past are lost, each with an alarm.
            return;
        }
        let limit = 2 * webhook.begun + failed + ALARMS_BESIDE + beside;
        let alarms = host.alarms_run - for_storage;
        assert!(
            alarms <= limit,
            "webhook {object} had {alarms} alarms for {} attempts and {} commands that failed: {:?}",
            webhook.begun,
            webhook.commands_failed,
            host.woken
        );
    }

    /// How many deliveries were promised, and how many of them are delivered.
    pub(crate) fn summary(&mut self) -> (usize, usize) {
        let mut delivered = 0;
        for object in 0..self.objects.len() {
            if self.objects[object].settings().is_none() {
                continue;
            }
            let records = self.records(object, 100, &DeliveryFilter::default());
            let is_delivered =
                |record: &&DeliveryRecord| record.delivery.status() == Status::Delivered;
            delivered += records.values().filter(is_delivered).count();
        }
        (self.promised.len(), delivered)
    }
}
