//! The task of one webhook that outlives the answer: it stores, says what was stored, and sends what it got leases for.

use std::{collections::HashMap, rc::Rc, time::Duration};

use futures_channel::{mpsc, oneshot};
use futures_util::future::join_all;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{Delay, Env, console_error};

use super::{Batch, Found, Stored};
use crate::{
    domain::{
        dispatch::WORKER_LEASES,
        ids::{WebhookId, WorkspaceId},
        timestamp::Timestamp,
    },
    runtime::{
        commands::{Grant, Refusal, WebhookCommand, WebhookReply, ask_webhook},
        config::Config,
        entropy::now,
        observer::Observer,
        sender,
    },
};

/// What the report of an attempt needs at most, beyond the attempt.
const REPORT_TIME: Duration = Duration::from_secs(5);

/// Tries of one report; when all fail, the lease is lost and the attempt is made again.
const REPORT_TRIES: u32 = 3;

/// Lets what is ready run first: the answer leaves before the first attempt begins, which might take the instance along.
async fn give_way() {
    let ready = js_sys::Promise::resolve(&JsValue::NULL);
    // It is resolved already, so there is no error to see.
    let _ = JsFuture::from(ready).await;
}

/// What a webhook's task needs.
pub(super) struct Task {
    pub(super) env: Env,
    pub(super) config: Rc<Config>,
    pub(super) workspace: WorkspaceId,
    /// When the platform ends it.
    pub(super) until: Timestamp,
    /// Told of each attempt that has ended.
    pub(super) attempted: mpsc::UnboundedSender<()>,
}

impl Task {
    /// Stores a batch with its webhook, says what was stored, and sends what it got leases for.
    pub(super) async fn run(
        self,
        batch: Batch,
        leases: usize,
        answer: oneshot::Sender<Option<Stored>>,
    ) {
        let Batch {
            webhook,
            events,
            deliveries,
        } = batch;
        let payloads: HashMap<_, _> = deliveries
            .iter()
            .map(|delivery| (delivery.id.clone(), delivery.payload.clone()))
            .collect();
        let ids: Vec<_> = deliveries
            .iter()
            .map(|delivery| delivery.id.clone())
            .collect();
        let command = WebhookCommand::Accept {
            events: deliveries,
            leases,
        };
        let (stored, grants) = match ask_webhook(&self.env, &self.workspace, &webhook, &command)
            .await
        {
            Ok(WebhookReply::Taken {
                deliveries,
                grants,
                busy,
            }) => {
                // Of an array most is not sent from here.
                let busy = busy && deliveries.len() <= WORKER_LEASES;
                let found = events.into_iter().zip(deliveries).zip(ids);
                let found = found.map(|((event, taken), id)| {
                    (
                        event,
                        Found {
                            webhook: webhook.clone(),
                            taken,
                            id,
                        },
                    )
                });
                let found = found.collect();
                (Some(Stored { found, busy }), grants)
            }
            // Deleted, while the copy in KV still has it.
            Ok(WebhookReply::Refused(Refusal::NoWebhook)) => (Some(Stored::default()), Vec::new()),
            Ok(_) => (None, Vec::new()),
            Err(error) => {
                console_error!("{error}");
                (None, Vec::new())
            }
        };
        // Nobody listens where the client has gone; the leases are used all the same.
        let _ = answer.send(stored);
        give_way().await;
        let sends = grants.into_iter().map(|grant| {
            let payload = payloads.get(&grant.id).cloned();
            self.keep_sending(&webhook, Grant { payload, ..grant })
        });
        join_all(sends).await;
    }

    /// Makes an attempt, reports it, and goes on with the lease that the report is answered with, while time is left.
    async fn keep_sending(&self, webhook: &WebhookId, grant: Grant) {
        let policy = &self.config.policy;
        let observer = Observer::new(&self.env, self.workspace.as_ref(), webhook.as_ref());
        let mut next = Some(grant);
        while let Some(grant) = next {
            let mut report = sender::attempt(grant, webhook, &self.config, &observer).await;
            // Nobody listens any more where the answer has left.
            let _ = self.attempted.unbounded_send(());
            let needed = policy.attempt_timeout.saturating_add(REPORT_TIME);
            report.wants_lease = now().saturating_add(needed) <= self.until;
            next = self
                .report(webhook, &WebhookCommand::Report(Box::new(report)))
                .await;
        }
    }

    async fn report(&self, webhook: &WebhookId, report: &WebhookCommand) -> Option<Grant> {
        for attempt in 1..=REPORT_TRIES {
            match ask_webhook(&self.env, &self.workspace, webhook, report).await {
                Ok(WebhookReply::Granted(grant)) => return grant,
                Ok(_) => return None,
                Err(error) => console_error!("report {attempt}: {error}"),
            }
            Delay::from(Duration::from_millis(200).saturating_mul(attempt)).await;
        }
        None
    }
}
