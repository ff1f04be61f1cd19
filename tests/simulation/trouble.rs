//! Trouble that lasts: full disks, clocks that are wrong, crashes; and people who clean up after it.

use std::time::Duration;

use webhook_relay::{
    domain::{
        delivery::Status,
        ids::{DeliveryId, ResendId},
        resend::{Selection, UNDER_WAY_LIMIT},
        timestamp::Timestamp,
    },
    machines::messages::WebhookCommand,
};

use crate::{
    calls::Caller,
    faults::Fault,
    happenings::Happening,
    host::Node,
    world::{HOUR, World},
};

/// The most that an object may store in a world of `SmallStorage`, in bytes.
const SMALL_STORAGE: u64 = 1024 * 1024;

/// How far a clock may be off while it has not jumped.
pub(crate) const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

impl World {
    /// What troubles a world for a time, and when.
    pub(crate) fn draw_trouble(&mut self) {
        for _ in 0..2 {
            if self.faults.has(Fault::DiskFull) {
                self.spread(Happening::DiskFills);
            }
            if self.faults.has(Fault::ClockJumps) {
                self.spread(Happening::ClockJumps);
            }
        }
        // Where clocks jump, a bulk resend may find nothing that ended before it began, and goes on by the alarm.
        let times = if self.faults.has(Fault::ClockJumps) {
            20
        } else {
            2
        };
        for time in 1..=times {
            let after = HOUR * time + self.after_ms(0, 600_000);
            self.later(after, Happening::PersonCleansUp);
        }
    }

    /// How long an event's data is.
    pub(crate) fn draw_length(&mut self) -> usize {
        let (long, length) = if self.faults.has(Fault::SmallStorage) {
            (800, 60_000)
        } else {
            (20, 30_000)
        };
        if self.choices.happens(long) {
            length
        } else {
            50
        }
    }

    fn any_node(&mut self) -> Node {
        let nodes = self.workspaces.len() + self.objects.len();
        let chosen = usize::try_from(self.choices.below(nodes as u64)).expect("it is small");
        match chosen.checked_sub(self.workspaces.len()) {
            None => Node::Workspace(chosen),
            Some(object) => Node::Webhook(object),
        }
    }

    /// Resets any object.
    pub(crate) fn crash(&mut self) {
        let node = self.any_node();
        self.reset(node, false);
    }

    pub(crate) fn disk_fills(&mut self) {
        let node = self.any_node();
        self.tell(|| format!("{node:?}: its disk is full"));
        self.faults.note(Fault::DiskFull);
        self.host(node).engine.fill(true);
        let after = self.after_ms(60_000, 7_200_000);
        self.later(after, Happening::DiskHasRoom(node));
    }

    pub(crate) fn disk_has_room(&mut self, node: Node) {
        self.host(node).engine.fill(false);
    }

    /// Sets an object's clock, as the machine has it where the object begins to live.
    pub(crate) fn set_clock(&mut self, node: Node) {
        if self.faults.has(Fault::ClocksDiffer) {
            let ahead = i64::try_from(self.choices.below(2_001)).expect("it is small");
            let behind = i64::try_from(CLOCKS_DIFFER.as_millis()).expect("it is small");
            self.faults.note(Fault::ClocksDiffer);
            self.host(node).ahead_ms = ahead - behind;
        }
    }

    /// Whether the times that an object takes mean nothing, as its clock has jumped.
    pub(crate) fn has_jumped(&self, object: usize) -> bool {
        self.objects[object].host.has_jumped
    }

    /// Whether a webhook has forgotten a delivery for want of storage.
    pub(crate) fn is_trimmed(&self, object: usize, id: &DeliveryId) -> bool {
        self.log_since(object)
            .is_some_and(|since| id.minted_at() < since)
    }

    /// Since when a webhook's log is whole; none if nothing was forgotten for want of storage.
    pub(crate) fn log_since(&self, object: usize) -> Option<Timestamp> {
        if self.policy.max_storage > SMALL_STORAGE {
            return None;
        }
        self.objects[object].stored::<Timestamp>("log_since")
    }

    pub(crate) fn clock_jumps(&mut self) {
        let node = self.any_node();
        self.clock_of_jumps(node);
    }

    fn clock_of_jumps(&mut self, node: Node) {
        let back = i64::try_from(self.choices.between(60_000, 600_000)).expect("it is small");
        self.tell(|| format!("{node:?}: its clock jumps back by {back} ms"));
        self.faults.note(Fault::ClockJumps);
        let host = self.host(node);
        host.ahead_ms -= back;
        host.has_jumped = true;
        let after = self.after_ms(1_000, 3_600_000);
        self.later(after, Happening::ClockIsRight(node));
    }

    pub(crate) fn clock_is_right(&mut self, node: Node) {
        self.host(node).ahead_ms = 0;
        if let Some(at) = self.host(node).alarm {
            self.schedule_alarm(node, at);
        }
    }

    /// The platform is well.
    pub(crate) fn end_trouble(&mut self) {
        self.faults.end();
        let workspaces = (0..self.workspaces.len()).map(Node::Workspace);
        let nodes: Vec<_> = workspaces
            .chain((0..self.objects.len()).map(Node::Webhook))
            .collect();
        for node in nodes {
            self.disk_has_room(node);
        }
    }

    /// A person cancels all that one webhook has to send, and then resends it; the clock may jump between.
    pub(crate) fn person_cleans_up(&mut self) {
        let objects = 0..self.objects.len();
        let pending_at = |object: &usize| {
            let known = self.ledger.deliveries.values();
            known
                .filter(|known| known.object == *object && known.is_surely_pending())
                .count()
        };
        let Some(object) = objects.max_by_key(pending_at) else {
            return;
        };
        if self.faults.has(Fault::ClockJumps) && pending_at(&object) <= UNDER_WAY_LIMIT {
            return;
        }
        let ids = self.promised.iter().filter(|(_, one)| **one == object);
        let ids: Vec<DeliveryId> = ids.map(|(id, _)| id.clone()).collect();
        self.tell(|| format!("a person cancels what webhook {object} has to send"));
        for id in ids {
            self.call(object, &WebhookCommand::Cancel { id }, Caller::Nobody);
        }
        let after = self.after_ms(20_000, 30_000);
        self.later(after, Happening::PersonResends(object));
    }

    pub(crate) fn person_resends(&mut self, object: usize) {
        if self.faults.has(Fault::ClockJumps) {
            self.clock_of_jumps(Node::Webhook(object));
        }
        self.tell(|| format!("a person resends what failed at webhook {object}"));
        let command = WebhookCommand::StartResend {
            id: ResendId::mint(self.now, self.choices.bytes()),
            selection: Selection::of(Status::Failed),
        };
        self.call(object, &command, Caller::Nobody);
    }
}
