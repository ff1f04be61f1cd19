//! Telling KV: puts, the calls that wait for them, and the alarm that tells what a change could not.

use std::time::Duration;

use super::{CallId, CatalogueMachine, Fault, Put, PutNumber, Result, TELL_AGAIN, Then};
use crate::{
    domain::timestamp::Timestamp,
    machines::{messages::CatalogueReply, publisher::Ended, sql},
};

impl CatalogueMachine {
    pub(super) fn alarm_fired(&mut self, call: CallId, now: Timestamp) {
        self.end_alarms();
        self.tell_again = None;
        self.has_to_arm = true;
        let begun = self.look_once().and_then(|()| self.begin_round(call, now));
        if let Err(fault) = begun {
            self.round_ended(false, now);
            self.answer(call, Err(fault));
        }
    }

    fn begin_round(&mut self, call: CallId, now: Timestamp) -> Result<()> {
        match self.tables.revision()? {
            Some(revision) if self.tables.outbox().has_to_put(now)? => {
                self.waiting.insert(call, Then::EndAlarm);
                self.publisher.wait(call, revision, now);
            }
            _ => {
                self.round_ended(true, now);
                self.answer(call, Ok(CatalogueReply::Done { applied: true }));
            }
        }
        Ok(())
    }

    fn round_ended(&mut self, is_told: bool, now: Timestamp) {
        self.has_to_arm = true;
        if is_told {
            self.backoff.succeeded();
        } else {
            let wait = self.backoff.failed();
            self.tell_after(wait, now);
        }
    }

    /// Ends the alarms that have not, since another one has fired: the platform has given them up.
    fn end_alarms(&mut self) {
        let waiting = self.waiting.iter();
        let alarms = waiting.filter(|(_, then)| matches!(then, Then::EndAlarm));
        let alarms: Vec<_> = alarms.map(|(call, _)| *call).collect();
        for call in alarms {
            self.waiting.remove(&call);
            self.answer(call, Ok(CatalogueReply::Done { applied: false }));
        }
    }

    /// Looks, once in a life of the object, for changes that an earlier one did not tell: the platform may have lost its
    /// alarm, and a put that it began may still arrive.
    pub(super) fn look_once(&mut self) -> Result<()> {
        if !self.has_looked {
            if !self.tables.outbox().untold()?.is_empty() {
                self.publisher.doubt();
                self.has_to_arm = true;
            }
            self.has_looked = true;
        }
        Ok(())
    }

    /// Does what is due about KV: begins the next put, and answers the calls that have waited long enough.
    pub(super) fn publish(&mut self, now: Timestamp) {
        if self.publisher.give_up(now) {
            self.log(Fault::SlowPut);
        }
        if self.publisher.has_to_put()
            && let Err(error) = self.put_next(now)
        {
            self.log(error.into());
            self.stop_putting(now);
        }
        for call in self.publisher.out_of_patience(now) {
            self.finish(call, now);
        }
    }

    /// Asks for the next put, if KV has to be told and accepts it.
    fn put_next(&mut self, now: Timestamp) -> sql::Result<()> {
        if !self.tables.outbox().has_to_put(now)? {
            self.stop_putting(now);
            return Ok(());
        }
        if !self.publisher.may_put(now) {
            return Ok(());
        }
        let Some(revision) = self.tables.revision()? else {
            self.stop_putting(now);
            return Ok(());
        };
        let catalogue = self.tables.catalogue(revision)?;
        let number = self.publisher.begin(revision, now);
        self.outputs.put = Some(Put { number, catalogue });
        Ok(())
    }

    /// A put has ended. One that was given up before says nothing about what KV has.
    pub(super) fn put_ended(&mut self, number: PutNumber, is_put: bool, now: Timestamp) {
        if !is_put {
            if self.publisher.failed(number) {
                self.stop_putting(now);
            }
            return;
        }
        let Some(ended) = self.publisher.ended(number, now) else {
            return;
        };
        let Ended { revision, again_at } = ended;
        match self.tables.outbox().copy_put(revision, now, again_at) {
            Ok(()) => {
                self.has_to_arm |= again_at.is_some();
                for call in self.publisher.stored(&ended) {
                    self.finish(call, now);
                }
            }
            Err(error) => {
                self.log(error.into());
                self.stop_putting(now);
            }
        }
    }

    /// KV has everything, or a put has failed and the alarm tries again: no call waits for more.
    fn stop_putting(&mut self, now: Timestamp) {
        for call in self.publisher.stop() {
            self.finish(call, now);
        }
    }

    /// Answers a call that has waited.
    fn finish(&mut self, call: CallId, now: Timestamp) {
        // A call that had a fault is answered already.
        let Some(then) = self.waiting.remove(&call) else {
            return;
        };
        let is_told = self.tables.outbox().has_to_put(now).map(|has_to| !has_to);
        if matches!(then, Then::EndAlarm) {
            self.round_ended(matches!(is_told, Ok(true)), now);
        }
        let reply = match then {
            Then::Reply(reply) => Ok(reply),
            Then::SayIfTold | Then::EndAlarm => is_told
                .map(|applied| CatalogueReply::Done { applied })
                .map_err(Fault::from),
        };
        self.answer(call, reply);
    }

    /// Lets the alarm tell a while from now, unless it does so earlier.
    pub(super) fn tell_after(&mut self, wait: Duration, now: Timestamp) {
        let next = now.saturating_add(wait);
        let earlier = self.tell_again.filter(|time| (now..next).contains(time));
        self.tell_again = Some(earlier.unwrap_or(next));
        self.has_to_arm = true;
    }

    /// Asks for the alarm, if one is needed.
    pub(super) fn arm(&mut self, now: Timestamp) {
        match self.next_wake(now) {
            Ok(wake) => self.outputs.arm = wake,
            Err(error) => {
                self.outputs.arm = Some(now.saturating_add(TELL_AGAIN));
                self.log(error.into());
            }
        }
    }

    /// The alarm could not be armed, so no call is told that its change will be told in any case.
    pub(super) fn not_armed(&mut self, now: Timestamp) {
        for call in std::mem::take(&mut self.waiting).into_keys() {
            self.answer(call, Err(Fault::NotArmed));
        }
        self.tell_after(TELL_AGAIN, now);
    }
}
