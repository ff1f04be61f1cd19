//! Calls of objects: commands and replies as JSON, either of which may be lost.

use std::{mem, time::Duration};

use webhook_relay::{
    domain::{event::Payload, webhook::ReportedStanding},
    machines::{
        messages::{WebhookCommand, WebhookReply, WorkspaceCommand, WorkspaceReply},
        sender::SenderInput,
        webhook::{self, group_commit::CallId},
        workspace,
    },
};

use crate::{faults::Fault, happenings::Happening, host::Node, wishes::Wish, world::World};

/// Who waits for the reply to a call.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// A Worker that takes a post, and which webhook it asks; none if it asks the workspace.
    Post {
        post: usize,
        webhook: Option<usize>,
    },
    Sender(u64),
    /// A workspace's object that tells a webhook's object its settings.
    Tells {
        workspace: usize,
        life: u64,
        webhook: usize,
        revision: u64,
    },
    /// A workspace's object that asks webhooks' objects to look at their alarms.
    Looks {
        workspace: usize,
        life: u64,
        call: CallId,
    },
    /// A webhook's object that tells its standing.
    Standing {
        webhook: usize,
        life: u64,
        standing: ReportedStanding,
    },
    /// A person of a workspace.
    Person(usize),
    Nobody,
}

/// How many of a thousand commands that accept or report share a call with others.
const SHARED: u64 = 400;

impl World {
    pub(crate) fn call(&mut self, object: usize, command: &WebhookCommand, caller: Caller) {
        let command = serde_json::to_string(command).expect("it is JSON");
        self.send_call(Node::Webhook(object), command, caller);
    }

    pub(crate) fn call_to_accept(
        &mut self,
        object: usize,
        command: &WebhookCommand<Payload<'_>>,
        caller: Caller,
    ) {
        let command = serde_json::to_string(command).expect("it is JSON");
        self.share_call(object, command, caller);
    }

    pub(crate) fn call_to_report(
        &mut self,
        object: usize,
        command: &WebhookCommand,
        caller: Caller,
    ) {
        let command = serde_json::to_string(command).expect("it is JSON");
        self.share_call(object, command, caller);
    }

    fn share_call(&mut self, object: usize, command: String, caller: Caller) {
        if self.choices.happens(SHARED) {
            let sharing = &mut self.objects[object].sharing;
            sharing.push((command, caller));
            if sharing.len() == 1 {
                let after = self.after_ms(1, 20);
                self.later(after, Happening::SharedCallArrives(object));
            }
        } else {
            self.send_call(Node::Webhook(object), command, caller);
        }
    }

    /// Commands may share a call with others: all of it is lost, or arrives at the same moment.
    pub(crate) fn shared_call_arrives(&mut self, object: usize) {
        let sharing = mem::take(&mut self.objects[object].sharing);
        if self.faults.occurs(Fault::CallLost, &mut self.choices) {
            self.tell(|| format!("a call of {object} that {} share is lost", sharing.len()));
            for (_, caller) in sharing {
                self.later(
                    Duration::ZERO,
                    Happening::Replied {
                        caller,
                        reply: None,
                    },
                );
            }
            return;
        }
        let life = self.host(Node::Webhook(object)).life;
        let commands = sharing.into_iter().map(|(command, caller)| {
            let call = self.host(Node::Webhook(object)).take_call(caller);
            let command = serde_json::from_str(&command).expect("a command is read as written");
            self.note_command(object, call, &command);
            (call, command)
        });
        let commands = commands.collect();
        self.turn(object, life, webhook::Input::SharedCall(commands));
    }

    pub(crate) fn call_workspace(
        &mut self,
        workspace: usize,
        command: &WorkspaceCommand,
        caller: Caller,
    ) {
        let command = serde_json::to_string(command).expect("it is JSON");
        self.send_call(Node::Workspace(workspace), command, caller);
    }

    fn send_call(&mut self, node: Node, command: String, mut caller: Caller) {
        let mut after = self.after_ms(1, 10);
        if self.faults.occurs(Fault::CallSlow, &mut self.choices) {
            // Settings that were given up arrive after newer ones.
            if let Caller::Tells { workspace, .. } = caller
                && self.choices.happens(500)
            {
                if self.choices.happens(300) {
                    let after = self.after_ms(10, 2_000);
                    let wish = Wish::Delete;
                    self.later(after, Happening::Wants { workspace, wish });
                }
                let given_up = mem::replace(&mut caller, Caller::Nobody);
                self.later(
                    after,
                    Happening::Replied {
                        caller: given_up,
                        reply: None,
                    },
                );
            }
            after += self.after_ms(500, 8_000);
            self.note_slow_report(&caller);
        }
        let happening = if self.faults.occurs(Fault::CallLost, &mut self.choices) {
            self.tell(|| format!("a call of {node:?} is lost"));
            Happening::Replied {
                caller,
                reply: None,
            }
        } else {
            Happening::Arrives {
                node,
                command,
                caller,
            }
        };
        self.later(after, happening);
    }

    pub(crate) fn arrives(&mut self, node: Node, command: &str, caller: Caller) {
        let host = self.host(node);
        let (call, life) = (host.take_call(caller), host.life);
        match node {
            Node::Webhook(object) => {
                let command = serde_json::from_str(command).expect("a command is read as written");
                self.note_command(object, call, &command);
                self.turn(object, life, webhook::Input::Command(call, command));
            }
            Node::Workspace(number) => {
                let command = serde_json::from_str(command).expect("a command is read as written");
                let input = workspace::Input::Command(call, Box::new(command));
                self.workspace_turn(number, life, input);
            }
        }
    }

    pub(crate) fn reply(&mut self, caller: Caller, reply: Option<String>) {
        let is_lost = self.faults.occurs(Fault::ReplyLost, &mut self.choices);
        let mut after = self.after_ms(1, 10);
        if self.faults.occurs(Fault::CallSlow, &mut self.choices) {
            after += self.after_ms(500, 8_000);
            self.note_slow_report(&caller);
        }
        let is_of_webhook = match caller {
            Caller::Sender(_) => true,
            Caller::Post { webhook, .. } => webhook.is_some(),
            _ => false,
        };
        if is_lost
            && is_of_webhook
            && let Some(lost) = of_webhook(reply.clone())
        {
            self.note_lost_reply(&lost);
        }
        let reply = reply.filter(|_| !is_lost);
        if reply.is_none() {
            self.note_lost_report(&caller, "its report is not answered");
        }
        self.later(after, Happening::Replied { caller, reply });
    }

    pub(crate) fn replied(&mut self, caller: Caller, reply: Option<String>) {
        let is_answered = reply.is_some();
        match caller {
            Caller::Post { post, webhook } => match webhook {
                Some(object) => self.post_answered(post, object, of_webhook(reply)),
                None => self.post_told(post, of_workspace(reply)),
            },
            Caller::Sender(sender) => {
                let reply = of_webhook(reply);
                self.note_report_answered(sender, reply.as_ref());
                let answer = reply.map(|reply| match reply {
                    WebhookReply::Granted(grants) => grants,
                    _ => Vec::new(),
                });
                self.sends(sender, SenderInput::Answered(answer));
            }
            Caller::Tells {
                workspace,
                life,
                webhook,
                revision,
            } => {
                let input = workspace::Input::Told {
                    webhook: self.objects[webhook].webhook.clone(),
                    revision,
                    is_applied: is_answered,
                };
                self.workspace_turn(workspace, life, input);
            }
            Caller::Looks {
                workspace,
                life,
                call,
            } => self.looked(workspace, life, call),
            Caller::Standing {
                webhook,
                life,
                standing,
            } => {
                let input = webhook::Input::Told {
                    standing,
                    is_answered,
                };
                self.alarm_goes_on(webhook, life, input);
            }
            Caller::Person(workspace) => self.person_answered(workspace, of_workspace(reply)),
            Caller::Nobody => {}
        }
    }
}

fn of_webhook(reply: Option<String>) -> Option<WebhookReply> {
    reply.map(|reply| serde_json::from_str(&reply).expect("a reply is read as written"))
}

fn of_workspace(reply: Option<String>) -> Option<WorkspaceReply> {
    reply.map(|reply| serde_json::from_str(&reply).expect("a reply is read as written"))
}
