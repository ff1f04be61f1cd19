//! What an alarm has attempted: it leases what is due, in groups, one for each Sender that is to be hired.

use std::time::Duration;

use super::turn::Turn;
use crate::{
    domain::queue::Company,
    machines::{
        hiring::Crew,
        messages::{Grant, UnusedLease},
        sql::Result,
    },
};

/// The leases of one sender.
#[derive(Debug, Default)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct Group {
    /// The leases, with their payloads.
    pub grants: Vec<Grant>,
    /// Whether the sender may go on with further leases: what lost a lease is sent only with its like.
    pub goes_on: bool,
}

impl Turn<'_> {
    /// Leases what is due for the senders of a crew, who can wait `ahead` to begin.
    pub(super) fn lease_for(&mut self, mut crew: Crew, ahead: Duration) -> Result<Vec<Group>> {
        let mut groups: Vec<Group> = Vec::new();
        while self
            .open
            .dispatch
            .has_free_lease(self.now, ahead, self.policy)
        {
            let queue = &mut self.open.dispatch.queue;
            let Some((id, company)) = queue.next(self.now) else {
                break;
            };
            let bytes = queue.bytes_of(&id);
            let Some(sender) = crew.seat(company, bytes) else {
                break;
            };
            if groups.len() <= sender {
                groups.resize_with(sender.saturating_add(1), Group::default);
            }
            let grant = self.lease(&id, ahead)?;
            if let Some(group) = groups.get_mut(sender) {
                group.goes_on = company == Company::Unsuspected;
                group.grants.extend(grant);
            }
        }
        groups.retain(|group| !group.grants.is_empty());
        Ok(groups)
    }

    /// Withdraws leases whose attempts were not begun: they are due at once, and no lease was lost.
    pub(super) fn withdraw(&mut self, leases: &[UnusedLease]) -> Result<()> {
        for (id, lease) in leases {
            let Some(mut record) = self.tables.read(id)? else {
                continue;
            };
            if record.delivery.withdraw(*lease, self.now) {
                self.put(&record, false)?;
            }
        }
        Ok(())
    }
}
