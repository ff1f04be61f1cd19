//! Looks at objects in the middle of a world: their logs, traces, counts and standing tell the truth at any time.

use std::collections::BTreeMap;

use webhook_relay::{
    domain::{
        delivery::Status,
        ids::{DeliveryId, EventId},
        last_attempt::{LastAttemptFilter, ResponseStatuses},
        outcome::Outcome,
        record::{DeliveryFilter, DeliveryRecord},
        webhook::{AutoDisableReason, Health, HealthState, ReportedStanding},
    },
    machines::{
        messages::{Refusal, WebhookCommand, WebhookReply},
        webhook::Input,
    },
};

use crate::{
    host::Node,
    world::{HOUR, World},
};

/// The call of a look.
const LOOK: u64 = u64::MAX;

/// Rows that a page may read in each of the four parts of the log, beside those that it shows.
const ROWS_BESIDE: u64 = 200;

impl World {
    /// Somebody looks at all that an object shows. One whose turns will be lost is not looked at: nobody would see that.
    pub(crate) fn looks(&mut self) {
        if self.objects.is_empty() {
            return;
        }
        let chosen = self.choices.below(self.objects.len() as u64);
        let object = usize::try_from(chosen).expect("it is small");
        let one = &self.objects[object];
        if one.settings().is_none() || one.host.loses_turns {
            return;
        }
        let limit = usize::try_from(self.choices.between(1, 60)).expect("it is small");
        let records = self.records(object, limit, &DeliveryFilter::default());
        for record in records.values() {
            self.check_record(object, record);
        }
        self.check_is_complete(object, &records);
        self.check_lists(object, limit, &records);
        self.check_counts(object, &records);
        self.check_traces(object, &records);
    }

    /// A list of one status has those of that status, one by the last attempt those whose last attempt was so.
    fn check_lists(
        &mut self,
        object: usize,
        limit: usize,
        records: &BTreeMap<DeliveryId, DeliveryRecord>,
    ) {
        let all = [
            Status::Pending,
            Status::Delivered,
            Status::Failed,
            Status::Held,
        ];
        for status in all {
            let filter = DeliveryFilter {
                status: Some(status),
                ..DeliveryFilter::default()
            };
            let listed = self.records(object, limit, &filter);
            let with = records.values();
            let expected = with.filter(|record| record.delivery.status() == status);
            let expected: Vec<_> = expected.map(|record| &record.id).collect();
            let listed: Vec<_> = listed.keys().collect();
            assert_eq!(listed, expected, "the list of {status:?} is wrong");
        }
        let of = |outcome, statuses| LastAttemptFilter {
            outcome,
            response_status: ResponseStatuses::parse(statuses).ok(),
        };
        for last_attempt in [
            of(Some(Outcome::HttpError), ""),
            of(Some(Outcome::Lost), ""),
            of(None, "2xx"),
            of(None, "5xx"),
        ] {
            let filter = DeliveryFilter {
                last_attempt,
                ..DeliveryFilter::default()
            };
            let listed = self.records(object, limit, &filter);
            let with = records.values();
            let expected = with.filter(|record| last_attempt.selects(&record.attempts));
            let expected: Vec<_> = expected.map(|record| &record.id).collect();
            let listed: Vec<_> = listed.keys().collect();
            assert_eq!(listed, expected, "the list of {last_attempt:?} is wrong");
        }
    }

    /// A promised event is found by its id for a day, as its one delivery.
    fn check_traces(&mut self, object: usize, records: &BTreeMap<DeliveryId, DeliveryRecord>) {
        let kept_since = self.now.saturating_sub(HOUR * 24);
        let kept_since = kept_since.saturating_add(self.ledger.leeway);
        let promised = self.promised.iter();
        let promised = promised.filter(|(id, one)| **one == object && id.minted_at() > kept_since);
        let ids: Vec<DeliveryId> = promised.map(|(id, _)| id.clone()).collect();
        for id in ids {
            if self.is_trimmed(object, &id) {
                continue;
            }
            let Some(known) = self.ledger.deliveries.get(&id) else {
                continue;
            };
            let event_id = known.event_id.clone();
            let filter = DeliveryFilter {
                event_id: Some(event_id.clone()),
                ..DeliveryFilter::default()
            };
            let of_event = self.records(object, 10, &filter);
            assert_eq!(
                of_event.contains_key(&id),
                records.contains_key(&id),
                "the list of the event of {id} is wrong"
            );
            for asked in [event_id, EventId::parse(id.as_ref()).expect("an id is one")] {
                let trace = WebhookCommand::Trace {
                    event_id: asked,
                    is_brief: true,
                };
                let found = match self.ask(object, trace) {
                    WebhookReply::Delivery(found) => found,
                    WebhookReply::Refused(Refusal::NoDelivery) if !records.contains_key(&id) => {
                        continue;
                    }
                    other => panic!("the trace of {id} is {other:?}"),
                };
                assert_eq!(found.id, id, "the trace of {id} tells of another");
                assert_eq!(
                    found.delivery, records[&id].delivery,
                    "the trace of {id} is not what the list says"
                );
            }
        }
    }

    /// Reads all pages, newest first.
    pub(crate) fn records(
        &mut self,
        object: usize,
        limit: usize,
        asked: &DeliveryFilter,
    ) -> BTreeMap<DeliveryId, DeliveryRecord> {
        let mut records = BTreeMap::new();
        let mut before = None;
        loop {
            let filter = DeliveryFilter {
                limit,
                is_brief: true,
                before: before.clone(),
                ..asked.clone()
            };
            let rows = self.objects[object].host.engine.rows();
            let WebhookReply::Deliveries {
                records: page,
                next,
                ..
            } = self.ask(object, WebhookCommand::List(filter))
            else {
                panic!("no page");
            };
            let rows = self.objects[object].host.engine.rows() - rows;
            assert!(
                rows <= 4 * (limit as u64 + 1) + ROWS_BESIDE,
                "a page of {limit} has read {rows} rows"
            );
            assert!(page.len() <= limit, "a page of {limit} has {}", page.len());
            for record in page {
                let is_older = before.as_ref().is_none_or(|before| record.id < *before);
                assert!(is_older, "{} is on a page before it", record.id);
                let twice = records.insert(record.id.clone(), record);
                assert!(
                    twice.is_none(),
                    "{:?} is on two pages",
                    twice.map(|one| one.id)
                );
            }
            let is_on = before.is_none() || next.is_none() || next < before;
            assert!(is_on, "the pages do not end");
            match next {
                Some(next) => before = Some(next),
                None => return records,
            }
        }
    }

    /// Asks an object something that it answers at once.
    pub(crate) fn ask(&mut self, object: usize, command: WebhookCommand) -> WebhookReply {
        let now = self.local_now(Node::Webhook(object));
        let mut outputs =
            self.objects[object].happens(Input::Command(LOOK, command), now, &self.policy);
        let answers = std::mem::take(&mut outputs.answers);
        let (own, others): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|(call, _)| *call == LOOK);
        outputs.answers = others;
        self.goes_on(object, outputs, false, false);
        let answer = own.into_iter().next().expect("it is answered at once");
        answer.1.expect("storage works")
    }

    /// What a workspace is told of a webhook's endpoint is what the endpoint did.
    pub(crate) fn check_standing(&self, object: usize, standing: &ReportedStanding) {
        let webhook = &self.ledger.webhooks[object];
        if let Some(since) = standing.failing_since {
            assert!(
                webhook.failures.contains_key(&since),
                "webhook {object} is failing since an attempt that did not fail"
            );
        }
        if let Some(health) = standing.health {
            self.check_health(object, health);
        }
        if let Some(disable) = standing.disabled {
            assert_eq!(
                disable.reason,
                AutoDisableReason::Gone,
                "webhook {object} is disabled"
            );
            assert!(
                webhook.gone.contains(&(disable.at, disable.revision)),
                "webhook {object} is disabled, and no 410 says so"
            );
        }
    }

    /// A state begins with an attempt that ended so, and three that failed are needed for a webhook to be failing.
    fn check_health(&self, object: usize, health: Health) {
        let webhook = &self.ledger.webhooks[object];
        let since = health.since;
        match HealthState::of(Some(health)) {
            HealthState::Retrying | HealthState::Failing => assert!(
                webhook.failures.contains_key(&since),
                "webhook {object} fails since an attempt that did not fail"
            ),
            HealthState::Healthy | HealthState::NoEvents => assert!(
                webhook.successes.contains(&since),
                "webhook {object} is healthy since an attempt that did not succeed"
            ),
        }
        let failed: u32 = webhook
            .failures
            .range(since.saturating_sub(self.ledger.leeway)..)
            .map(|(_, times)| times)
            .sum();
        assert!(
            failed >= health.consecutive_failures || self.has_jumped(object),
            "webhook {object} failed {failed} times, and says {health:?}"
        );
    }
}
