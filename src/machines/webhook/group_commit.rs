//! The group commit: commands that arrive together share one flush, and are answered when it is done.
//!
//! Leases that are granted to the events of one group are shared among its commands: the first one that is answered
//! takes as many as it asked for, so that attempts that begin together are reported together. A command that got none
//! though its webhook is busy is answered a moment later, when its first attempt has ended: that paces producers. While the
//! relay does not keep up with them, though the endpoint would, they wait for up to a second; and where so many wait that
//! a second would not do, no more is taken.
//!
//! A command that shares its call with others is not held, as that would hold their answers too: its Worker is told to
//! ask for the end of the attempt, in another call.

use std::time::Duration;

use crate::{
    domain::{dispatch::ANSWER_DELAY, ids::DeliveryId, timestamp::Timestamp},
    machines::messages::{Acceptance, Grant, WebhookReply},
};

/// Tells the commands of one object's life apart; the driver chooses it.
pub type CallId = u64;

/// How long the report of an attempt waits to be flushed with others. If the object stops meanwhile, it is reported
/// again.
pub(super) const SETTLED_WITHIN: Duration = Duration::from_millis(20);

/// How long a report that is answered with leases waits for others.
pub(super) const LEASED_WITHIN: Duration = Duration::from_millis(3);

/// How long an answer waits, at most, for an attempt that the relay could not begin yet.
const BEHIND_DELAY: Duration = Duration::from_secs(1);

/// How many answers wait, at most, for attempts that could not begin yet.
const BEHIND_LIMIT: usize = 1000;

/// A command that waits for the flush.
pub(super) struct Waiting {
    pub(super) call: CallId,
    pub(super) answer: Answer,
}

/// What a command is answered with after the flush.
pub(super) enum Answer {
    /// This reply.
    Ready(WebhookReply),
    /// What became of its events, and leases of the group's.
    Accepted(Accepted),
}

/// What became of the events of a command.
pub(super) struct Accepted {
    /// The ids that it gave to its deliveries.
    pub(super) ids: Vec<DeliveryId>,
    /// How many leases it asked for.
    pub(super) leases: usize,
    /// Whether one of its own deliveries was leased, and which one first.
    pub(super) first_leased: Option<DeliveryId>,
    /// Whether one of its own deliveries is due and was not leased, and which one last.
    pub(super) last_due: Option<DeliveryId>,
    /// Whether it shares a call, which returns with the answers of all.
    pub(super) is_of_shared_call: bool,
    pub(super) deliveries: Vec<Acceptance>,
}

/// An answer that waits for the end of an attempt.
struct Delayed {
    delivery: DeliveryId,
    longest: Duration,
    until: Timestamp,
    call: CallId,
    reply: WebhookReply,
}

/// The commands that wait, and for what.
#[derive(Default)]
pub(super) struct GroupCommit {
    /// In the order of their arrival.
    waiting: Vec<Waiting>,
    /// Leases of this group.
    granted: Vec<Grant>,
    /// When the flush is due at the latest.
    due: Option<Timestamp>,
    /// Whether it comes as soon as earlier writes are safe.
    awaits_safe: bool,
    /// Answers that wait for an attempt, in the order of their arrival.
    delayed: Vec<Delayed>,
}

impl GroupCommit {
    /// Lets a command wait for the flush, which is due within `moment`.
    pub(super) fn join(&mut self, waiting: Waiting, moment: Duration, now: Timestamp) {
        self.waiting.push(waiting);
        let due = now.saturating_add(moment);
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// The same for a command whose events were accepted: the flush comes as soon as earlier writes are safe, so that
    /// commands that have already arrived run first. Returns whether the driver must be asked to say when they are.
    pub(super) fn join_when_safe(&mut self, waiting: Waiting, mut granted: Vec<Grant>) -> bool {
        self.granted.append(&mut granted);
        self.waiting.push(waiting);
        !std::mem::replace(&mut self.awaits_safe, true)
    }

    /// Earlier writes are safe: returns whether the flush is due.
    pub(super) const fn is_safe(&mut self) -> bool {
        std::mem::replace(&mut self.awaits_safe, false)
    }

    /// Whether the flush is due. A time far ahead means that the clock was put back.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due
            .is_some_and(|due| due <= now || due.saturating_duration_since(now) > SETTLED_WITHIN)
    }

    /// When something is due next.
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        let delayed = self.delayed.iter().map(|delayed| delayed.until);
        self.due.into_iter().chain(delayed).min()
    }

    /// Ends the group, whose changes are flushed: the commands that waited, in order, with their leases.
    pub(super) fn flushed(&mut self) -> Vec<(CallId, Answer, Vec<Grant>)> {
        self.due = None;
        self.awaits_safe = false;
        let mut granted = std::mem::take(&mut self.granted);
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let flushed = waiting.map(|Waiting { call, answer }| {
            let grants = match &answer {
                Answer::Ready(_) => Vec::new(),
                Answer::Accepted(accepted) => share(&mut granted, accepted),
            };
            (call, answer, grants)
        });
        flushed.collect()
    }

    /// Lets an answer wait for the end of a delivery's attempt that is under way, `ANSWER_DELAY` at most.
    pub(super) fn delay(
        &mut self,
        call: CallId,
        reply: WebhookReply,
        delivery: DeliveryId,
        now: Timestamp,
    ) {
        self.delay_for(ANSWER_DELAY, call, reply, delivery, now);
    }

    /// The same for an attempt that could not begin yet: the relay is behind.
    pub(super) fn delay_while_behind(
        &mut self,
        call: CallId,
        reply: WebhookReply,
        delivery: DeliveryId,
        now: Timestamp,
    ) {
        self.delay_for(BEHIND_DELAY, call, reply, delivery, now);
    }

    fn delay_for(
        &mut self,
        longest: Duration,
        call: CallId,
        reply: WebhookReply,
        delivery: DeliveryId,
        now: Timestamp,
    ) {
        self.delayed.push(Delayed {
            delivery,
            longest,
            until: now.saturating_add(longest),
            call,
            reply,
        });
    }

    /// Whether as many answers wait as may, so that nothing more is taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.delayed.len() >= BEHIND_LIMIT
    }

    /// The answers that wait for no longer: their attempt is reported, or their time is up.
    pub(super) fn released(
        &mut self,
        reported: &[DeliveryId],
        now: Timestamp,
    ) -> Vec<(CallId, WebhookReply)> {
        let is_over = |one: &Delayed| {
            let left = one.until.saturating_duration_since(now);
            // More is left only if the clock was put back.
            left.is_zero() || left > one.longest || reported.contains(&one.delivery)
        };
        let over = self.delayed.extract_if(.., |one| is_over(one));
        over.map(|one| (one.call, one.reply)).collect()
    }

    /// Forgets the group, whose changes are lost: the commands that waited for the flush.
    pub(super) fn lost(&mut self) -> Vec<CallId> {
        self.due = None;
        self.awaits_safe = false;
        self.granted.clear();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        waiting.map(|waiting| waiting.call).collect()
    }
}

/// Takes leases of a group for a command: its own first, then in the order of the commands; none if another command has
/// taken its own.
fn share(granted: &mut Vec<Grant>, accepted: &Accepted) -> Vec<Grant> {
    granted.sort_by_key(|grant| !accepted.ids.contains(&grant.id));
    let is_own = granted
        .first()
        .is_some_and(|grant| accepted.ids.contains(&grant.id));
    if !is_own {
        return Vec::new();
    }
    let taken = accepted.leases.min(granted.len());
    granted.drain(..taken).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flush_is_due_at_the_earliest_time_that_was_asked_for_or_when_the_clock_is_put_back() {
        let mut commit = GroupCommit::default();
        assert!(!commit.is_due(at(0)));
        commit.join(waiting(1), SETTLED_WITHIN, at(1000));
        commit.join(waiting(2), LEASED_WITHIN, at(1005));
        commit.join(waiting(3), SETTLED_WITHIN, at(1006));
        assert_eq!(commit.next_time(), Some(at(1008)));
        assert!(!commit.is_due(at(1007)) && commit.is_due(at(1008)));
        assert!(!commit.is_due(at(988)) && commit.is_due(at(987)));
        let calls: Vec<_> = commit.flushed().iter().map(|(call, ..)| *call).collect();
        assert_eq!(calls, [1, 2, 3]);
        assert_eq!(commit.next_time(), None);
    }

    #[test]
    fn a_delayed_answer_waits_for_its_attempt_20_ms_at_most_or_until_the_clock_is_put_back() {
        let mut commit = GroupCommit::default();
        let released = |commit: &mut GroupCommit, reported: &[DeliveryId], now| {
            let released = commit.released(reported, now);
            let calls = released.iter().map(|(call, _)| *call);
            calls.collect::<Vec<_>>()
        };
        for call in [1, 2] {
            commit.delay(call, WebhookReply::Done, id(call), at(1000));
        }
        assert!(released(&mut commit, &[id(3)], at(1019)).is_empty());
        assert_eq!(released(&mut commit, &[id(2)], at(1019)), [2]);
        assert_eq!(commit.next_time(), Some(at(1020)));
        assert_eq!(released(&mut commit, &[], at(1020)), [1]);
        commit.delay(3, WebhookReply::Done, id(3), at(1000));
        assert!(released(&mut commit, &[], at(1000)).is_empty());
        assert_eq!(released(&mut commit, &[], at(999)), [3]);
    }

    #[test]
    fn the_driver_is_asked_once_when_earlier_writes_are_safe() {
        let mut commit = GroupCommit::default();
        assert!(!commit.is_safe(), "nobody has asked");
        assert!(commit.join_when_safe(waiting(1), Vec::new()));
        assert!(!commit.join_when_safe(waiting(2), Vec::new()));
        assert!(commit.is_safe());
        assert!(commit.join_when_safe(waiting(3), Vec::new()));
        assert_eq!(commit.lost(), [1, 2, 3]);
        assert!(!commit.is_safe());
    }

    fn waiting(call: CallId) -> Waiting {
        let answer = Answer::Ready(WebhookReply::Done);
        Waiting { call, answer }
    }

    fn id(number: CallId) -> DeliveryId {
        DeliveryId::mint(at(i64::try_from(number).unwrap()), [0; 10])
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }
}
