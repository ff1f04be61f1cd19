//! People: they make and change webhooks and keys through their workspace, one thing after the other, and repeat what was
//! not answered or not applied; and they resend and cancel deliveries at any moment.

use webhook_relay::{
    domain::{
        delivery::Status,
        idempotency_key::{Creation, Idempotent},
        ids::{DeliveryId, KeyId, ResendId, WebhookId},
        last_attempt::{LastAttemptFilter, ResponseStatuses},
        outcome::Outcome,
        pace::PaceChange,
        resend::Selection,
        sealed::{EncryptionKeys, Field, Sealed},
        secret::SignHeaderWith,
        token::{Scope, TokenHash},
        workspace::ApiKey,
    },
    machines::messages::{
        NewWebhook, Refusal, WebhookChange, WebhookCommand, WorkspaceCommand, WorkspaceReply,
    },
};

use crate::{calls::Caller, happenings::Happening, wishes::Wish, world::World};

/// Something that people do, and what they ask for it.
#[derive(Debug)]
pub(crate) struct Action {
    wish: Wish,
    number: u64,
    /// Whom it concerns, once that is chosen: a webhook, or a key.
    whom: Option<usize>,
    /// The command in the words of its first try.
    said: Option<String>,
}

/// A key as its people know it.
#[derive(Debug)]
pub(crate) struct KnownKey {
    pub(crate) key: ApiKey,
    /// Whether its making was answered.
    pub(crate) is_made: bool,
    pub(crate) is_being_revoked: bool,
    /// The revision of the keys once its revocation was answered.
    pub(crate) revoked_in: Option<u64>,
}

impl World {
    /// People of a workspace want something, after what they want already.
    pub(crate) fn wants(&mut self, workspace: usize, wish: Wish) {
        self.wishes += 1;
        let action = Action {
            wish,
            number: self.wishes,
            whom: None,
            said: None,
        };
        self.workspaces[workspace].actions.push_back(action);
        if self.workspaces[workspace].actions.len() == 1 {
            self.act(workspace);
        }
    }

    /// Does the first thing that people want, or tries it again.
    pub(crate) fn act(&mut self, workspace: usize) {
        loop {
            let Some(action) = self.workspaces[workspace].actions.front() else {
                return;
            };
            // A creation is recognized by its key, so each try may bring another id.
            if let Some(said) = action.said.clone() {
                let command = serde_json::from_str(&said).expect("a command is read as written");
                self.call_workspace(workspace, &command, Caller::Person(workspace));
                return;
            }
            let (wish, number) = (action.wish.clone(), action.number);
            let Some((command, whom)) = self.say(workspace, &wish, number) else {
                self.workspaces[workspace].actions.pop_front();
                continue;
            };
            self.tell(|| format!("people of workspace {workspace} want: {wish:?} {whom:?}"));
            if let Wish::Enable(true) | Wish::Resume(_) = wish
                && let Some(object) = whom
            {
                self.objects[object].closed_since = None;
            }
            let action = self.workspaces[workspace].actions.front_mut();
            let action = action.expect("it is there");
            action.whom = whom;
            if !matches!(wish, Wish::MakeWebhook) {
                action.said = Some(serde_json::to_string(&command).expect("it is JSON"));
            }
            self.call_workspace(workspace, &command, Caller::Person(workspace));
            return;
        }
    }

    /// The command for a wish, and whom it concerns; none if there is nobody.
    fn say(
        &mut self,
        workspace: usize,
        wish: &Wish,
        number: u64,
    ) -> Option<(WorkspaceCommand, Option<usize>)> {
        let command = match wish {
            Wish::MakeWorkspace => WorkspaceCommand::Create {
                id: self.workspaces[workspace].id.clone(),
                name: "Acme".into(),
            },
            Wish::MakeWebhook => {
                let id = WebhookId::mint(self.now, self.choices.bytes());
                WorkspaceCommand::CreateWebhook {
                    webhook: NewWebhook {
                        url: "https://hooks.example.com/".into(),
                        events: self.any_types(),
                        description: String::new(),
                        headers: Vec::new(),
                        secret: sealed(&id, "whsec_AA=="),
                        pace: self.any_pace(),
                    },
                    id,
                    idempotent: Some(Idempotent {
                        creation: Creation::Webhook,
                        key: format!("creation {number}"),
                        body: String::new(),
                        answer: None,
                    }),
                }
            }
            Wish::MakeKey => {
                let key = ApiKey {
                    id: KeyId::mint(self.now, self.choices.bytes()),
                    name: String::new(),
                    scopes: vec![Scope::EventsWrite],
                    created_at: self.now,
                    hash: TokenHash::of(&format!("key {number}")),
                };
                self.workspaces[workspace].keys.push(KnownKey {
                    key: key.clone(),
                    is_made: false,
                    is_being_revoked: false,
                    revoked_in: None,
                });
                let made = self.workspaces[workspace].keys.len() - 1;
                let command = WorkspaceCommand::CreateKey {
                    key,
                    idempotent: None,
                };
                return Some((command, Some(made)));
            }
            Wish::RevokeKey => {
                let keys = &mut self.workspaces[workspace].keys;
                let number = keys
                    .iter()
                    .position(|known| known.is_made && !known.is_being_revoked)?;
                keys[number].is_being_revoked = true;
                let id = keys[number].key.id.clone();
                return Some((WorkspaceCommand::RevokeKey { id }, Some(number)));
            }
            Wish::Enable(_)
            | Wish::Pause
            | Wish::Resume(_)
            | Wish::Pace
            | Wish::Select
            | Wish::Move
            | Wish::Rotate
            | Wish::Delete => {
                let object = match wish {
                    Wish::Resume(object) if self.objects[*object].is_deleted => return None,
                    Wish::Resume(object) => *object,
                    _ => self.any_object_of(workspace)?,
                };
                let command = self.say_of(object, wish, number);
                return Some((command, Some(object)));
            }
        };
        Some((command, None))
    }

    /// The command for a wish that concerns a webhook.
    fn say_of(&mut self, object: usize, wish: &Wish, number: u64) -> WorkspaceCommand {
        let id = self.objects[object].webhook.clone();
        match wish {
            Wish::Delete => {
                self.objects[object].is_deleted = true;
                return WorkspaceCommand::DeleteWebhook { id };
            }
            Wish::Rotate if self.choices.happens(300) => {
                return WorkspaceCommand::EndOverlap { id };
            }
            Wish::Rotate => {
                let overlap_seconds = self.choices.below(3) * 3_600;
                return WorkspaceCommand::RotateSecret {
                    secret: sealed(&id, &format!("whsec_{number}")),
                    id,
                    is_generated: self.choices.happens(500),
                    sign_header_with: if overlap_seconds > 0 && self.choices.happens(500) {
                        SignHeaderWith::Previous
                    } else {
                        SignHeaderWith::Current
                    },
                    overlap_seconds,
                };
            }
            _ => {}
        }
        let mut change = WebhookChange {
            url: None,
            events: None,
            description: None,
            headers: None,
            enabled: None,
            paused: false,
            pace: PaceChange::default(),
            sign_header_with: None,
        };
        match wish {
            Wish::Enable(enabled) => change.enabled = Some(*enabled),
            Wish::Resume(_) => change.enabled = Some(true),
            Wish::Pause => {
                self.objects[object].was_paused = true;
                change.paused = true;
            }
            Wish::Pace => change.pace = self.any_pace().into(),
            Wish::Select => change.events = Some(self.any_types()),
            _ => change.url = Some(format!("https://hooks.example.com/{number}")),
        }
        WorkspaceCommand::ChangeWebhook { id, change }
    }

    /// What people asked for was answered, or not.
    pub(crate) fn person_answered(&mut self, workspace: usize, reply: Option<WorkspaceReply>) {
        let is_done = match &reply {
            None => false,
            Some(
                WorkspaceReply::Webhook { applied, .. } | WorkspaceReply::Done { applied, .. },
            ) => *applied,
            Some(WorkspaceReply::Refused(refusal)) => {
                assert!(
                    matches!(
                        refusal,
                        Refusal::NoWebhook | Refusal::NoKey | Refusal::TooManyWebhooks
                    ),
                    "people are refused: {refusal:?}"
                );
                true
            }
            Some(_) => true,
        };
        if !is_done {
            let after = self.after_ms(1_000, 20_000);
            self.later(after, Happening::Acts(workspace));
            return;
        }
        let action = self.workspaces[workspace].actions.pop_front();
        let Action { wish, whom, .. } = action.expect("somebody asked");
        self.tell(|| format!("people of workspace {workspace} have: {wish:?} {whom:?}"));
        match (wish, whom, reply) {
            (Wish::MakeWebhook, _, Some(WorkspaceReply::Webhook { webhook, .. })) => {
                self.object_of(workspace, &webhook.id);
            }
            (
                Wish::Enable(false) | Wish::Pause,
                Some(object),
                Some(WorkspaceReply::Webhook { .. }),
            )
            | (Wish::Delete, Some(object), Some(WorkspaceReply::Done { .. })) => {
                let now = self.now;
                self.objects[object].closed_since.get_or_insert(now);
            }
            (Wish::MakeKey, Some(key), _) => self.workspaces[workspace].keys[key].is_made = true,
            (Wish::RevokeKey, Some(key), _) => {
                let snapshot = self.workspaces[workspace].snapshot(self.now, &self.policy);
                let revision = snapshot.map(|snapshot| snapshot.keys_revision);
                self.workspaces[workspace].keys[key].revoked_in = revision;
            }
            _ => {}
        }
        // Some think better of it at once.
        if !self.is_well() && self.choices.happens(200) {
            let wish = match self.choices.below(4) {
                0 => Wish::Delete,
                1 => Wish::Select,
                _ => Wish::Move,
            };
            let after = self.after_ms(10, 5_000);
            self.later(after, Happening::Wants { workspace, wish });
        }
        self.act(workspace);
    }

    /// An endpoint says that it is gone, and its owner moves the webhook at once.
    pub(crate) fn owner_moves(&mut self, object: usize) {
        let workspace = self.objects[object].workspace;
        let after = self.after_ms(0, 3_000);
        let wish = Wish::Move;
        self.later(after, Happening::Wants { workspace, wish });
    }

    /// A webhook of a workspace that its people know and have not deleted.
    fn any_object_of(&mut self, workspace: usize) -> Option<usize> {
        let objects = self.objects.iter().enumerate();
        let own = objects.filter(|(_, one)| one.workspace == workspace && !one.is_deleted);
        let own: Vec<usize> = own.map(|(object, _)| object).collect();
        let chosen = self.choices.below(own.len().max(1) as u64);
        own.get(usize::try_from(chosen).expect("it is small"))
            .copied()
    }

    pub(crate) fn person_acts(&mut self) {
        if self.objects.is_empty() {
            return;
        }
        let chosen = self.choices.below(self.objects.len() as u64);
        let object = usize::try_from(chosen).expect("it is small");
        let ids = self.promised.iter().filter(|(_, one)| **one == object);
        let ids: Vec<DeliveryId> = ids.map(|(id, _)| id.clone()).collect();
        if ids.is_empty() {
            return;
        }
        let chosen = usize::try_from(self.choices.below(ids.len() as u64)).expect("it is small");
        let id = ids[chosen].clone();
        let command = match self.choices.below(5) {
            0 => WebhookCommand::Cancel { id: id.clone() },
            4 => WebhookCommand::SendNow { id: id.clone() },
            1 => self.bulk_resend(&ids),
            _ => WebhookCommand::Resend { id: id.clone() },
        };
        self.call(object, &command, Caller::Nobody);
    }

    /// A resend of many deliveries, of all of a status, of those with a last attempt, or of some that are named.
    fn bulk_resend(&mut self, ids: &[DeliveryId]) -> WebhookCommand {
        let id = ResendId::mint(self.now, self.choices.bytes());
        let all = |selection| WebhookCommand::StartResend {
            id: id.clone(),
            selection,
        };
        let some = |selection| WebhookCommand::StartNarrowedResend {
            id: id.clone(),
            selection,
        };
        match self.choices.below(5) {
            0 => all(Selection::of(Status::Failed)),
            1 => all(Selection::of(Status::Held)),
            2 => all(Selection::of(Status::Pending)),
            3 => some(Selection {
                last_attempt: LastAttemptFilter {
                    outcome: Some(Outcome::HttpError),
                    response_status: ResponseStatuses::parse("5xx").ok(),
                },
                ..Selection::of(Status::Failed)
            }),
            _ => {
                let named = ids.iter().filter(|_| self.choices.below(2) == 0);
                some(Selection::named(named.take(100).cloned().collect()))
            }
        }
    }
}

fn sealed(id: &WebhookId, secret: &str) -> Sealed {
    let sealed = EncryptionKeys::default().seal(secret, id, Field::Secret, [0; 12]);
    sealed.expect("a secret is sealed")
}
