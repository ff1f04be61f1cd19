//! A webhook's pending deliveries, in the order in which they are attempted; an index in memory over the stored rows.
//!
//! It is built from the rows when the object wakes and follows each change of a row, so finding what is due reads no
//! row. Losing it loses nothing.

use std::{collections::BTreeSet, time::Duration};

use super::{
    delivery::{Delivery, State},
    ids::{CompactId, DeliveryId, DeliveryMap},
    timestamp::Timestamp,
};

/// One in this many free slots goes to the most overdue retry; the others go to first attempts first.
const SLOTS_PER_RETRY: u32 = 3;

/// How long a delivery whose lease was lost waits while others are due.
const PATIENCE: Duration = Duration::from_secs(60);

/// The unsettled deliveries of one webhook.
#[derive(Debug, Default)]
pub struct Queue {
    entries: DeliveryMap<Entry>,
    /// First attempts, by due time.
    first_attempts: BTreeSet<(Timestamp, CompactId)>,
    /// Further attempts, by due time.
    retries: BTreeSet<(Timestamp, CompactId)>,
    /// Those whose lease was lost, by how often.
    suspects: BTreeSet<(u32, Timestamp, CompactId)>,
    /// Attempts under way, by the end of their lease.
    leased: BTreeSet<(Timestamp, CompactId)>,
    held: usize,
    bytes: u64,
    turn: u32,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    FirstAttempt { due: Timestamp },
    Retry { due: Timestamp },
    Suspect { lost: u32, due: Timestamp },
    Leased { until: Timestamp },
    Held,
}

impl Place {
    const fn of(delivery: &Delivery) -> Option<Self> {
        Some(match delivery.state() {
            State::Scheduled { due } if delivery.lost_leases() > 0 => Self::Suspect {
                lost: delivery.lost_leases(),
                due,
            },
            State::Scheduled { due } if delivery.attempts() > 0 => Self::Retry { due },
            State::Scheduled { due } => Self::FirstAttempt { due },
            State::Leased { until } => Self::Leased { until },
            State::Held => Self::Held,
            State::Delivered { .. } | State::Failed { .. } => return None,
        })
    }
}

impl Queue {
    /// Files a delivery by its state; a settled one leaves. `bytes` is the length of its payload.
    pub fn place(&mut self, id: impl Into<CompactId>, delivery: &Delivery, bytes: u64) {
        let id = id.into();
        self.remove(id);
        let Some(place) = Place::of(delivery) else {
            return;
        };
        let _ = match place {
            Place::FirstAttempt { due } => self.first_attempts.insert((due, id)),
            Place::Retry { due } => self.retries.insert((due, id)),
            Place::Suspect { lost, due } => self.suspects.insert((lost, due, id)),
            Place::Leased { until } => self.leased.insert((until, id)),
            Place::Held => {
                self.held = self.held.saturating_add(1);
                true
            }
        };
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.insert(id, Entry { place, bytes });
    }

    /// The length of a pending delivery's payload.
    #[must_use]
    pub fn bytes_of(&self, id: &DeliveryId) -> u64 {
        let entry = self.entries.get(&CompactId::from(id));
        entry.map_or(0, |entry| entry.bytes)
    }

    /// Removes a delivery.
    pub fn remove(&mut self, id: impl Into<CompactId>) {
        let id = id.into();
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        let _ = match entry.place {
            Place::FirstAttempt { due } => self.first_attempts.remove(&(due, id)),
            Place::Retry { due } => self.retries.remove(&(due, id)),
            Place::Suspect { lost, due } => self.suspects.remove(&(lost, due, id)),
            Place::Leased { until } => self.leased.remove(&(until, id)),
            Place::Held => {
                self.held = self.held.saturating_sub(1);
                true
            }
        };
    }

    /// The delivery to attempt next, if one is due: first attempts before retries, but every third turn the most
    /// overdue retry.
    ///
    /// A delivery whose lease was lost may have crashed the lease's holder. It comes after all others, unless it has
    /// waited long, and only if the caller has nothing else under way (`idle`) that it could take down.
    pub fn next_due(&mut self, now: Timestamp, idle: bool) -> Option<DeliveryId> {
        let due = |set: &BTreeSet<(Timestamp, CompactId)>| {
            set.first()
                .filter(|(due, _)| *due <= now)
                .map(|(_, id)| *id)
        };
        let suspect = self
            .suspects
            .first()
            .filter(|(_, due, _)| idle && *due <= now);
        let (suspect, patient) = match suspect {
            Some((_, due, id)) => (Some(*id), now.saturating_duration_since(*due) < PATIENCE),
            None => (None, true),
        };
        let (first_attempt, retry) = (due(&self.first_attempts), due(&self.retries));
        let retry_first = self.turn % SLOTS_PER_RETRY == SLOTS_PER_RETRY.saturating_sub(1);
        let other = if retry_first {
            retry.or(first_attempt)
        } else {
            first_attempt.or(retry)
        };
        if other.is_some() {
            self.turn = self.turn.wrapping_add(1);
        }
        let chosen = if patient {
            other.or(suspect)
        } else {
            suspect.or(other)
        };
        chosen.map(DeliveryId::from)
    }

    /// Any delivery that is due; used to hold them when the webhook is disabled.
    #[must_use]
    pub fn any_due(&self, now: Timestamp) -> Option<DeliveryId> {
        let first_attempt = self.first_attempts.first().map(|(due, id)| (*due, id));
        let retry = self.retries.first().map(|(due, id)| (*due, id));
        let suspect = self.suspects.first().map(|(_, due, id)| (*due, id));
        let (_, id) = [first_attempt, retry, suspect]
            .into_iter()
            .flatten()
            .filter(|(due, _)| *due <= now)
            .min()?;
        Some(DeliveryId::from(*id))
    }

    /// A delivery whose lease has ended without a report.
    #[must_use]
    pub fn ended_lease(&self, now: Timestamp) -> Option<DeliveryId> {
        let (_, id) = self.leased.first().filter(|(until, _)| *until <= now)?;
        Some(DeliveryId::from(*id))
    }

    /// The next time at which something is due or a lease ends.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let earliest = |set: &BTreeSet<(Timestamp, CompactId)>| set.first().map(|(time, _)| *time);
        let suspect = self.suspects.iter().map(|(_, due, _)| *due).min();
        [
            earliest(&self.first_attempts),
            earliest(&self.retries),
            earliest(&self.leased),
            suspect,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When the next lease ends.
    #[must_use]
    pub fn next_lease_end(&self) -> Option<Timestamp> {
        self.leased.first().map(|(until, _)| *until)
    }

    /// Leases that are out.
    #[must_use]
    pub fn leases(&self) -> usize {
        self.leased.len()
    }

    /// Unsettled deliveries, held ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Held deliveries.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Whether nothing is unsettled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of payload of the unsettled deliveries.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{delivery::Kind, outcome::Outcome, policy::Policy};

    #[test]
    fn first_attempts_go_before_retries_but_every_third_slot_goes_to_the_most_overdue_retry() {
        let mut queue = Queue::default();
        for number in 0..6 {
            queue.place(
                &id(number),
                &Delivery::due(Kind::Event, at(i64::from(number))),
                10,
            );
            queue.place(&id(100 + number), &retry_due_at(60 + i64::from(number)), 10);
        }
        let taken: Vec<_> = std::iter::from_fn(|| {
            let id = queue.next_due(at(1000), false)?;
            queue.remove(&id);
            Some(id)
        })
        .collect();
        let expected = [0, 1, 100, 2, 3, 101, 4, 5, 102, 103, 104, 105].map(id);
        assert_eq!(taken, expected);
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
    }

    #[test]
    fn nothing_is_taken_before_it_is_due() {
        let mut queue = Queue::default();
        queue.place(&id(1), &Delivery::due(Kind::Event, at(10)), 1);
        assert_eq!(
            (queue.next_due(at(9), true), queue.next_wake()),
            (None, Some(at(10)))
        );
        assert_eq!(queue.next_due(at(10), true), Some(id(1)));
    }

    #[test]
    fn what_lost_its_lease_is_taken_after_all_others_alone_and_the_most_often_lost_last() {
        let mut queue = Queue::default();
        queue.place(&id(1), &lost(2, at(160)), 1);
        queue.place(&id(2), &lost(1, at(165)), 1);
        queue.place(&id(3), &Delivery::due(Kind::Event, at(190)), 1);
        assert_eq!(queue.next_due(at(200), true), Some(id(3)));
        queue.remove(&id(3));
        assert_eq!(queue.next_due(at(200), false), None);
        assert_eq!(queue.next_due(at(200), true), Some(id(2)));
        queue.remove(&id(2));
        assert_eq!(queue.next_due(at(200), true), Some(id(1)));
    }

    #[test]
    fn what_lost_its_lease_does_not_wait_for_ever() {
        let mut queue = Queue::default();
        queue.place(&id(1), &lost(1, at(0)), 1);
        queue.place(&id(2), &Delivery::due(Kind::Event, at(0)), 1);
        assert_eq!(queue.next_due(at(15 + 59), true), Some(id(2)));
        assert_eq!(queue.next_due(at(15 + 60), true), Some(id(1)));
        assert_eq!(
            queue.next_due(at(15 + 60), false),
            Some(id(2)),
            "but never beside others"
        );
    }

    #[test]
    fn an_ended_lease_is_found_and_counts_until_then() {
        let mut queue = Queue::default();
        let mut delivery = Delivery::due(Kind::Event, at(0));
        delivery.lease(at(0), &policy());
        queue.place(&id(1), &delivery, 1);
        assert_eq!((queue.leases(), queue.ended_lease(at(14))), (1, None));
        assert_eq!(queue.ended_lease(at(15)), Some(id(1)));
        assert_eq!(queue.next_due(at(15), true), None);
    }

    #[test]
    fn held_deliveries_are_counted_but_never_wake() {
        let mut queue = Queue::default();
        queue.place(&id(1), &Delivery::held(), 7);
        assert_eq!(
            (queue.len(), queue.bytes(), queue.next_wake()),
            (1, 7, None)
        );
        assert_eq!(
            (queue.next_due(at(1), true), queue.any_due(at(1))),
            (None, None)
        );
    }

    #[test]
    fn placing_a_delivery_again_moves_it() {
        let mut queue = Queue::default();
        queue.place(&id(1), &Delivery::due(Kind::Event, at(1)), 5);
        queue.place(&id(1), &Delivery::held(), 5);
        assert_eq!(
            (queue.len(), queue.bytes(), queue.next_wake()),
            (1, 5, None)
        );
        let mut settled = Delivery::held();
        settled.cancel(at(2)).unwrap();
        queue.place(&id(1), &settled, 5);
        assert!(queue.is_empty());
    }

    fn retry_due_at(seconds: i64) -> Delivery {
        let mut delivery = Delivery::due(Kind::Event, at(0));
        let lease = delivery.lease(at(0), &policy()).unwrap();
        let report = crate::domain::delivery::Report {
            lease,
            outcome: Outcome::HttpError,
            response_status: Some(500),
            retry_after: None,
        };
        delivery.report(at(seconds - 60), &policy(), &report);
        delivery
    }

    fn lost(times: i64, from: Timestamp) -> Delivery {
        let mut delivery = Delivery::due(Kind::Event, from);
        let mut now = from;
        for _ in 0..times {
            delivery.lease(now, &policy());
            now = now.saturating_add(policy().lease_length());
            delivery.lease_ended(now, &policy());
        }
        delivery
    }

    fn policy() -> Policy {
        Policy::parse(|_| None).unwrap()
    }

    fn id(number: u8) -> DeliveryId {
        DeliveryId::mint(at(1), [number; 10])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
