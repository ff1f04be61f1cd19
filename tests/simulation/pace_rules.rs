//! What must be true of a webhook's pace: its order is kept, its rate is not exceeded, nothing is leased while it is to wait.

use std::{collections::BTreeMap, time::Duration};

use webhook_relay::{
    domain::{
        pace::{Pace, RateLimit},
        timestamp::Timestamp,
        webhook::Settings,
    },
    machines::messages::Grant,
};

use crate::world::World;

/// By how much a stored wait may be shorter than what was asked for last.
const WAIT_STEP: Duration = Duration::from_secs(1);

/// How many leases are looked back for the rate.
const LOOKED_BACK: usize = 400;

/// A webhook's pace, as far as it is known.
#[derive(Default)]
pub(crate) struct KnownPace {
    /// By the revision of the settings.
    told: BTreeMap<u64, Pace>,
    /// Whether it ever had an order or a rate.
    pub(crate) is_paced: bool,
    /// The leases of the present rate, by their ends.
    leased: Vec<Leased>,
    /// When the object lost what it had in memory: the bucket begins again. What was reported before its time, by a Sender
    /// with a clock that is ahead, it does not know then.
    forgotten: Vec<Timestamp>,
    /// From the first time on it is known that nothing is leased before the second.
    waits: Option<(Timestamp, Timestamp)>,
}

/// A lease under a rate.
#[derive(Clone, Copy)]
struct Leased {
    /// When it ends, by the clock of the object: all last equally long from when their attempts may begin.
    until: Timestamp,
    rate: RateLimit,
    /// When it was granted, at the earliest and at the latest.
    granted: (Timestamp, Timestamp),
}

impl KnownPace {
    /// The object is told settings.
    pub(crate) fn told(&mut self, settings: &Settings) {
        let pace = &settings.pace;
        self.is_paced |= pace.ordered || pace.rate_limit.is_some();
        self.told.insert(settings.revision, pace.clone());
        self.waits = None;
    }

    /// Its endpoint asked it to wait, and that is stored.
    pub(crate) fn waits(&mut self, now: Timestamp, until: Timestamp) {
        let until = until.saturating_sub(WAIT_STEP);
        if self.waits.is_none_or(|(_, known)| known < until) {
            self.waits = Some((now, until));
        }
    }

    /// A lease reached nobody: no attempt begins under it.
    pub(crate) fn refused(&mut self, until: Timestamp) {
        let same = |leased: &Leased| leased.until == until;
        if let Some(place) = self.leased.iter().position(same) {
            self.leased.remove(place);
        }
    }

    /// The object lost what it had in memory.
    pub(crate) fn forgets(&mut self, now: Timestamp) {
        if self.is_paced {
            self.forgotten.push(now);
        }
    }

    pub(crate) const fn waits_no_longer(&mut self) {
        self.waits = None;
    }
}

impl World {
    /// The pace that an object has stored.
    pub(crate) fn pace_of(&self, object: usize) -> Pace {
        if self.ledger.webhooks[object]
            .pace
            .told
            .values()
            .all(Pace::is_default)
        {
            return Pace::default();
        }
        let settings = self.objects[object].settings();
        settings.map(|settings| settings.pace).unwrap_or_default()
    }

    /// Checks a lease that leaves its object; it was granted between two times.
    pub(crate) fn check_pace(
        &mut self,
        object: usize,
        grant: &Grant,
        (since, at): (Timestamp, Timestamp),
    ) {
        let known = &self.ledger.webhooks[object].pace;
        if let Some((known_since, until)) = known.waits {
            assert!(
                since <= known_since || at >= until,
                "{} is leased, though its endpoint asked for a wait that ends in {:?}",
                grant.id,
                until.saturating_duration_since(at)
            );
        }
        let Some(pace) = known.told.get(&grant.revision) else {
            return;
        };
        if pace.ordered {
            self.check_order(object, grant, at);
        }
        let rate = pace.rate_limit;
        self.check_rate(object, grant, rate, (since, at));
    }

    /// No other attempt is under way, and nothing waits that was accepted before.
    fn check_order(&self, object: usize, grant: &Grant, at: Timestamp) {
        let id = &grant.id;
        let place = self.ledger.deliveries[id].place;
        let was_closed = self.ledger.webhooks[object].was_closed;
        let leeway = self.ledger.leeway;
        for (other, known) in &self.ledger.deliveries {
            if known.object != object || other == id {
                continue;
            }
            let out = known.leases.iter().find(|(_, lease)| {
                let has_ended = lease.until <= at.saturating_add(leeway);
                !lease.is_refused && !has_ended && lease.arrivals.iter().all(|one| *one > at)
            });
            assert!(
                out.is_none(),
                "{id} is leased in an ordered webhook, though an attempt of {other} is under way"
            );
            let comes_first = known
                .place
                .zip(place)
                .is_some_and(|(before, place)| before < place);
            let is_alone = known.is_left_alone() && self.ledger.deliveries[id].is_left_alone();
            assert!(
                !(comes_first && is_alone && !was_closed && known.is_surely_pending()),
                "{id} is leased in an ordered webhook, though {other} waits that was accepted before"
            );
        }
    }

    /// In no time have more attempts been allowed to begin than the bucket holds and gets.
    fn check_rate(
        &mut self,
        object: usize,
        grant: &Grant,
        rate: Option<RateLimit>,
        granted: (Timestamp, Timestamp),
    ) {
        let until = grant.until.expect("a lease has an end");
        let leeway = self.ledger.leeway.as_secs_f64();
        let pace = &mut self.ledger.webhooks[object].pace;
        let (leased, forgotten) = (&mut pace.leased, &pace.forgotten);
        let Some(rate) = rate else {
            leased.clear();
            return;
        };
        if leased.iter().any(|other| other.rate != rate) {
            leased.clear();
        }
        leased.push(Leased {
            until,
            rate,
            granted,
        });
        leased.sort_by_key(|leased| leased.until);
        let skipped = leased.len().saturating_sub(LOOKED_BACK);
        leased.drain(..skipped);
        let (per_second, capacity) = (rate.per_second(), rate.per_second().max(1.0));
        for (place, first) in leased.iter().enumerate() {
            let (mut since, mut at) = first.granted;
            for (last, other) in leased.iter().enumerate().skip(place + 1) {
                since = since.min(other.granted.0);
                at = at.max(other.granted.1);
                let buckets = forgotten.iter().filter(|time| (since..=at).contains(time));
                #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
                let (count, buckets) = ((last - place + 1) as f64, buckets.count() as f64);
                let seconds = other
                    .until
                    .saturating_duration_since(first.until)
                    .as_secs_f64();
                let most = capacity + per_second * (seconds + 0.001 + buckets * leeway);
                assert!(
                    count <= most,
                    "{count} attempts of webhook {object} may begin within {seconds} s at {rate} a second"
                );
            }
        }
    }
}
