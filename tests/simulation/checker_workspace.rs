//! The promises of workspaces and KV: what is told is known, what is selected is sent, and a revoked key lets nobody in.

use std::collections::BTreeSet;

use webhook_relay::{
    domain::{
        ids::DeliveryId,
        subscriptions::Snapshot,
        webhook::{Health, HealthState},
    },
    machines::messages::{WebhookCommand, WebhookReply, WorkspaceReply},
};

use crate::{host::Node, kv::PLACES, posting::Post, producer::PostAnswer, world::World};

impl World {
    /// A change that is said to be applied is stored by the webhook's object, or by a newer one.
    pub(crate) fn check_change_is_applied(&mut self, workspace: usize, reply: &WorkspaceReply) {
        let WorkspaceReply::Webhook {
            webhook,
            applied: true,
        } = reply
        else {
            return;
        };
        let object = self.object_of(workspace, &webhook.id);
        let one = &self.objects[object];
        let is_deleted = one.stored::<u64>("deleted").is_some();
        let revision = one.settings().map(|settings| settings.revision);
        assert!(
            is_deleted || revision >= Some(webhook.settings.revision),
            "revision {} of webhook {object} is said to be applied, but its object has {revision:?}",
            webhook.settings.revision
        );
    }

    /// A webhook's object has stored an event that came with a key: it had not been told that the key is revoked.
    pub(crate) fn check_key_was_good(&self, post: usize, object: usize) {
        let post = &self.posts[&post];
        let Some(key) = &post.key else { return };
        let keys = self.workspaces[self.objects[object].workspace].keys.iter();
        let revoked = keys.filter(|known| known.key.hash.matches(key));
        let known = post.keys_known[&object];
        for revision in revoked.filter_map(|known| known.revoked_in) {
            assert!(
                known < revision,
                "webhook {object} knew revision {known} of the keys, and took an event with a key revoked in {revision}"
            );
        }
    }

    /// A webhook's object has stored an event: it selected the type when it was asked, or does so at last.
    pub(crate) fn check_selected(&self, post: usize, object: usize) {
        let post = &self.posts[&post];
        let event_type = self.events[post.event].type_name;
        let is_selected = post.selected.contains(&object) || self.selects(object, event_type);
        assert!(
            is_selected,
            "webhook {object} took event {}, whose type it does not select",
            post.event
        );
    }

    /// Whether a webhook selects a type, as its object knows it.
    pub(crate) fn selects(&self, object: usize, event_type: &str) -> bool {
        let settings = self.objects[object].settings();
        settings.is_some_and(|settings| settings.selects(event_type))
    }

    /// A 202 reaches every webhook that the post's snapshot showed and that still selects the type, and no other.
    pub(crate) fn check_accepted(
        &self,
        number: usize,
        stored: &[(usize, DeliveryId)],
        full: &[usize],
    ) {
        let post = &self.posts[&number];
        let event = &self.events[post.event];
        let workspace = &self.workspaces[event.workspace];
        let Some(truth) = workspace.snapshot(self.now, &self.policy) else {
            return;
        };
        if workspace.host.has_jumped {
            return;
        }
        let leeway = self.ledger.leeway;
        let first_posted = event.first_posted_at.expect("it was posted");
        let first_posted = first_posted.saturating_sub(leeway);
        let chosen = |snapshot: &Snapshot| {
            let webhooks = snapshot.webhooks.iter();
            let chosen = webhooks
                .filter(|webhook| webhook.selected_at(event.type_name, first_posted))
                .map(|webhook| webhook.id.clone());
            chosen.collect::<Vec<_>>()
        };
        let now = chosen(&truth);
        // What a later post adds are webhooks that selected the type when the first one was accepted. A webhook that is
        // deleted remembers nothing.
        let holders = event.promised.iter();
        let known = holders
            .filter(|(object, id)| {
                !self.objects[**object].is_deleted && !self.is_trimmed(**object, id)
            })
            .map(|(_, id)| id.minted_at())
            .min();
        for (object, _) in stored.iter().filter(|_| event.is_given) {
            let webhook = &self.objects[*object].webhook;
            let mut webhooks = truth.webhooks.iter();
            let webhook = webhooks.find(|one| one.id == *webhook);
            if let (Some(known), Some(webhook)) = (known, webhook)
                && webhook.selects(event.type_name)
                && !event.promised.contains_key(object)
            {
                let known = known.saturating_add(leeway);
                // An old snapshot may show the type as selected where it was not for a time.
                let mut shown = post.shown.iter().flat_map(|copy| &copy.webhooks);
                assert!(
                    webhook.selected_at(event.type_name, known)
                        || shown
                            .any(|one| one.id == webhook.id
                                && one.selected_at(event.type_name, known)),
                    "event {} was added to webhook {object}, which selected its type later",
                    post.event
                );
            }
        }
        let shown = post.shown.as_deref().map(chosen).unwrap_or_default();
        for webhook in now.iter().filter(|webhook| shown.contains(webhook)) {
            let object = self.by_webhook[webhook];
            // Its object may not have learned of a change, which is not answered then.
            let was_asked = post.keys_known.contains_key(&object);
            if was_asked && !post.selected.contains(&object) {
                continue;
            }
            assert!(
                full.contains(&object) || stored.iter().any(|(stored, _)| *stored == object),
                "event {} was accepted without webhook {object}, which selects its type",
                post.event
            );
        }
    }

    /// When all has been well for hours, an answer is exactly what the workspaces say.
    pub(crate) fn check_last(&mut self, post: &Post, answer: &PostAnswer) {
        let event = &self.events[post.event];
        if !event.is_last {
            return;
        }
        let (number, event_type) = (event.workspace, event.type_name);
        let workspace = &self.workspaces[number];
        let is_good = post.key.as_ref().is_none_or(|key| {
            let mut keys = workspace.keys.iter();
            keys.any(|known| known.key.hash.matches(key) && known.revoked_in.is_none())
        });
        let truth = workspace.snapshot(self.now, &self.policy);
        let truth = truth.expect("the workspace is there");
        match answer {
            PostAnswer::Accepted { stored, full } => {
                assert!(is_good, "a key that is revoked posts event {}", post.event);
                let stored = stored.iter().map(|(object, _)| object).chain(full);
                let mut stored: Vec<_> = stored.copied().collect();
                stored.sort_unstable();
                let chosen = truth.matching(event_type);
                let mut chosen: Vec<_> = chosen.map(|id| self.by_webhook[id]).collect();
                chosen.sort_unstable();
                assert_eq!(stored, chosen, "the last event {}", post.event);
            }
            PostAnswer::Unauthorized => {
                assert!(!is_good, "a good key is refused for event {}", post.event);
            }
            PostAnswer::NotStored => panic!("the last event {} is not stored", post.event),
        }
    }

    /// At the end everybody knows what the workspaces say.
    pub(crate) fn check_workspaces(&mut self) {
        for number in 0..self.workspaces.len() {
            let workspace = &self.workspaces[number];
            assert!(
                workspace.actions.is_empty(),
                "people of workspace {number} still wait: {:?}",
                workspace.actions
            );
            let truth = workspace.snapshot(self.now, &self.policy);
            for place in 0..PLACES {
                let shown = self.kv.shows(place, number);
                let is_same = match (shown, &truth) {
                    (Some(shown), Some(truth)) => {
                        shown.webhooks == truth.webhooks
                            && shown.keys == truth.keys
                            && shown.keys_revision == truth.keys_revision
                    }
                    (None, None) => true,
                    _ => false,
                };
                assert!(
                    is_same,
                    "place {place} of KV shows of workspace {number} {shown:?}, not {truth:?}"
                );
            }
            let webhooks = workspace.webhooks(self.now, &self.policy);
            for webhook in &webhooks {
                let object = self.object_of(number, &webhook.id);
                let known = self.objects[object].settings();
                let mut wanted = webhook.settings.clone();
                wanted.keys_revision = truth.as_ref().map_or(0, |truth| truth.keys_revision);
                assert_eq!(
                    known.as_ref(),
                    Some(&wanted),
                    "the object of webhook {object} has other settings"
                );
            }
            for webhook in &webhooks {
                let object = self.object_of(number, &webhook.id);
                let WebhookReply::Gauges { health, .. } = self.ask(object, WebhookCommand::Gauges)
                else {
                    panic!("no gauges");
                };
                let shown = |health: Option<Health>| {
                    (HealthState::of(health), health.map(|health| health.since))
                };
                assert_eq!(
                    shown(webhook.standing.health),
                    shown(health),
                    "the list shows another health of webhook {object}"
                );
            }
            for object in 0..self.objects.len() {
                let one = &self.objects[object];
                if one.workspace == number
                    && !webhooks.iter().any(|webhook| webhook.id == one.webhook)
                {
                    assert!(
                        one.settings().is_none(),
                        "webhook {object} is deleted, and its object is not"
                    );
                }
            }
            // Once a minute.
            let limit = 60 * 60;
            let run = self.host(Node::Workspace(number)).alarms_run;
            assert!(run <= limit, "workspace {number} ran {run} alarms");
        }
    }

    /// The faults that occurred, and the reasons for which objects woke.
    pub(crate) fn what_occurred(&self) -> BTreeSet<String> {
        let workspaces = self.workspaces.iter().map(|one| &one.host);
        let hosts = workspaces.chain(self.objects.iter().map(|one| &one.host));
        let reasons = hosts.flat_map(|host| host.woken.keys());
        let woken = reasons.map(|reason| format!("wakes for {reason}"));
        let faults = self.faults.occurred.keys();
        faults
            .map(|fault| format!("{fault:?}"))
            .chain(woken)
            .collect()
    }
}
