//! The task of one webhook, which outlives the answer: it stores the deliveries, tells the machine what was stored, and
//! makes the attempts that it got leases for.

use std::{cell::RefCell, rc::Rc};

use futures_channel::{mpsc, oneshot};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{Env, console_error};

use crate::{
    domain::{
        budget::Budget,
        event::Event,
        ids::{WebhookId, WorkspaceId},
    },
    machines::{
        ingest::batch::{Batch, Replied, Stored, add_payloads},
        messages::Grant,
        shift::Shift,
    },
    runtime::{
        platform::{
            config::Config,
            entropy::now,
            object_calls::{ask_to_accept, wait_for_attempt},
            observer::Observer,
        },
        sender::{Connections, Sending, ToObject},
    },
};

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
    /// The connections of the invocation.
    pub(super) connections: Rc<Connections>,
    pub(super) workspace: WorkspaceId,
    /// How long it may send.
    pub(super) shift: Shift,
    /// The revision of the keys by which the caller was let in.
    pub(super) keys_revision: Option<u64>,
    /// Gets a message whenever an attempt has ended.
    pub(super) attempted: mpsc::UnboundedSender<()>,
}

impl Task {
    /// Stores a batch at its webhook, tells the machine what was stored, and makes the attempts that it got leases for.
    pub(super) async fn run(
        self,
        events: Rc<[Event]>,
        batch: Batch,
        answer: oneshot::Sender<Stored>,
    ) {
        let webhook = batch.webhook.clone();
        let deliveries = batch.deliveries.clone();
        let command = batch.command(&events, self.shift.ahead(now()), self.keys_revision);
        let asked = ask_to_accept(&self.env, &self.workspace, &webhook, &command);
        drop(command);
        let reply = asked.await.map_err(|error| console_error!("{error}")).ok();
        let Replied {
            stored,
            grants,
            unused,
            waits_for,
        } = batch.read(reply);
        self.budget.borrow_mut().give_back(unused);
        if let Some(id) = waits_for
            && let Err(error) = wait_for_attempt(&self.env, &self.workspace, &webhook, id).await
        {
            // It is stored, so the post is answered all the same.
            console_error!("{error}");
        }
        // The receiver is gone if the client is; the leases are used all the same.
        let _ = answer.send(stored);
        if grants.is_empty() {
            return;
        }
        run_ready_tasks().await;
        let grants = add_payloads(grants, &deliveries, &events);
        drop(events);
        self.keep_sending(&webhook, grants).await;
    }

    /// Makes attempts, reports them, and goes on with the leases that the report is answered with.
    async fn keep_sending(&self, webhook: &WebhookId, grants: Vec<Grant>) {
        let sending = Sending {
            webhook,
            config: &self.config,
            observer: Observer::new(&self.env, self.workspace.as_ref(), webhook.as_ref()),
            shift: self.shift,
            budget: &self.budget,
            connections: &self.connections,
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
