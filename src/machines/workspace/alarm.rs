//! The alarm: deletes what has ended, and tells all that has not been told.

use super::{
    CallId, Context, Result, WorkspaceMachine,
    telling::{Step, Then, Whom},
};
use crate::{domain::timestamp::Timestamp, machines::messages::WorkspaceReply};

impl WorkspaceMachine {
    pub(super) fn alarm_fired(&mut self, call: CallId, context: &Context<'_>) {
        self.end_alarms();
        self.tell_again = None;
        self.has_to_arm = true;
        let begun = self
            .begin_round(context)
            .and_then(|step| self.go_on(call, step, context.now));
        if let Err(fault) = begun {
            self.round_ended(false, context.now);
            self.answer(call, Err(fault));
        }
    }

    /// Looks, once in a life of the object, for changes that an earlier one did not tell: the platform may have lost its
    /// alarm, and a put that it began may still arrive.
    pub(super) fn look_once(&mut self) -> Result<()> {
        if !self.has_looked {
            if !self.tables.untold()?.is_empty() {
                self.publisher.doubt();
                self.has_to_arm = true;
            }
            self.has_looked = true;
        }
        Ok(())
    }

    fn begin_round(&mut self, context: &Context<'_>) -> Result<Step> {
        self.look_once()?;
        let Some(workspace) = self.tables.workspace()? else {
            return Ok(Step::Answer(WorkspaceReply::Done { applied: true }));
        };
        let workspace = self.forget_old_secrets(workspace, context)?;
        self.tables.delete_ended(context.now)?;
        // This round tells what has just been changed.
        self.tell_again = None;
        Ok(Step::tell(&workspace, Whom::AllUntold, Then::EndAlarm))
    }

    /// The round of the alarm has ended.
    pub(super) fn round_ended(&mut self, is_all_told: bool, now: Timestamp) {
        self.has_to_arm = true;
        if is_all_told {
            self.backoff.succeeded();
        } else {
            let wait = self.backoff.failed();
            self.tell_after(wait, now);
        }
    }
}
