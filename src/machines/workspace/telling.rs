//! Telling changes to the webhooks' objects and then to KV, as the outbox lists them, and answering the calls that wait
//! for it.

use super::{
    CallId, Fault, LookAtAlarms, Put, PutNumber, Result, Tell, WorkspaceMachine, tables::Untold,
};
use crate::{
    domain::{
        ids::{WebhookId, WorkspaceId},
        session::Session,
        timestamp::Timestamp,
        webhook::Webhook,
        workspace::Workspace,
    },
    machines::{
        messages::{WebhookCommand, WorkspaceReply},
        publisher::Ended,
        sql,
    },
    mutants::Mutant,
};

/// How a command goes on after its change is stored.
pub(super) enum Step {
    /// It is answered.
    Answer(WorkspaceReply),
    /// It is answered when these have been told.
    Tell(Telling),
}

/// Who is told, and what is answered then.
pub(super) struct Telling {
    whom: Whom,
    workspace: WorkspaceId,
    /// The revision that they must have.
    revision: u64,
    /// Whether the answer waits for KV too.
    awaits_kv: bool,
    then: Then,
    sessions: Vec<InSession>,
}

/// Whom a call tells before KV.
pub(super) enum Whom {
    /// Nobody.
    OnlyKv,
    /// The object of a webhook.
    Webhook(WebhookId),
    /// All who must still be told of something.
    AllUntold,
    /// These webhooks' objects, to look at their alarms; KV is not waited for.
    Alarms(Vec<WebhookId>),
}

/// What is answered when all that had to be told has answered; KV is waited for 5 s.
pub(super) enum Then {
    /// This, whether or not it was told.
    Reply(WorkspaceReply),
    /// A webhook, and whether its object has it.
    ShowWebhook(Box<Webhook>),
    /// The same after a rotation, whose secret is shown if the object has it.
    ShowSecret(Box<Webhook>),
    /// Whether the webhook's object has it.
    SayIfApplied,
    /// Whether everybody has it, KV too.
    SayIfAllTold,
    /// The alarm ends.
    EndAlarm,
}

/// What is said of the session with whose rights a command runs.
pub(super) struct InSession {
    session: Session,
    workspace_name: String,
}

/// A call that waits until somebody has been told.
pub(super) struct Waiting {
    /// The webhooks whose objects have not answered, and what each must know.
    untold: Vec<(WebhookId, u64)>,
    /// Whether those that have answered have stored it.
    is_applied: bool,
    revision: u64,
    awaits_kv: bool,
    then: Then,
    sessions: Vec<InSession>,
}

impl Step {
    /// The workspace is stored in its new revision, and these are told.
    pub(super) fn tell(workspace: &Workspace, whom: Whom, then: Then) -> Self {
        Self::Tell(Telling {
            whom,
            workspace: workspace.id.clone(),
            revision: workspace.revision,
            awaits_kv: true,
            then,
            sessions: Vec::new(),
        })
    }

    /// The same, but KV gets it when it accepts a put, and no answer waits for that.
    pub(super) fn without_awaiting_kv(self) -> Self {
        match self {
            Self::Answer(reply) => Self::Answer(reply),
            Self::Tell(telling) => Self::Tell(Telling {
                awaits_kv: false,
                ..telling
            }),
        }
    }

    /// The same for a command that runs with the rights of a session.
    pub(super) fn in_session(self, session: Session, workspace_name: String) -> Self {
        let session = InSession {
            session,
            workspace_name,
        };
        match self {
            Self::Answer(reply) => Self::Answer(session.wrap(reply)),
            Self::Tell(mut telling) => {
                telling.sessions.push(session);
                Self::Tell(telling)
            }
        }
    }
}

impl InSession {
    fn wrap(self, reply: WorkspaceReply) -> WorkspaceReply {
        WorkspaceReply::Session {
            scopes: self.session.scopes,
            workspace_name: self.workspace_name,
            reply: Box::new(reply),
        }
    }
}

impl WorkspaceMachine {
    /// Answers a call, or lets it wait and asks for what it tells.
    pub(super) fn go_on(&mut self, call: CallId, step: Step, now: Timestamp) -> Result<()> {
        let telling = match step {
            Step::Answer(reply) => {
                self.answer(call, Ok(reply));
                return Ok(());
            }
            Step::Tell(telling) => telling,
        };
        self.has_to_arm = true;
        let mut asks = None;
        let untold = match telling.whom {
            Whom::OnlyKv => Vec::new(),
            Whom::Webhook(id) => vec![(id, telling.revision)],
            Whom::AllUntold => self.untold_webhooks()?,
            Whom::Alarms(webhooks) => {
                asks = Some(webhooks);
                Vec::new()
            }
        };
        for (id, revision) in &untold {
            let command = self.what_to_tell(id, *revision)?;
            self.outputs.tells.push(Tell {
                workspace: telling.workspace.clone(),
                webhook: id.clone(),
                revision: *revision,
                command,
            });
        }
        let is_only_kv = untold.is_empty() && asks.is_none();
        self.outputs.look_at_alarms = asks.map(|webhooks| LookAtAlarms {
            call,
            workspace: telling.workspace,
            webhooks,
        });
        let waiting = Waiting {
            untold,
            is_applied: true,
            revision: telling.revision,
            awaits_kv: telling.awaits_kv,
            then: telling.then,
            sessions: telling.sessions,
        };
        self.waiting.insert(call, waiting);
        if is_only_kv {
            self.wait_for_kv(call, now);
        }
        Ok(())
    }

    /// A webhook's object has answered, or not.
    pub(super) fn told(&mut self, id: &WebhookId, revision: u64, is_applied: bool, now: Timestamp) {
        let mut is_applied = is_applied || Mutant::UnansweredTellingForgotten.is_on();
        if is_applied && let Err(error) = self.tables.webhook_told(id, revision) {
            // It is told again.
            self.log(error.into());
            is_applied = false;
        }
        let mut all_told = Vec::new();
        for (call, waiting) in &mut self.waiting {
            if waiting.told(id, revision, is_applied) && waiting.untold.is_empty() {
                all_told.push(*call);
            }
        }
        for call in all_told {
            self.wait_for_kv(call, now);
        }
    }

    /// A put has ended. One that was given up before says nothing about what KV has.
    pub(super) fn put_ended(&mut self, number: PutNumber, is_put: bool, now: Timestamp) {
        if !is_put && !Mutant::FailedPutForgotten.is_on() {
            if self.publisher.failed(number) {
                self.stop_putting(now);
            }
            return;
        }
        let Some(ended) = self.publisher.ended(number, now) else {
            return;
        };
        let Ended { revision, again_at } = ended;
        match self.tables.snapshot_put(revision, now, again_at) {
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
        if !self.tables.has_to_put(now)? {
            self.stop_putting(now);
            return Ok(());
        }
        if !self.publisher.may_put(now) {
            return Ok(());
        }
        let Some(workspace) = self.tables.workspace()? else {
            self.stop_putting(now);
            return Ok(());
        };
        let snapshot = match workspace.deleted_at {
            None => Some(self.tables.snapshot(&workspace)?),
            Some(_) => None,
        };
        self.outputs.put = Some(Put {
            number: self.publisher.begin(workspace.revision, now),
            workspace,
            snapshot,
        });
        Ok(())
    }

    /// KV has everything, or a put has failed and the alarm tries again: no call waits for more.
    fn stop_putting(&mut self, now: Timestamp) {
        for call in self.publisher.stop() {
            self.finish(call, now);
        }
    }

    /// Lets a call wait for KV, if it does, now that the webhooks' objects have answered.
    fn wait_for_kv(&mut self, call: CallId, now: Timestamp) {
        let Some(waiting) = self.waiting.get(&call) else {
            return;
        };
        match self.tables.has_to_put(now) {
            Ok(true) if waiting.awaits_kv => self.publisher.wait(call, waiting.revision, now),
            Ok(true) => {
                self.publisher.want();
                self.finish(call, now);
            }
            Ok(false) => self.finish(call, now),
            Err(error) => self.end(call, Err(error.into()), now),
        }
    }

    /// Answers a call that has waited.
    pub(super) fn finish(&mut self, call: CallId, now: Timestamp) {
        let has_kv = self.tables.has_to_put(now).map(|has_to| !has_to);
        self.end(call, has_kv.map_err(Fault::from), now);
    }

    fn end(&mut self, call: CallId, has_kv: Result<bool>, now: Timestamp) {
        // A call that had a fault is answered already.
        let Some(waiting) = self.waiting.remove(&call) else {
            return;
        };
        let is_applied = waiting.is_applied;
        let is_all_told = has_kv.map(|has_kv| has_kv && is_applied);
        if matches!(waiting.then, Then::EndAlarm) {
            self.round_ended(matches!(is_all_told, Ok(true)), now);
        }
        let reply = is_all_told.and_then(|is_all_told| {
            Ok(match waiting.then {
                Then::Reply(reply) => reply,
                Then::ShowWebhook(webhook) => WorkspaceReply::Webhook {
                    webhook,
                    applied: is_applied,
                },
                Then::ShowSecret(webhook) => self.show_secret(webhook, is_applied)?,
                Then::SayIfApplied => WorkspaceReply::Done {
                    applied: is_applied,
                },
                Then::SayIfAllTold | Then::EndAlarm => WorkspaceReply::Done {
                    applied: is_all_told,
                },
            })
        });
        let sessions = waiting.sessions.into_iter();
        let reply = reply.map(|reply| sessions.fold(reply, |reply, session| session.wrap(reply)));
        self.answer(call, reply);
    }

    /// Whether the alarm has not ended.
    pub(super) fn is_alarm_running(&self) -> bool {
        let mut waiting = self.waiting.values();
        waiting.any(|waiting| matches!(waiting.then, Then::EndAlarm))
    }

    /// Ends the alarms that have not, since another one has fired: the platform has given them up.
    pub(super) fn end_alarms(&mut self) {
        let waiting = self.waiting.iter();
        let alarms = waiting.filter(|(_, waiting)| matches!(waiting.then, Then::EndAlarm));
        let alarms: Vec<_> = alarms.map(|(call, _)| *call).collect();
        for call in alarms {
            self.waiting.remove(&call);
            self.answer(call, Ok(WorkspaceReply::Done { applied: false }));
        }
    }

    /// The webhooks whose objects must be told, each up to a revision.
    fn untold_webhooks(&self) -> sql::Result<Vec<(WebhookId, u64)>> {
        let untold = self.tables.untold()?.into_iter();
        let webhooks = untold.filter_map(|untold| match untold {
            Untold::Webhook { id, revision } => Some((id, revision)),
            Untold::Snapshot => None,
        });
        Ok(webhooks.collect())
    }

    /// A webhook's present settings, or that it is deleted.
    fn what_to_tell(&self, id: &WebhookId, revision: u64) -> sql::Result<WebhookCommand> {
        let Some(mut webhook) = self.tables.webhook(id)? else {
            return Ok(WebhookCommand::Delete { revision });
        };
        let workspace = self.tables.workspace()?;
        if !Mutant::RevocationNotTold.is_on() {
            webhook.settings.keys_revision =
                workspace.map_or(0, |workspace| workspace.keys_revision);
        }
        Ok(WebhookCommand::Apply(Box::new(webhook.settings)))
    }
}

impl Waiting {
    /// Takes the answer of a webhook's object; returns whether it was waited for. What stored a later change has this one.
    fn told(&mut self, id: &WebhookId, revision: u64, is_applied: bool) -> bool {
        let waited = self.untold.len();
        self.untold.retain(|(untold, wanted)| {
            let is_it = if is_applied {
                *wanted <= revision
            } else {
                *wanted == revision
            };
            untold != id || !is_it
        });
        let is_waited_for = self.untold.len() < waited;
        self.is_applied &= is_applied || !is_waited_for;
        is_waited_for
    }
}
