//! People: they disable, enable and delete webhooks, resend and cancel deliveries, at any moment, and repeat what was not
//! answered.

use webhook_relay::{
    domain::{
        delivery::Status,
        ids::{DeliveryId, ResendId},
        resend::Selection,
        webhook::Settings,
    },
    machines::messages::WebhookCommand,
};

use crate::world::{Caller, World};

impl World {
    pub(crate) fn owner_changes(&mut self, object: usize) {
        let one = &mut self.objects[object];
        if one.is_deleted {
            return;
        }
        let revision = one.settings.revision + 1;
        if self.choices.happens(150) {
            self.objects[object].is_deleted = true;
            self.objects[object].settings.revision = revision;
            self.tell(|| format!("webhook {object} is deleted"));
        } else {
            let now = self.now;
            let one = &mut self.objects[object];
            let enabled = !one.settings.enabled;
            one.settings = Settings {
                revision,
                status_revision: revision,
                status_changed_at: now,
                enabled,
                ..one.settings.clone()
            };
            if enabled {
                one.closed_since = None;
            }
            self.tell(|| format!("webhook {object} is enabled: {enabled}"));
        }
        self.tell_object(object);
    }

    /// Tells an object its settings, as its workspace does until it answers.
    pub(crate) fn tell_object(&mut self, object: usize) {
        let one = &self.objects[object];
        let revision = one.settings.revision;
        let command = if one.is_deleted {
            WebhookCommand::Delete { revision }
        } else {
            WebhookCommand::Apply(one.settings.clone())
        };
        self.call(object, &command, Caller::Owner { object, revision });
    }

    pub(crate) fn owner_answered(&mut self, object: usize, revision: u64, is_answered: bool) {
        if self.objects[object].settings.revision != revision {
            return;
        }
        if !is_answered {
            self.tell_object(object);
            return;
        }
        let now = self.now;
        let one = &mut self.objects[object];
        if one.is_deleted || !one.settings.enabled {
            one.closed_since = Some(now);
        }
    }

    pub(crate) fn person_acts(&mut self, object: usize) {
        let ids = self.promised.iter().filter(|(_, one)| **one == object);
        let ids: Vec<DeliveryId> = ids.map(|(id, _)| id.clone()).collect();
        if ids.is_empty() {
            return;
        }
        let chosen = usize::try_from(self.choices.below(ids.len() as u64)).expect("it is small");
        let id = ids[chosen].clone();
        let command = match self.choices.below(4) {
            0 => WebhookCommand::Cancel { id: id.clone() },
            1 => WebhookCommand::StartJob {
                id: ResendId::mint(self.now, self.choices.bytes()),
                selection: Selection {
                    status: if self.choices.happens(500) {
                        Status::Failed
                    } else {
                        Status::Held
                    },
                    since: None,
                    until: None,
                },
            },
            _ => WebhookCommand::Resend { id: id.clone() },
        };
        if matches!(command, WebhookCommand::StartJob { .. }) {
            self.resent.insert(object);
        } else {
            self.touched.insert(id);
        }
        self.call(object, &command, Caller::Nobody);
    }
}
