//! A webhook's pending deliveries, in the order in which they are attempted; an index in memory over the stored rows.
//!
//! It is built from the rows when the object wakes and follows each change of a row, so finding what is due reads no
//! row. Losing it loses nothing.

mod order;

mod counts;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use super::{
    delivery::{Delivery, Kind, State, TurnNumber},
    ids::{CompactId, DeliveryId, DeliveryMap},
    timestamp::Timestamp,
};

/// First attempts go before retries, but after this many of them the next slot goes to the most overdue retry.
const FIRST_ATTEMPTS_PER_RETRY: u32 = 2;

/// How long a delivery whose lease was lost waits while others are due.
const PATIENCE: Duration = Duration::from_secs(60);

/// With whom a delivery may be sent. One that lost a lease may have ended the sender that held it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// With any other that lost no lease.
    Unsuspected,
    /// With others that lost one lease.
    Suspects,
    /// With no other, and while no other such delivery of the webhook is under way.
    Alone,
}

impl Company {
    /// The company of a delivery, by how many leases of its attempt were lost.
    const fn of(lost: u32) -> Self {
        match lost {
            0 => Self::Unsuspected,
            1 => Self::Suspects,
            _ => Self::Alone,
        }
    }
}

/// The unsettled deliveries of one webhook.
#[derive(Debug, Default)]
pub struct Queue {
    entries: DeliveryMap<Entry>,
    /// First attempts, by due time.
    first_attempts: BTreeSet<(Timestamp, CompactId)>,
    /// Further attempts, by due time.
    retries: BTreeSet<(Timestamp, CompactId)>,
    /// Those that lost one lease, by due time.
    suspects: BTreeSet<(Timestamp, CompactId)>,
    /// Those that lost more, by due time.
    loners: BTreeSet<(Timestamp, CompactId)>,
    /// Attempts under way, by the end of their lease.
    leased: BTreeSet<(Timestamp, CompactId)>,
    /// Of these, the ones that are sent alone.
    leased_alone: usize,
    leased_bytes: u64,
    held: usize,
    bytes: u64,
    /// First attempts under way since the last retry was, up to `FIRST_ATTEMPTS_PER_RETRY`.
    since_retry: u32,
    /// In an ordered webhook, the events that are not held, by their places in the order.
    line: Option<BTreeSet<(TurnNumber, CompactId)>>,
    /// The highest place in the order so far.
    last_turn: TurnNumber,
    /// Events under way.
    leased_events: usize,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    bytes: u64,
    /// None for pings and tests.
    turn: Option<TurnNumber>,
}

impl Entry {
    /// Its place in the order, unless it keeps none.
    const fn turn_in_line(&self) -> Option<TurnNumber> {
        match self.place {
            Place::Held => None,
            _ => self.turn,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Place {
    FirstAttempt { due: Timestamp },
    Retry { due: Timestamp },
    Suspect { due: Timestamp },
    Loner { due: Timestamp },
    Leased { until: Timestamp, is_alone: bool },
    Held,
}

impl Place {
    const fn of(delivery: &Delivery) -> Option<Self> {
        let company = Company::of(delivery.lost_leases());
        Some(match delivery.state() {
            State::Scheduled { due } => match company {
                Company::Alone => Self::Loner { due },
                Company::Suspects => Self::Suspect { due },
                Company::Unsuspected if delivery.attempts() > 0 => Self::Retry { due },
                Company::Unsuspected => Self::FirstAttempt { due },
            },
            State::Leased { until } => Self::Leased {
                until,
                is_alone: matches!(company, Company::Alone),
            },
            State::Held => Self::Held,
            State::Delivered { .. } | State::Failed { .. } => return None,
        })
    }
}

impl Queue {
    /// Files a delivery by its state; a settled one leaves. `bytes` is the length of its payload.
    pub fn place(&mut self, id: impl Into<CompactId>, delivery: &Delivery, bytes: u64) {
        let id = id.into();
        let before = self.take(id);
        let Some(place) = Place::of(delivery) else {
            return;
        };
        if matches!(place, Place::Leased { .. }) && delivery.kind() == Kind::Event {
            self.note_lease(before);
        }
        let _ = match place {
            Place::FirstAttempt { due } => self.first_attempts.insert((due, id)),
            Place::Retry { due } => self.retries.insert((due, id)),
            Place::Suspect { due } => self.suspects.insert((due, id)),
            Place::Loner { due } => self.loners.insert((due, id)),
            Place::Leased { until, is_alone } => {
                self.leased_bytes = self.leased_bytes.saturating_add(bytes);
                self.leased_alone = self.leased_alone.saturating_add(usize::from(is_alone));
                self.leased.insert((until, id))
            }
            Place::Held => {
                self.held = self.held.saturating_add(1);
                true
            }
        };
        self.bytes = self.bytes.saturating_add(bytes);
        let entry = Entry {
            place,
            bytes,
            turn: (delivery.kind() == Kind::Event).then(|| order::turn_of(delivery, id)),
        };
        if let Some(turn) = entry.turn {
            self.last_turn = self.last_turn.max(turn);
            let is_leased = matches!(place, Place::Leased { .. });
            self.leased_events = self.leased_events.saturating_add(usize::from(is_leased));
        }
        if let (Some(line), Some(turn)) = (&mut self.line, entry.turn_in_line()) {
            line.insert((turn, id));
        }
        self.entries.insert(id, entry);
    }

    /// The length of a pending delivery's payload.
    #[must_use]
    pub fn bytes_of(&self, id: &DeliveryId) -> u64 {
        let entry = self.entries.get(&CompactId::from(id));
        entry.map_or(0, |entry| entry.bytes)
    }

    /// Whether a delivery's first attempt is due or under way.
    #[must_use]
    pub fn awaits_attempt(&self, id: &DeliveryId) -> bool {
        let entry = self.entries.get(&CompactId::from(id));
        entry.is_some_and(|entry| {
            matches!(
                entry.place,
                Place::FirstAttempt { .. } | Place::Leased { .. }
            )
        })
    }

    /// Counts a lease for the turns of first attempts and retries.
    const fn note_lease(&mut self, before: Option<Place>) {
        match before {
            Some(Place::Retry { .. }) => self.since_retry = 0,
            // A new delivery has no place before.
            Some(Place::FirstAttempt { .. }) | None if !self.is_retrys_turn() => {
                self.since_retry = self.since_retry.saturating_add(1);
            }
            _ => {}
        }
    }

    const fn is_retrys_turn(&self) -> bool {
        self.since_retry >= FIRST_ATTEMPTS_PER_RETRY
    }

    /// Whether the next free slot is that of a retry that is due.
    #[must_use]
    pub fn owes_retry(&self, now: Timestamp) -> bool {
        self.is_retrys_turn() && first(&self.retries).is_some_and(|(due, _)| due <= now)
    }

    /// Removes a delivery.
    pub fn remove(&mut self, id: impl Into<CompactId>) {
        self.take(id.into());
    }

    /// Removes a delivery; returns the place that it had.
    fn take(&mut self, id: CompactId) -> Option<Place> {
        let entry = self.entries.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        if entry.turn.is_some() && matches!(entry.place, Place::Leased { .. }) {
            self.leased_events = self.leased_events.saturating_sub(1);
        }
        if let (Some(line), Some(turn)) = (&mut self.line, entry.turn_in_line()) {
            line.remove(&(turn, id));
        }
        let _ = match entry.place {
            Place::FirstAttempt { due } => self.first_attempts.remove(&(due, id)),
            Place::Retry { due } => self.retries.remove(&(due, id)),
            Place::Suspect { due } => self.suspects.remove(&(due, id)),
            Place::Loner { due } => self.loners.remove(&(due, id)),
            Place::Leased { until, is_alone } => {
                self.leased_bytes = self.leased_bytes.saturating_sub(entry.bytes);
                self.leased_alone = self.leased_alone.saturating_sub(usize::from(is_alone));
                self.leased.remove(&(until, id))
            }
            Place::Held => {
                self.held = self.held.saturating_sub(1);
                true
            }
        };
        Some(entry.place)
    }

    /// The delivery to attempt next, if one is due. Those whose lease was lost come after all others, unless they have
    /// waited long.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<(DeliveryId, Company)> {
        if self.line.is_some() {
            let (due, id, company) = self.first_in_line()?;
            return (due <= now).then(|| (id.into(), company));
        }
        let suspect = self.next_suspect(now);
        let (late, patient) = match suspect {
            Some((due, id, company)) if is_late(due, now) => (Some((id, company)), None),
            Some((_, id, company)) => (None, Some((id, company))),
            None => (None, None),
        };
        late.or_else(|| Some((self.next_unsuspected(now)?, Company::Unsuspected)))
            .or(patient)
    }

    /// The next of those that lost no lease, for a sender that goes on. None while another has waited so long that it
    /// comes first.
    #[must_use]
    pub fn next_to_go_on_with(&self, now: Timestamp) -> Option<DeliveryId> {
        if self.line.is_some() {
            let (id, company) = self.next(now)?;
            return (company == Company::Unsuspected).then_some(id);
        }
        match self.next_suspect(now) {
            Some((due, ..)) if is_late(due, now) => None,
            _ => self.next_unsuspected(now),
        }
    }

    /// A first attempt before a retry, unless it is a retry's turn.
    fn next_unsuspected(&self, now: Timestamp) -> Option<DeliveryId> {
        let due = |set: &BTreeSet<_>| first(set).filter(|(due, _)| *due <= now).map(|(_, id)| id);
        let (first_attempt, retry) = (due(&self.first_attempts), due(&self.retries));
        let chosen = if self.is_retrys_turn() {
            retry.or(first_attempt)
        } else {
            first_attempt.or(retry)
        };
        chosen.map(DeliveryId::from)
    }

    /// The first of those that lost a lease and may be leased, if it is due.
    fn next_suspect(&self, now: Timestamp) -> Option<(Timestamp, DeliveryId, Company)> {
        let suspect = first(&self.suspects).map(|(due, id)| (due, id, Company::Suspects));
        let loner = self.free_loner().map(|(due, id)| (due, id, Company::Alone));
        let (due, id, company) = [suspect, loner]
            .into_iter()
            .flatten()
            .find(|(due, ..)| *due <= now)?;
        Some((due, DeliveryId::from(id), company))
    }

    /// The first of those that are sent alone, if none of them is under way.
    fn free_loner(&self) -> Option<(Timestamp, CompactId)> {
        first(&self.loners).filter(|_| self.leased_alone == 0)
    }

    /// Any delivery that is due; used to hold them when the webhook is disabled.
    #[must_use]
    pub fn any_due(&self, now: Timestamp) -> Option<DeliveryId> {
        let sets = [
            &self.first_attempts,
            &self.retries,
            &self.suspects,
            &self.loners,
        ];
        let (_, id) = sets
            .into_iter()
            .filter_map(first)
            .filter(|(due, _)| *due <= now)
            .min()?;
        Some(DeliveryId::from(id))
    }

    /// A delivery whose lease has ended without a report.
    #[must_use]
    pub fn ended_lease(&self, now: Timestamp) -> Option<DeliveryId> {
        let (_, id) = self.leased.first().filter(|(until, _)| *until <= now)?;
        Some(DeliveryId::from(*id))
    }

    /// When the next delivery that may be leased then is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        if self.line.is_some() {
            return self.first_in_line().map(|(due, ..)| due);
        }
        let sets = [&self.first_attempts, &self.retries, &self.suspects];
        let times = sets.into_iter().filter_map(first).chain(self.free_loner());
        times.map(|(time, _)| time).min()
    }

    /// When the first of all deliveries is due, whether it may be leased then or not.
    #[must_use]
    pub fn first_due(&self) -> Option<Timestamp> {
        let sets = [
            &self.first_attempts,
            &self.retries,
            &self.suspects,
            &self.loners,
        ];
        let times = sets.into_iter().filter_map(first);
        times.map(|(time, _)| time).min()
    }

    /// Since when something has been due that is not attempted, whatever it waits for.
    #[must_use]
    pub fn oldest_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.first_due().filter(|due| *due <= now)
    }

    /// When the next lease ends.
    #[must_use]
    pub fn next_lease_end(&self) -> Option<Timestamp> {
        self.leased.first().map(|(until, _)| *until)
    }

    /// When the last of the leases ends.
    #[must_use]
    pub fn last_lease_end(&self) -> Option<Timestamp> {
        self.leased.last().map(|(until, _)| *until)
    }

    /// At most so many deliveries with ids before that one that are neither held nor under way.
    #[must_use]
    pub fn waiting_before(&self, id: &DeliveryId, limit: usize) -> Vec<DeliveryId> {
        let before = CompactId::from(id);
        let waits = |place: Place| !matches!(place, Place::Leased { .. } | Place::Held);
        let entries = self.entries.iter();
        let waiting = entries.filter(|(id, entry)| **id < before && waits(entry.place));
        waiting.take(limit).map(|(id, _)| (*id).into()).collect()
    }
}

/// Whether what has been due since then comes before all others.
fn is_late(due: Timestamp, now: Timestamp) -> bool {
    now.saturating_duration_since(due) >= PATIENCE
}

fn first(set: &BTreeSet<(Timestamp, CompactId)>) -> Option<(Timestamp, CompactId)> {
    set.first().copied()
}
