//! Producers, and the Workers that take their posts: an event that was not stored everywhere is posted again.

use serde_json::value::RawValue;
use webhook_relay::{
    domain::ids::DeliveryId,
    machines::{
        messages::{NewDelivery, Taken, WebhookCommand, WebhookReply},
        shift::Shift,
    },
};

use crate::world::{Caller, Happening, World};

impl World {
    pub(crate) fn post(&mut self, event: usize) {
        let objects: Vec<_> = (0..self.objects.len()).collect();
        let now = self.now;
        let leases = 6 / objects.len();
        self.events[event].try_number += 1;
        self.events[event].has_failed = false;
        self.events[event].stored.clear();
        self.events[event].ids.clear();
        self.events[event].awaited = objects.iter().copied().collect();
        for object in objects {
            let id = DeliveryId::mint(now, self.choices.bytes());
            let one = &mut self.events[event];
            one.ids.insert(object, id.clone());
            let command = WebhookCommand::Accept {
                events: vec![NewDelivery {
                    payload: payload(&id, one.payload_bytes),
                    id,
                    event_id: one.id.clone(),
                    event_id_given: one.is_given,
                    event_type: "agent.error".into(),
                }],
                leases,
                keys_revision: None,
            };
            let try_number = one.try_number;
            self.call(
                object,
                &command,
                Caller::Post {
                    event,
                    object,
                    try_number,
                },
            );
        }
    }

    pub(crate) fn posted(
        &mut self,
        event: usize,
        object: usize,
        try_number: u32,
        reply: Option<WebhookReply>,
    ) {
        let now = self.now;
        let one = &mut self.events[event];
        let own = one.ids.get(&object).cloned();
        let length = one.payload_bytes;
        let is_current = one.try_number == try_number && one.awaited.remove(&object);
        let mut grants = Vec::new();
        match reply {
            Some(WebhookReply::Taken {
                deliveries,
                grants: granted,
                ..
            }) => {
                grants = granted;
                let stored = match deliveries.first() {
                    Some(Taken::New { .. }) => own.clone(),
                    Some(Taken::Duplicate(found)) => Some(found.id.clone()),
                    _ => None,
                };
                if is_current && let Some(stored) = stored {
                    one.stored.insert(object, stored);
                }
            }
            Some(_) => {}
            None => one.has_failed = true,
        }
        if let Some(id) = own.filter(|_| one.has_failed) {
            self.excused.insert(id);
        }
        if !grants.is_empty() {
            for grant in &mut grants {
                if grant.payload.is_none() {
                    grant.payload = Some(payload(&grant.id, length));
                }
            }
            let shift = Shift::of_invocation(now, &self.policy);
            self.new_sender(object, shift, grants);
        }
        let one = &mut self.events[event];
        if !is_current || !one.awaited.is_empty() {
            return;
        }
        if !one.has_failed {
            let stored = std::mem::take(&mut one.stored);
            self.promised
                .extend(stored.into_iter().map(|(object, id)| (id, object)));
        } else if one.is_given && one.try_number < 200 {
            let after = self.after_ms(1_000, 30_000);
            self.later(after, Happening::Posts(event));
        }
    }
}

fn payload(id: &DeliveryId, length: usize) -> Box<RawValue> {
    let text = format!("{{\"id\":\"{id}\",\"data\":\"{}\"}}", "x".repeat(length));
    RawValue::from_string(text).expect("it is JSON")
}
