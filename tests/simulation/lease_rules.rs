//! What must be true of each lease that leaves an object: to whom, how many, when, and for which attempt.

use std::time::Duration;

use webhook_relay::{
    domain::{
        dispatch::LEASED_AHEAD, retry::RetrySchedule, timestamp::Timestamp, width::NARROWEST,
    },
    machines::messages::Grant,
};

use crate::{
    deliveries::{Known, Lease},
    world::World,
};

/// How late an attempt may be that nothing delays: the platform's alarm and some turns of the object.
pub(crate) const ON_TIME: Duration = Duration::from_secs(1);

/// How long what lost a lease may wait for others.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of payload under lease at a time.
const LEASED_BYTES: usize = 16 * 1024 * 1024;

/// When something is due: not before the first time, and known to be due at the second.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
}

impl World {
    /// Checks a lease that leaves its object, and keeps it.
    pub(crate) fn granted(&mut self, object: usize, grant: &Grant) {
        let until_there = grant.until.expect("a lease has an end");
        let until = self.by_world(object, until_there);
        let begins = until.saturating_sub(self.policy.lease_length());
        let lies_ahead = grant.not_before.is_some();
        let at = if lies_ahead {
            begins.min(self.now)
        } else {
            begins
        };
        let since = if lies_ahead {
            begins.saturating_sub(LEASED_AHEAD)
        } else {
            at
        };
        let (id, number) = (&grant.id, grant.lease.lease);
        self.ledger.prune(object, at);
        let known = self.ledger.deliveries.get(id);
        let known = known.unwrap_or_else(|| panic!("{id} is leased, and nobody posted it"));
        assert_eq!(known.object, object, "{id} is leased by another webhook");
        if !self.has_jumped(object) {
            self.check_is_open(object, grant, since);
            check_is_wanted(known, grant, since);
            self.check_is_next(object, known, grant, at);
            self.check_is_in_time(object, known, grant, (at, begins));
        }
        let lost = known.leases_of(grant.lease.attempt).count();
        if !self.has_jumped(object) {
            self.check_pace(object, grant, (since, at));
        }
        let lease = Lease {
            attempt: grant.lease.attempt,
            granted_at: at,
            granted_since: since,
            begins,
            until,
            until_there,
            is_refused: false,
            begun: false,
            reached: None,
            arrivals: Vec::new(),
            stored_at: None,
            excuse: None,
        };
        let name = (id.clone(), number);
        if let Some(known) = self.ledger.deliveries.get_mut(id) {
            known.leases.insert(number, lease);
        }
        // It may have been cancelled before its lease left the object.
        let is_cancelled = self.ledger.deliveries[id]
            .cancels
            .iter()
            .any(|one| *one >= at);
        let webhook = self.ledger.webhook(object);
        if !is_cancelled {
            webhook.out.insert(name, until);
        }
        if lost >= 2 {
            webhook.alone_until = webhook.alone_until.max(until);
        }
        if !self.has_jumped(object) {
            self.check_width(object, at);
        }
    }

    /// The world's time of an object's.
    pub(crate) fn by_world(&self, object: usize, at: Timestamp) -> Timestamp {
        let ahead = self.objects[object].host.ahead_ms;
        Timestamp::from_millis(at.as_millis() - ahead)
    }

    /// Nothing is leased after a change was answered by which nothing may be sent.
    fn check_is_open(&self, object: usize, grant: &Grant, at: Timestamp) {
        let closed = self.objects[object].closed_since;
        assert!(
            closed.is_none_or(|closed| at <= closed),
            "{} is leased after its webhook was disabled or deleted",
            grant.id
        );
    }

    /// It is the next attempt, under a lease of its own, and no other one is under way.
    fn check_is_next(&self, object: usize, known: &Known, grant: &Grant, at: Timestamp) {
        let (id, lease) = (&grant.id, grant.lease);
        let last = known.leases.last_key_value();
        let next = last.map_or(1, |(last, _)| last + 1);
        assert!(
            lease.lease >= next,
            "lease {} of {id} is granted twice",
            lease.lease
        );
        let had_trouble = self.ledger.webhooks[object].had_trouble;
        assert!(
            lease.lease == next || had_trouble,
            "lease {next} of {id} reached nobody"
        );
        let last_attempt = last.map_or(1, |(_, last)| last.attempt);
        assert!(
            lease.attempt >= last_attempt,
            "attempt {} of {id} is begun again after attempt {last_attempt}",
            lease.attempt
        );
        let latest = at.saturating_add(self.ledger.leeway);
        if let Some(other) = known.overlap(lease.lease, latest) {
            panic!(
                "{id} is under way twice, under leases {other} and {}",
                lease.lease
            );
        }
        for (number, earlier) in known.leases_of(lease.attempt) {
            let is_explained = earlier.is_refused
                || earlier.excuse.is_some()
                || known.is_touched_since(earlier.granted_since);
            assert!(
                is_explained,
                "attempt {} of {id} is repeated, but lease {number} was not lost",
                lease.attempt
            );
            let is_stored = earlier.is_stored_in_time(self.ledger.leeway);
            assert!(
                !is_stored || known.is_touched_since(earlier.granted_since),
                "attempt {} of {id} is repeated, though its report was stored",
                lease.attempt
            );
        }
        if lease.attempt > 1 && !had_trouble {
            let before = known.leases_of(lease.attempt - 1).count();
            assert!(
                before > 0,
                "{id} is at attempt {} without the one before",
                lease.attempt
            );
        }
    }

    /// It is neither early nor late.
    fn check_is_in_time(
        &self,
        object: usize,
        known: &Known,
        grant: &Grant,
        (at, begins): (Timestamp, Timestamp),
    ) {
        let (id, attempt) = (&grant.id, grant.lease.attempt);
        let Some(due) = known.due(attempt) else {
            return;
        };
        assert!(
            begins.saturating_add(self.ledger.leeway) >= due.earliest,
            "attempt {attempt} of {id} is early by {:?}",
            due.earliest.saturating_duration_since(begins)
        );
        // Order and rate explain any wait; at the end nothing may be left.
        if !known.is_left_alone() || self.ledger.webhooks[object].pace.is_paced {
            return;
        }
        let webhook = &self.ledger.webhooks[object];
        let lost = known.leases_of(attempt);
        let lost: Vec<_> = lost.filter(|(_, lease)| !lease.is_refused).collect();
        let ended = lost.iter().map(|(_, lease)| lease.until).max();
        let due = ended.map_or(due.latest, |ended| ended.max(due.latest));
        let mut may_wait_until = due.max(webhook.late_until);
        may_wait_until = may_wait_until.max(self.noticed_lost(object, known, attempt));
        if webhook.out.len() >= self.width(object) {
            may_wait_until = may_wait_until.max(at);
        }
        if !lost.is_empty() {
            let others = may_wait_until.max(webhook.alone_until);
            may_wait_until = others.saturating_add(PATIENCE);
        }
        let late = at.saturating_duration_since(may_wait_until);
        assert!(
            late <= ON_TIME + self.ledger.leeway,
            "attempt {attempt} of {id} is late by {late:?}"
        );
    }

    /// When an attempt is due at the latest whose predecessor may be lost without a report: that is noticed when the object
    /// wakes, and the delay begins then.
    pub(crate) fn noticed_lost(&self, object: usize, known: &Known, attempt: u32) -> Timestamp {
        let leeway = self.ledger.leeway;
        let is_stored = |(_, lease): (u32, &Lease)| lease.is_stored_in_time(leeway);
        if attempt == 1 || known.leases_of(attempt - 1).any(is_stored) {
            return Timestamp::from_millis(0);
        }
        let delay = known.delay_before(attempt).unwrap_or_default();
        let noticed = self.ledger.webhooks[object].late_until;
        noticed.saturating_add(delay)
    }

    /// How many attempts may be under way for another to wait.
    pub(crate) fn width(&self, object: usize) -> usize {
        if self.ledger.webhooks[object].width.may_be_narrow {
            self.policy.max_leases.min(NARROWEST)
        } else {
            self.policy.max_leases
        }
    }

    /// No more is under way than may be.
    fn check_width(&mut self, object: usize, at: Timestamp) {
        let webhook = &self.ledger.webhooks[object];
        let width = webhook.out.len();
        let known = &webhook.width;
        assert!(
            at <= known.since || width <= known.most,
            "{width} attempts of webhook {object} are under way, of which {} are too many for its endpoint",
            width.saturating_sub(known.most)
        );
        assert!(
            width <= self.policy.max_leases,
            "{width} attempts of webhook {object} are under way"
        );
        let deliveries = &self.ledger.deliveries;
        let leased = webhook.out.keys().filter_map(|(id, _)| deliveries.get(id));
        let bytes: usize = leased.map(|known| known.bytes).sum();
        assert!(
            bytes <= LEASED_BYTES,
            "{bytes} bytes of webhook {object} are leased"
        );
        if width >= self.width(object) {
            let now = self.now;
            self.ledger.delays(object, now);
        }
    }
}

/// Nobody has ended it: it is not held, cancelled or delivered, unless it was resent.
fn check_is_wanted(known: &Known, grant: &Grant, at: Timestamp) {
    let id = &grant.id;
    let is_held = known.said == Some(webhook_relay::domain::delivery::Status::Held);
    assert!(
        !is_held || !known.resends.is_empty() || !known.hurried.is_empty(),
        "{id} was held, and is sent"
    );
    if let Some(cancelled) = known.cancelled_at {
        assert!(
            at <= cancelled || known.is_resent_since(cancelled),
            "{id} was cancelled, and is sent"
        );
    }
    for lease in known.leases.values().filter(|lease| lease.has_succeeded()) {
        let stored = lease.stored_at.filter(|stored| *stored < lease.until);
        if let Some(stored) = stored {
            assert!(
                at <= stored || known.is_resent_since(lease.granted_since),
                "{id} is delivered, and is sent"
            );
        }
    }
}

impl Known {
    /// The delay of the schedule before an attempt; the least if the schedule was begun again by a resend.
    fn delay_before(&self, attempt: u32) -> Option<Duration> {
        if !self.resends.is_empty() {
            // The schedule in force then is not known.
            return Some(Duration::ZERO);
        }
        let failures = usize::try_from(attempt.checked_sub(1)?).ok()?;
        self.schedule.delay_after(failures)
    }

    /// When an attempt is due, as far as it is known.
    pub(crate) fn due(&self, attempt: u32) -> Option<Due> {
        if attempt <= 1 {
            let at = self.accepted_at;
            return Some(Due {
                earliest: at,
                latest: at,
            });
        }
        let before: Vec<&Lease> = self
            .leases_of(attempt - 1)
            .map(|(_, lease)| lease)
            .collect();
        let began = before.iter().map(|lease| lease.granted_at).min()?;
        if self.is_touched_since(began) {
            return None;
        }
        let base = self.delay_before(attempt)?;
        let is_reported = before.iter().any(|lease| !lease.arrivals.is_empty());
        let ended = before.iter().map(|lease| lease.until).max()?;
        // If no report came in time, the attempt is lost when the last lease ends.
        let is_lost = !before
            .iter()
            .any(|lease| lease.is_stored_in_time(Duration::ZERO));
        let mut due: Option<Due> = None;
        for lease in before {
            let (mut first, mut last) = (ended, ended);
            if is_reported {
                let Some(arrived) = lease.arrivals.first() else {
                    continue;
                };
                // A report that comes too late finds a lease that has ended.
                first = (*arrived).min(lease.until);
                last = lease.arrivals.last().copied().unwrap_or(*arrived);
                // A report that was not stored is a lost lease.
                if lease.stored_at.is_none() || is_lost {
                    last = last.max(ended);
                }
            }
            let asked = if self.resends.is_empty() {
                lease.asked_to_wait(&self.schedule)
            } else {
                Duration::ZERO
            };
            // What a report asks for that may never have been stored is not known.
            let asked_first = if lease.stored_at.is_none() {
                Duration::ZERO
            } else {
                asked
            };
            let first = first.saturating_add(base.max(asked_first));
            let last = last.saturating_add(base.max(asked));
            due = Some(due.map_or(
                Due {
                    earliest: first,
                    latest: last,
                },
                |due| Due {
                    earliest: due.earliest.min(first),
                    latest: due.latest.max(last),
                },
            ));
        }
        due
    }
}

impl Lease {
    /// Whether its report was stored before it ended.
    pub(crate) fn is_stored_in_time(&self, leeway: Duration) -> bool {
        let stored = self.stored_at.map(|at| at.saturating_add(leeway));
        stored.is_some_and(|at| at < self.until)
    }

    /// How long the endpoint asked to wait before the next attempt, as far as that counts.
    fn asked_to_wait(&self, schedule: &RetrySchedule) -> Duration {
        let reached = self.reached;
        let heeded = reached.filter(|reached| matches!(reached.status, Some(429 | 503)));
        let asked = heeded.and_then(|reached| reached.retry_after_ms);
        Duration::from_millis(asked.unwrap_or(0)).min(schedule.longest())
    }
}
