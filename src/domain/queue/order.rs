//! The order of acceptance, which an ordered webhook keeps.

use std::collections::BTreeSet;

use super::{Company, Place, Queue};
use crate::{
    domain::{
        delivery::{Delivery, TurnNumber},
        ids::{CompactId, DeliveryId},
        timestamp::Timestamp,
    },
    mutants::Mutant,
};

impl Queue {
    /// Keeps the order of acceptance from now on, or keeps it no longer.
    pub fn set_ordered(&mut self, ordered: bool) {
        if !ordered || Mutant::OrderIgnored.is_on() {
            self.line = None;
        } else if self.line.is_none() {
            let entries = self.entries.iter();
            let line = entries.filter_map(|(id, entry)| Some((entry.turn_in_line()?, *id)));
            self.line = Some(line.collect());
        }
    }

    /// The place in the order of what joins at a time: behind all others.
    #[must_use]
    pub fn next_turn(&self, now: Timestamp) -> TurnNumber {
        micros(now).max(self.last_turn.saturating_add(1))
    }

    /// The delivery that is attempted first in an ordered webhook, and that all others wait for.
    #[must_use]
    pub fn head(&self) -> Option<DeliveryId> {
        let (_, id) = self.line.as_ref()?.first()?;
        Some((*id).into())
    }

    /// Whether nothing comes before what is accepted now.
    #[must_use]
    pub fn is_turn_of_new(&self) -> bool {
        self.line.as_ref().is_none_or(BTreeSet::is_empty)
    }

    /// The delivery whose turn it is, when it is due and with whom it may be sent; none while an attempt is under way.
    pub(super) fn first_in_line(&self) -> Option<(Timestamp, CompactId, Company)> {
        let (_, id) = self.line.as_ref()?.first()?;
        let company = match self.entries.get(id)?.place {
            Place::FirstAttempt { .. } | Place::Retry { .. } => Company::Unsuspected,
            Place::Suspect { .. } => Company::Suspects,
            Place::Loner { .. } => Company::Alone,
            Place::Leased { .. } | Place::Held => return None,
        };
        let due = self.due_of(*id).filter(|_| self.leased_events == 0)?;
        Some((due, *id, company))
    }

    fn due_of(&self, id: CompactId) -> Option<Timestamp> {
        match self.entries.get(&id)?.place {
            Place::FirstAttempt { due }
            | Place::Retry { due }
            | Place::Suspect { due }
            | Place::Loner { due } => Some(due),
            Place::Leased { .. } | Place::Held => None,
        }
    }
}

/// The place of a delivery in the order; one that was accepted while there was none has that of its id's time.
pub(super) fn turn_of(delivery: &Delivery, id: CompactId) -> TurnNumber {
    let turn = delivery.turn();
    turn.unwrap_or_else(|| micros(DeliveryId::from(id).minted_at()))
}

fn micros(time: Timestamp) -> TurnNumber {
    let millis = TurnNumber::try_from(time.as_millis()).unwrap_or_default();
    millis.saturating_mul(1000)
}
