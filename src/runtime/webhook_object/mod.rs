//! The object of one webhook: its settings, its deliveries, the retry schedule; its alarm hires
//! Senders for every retry.
//!
//! Why an object: accepting, leasing and reporting must see each other's changes, so that an attempt is leased once and
//! a duplicate is found while the first post is still in flight. One object per webhook, so that a slow endpoint delays
//! no other webhook.
//!
//! A command never awaits between reading memory and changing it: it loads, calls the domain, stores, and only then
//! awaits. Deliveries that go well are changed in memory first and flushed a moment later, together with the changes of
//! other commands; a command is answered after that. The output gate holds the answer, and a send, until the rows are
//! safe.

mod alarm;

mod attempts;

mod first_attempts;

mod hires;

mod intake;

mod people;

mod pages;

mod resends;

mod counts;

mod store;

mod waking;

mod writing;

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use futures_channel::oneshot;
use wasm_bindgen::JsValue;
use worker::{
    DurableObject, Env, Request, Response, Result, State, console_error, durable_object,
    wasm_bindgen,
};

use self::{first_attempts::FirstAttempts, store::WebhookStore};
#[cfg(feature = "test-hooks")]
use super::commands::Counted;
use super::{
    alarm_clock::AlarmClock,
    commands::{
        Grant, Refusal, WebhookCommand, WebhookReply, no_requests, parse_webhook_object_name,
        read_command, reply_with,
    },
    config::config,
    entropy::now,
    platform_probe,
    sealing::seal_anew,
};
use crate::{
    domain::{
        backoff::Backoff,
        dispatch::Dispatch,
        ids::WebhookId,
        resend::ResendJob,
        sealed::EncryptionKeys,
        stats::Tally,
        timestamp::Timestamp,
        webhook::{ReportedStanding, Settings, StoredHeader},
    },
    machines::hiring::Hiring,
};

/// How long after a fault of the relay itself the alarm tries again.
const AFTER_FAULT: Duration = Duration::from_secs(10);

/// The most that it waits after several faults in a row: a setting that does not parse lasts until the next deployment.
const AFTER_FAULTS: Duration = Duration::from_secs(60);

/// The object of one webhook.
#[durable_object(alarm)]
pub struct WebhookObject {
    env: Env,
    state: State,
    store: WebhookStore,
    clock: AlarmClock,
    desk: RefCell<Desk>,
    /// Whether the alarm is running and will arm the next one.
    is_working: Cell<bool>,
    /// How hiring Senders goes.
    hiring: RefCell<Hiring>,
    /// When the next slice of what is too old may be deleted, and whether the last one left more.
    next_slice: Cell<(Timestamp, bool)>,
    /// When to tell the workspace again after it did not answer.
    tell_after: Cell<Timestamp>,
    /// How long the alarm waits after its faults.
    faults: RefCell<Backoff>,
    /// How long it waits while the workspace does not answer.
    telling: RefCell<Backoff>,
    /// When to look again for something that can be deleted for want of storage, after there was nothing.
    trim_after: Cell<Timestamp>,
    /// When each command that waits to flush will do so.
    writers: RefCell<Vec<Timestamp>>,
    /// The commands that wait for another one's flush.
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
    /// Leases granted to commands that wait for the same flush.
    granted: RefCell<Vec<Grant>>,
    /// Answers that wait for an attempt.
    first_attempts: FirstAttempts,
    /// Commands received since the object started.
    obeyed: Cell<u32>,
}

/// The object's memory; losing it loses nothing.
#[derive(Default)]
enum Desk {
    /// Not read since the object started, or since a fault.
    #[default]
    Unread,
    /// The webhook has no settings.
    Closed,
    Open(Box<Open>),
}

/// What the object keeps in memory for a webhook that has settings.
struct Open {
    dispatch: Dispatch,
    /// The standing that the workspace was last told.
    told: ReportedStanding,
    /// The latest resend of many deliveries.
    job: Option<ResendJob>,
    /// Counts that are not folded into the rows of the hours yet.
    tally: Tally,
    /// Since when the log is whole, if anything was deleted for want of storage.
    log_since: Option<Timestamp>,
    /// Whether more is being deleted for want of storage; until that has ended, nobody is told since when the log is
    /// whole.
    is_trimming: bool,
}

impl Open {
    /// What the workspace has to be told.
    fn reportable(&self, now: Timestamp) -> ReportedStanding {
        let log_since = if self.is_trimming {
            self.told.log_since
        } else {
            self.log_since
        };
        ReportedStanding {
            log_since,
            ..self.dispatch.standing.reportable(now)
        }
    }
}

impl DurableObject for WebhookObject {
    fn new(state: State, env: Env) -> Self {
        #[cfg(feature = "test-hooks")]
        super::test_hooks::begin(&env);
        let storage = state.storage();
        Self {
            store: WebhookStore::new(&storage),
            clock: AlarmClock::new(storage),
            env,
            state,
            desk: RefCell::default(),
            is_working: Cell::default(),
            hiring: RefCell::default(),
            next_slice: Cell::default(),
            tell_after: Cell::default(),
            faults: RefCell::new(Backoff::new(AFTER_FAULT, AFTER_FAULTS)),
            telling: RefCell::new(Backoff::new(AFTER_FAULT, AFTER_FAULTS)),
            trim_after: Cell::default(),
            writers: RefCell::default(),
            waiting: RefCell::default(),
            granted: RefCell::default(),
            first_attempts: FirstAttempts::default(),
            obeyed: Cell::default(),
        }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        no_requests()
    }

    async fn alarm(&self) -> Result<Response> {
        self.clock.fired();
        let worked = self.work().await;
        self.is_working.set(false);
        if let Err(error) = worked {
            console_error!("alarm of {}: {error}", self.name());
            self.forget();
            let wait = self.faults.borrow_mut().failed();
            self.clock.arm(now().saturating_add(wait)).await?;
        } else {
            self.faults.borrow_mut().succeeded();
        }
        Response::empty()
    }
}

#[wasm_bindgen::prelude::wasm_bindgen]
impl WebhookObject {
    /// Runs a command; called by the Worker and by other objects.
    pub async fn obey(&self, command: String) -> std::result::Result<String, JsValue> {
        match self.carry_out(read_command(&command)?).await {
            Ok(reply) => Ok(reply_with(&reply)?),
            Err(error) => {
                // Memory and rows may differ, so the next command reads the rows again. Nothing else would set an alarm
                // for what was stored before the fault.
                self.forget();
                if let Err(error) = self.arm().await {
                    console_error!("arming {}: {error}", self.name());
                }
                Err(error.into())
            }
        }
    }
}

impl WebhookObject {
    async fn carry_out(&self, command: WebhookCommand) -> Result<WebhookReply> {
        let config =
            config(&self.env).map_err(|error| worker::Error::RustError(error.to_string()))?;
        let policy = &config.policy;
        self.obeyed.set(self.obeyed.get().saturating_add(1));
        // These are flushed together with others that arrive at the same moment.
        if !matches!(
            command,
            WebhookCommand::Accept { .. }
                | WebhookCommand::Recall { .. }
                | WebhookCommand::Report { .. }
        ) {
            self.flush()?;
        }
        let reply = match command {
            WebhookCommand::Apply(settings) => self.apply(&settings, &config.keys)?,
            WebhookCommand::Delete { revision } => return self.delete(revision).await,
            WebhookCommand::Accept {
                events,
                leases,
                keys_revision,
            } => {
                if self.knows_newer_keys(keys_revision)? {
                    return Ok(WebhookReply::Refused(Refusal::StaleKey));
                }
                return self.accept(events, leases, policy).await;
            }
            WebhookCommand::Recall { event_ids } => self.recall(&event_ids)?,
            WebhookCommand::Probe {
                kind,
                delivery,
                once,
            } => match self.find_probe(kind, once)? {
                Some(id) => WebhookReply::Probed(id),
                None => self.probe(kind, delivery, policy)?,
            },
            WebhookCommand::Report { reports, leases } => {
                return self.take_reports(reports, leases, policy).await;
            }
            WebhookCommand::Read { id } => self.read(&id)?,
            WebhookCommand::Trace { event_id, is_brief } => self.trace(&event_id, is_brief)?,
            WebhookCommand::List(filter) => self.list(filter)?,
            WebhookCommand::Resend { id } => self.resend(&id)?,
            WebhookCommand::Cancel { id } => self.cancel(&id)?,
            WebhookCommand::StartJob { id, selection } => self.start_job(id, selection)?,
            WebhookCommand::ReadJob { id } => self.read_job(&id)?,
            WebhookCommand::StopJob { id } => self.stop_job(&id)?,
            WebhookCommand::Stats { hours } => self.stats(hours)?,
            WebhookCommand::Gauges => self.gauges()?,
            WebhookCommand::LookAtAlarm => {
                self.look_at_alarm(policy).await?;
                return Ok(WebhookReply::Done);
            }
            WebhookCommand::Show(wanted) => self.show(wanted)?,
            WebhookCommand::ProbePlatform(order) => {
                let measured = platform_probe::in_object(&self.state, &order).await?;
                return Ok(WebhookReply::Measured(measured));
            }
            #[cfg(feature = "test-hooks")]
            WebhookCommand::Counted => {
                // Does not count itself.
                self.obeyed.set(self.obeyed.get().saturating_sub(1));
                let (rows_read, rows_written) = self.store.database().counted();
                let (alarms_set, alarms_run) = self.clock.counted();
                WebhookReply::Counted(Counted {
                    rows_read,
                    rows_written,
                    alarms_set,
                    alarms_run,
                    object_requests: self.obeyed.get(),
                    wasm_bytes: super::test_hooks::wasm_bytes(),
                })
            }
        };
        self.arm().await?;
        Ok(reply)
    }

    /// Drops what is in memory, so that the next command reads the rows again.
    fn forget(&self) {
        self.desk.replace(Desk::Unread);
        self.store.forget();
        self.writers.take();
        self.waiting.take();
        self.granted.take();
    }

    /// Runs `work` on the object's memory; returns `None` if the webhook has no settings.
    fn with_desk<T>(&self, work: impl FnOnce(&mut Open) -> Result<T>) -> Result<Option<T>> {
        let mut desk = self.desk.borrow_mut();
        if matches!(*desk, Desk::Unread) {
            *desk = self
                .store
                .load()?
                .map_or(Desk::Closed, |open| Desk::Open(Box::new(open)));
        }
        match &mut *desk {
            Desk::Open(open) => work(open).map(Some),
            Desk::Closed | Desk::Unread => Ok(None),
        }
    }

    /// The same for work that changes rows: all of it is stored, or nothing. Whoever gets an error forgets what is in
    /// memory, which has the change.
    fn change_desk<T>(&self, work: impl FnOnce(&mut Open) -> Result<T>) -> Result<Option<T>> {
        let database = self.store.database();
        self.with_desk(|open| database.transaction(|| work(open)))
    }

    /// The same for a command, which is refused if the webhook has no settings.
    fn change_on_desk(
        &self,
        work: impl FnOnce(&mut Open) -> Result<WebhookReply>,
    ) -> Result<WebhookReply> {
        Ok(self
            .change_desk(work)?
            .unwrap_or(WebhookReply::Refused(Refusal::NoWebhook)))
    }

    /// Runs a command on the object's memory; refuses it if the webhook has no settings.
    fn on_desk(
        &self,
        work: impl FnOnce(&mut Open) -> Result<WebhookReply>,
    ) -> Result<WebhookReply> {
        Ok(self
            .with_desk(work)?
            .unwrap_or(WebhookReply::Refused(Refusal::NoWebhook)))
    }

    /// Whether a key has been revoked since the revision by which a caller was let in.
    fn knows_newer_keys(&self, judged_by: Option<u64>) -> Result<bool> {
        let Some(judged_by) = judged_by else {
            return Ok(false);
        };
        let known = self.with_desk(|open| Ok(open.dispatch.settings.keys_revision))?;
        Ok(known.is_some_and(|known| known > judged_by))
    }

    fn apply(&self, settings: &Settings, keys: &EncryptionKeys) -> Result<WebhookReply> {
        let applied = self.change_desk(|Open { dispatch, .. }| {
            let known = &mut dispatch.settings;
            if settings.keys_revision > known.keys_revision {
                known.keys_revision = settings.keys_revision;
                self.store.put_settings(known)?;
            }
            if settings.revision > dispatch.settings.revision {
                self.store.put_settings(settings)?;
                if !dispatch
                    .settings
                    .sealed()
                    .all(|value| keys.is_current(value))
                {
                    self.seal_requests_anew(keys)?;
                }
                let before = dispatch.standing.clone();
                dispatch.standing.settings_changed(settings);
                if dispatch.standing != before {
                    self.store.put_standing(&dispatch.standing)?;
                }
                dispatch.settings = settings.clone();
            }
            Ok(())
        })?;
        if applied.is_none() && self.store.deleted_revision()?.is_none() {
            self.store.database().transaction(|| {
                self.store.create()?;
                self.store.put_settings(settings)
            })?;
            self.desk.replace(Desk::Unread);
        }
        Ok(WebhookReply::Done)
    }

    /// Pings and tests keep the values of custom headers as sealed when they were made, so these are sealed again too.
    fn seal_requests_anew(&self, keys: &EncryptionKeys) -> Result<()> {
        let webhook = self.webhook_id()?;
        self.store.change_requests(|request| {
            let values = request.custom_headers.iter_mut();
            seal_anew(keys, &webhook, values.map(StoredHeader::sealed_mut))
        })
    }

    async fn delete(&self, revision: u64) -> Result<WebhookReply> {
        if self.store.deleted_revision()?.is_none() {
            self.forget();
            self.desk.replace(Desk::Closed);
            self.state.storage().delete_all().await?;
            self.clock.fired();
            self.store.database().transaction(|| {
                self.store.create()?;
                self.store.put_deleted_revision(revision)
            })?;
        }
        Ok(WebhookReply::Done)
    }

    fn webhook_id(&self) -> Result<WebhookId> {
        let name = self.name();
        let (_, webhook) = parse_webhook_object_name(&name)
            .ok_or_else(|| worker::Error::RustError(format!("{name} is no webhook's object")))?;
        Ok(webhook)
    }

    fn name(&self) -> String {
        self.state.id().name().unwrap_or_default()
    }
}
