//! The object of one webhook: its settings, its deliveries, the retry schedule; its alarm makes every retry.
//!
//! Why an object: accepting, leasing and reporting must see each other, so that an attempt is leased once and a
//! duplicate is found while the first post is still in flight. One object per webhook, so that a slow endpoint delays
//! nobody else.
//!
//! Each command runs without a wait between reading memory and writing rows: it loads, calls the domain, stores, and
//! only then waits (for the alarm to be armed). The output gate holds the answer, and a send, until the rows are safe.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use worker::{
    DurableObject, Env, Request, Response, Result, State, console_error, durable_object,
    wasm_bindgen,
};

use super::{
    alarm_clock::AlarmClock,
    commands::{
        AttemptReport, Grant, NewDelivery, Recalled, Refusal, Taken, WebhookCommand, WebhookReply,
        WorkspaceCommand, ask_workspace, parse_webhook_object_name, read_command, reply_with,
    },
    config::config,
    entropy::now,
    sender,
    webhook_store::{Loaded, WebhookStore},
};
use crate::domain::{
    delivery::{Change, Kind, Report},
    dispatch::{ALARM_SENDS, BacklogFull, Dispatch},
    ids::{DeliveryId, EventId},
    policy::Policy,
    record::{DeliveryFilter, DeliveryRecord},
    timestamp::Timestamp,
    webhook::{ReportedStanding, Settings},
};

/// How long a producer's `event_id` finds its delivery.
const EVENT_ID_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an alarm goes on leasing before it gives way to a new one; the platform ends it after 15 minutes.
const ALARM_BUDGET: Duration = Duration::from_secs(60);

/// The time between two looks for what is too old to keep, where nothing else wakes the object.
const HOUSEKEEPING: Duration = Duration::from_secs(60 * 60);

/// After a fault of the relay's own, when the alarm tries again.
const AFTER_FAULT: Duration = Duration::from_secs(10);

/// Due deliveries of a disabled webhook that one alarm holds before it gives way.
const HOLD_SLICE: usize = 500;

/// The object of one webhook.
#[durable_object(alarm)]
pub struct WebhookObject {
    env: Env,
    state: State,
    store: WebhookStore,
    clock: AlarmClock,
    desk: RefCell<Desk>,
    /// Tells a running alarm that there is more to do.
    wake: RefCell<Option<UnboundedSender<()>>>,
    /// When the workspace is told again, after it did not answer.
    tell_after: Cell<Timestamp>,
}

/// The object's memory; losing it loses nothing.
#[derive(Default)]
enum Desk {
    /// Not read since the object started, or since a storage error.
    #[default]
    Unread,
    /// The webhook has no settings.
    Closed,
    Open(Box<Open>),
}

struct Open {
    dispatch: Dispatch,
    told: ReportedStanding,
}

impl DurableObject for WebhookObject {
    fn new(state: State, env: Env) -> Self {
        let storage = state.storage();
        Self {
            store: WebhookStore::new(&storage),
            clock: AlarmClock::new(storage),
            env,
            state,
            desk: RefCell::default(),
            wake: RefCell::default(),
            tell_after: Cell::default(),
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let command = read_command(&mut request).await?;
        let reply = match self.obey(command).await {
            Ok(reply) => reply,
            Err(error) => {
                // Memory and rows may differ: the next command reads the rows anew.
                self.desk.replace(Desk::Unread);
                return Err(error);
            }
        };
        reply_with(&reply)
    }

    async fn alarm(&self) -> Result<Response> {
        self.clock.fired();
        let worked = self.work().await;
        self.wake.replace(None);
        if let Err(error) = worked {
            console_error!("alarm of {}: {error}", self.name());
            self.desk.replace(Desk::Unread);
            self.clock.arm(now().saturating_add(AFTER_FAULT)).await?;
        }
        Response::empty()
    }
}

impl WebhookObject {
    async fn obey(&self, command: WebhookCommand) -> Result<WebhookReply> {
        let config =
            config(&self.env).map_err(|error| worker::Error::RustError(error.to_string()))?;
        let policy = &config.policy;
        let reply = match command {
            WebhookCommand::Apply(settings) => self.apply(&settings)?,
            WebhookCommand::Delete { revision } => return self.delete(revision).await,
            WebhookCommand::Accept { events, leases } => self.accept(events, leases, policy)?,
            WebhookCommand::Recall { event_ids } => self.recall(&event_ids)?,
            WebhookCommand::Probe { kind, delivery } => self.probe(kind, delivery, policy)?,
            WebhookCommand::Report(report) => self.take_report(*report, policy)?,
            WebhookCommand::Read { id } => self.read(&id)?,
            WebhookCommand::List(filter) => self.list(filter)?,
            #[cfg(feature = "test-hooks")]
            WebhookCommand::Counted => {
                let (rows_read, rows_written) = self.store.database().counted();
                WebhookReply::Counted {
                    rows_read,
                    rows_written,
                    alarms_set: self.clock.sets(),
                }
            }
        };
        self.arm().await?;
        Ok(reply)
    }

    /// Runs `work` on the webhook's desk; `None` where the webhook has no settings.
    fn with_desk<T>(&self, work: impl FnOnce(&mut Open) -> Result<T>) -> Result<Option<T>> {
        let mut desk = self.desk.borrow_mut();
        if matches!(*desk, Desk::Unread) {
            *desk = match self.store.load()? {
                None => Desk::Closed,
                Some(Loaded {
                    settings,
                    standing,
                    told,
                    queue,
                }) => Desk::Open(Box::new(Open {
                    dispatch: Dispatch {
                        settings,
                        standing,
                        queue,
                    },
                    told,
                })),
            };
        }
        match &mut *desk {
            Desk::Open(open) => work(open).map(Some),
            Desk::Closed | Desk::Unread => Ok(None),
        }
    }

    /// The same for a command, which is refused where the webhook has no settings.
    fn on_desk(
        &self,
        work: impl FnOnce(&mut Open) -> Result<WebhookReply>,
    ) -> Result<WebhookReply> {
        Ok(self
            .with_desk(work)?
            .unwrap_or(WebhookReply::Refused(Refusal::NoWebhook)))
    }

    fn apply(&self, settings: &Settings) -> Result<WebhookReply> {
        let applied = self.with_desk(|Open { dispatch, .. }| {
            if settings.revision > dispatch.settings.revision {
                self.store.put_settings(settings)?;
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
            self.store.create()?;
            self.store.put_settings(settings)?;
            self.desk.replace(Desk::Unread);
        }
        Ok(WebhookReply::Done)
    }

    async fn delete(&self, revision: u64) -> Result<WebhookReply> {
        if self.store.deleted_revision()?.is_none() {
            self.desk.replace(Desk::Closed);
            self.state.storage().delete_all().await?;
            self.clock.fired();
            self.store.create()?;
            self.store.put_deleted_revision(revision)?;
        }
        Ok(WebhookReply::Done)
    }

    fn accept(
        &self,
        events: Vec<NewDelivery>,
        leases: usize,
        policy: &Policy,
    ) -> Result<WebhookReply> {
        let now = now();
        self.on_desk(|open| {
            let mut deliveries = Vec::with_capacity(events.len());
            let mut grants = Vec::new();
            for event in events {
                let may_lease = grants.len() < leases;
                let (taken, grant) =
                    self.take_in(&mut open.dispatch, event, may_lease, now, policy)?;
                deliveries.push(taken);
                grants.extend(grant);
            }
            Ok(WebhookReply::Taken { deliveries, grants })
        })
    }

    fn take_in(
        &self,
        dispatch: &mut Dispatch,
        event: NewDelivery,
        may_lease: bool,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<(Taken, Option<Grant>)> {
        if event.event_id_given
            && let Some(found) = self.find_event(&event.event_id, now)?
        {
            return Ok((Taken::Duplicate(found), None));
        }
        if !dispatch.settings.selects(&event.event_type) {
            return Ok((Taken::NotSelected, None));
        }
        let bytes = length(&event);
        let mut delivery = match dispatch.admit(Kind::Event, bytes, now, policy) {
            Ok(delivery) => delivery,
            Err(BacklogFull) => return Ok((Taken::BacklogFull, None)),
        };
        let lease = if may_lease {
            dispatch.lease(&mut delivery, now, policy)
        } else {
            None
        };
        let status = delivery.status();
        if event.event_id_given {
            self.store.put_event_id(&event.event_id, &event.id, now)?;
        }
        let record = new_record(event, delivery);
        self.store.insert(&record)?;
        dispatch.queue.place(&record.id, &record.delivery, bytes);
        let grant = lease.map(|lease| grant(&dispatch.settings, &record, lease, now));
        Ok((Taken::New { status }, grant))
    }

    fn recall(&self, event_ids: &[EventId]) -> Result<WebhookReply> {
        let now = now();
        self.on_desk(|_| {
            let found = event_ids.iter().map(|id| self.find_event(id, now));
            Ok(WebhookReply::Recalled(found.collect::<Result<_>>()?))
        })
    }

    /// The delivery that an earlier post of the same event made.
    fn find_event(&self, id: &EventId, now: Timestamp) -> Result<Option<Recalled>> {
        let found = self.store.find_event(id, now, EVENT_ID_KEPT)?;
        Ok(found.map(|found| Recalled {
            id: found.id,
            status: found.delivery.status(),
            event_type: found.event_type,
        }))
    }

    fn probe(&self, kind: Kind, event: NewDelivery, policy: &Policy) -> Result<WebhookReply> {
        let now = now();
        self.on_desk(|Open { dispatch, .. }| {
            let bytes = length(&event);
            let Ok(mut delivery) = dispatch.admit(kind, bytes, now, policy) else {
                return Ok(WebhookReply::Granted(None));
            };
            let lease = dispatch.lease(&mut delivery, now, policy);
            let record = new_record(event, delivery);
            self.store.insert(&record)?;
            dispatch.queue.place(&record.id, &record.delivery, bytes);
            Ok(WebhookReply::Granted(lease.map(|lease| {
                grant(&dispatch.settings, &record, lease, now)
            })))
        })
    }

    fn take_report(&self, report: AttemptReport, policy: &Policy) -> Result<WebhookReply> {
        let now = now();
        let wants_lease = report.wants_lease;
        self.on_desk(|open| {
            self.settle(open, report, now, policy)?;
            let next = if wants_lease {
                self.lease_next(&mut open.dispatch, now, policy, false)?
            } else {
                None
            };
            Ok(WebhookReply::Granted(next.map(|(grant, _)| grant)))
        })
    }

    /// Stores what a report says.
    fn settle(
        &self,
        open: &mut Open,
        report: AttemptReport,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<()> {
        let Some(mut record) = self.store.read(&report.id)? else {
            return Ok(());
        };
        let was_settled = record.delivery.is_settled();
        let told = Report {
            lease: report.lease,
            outcome: report.attempt.outcome,
            response_status: report.attempt.response_status,
            retry_after: report.retry_after_ms.map(Duration::from_millis),
        };
        let change = self.and_standing(open, |dispatch| {
            dispatch.take_report(
                &mut record,
                &told,
                report.attempt,
                report.revision,
                now,
                policy,
            )
        })?;
        if change == Change::None {
            return Ok(());
        }
        record.request = report.request.or(record.request);
        self.put(&mut open.dispatch, &record, was_settled)
    }

    /// Calls the domain and stores the standing where that changed it.
    fn and_standing<T>(
        &self,
        open: &mut Open,
        change: impl FnOnce(&mut Dispatch) -> T,
    ) -> Result<T> {
        let before = open.dispatch.standing.clone();
        let changed = change(&mut open.dispatch);
        if open.dispatch.standing != before {
            self.store.put_standing(&open.dispatch.standing)?;
        }
        Ok(changed)
    }

    fn put(
        &self,
        dispatch: &mut Dispatch,
        record: &DeliveryRecord,
        was_settled: bool,
    ) -> Result<()> {
        self.store.update(record, was_settled)?;
        let bytes = dispatch.queue.bytes_of(&record.id);
        dispatch.queue.place(&record.id, &record.delivery, bytes);
        Ok(())
    }

    /// Leases the next due delivery, its payload included. `idle`: nothing else is under way at the caller's. Tells
    /// whether the delivery lost a lease before, and has to be sent alone.
    fn lease_next(
        &self,
        dispatch: &mut Dispatch,
        now: Timestamp,
        policy: &Policy,
        idle: bool,
    ) -> Result<Option<(Grant, bool)>> {
        if !dispatch.is_enabled() || dispatch.queue.leases() >= policy.max_leases {
            return Ok(None);
        }
        let Some(id) = dispatch.queue.next_due(now, idle) else {
            return Ok(None);
        };
        let Some(mut record) = self.store.read_whole(&id)? else {
            dispatch.queue.remove(&id);
            return Ok(None);
        };
        let Some(lease) = dispatch.lease(&mut record.delivery, now, policy) else {
            return Ok(None);
        };
        self.put(dispatch, &record, false)?;
        let alone = record.delivery.lost_leases() > 0;
        let grant = grant(&dispatch.settings, &record, lease, now);
        Ok(Some((
            Grant {
                payload: record.payload,
                ..grant
            },
            alone,
        )))
    }

    fn read(&self, id: &DeliveryId) -> Result<WebhookReply> {
        self.on_desk(|_| {
            let record = self.store.read_whole(id)?;
            Ok(
                record.map_or(WebhookReply::Refused(Refusal::NoDelivery), |record| {
                    WebhookReply::Delivery(Box::new(record))
                }),
            )
        })
    }

    fn list(&self, mut filter: DeliveryFilter) -> Result<WebhookReply> {
        self.on_desk(|_| {
            let wanted = filter.limit;
            filter.limit = wanted.saturating_add(1);
            let mut records = self.store.list(&filter)?;
            let more = records.len() > wanted;
            records.truncate(wanted);
            Ok(WebhookReply::Deliveries { records, more })
        })
    }

    /// The alarm's work: takes back ended leases, holds what is due at a disabled webhook, sends what is due, purges
    /// what is old, tells the workspace, and arms the next alarm last.
    async fn work(&self) -> Result<()> {
        let config =
            config(&self.env).map_err(|error| worker::Error::RustError(error.to_string()))?;
        let policy = &config.policy;
        let end = now().saturating_add(ALARM_BUDGET);
        let (wake, mut woken) = unbounded();
        self.wake.replace(Some(wake));
        let mut sends = FuturesUnordered::new();
        let mut alone = false;
        loop {
            let now = now();
            let held_all = self.take_back_and_hold(now, policy)?;
            while held_all && now < end && !alone && sends.len() < ALARM_SENDS {
                let idle = sends.is_empty();
                let next = self
                    .with_desk(|open| self.lease_next(&mut open.dispatch, now, policy, idle))?
                    .flatten();
                let Some((grant, suspect)) = next else { break };
                alone = suspect;
                sends.push(self.attempt(grant, policy));
            }
            if sends.is_empty() {
                break;
            }
            // A new delivery wakes the alarm, so that a free slot does not wait for a hanging endpoint.
            if let Either::Left((Some(sent), _)) = select(sends.next(), woken.next()).await {
                sent?;
                alone = false;
            }
        }
        self.wake.replace(None);
        self.tell_workspace().await;
        self.purge(policy)?;
        self.arm_after_alarm().await
    }

    /// Makes an attempt from here and stores its report.
    async fn attempt(&self, grant: Grant, policy: &Policy) -> Result<()> {
        let report = sender::attempt(grant, policy).await;
        let now = now();
        self.with_desk(|open| self.settle(open, report, now, policy))?;
        Ok(())
    }

    /// Takes back the leases that have ended; holds a slice of what is due where the webhook is disabled. Tells whether
    /// nothing is left to hold.
    fn take_back_and_hold(&self, now: Timestamp, policy: &Policy) -> Result<bool> {
        let done = self.with_desk(|open| {
            while let Some(id) = open.dispatch.queue.ended_lease(now) {
                let Some(mut record) = self.store.read(&id)? else {
                    open.dispatch.queue.remove(&id);
                    continue;
                };
                self.and_standing(open, |dispatch| {
                    dispatch.take_back_lease(&mut record, now, policy)
                })?;
                self.put(&mut open.dispatch, &record, false)?;
            }
            let dispatch = &mut open.dispatch;
            for _ in 0..HOLD_SLICE {
                let Some(id) = dispatch
                    .queue
                    .any_due(now)
                    .filter(|_| !dispatch.is_enabled())
                else {
                    return Ok(true);
                };
                let Some(mut record) = self.store.read(&id)? else {
                    dispatch.queue.remove(&id);
                    continue;
                };
                record.delivery.hold();
                self.put(dispatch, &record, false)?;
            }
            Ok(false)
        })?;
        Ok(done.unwrap_or(true))
    }

    /// Tells the workspace how the webhook stands, where it does not know yet; the next alarm tries again.
    async fn tell_workspace(&self) {
        let untold = self.with_desk(|open| {
            let standing = open.dispatch.standing.reportable(now());
            Ok((standing != open.told).then_some(standing))
        });
        let Ok(Some(Some(standing))) = untold else {
            return;
        };
        let Some((workspace, id)) = parse_webhook_object_name(&self.name()) else {
            return;
        };
        let command = WorkspaceCommand::ReportStanding {
            id,
            standing: standing.clone(),
        };
        match ask_workspace(&self.env, &workspace, &command).await {
            Ok(_) => {
                let kept = self.with_desk(|open| {
                    self.store.put_told(&standing)?;
                    open.told = standing;
                    Ok(())
                });
                if let Err(error) = kept {
                    console_error!("standing of {}: {error}", self.name());
                }
            }
            Err(error) => {
                console_error!("standing of {}: {error}", self.name());
                self.tell_after.set(now().saturating_add(AFTER_FAULT));
            }
        }
    }

    /// Deletes a slice of what is too old to keep.
    fn purge(&self, policy: &Policy) -> Result<()> {
        let now = now();
        let kept_since = now.saturating_sub(policy.retention);
        self.with_desk(|open| {
            for id in self.store.held_before(kept_since)? {
                self.store.delete_unsettled(&id)?;
                open.dispatch.queue.remove(&id);
            }
            self.store
                .purge(kept_since, now.saturating_sub(EVENT_ID_KEPT))
        })?;
        Ok(())
    }

    /// Arms the alarm for whatever comes first: a due delivery, the end of a lease, word to the workspace. A running
    /// alarm is told instead, and arms when it is done.
    async fn arm(&self) -> Result<()> {
        if let Some(wake) = &*self.wake.borrow() {
            // Nobody listens only where the alarm is over, and then it has seen the change.
            let _ = wake.unbounded_send(());
            return Ok(());
        }
        match self.with_desk(|open| Ok(self.next_wake(open)))?.flatten() {
            Some(time) => self.clock.arm(time).await,
            None => Ok(()),
        }
    }

    /// The same at the end of an alarm, which also looks after what has to be purged later.
    async fn arm_after_alarm(&self) -> Result<()> {
        self.arm().await?;
        if self
            .with_desk(|_| self.store.is_empty())?
            .is_none_or(|empty| empty)
        {
            return Ok(());
        }
        self.clock.arm(now().saturating_add(HOUSEKEEPING)).await
    }

    fn next_wake(&self, open: &Open) -> Option<Timestamp> {
        let now = now();
        let standing = &open.dispatch.standing;
        let untold = standing.reportable(now) != open.told;
        let tell = if untold {
            Some(self.tell_after.get())
        } else {
            standing.failing_reportable_at()
        };
        let tell = tell.filter(|time| untold || *time > now);
        [open.dispatch.queue.next_wake(), tell]
            .into_iter()
            .flatten()
            .min()
    }

    fn name(&self) -> String {
        self.state.id().name().unwrap_or_default()
    }
}

fn length(event: &NewDelivery) -> u64 {
    u64::try_from(event.payload.get().len()).unwrap_or(u64::MAX)
}

fn new_record(event: NewDelivery, delivery: crate::domain::delivery::Delivery) -> DeliveryRecord {
    DeliveryRecord {
        id: event.id,
        event_id: event.event_id,
        event_type: event.event_type,
        delivery,
        attempts: Vec::new(),
        payload: Some(event.payload),
        request: None,
    }
}

fn grant(
    settings: &Settings,
    record: &DeliveryRecord,
    lease: crate::domain::delivery::Lease,
    now: Timestamp,
) -> Grant {
    let previous = settings
        .previous_secret
        .as_ref()
        .filter(|previous| now < previous.expires_at);
    Grant {
        id: record.id.clone(),
        kind: record.delivery.kind(),
        event_type: record.event_type.clone(),
        lease,
        revision: settings.revision,
        url: settings.url.clone(),
        headers: settings.headers.clone(),
        secret: settings.secret.clone(),
        previous_secret: previous.map(|previous| previous.secret.clone()),
        payload: None,
    }
}
