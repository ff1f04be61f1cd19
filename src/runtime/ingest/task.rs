//! The task of one webhook, which outlives the answer: it stores the deliveries, tells the answer what was stored, and
//! makes the attempts that it got leases for.

use std::{cell::RefCell, rc::Rc};

use futures_channel::{mpsc, oneshot};
use serde_json::value::to_raw_value;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{Env, console_error};

use super::{Batch, Found, Stored};
use crate::{
    domain::{
        budget::Budget,
        event::{Event, Payload},
        ids::{DeliveryId, WebhookId, WorkspaceId},
    },
    machines::shift::Shift,
    runtime::{
        commands::{
            CallError, Grant, NewDelivery, Refusal, WebhookCommand, WebhookReply, ask_to_accept,
        },
        config::Config,
        observer::Observer,
        sender::{Sending, ToObject},
    },
};

/// The payload of an event's delivery.
fn payload<'a>(event: &'a Event, id: &'a DeliveryId) -> Payload<'a> {
    Payload {
        id,
        event_type: event.event_type.as_str(),
        timestamp: &event.timestamp,
        data: &event.data,
    }
}

/// Lets ready tasks run first, so that the answer leaves before the first attempt, which might crash the instance.
async fn run_ready_tasks() {
    let ready = js_sys::Promise::resolve(&JsValue::NULL);
    // A resolved promise has no error.
    let _ = JsFuture::from(ready).await;
}

/// What a webhook's task needs.
pub(super) struct Task {
    pub(super) env: Env,
    pub(super) config: Rc<Config>,
    /// What the invocation may still send, with the leases asked for already taken from it.
    pub(super) budget: Rc<RefCell<Budget>>,
    pub(super) workspace: WorkspaceId,
    /// How long it may send.
    pub(super) shift: Shift,
    /// The revision of the keys by which the caller was let in.
    pub(super) keys_revision: Option<u64>,
    /// Gets a message whenever an attempt has ended.
    pub(super) attempted: mpsc::UnboundedSender<()>,
}

impl Task {
    /// Stores a batch at its webhook, tells the answer what was stored, and makes the attempts that it got leases for.
    pub(super) async fn run(
        self,
        events: Rc<[Event]>,
        batch: Batch,
        answer: oneshot::Sender<Stored>,
    ) {
        let (stored, grants) = match self.accept(&events, &batch).await {
            Ok(WebhookReply::Taken {
                deliveries: taken,
                grants,
                busy,
            }) => {
                let found = batch.deliveries.iter().zip(taken);
                let found = found.map(|((event, id), taken)| {
                    let webhook = batch.webhook.clone();
                    let id = id.clone();
                    (*event, Found { webhook, taken, id })
                });
                let found = found.collect();
                (Stored::Done { found, busy }, grants)
            }
            Ok(WebhookReply::Refused(Refusal::StaleKey)) => {
                // The receiver is gone if the client is.
                let _ = answer.send(Stored::StaleKey(batch));
                return;
            }
            // The webhook is deleted, but the copy in KV still has it.
            Ok(WebhookReply::Refused(Refusal::NoWebhook)) => {
                let found = Vec::new();
                (Stored::Done { found, busy: false }, Vec::new())
            }
            Ok(_) => (Stored::Failed, Vec::new()),
            Err(error) => {
                console_error!("{error}");
                (Stored::Failed, Vec::new())
            }
        };
        // The receiver is gone if the client is; the leases are used all the same.
        let _ = answer.send(stored);
        let unused = batch.leases.saturating_sub(grants.len());
        self.budget.borrow_mut().give_back(unused);
        if grants.is_empty() {
            return;
        }
        run_ready_tasks().await;
        let grants = grants.into_iter().map(|grant| {
            let own = batch.deliveries.iter().find(|(_, id)| *id == grant.id);
            let own = own.and_then(|(event, id)| Some(payload(events.get(*event)?, id)));
            let payload = own.and_then(|own| to_raw_value(&own).ok());
            Grant {
                payload: payload.or(grant.payload),
                ..grant
            }
        });
        let grants = grants.collect();
        drop(events);
        self.keep_sending(&batch.webhook, grants).await;
    }

    /// Asks the object of a webhook to accept a batch.
    fn accept(
        &self,
        events: &[Event],
        batch: &Batch,
    ) -> impl Future<Output = Result<WebhookReply, CallError>> + use<> {
        let deliveries = batch.deliveries.iter().filter_map(|(event, id)| {
            let event = events.get(*event)?;
            Some(NewDelivery {
                id: id.clone(),
                event_id: event.id.clone(),
                event_id_given: event.id_given,
                event_type: event.event_type.as_str().to_string(),
                payload: payload(event, id),
            })
        });
        let command = WebhookCommand::Accept {
            events: deliveries.collect(),
            leases: batch.leases,
            keys_revision: self.keys_revision,
        };
        ask_to_accept(&self.env, &self.workspace, &batch.webhook, &command)
    }

    /// Makes attempts, reports them, and goes on with the leases that the report is answered with.
    async fn keep_sending(&self, webhook: &WebhookId, grants: Vec<Grant>) {
        let sending = Sending {
            webhook,
            config: &self.config,
            observer: Observer::new(&self.env, self.workspace.as_ref(), webhook.as_ref()),
            shift: self.shift,
            budget: &self.budget,
            reports: ToObject {
                env: &self.env,
                workspace: &self.workspace,
                webhook,
            },
            ended: || {
                // The receiver is gone if the answer has left.
                let _ = self.attempted.unbounded_send(());
            },
            #[cfg(feature = "test-hooks")]
            counted: crate::runtime::test_hooks::Counted::new("worker"),
        };
        sending.run(grants).await;
    }
}
