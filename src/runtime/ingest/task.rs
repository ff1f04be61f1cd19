//! The task of one webhook that outlives the answer: it stores, says what was stored, and sends what it got leases for.

use std::{collections::HashMap, pin::pin, rc::Rc, time::Duration};

use futures_channel::{mpsc, oneshot};
use futures_util::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{Delay, Env, console_error};

use super::{Batch, Found, Stored};
use crate::{
    domain::{
        ids::{WebhookId, WorkspaceId},
        timestamp::Timestamp,
    },
    runtime::{
        commands::{AttemptReport, Grant, Refusal, WebhookCommand, WebhookReply, ask_webhook},
        config::Config,
        entropy::now,
        observer::Observer,
        sender,
    },
};

/// What the report of an attempt needs at most, beyond the attempt.
const REPORT_TIME: Duration = Duration::from_secs(5);

/// How long an attempt that has ended waits to be reported with others of the same moment.
const REPORTED_WITHIN: Duration = Duration::from_millis(3);

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
        let command = WebhookCommand::Accept {
            events: deliveries,
            leases,
        };
        let reply = ask_webhook(&self.env, &self.workspace, &webhook, &command).await;
        let deliveries = match command {
            WebhookCommand::Accept { events, .. } => events,
            _ => Vec::new(),
        };
        let (stored, grants) = match reply {
            Ok(WebhookReply::Taken {
                deliveries: taken,
                grants,
                busy,
            }) => {
                let found = events.into_iter().zip(taken).zip(&deliveries);
                let found = found.map(|((event, taken), delivery)| {
                    (
                        event,
                        Found {
                            webhook: webhook.clone(),
                            taken,
                            id: delivery.id.clone(),
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
        if grants.is_empty() {
            return;
        }
        give_way().await;
        let mut payloads: HashMap<_, _> = deliveries
            .into_iter()
            .map(|delivery| (delivery.id, delivery.payload))
            .collect();
        let grants = grants.into_iter().map(|grant| {
            let payload = payloads.remove(&grant.id);
            Grant {
                payload: payload.or(grant.payload),
                ..grant
            }
        });
        self.keep_sending(&webhook, grants.collect()).await;
    }

    /// Makes attempts, reports them, and goes on with the leases that the report is answered with, while time is left.
    async fn keep_sending(&self, webhook: &WebhookId, grants: Vec<Grant>) {
        let observer = Observer::new(&self.env, self.workspace.as_ref(), webhook.as_ref());
        let attempt = |grant| async {
            let report = sender::attempt(grant, webhook, &self.config, &observer).await;
            // Nobody listens any more where the answer has left.
            let _ = self.attempted.unbounded_send(());
            report
        };
        let mut sends: FuturesUnordered<_> = grants.into_iter().map(attempt).collect();
        while let Some(report) = sends.next().await {
            let mut reports = vec![report];
            if !sends.is_empty() {
                // Ended with the last of them: a timer that fires is a turn of its own.
                let mut moment = pin!(Delay::from(REPORTED_WITHIN));
                while let Either::Left((Some(report), _)) = select(sends.next(), &mut moment).await
                {
                    reports.push(report);
                }
            }
            sends.extend(self.report(webhook, reports).await.into_iter().map(attempt));
        }
    }

    /// Reports attempts; gives leases for as many further ones, if there is time for them.
    async fn report(&self, webhook: &WebhookId, reports: Vec<AttemptReport>) -> Vec<Grant> {
        let needed = self
            .config
            .policy
            .attempt_timeout
            .saturating_add(REPORT_TIME);
        let has_time = now().saturating_add(needed) <= self.until;
        let leases = if has_time { reports.len() } else { 0 };
        let command = WebhookCommand::Report { reports, leases };
        for attempt in 1..=REPORT_TRIES {
            match ask_webhook(&self.env, &self.workspace, webhook, &command).await {
                Ok(WebhookReply::Granted(grants)) => return grants,
                Ok(_) => return Vec::new(),
                Err(error) => console_error!("report {attempt}: {error}"),
            }
            Delay::from(Duration::from_millis(200).saturating_mul(attempt)).await;
        }
        Vec::new()
    }
}
