//! Calls of objects: commands and replies as JSON, either of which may be lost.

use webhook_relay::machines::{
    messages::{WebhookCommand, WebhookReply},
    sender::SenderInput,
    webhook::Input,
};

use crate::{
    faults::Fault,
    world::{Caller, Happening, World},
};

impl World {
    pub(crate) fn call(&mut self, object: usize, command: &WebhookCommand, caller: Caller) {
        let command = serde_json::to_string(command).expect("it is JSON");
        let mut after = self.after_ms(1, 10);
        if self.faults.occurs(Fault::CallSlow, &mut self.choices) {
            after += self.after_ms(500, 8_000);
        }
        if self.faults.occurs(Fault::CallLost, &mut self.choices) {
            self.later(
                after,
                Happening::Replied {
                    caller,
                    reply: None,
                },
            );
        } else {
            self.later(
                after,
                Happening::Arrives {
                    object,
                    command,
                    caller,
                },
            );
        }
    }

    pub(crate) fn arrives(&mut self, object: usize, command: &str, caller: Caller) {
        let command = serde_json::from_str(command).expect("a command is read as written");
        let one = &mut self.objects[object];
        one.called += 1;
        let (call, life) = (one.called, one.life);
        one.calls.insert(call, caller);
        self.turn(object, life, Input::Command(call, command));
    }

    pub(crate) fn reply(&mut self, caller: Caller, reply: Option<String>) {
        let is_lost = self.faults.occurs(Fault::ReplyLost, &mut self.choices);
        let after = self.after_ms(1, 10);
        let reply = reply.filter(|_| !is_lost);
        self.later(after, Happening::Replied { caller, reply });
    }

    pub(crate) fn replied(&mut self, caller: Caller, reply: Option<String>) {
        let reply = reply.map(|reply| {
            serde_json::from_str::<WebhookReply>(&reply).expect("a reply is read as written")
        });
        match caller {
            Caller::Post {
                event,
                object,
                try_number,
            } => {
                self.posted(event, object, try_number, reply);
            }
            Caller::Sender(sender) => {
                let answer = reply.map(|reply| match reply {
                    WebhookReply::Granted(grants) => grants,
                    _ => Vec::new(),
                });
                self.sends(sender, SenderInput::Answered(answer));
            }
            Caller::Owner { object, revision } => {
                self.owner_answered(object, revision, reply.is_some());
            }
            Caller::Nobody => {}
        }
    }
}
