//! The commands to a webhook's object, and its replies.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Refusal;
use crate::{
    domain::{
        attempt::Attempt,
        delivery::{Kind, Lease, Status},
        dispatch::{Lateness, LeaseGranted},
        ids::{DeliveryId, EventId, ResendId},
        record::{DeliveryFilter, DeliveryRecord, SentRequest},
        resend::{BulkResend, Preview, Selection},
        sealed::Sealed,
        secret::SignHeaderWith,
        stats::HourCounts,
        timestamp::Timestamp,
        webhook::{Health, LastAttempts, Settings, StoredHeader},
    },
    machines::messages::{Shown, Wanted},
};

/// A command to the object of a webhook; `P` is the payload of new deliveries, which a Worker writes from the posted
/// event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookCommand<P = Box<RawValue>> {
    /// From the workspace's object: new settings.
    Apply(Box<Settings>),
    /// From the workspace's object: the webhook is deleted.
    Delete {
        /// The revision.
        revision: u64,
    },
    /// Accepts events; asks for at most `leases` leases, of these or of what others post at the same moment.
    Accept {
        /// The events.
        events: Vec<NewDelivery<P>>,
        /// How many leases are asked for at most.
        leases: usize,
        /// How long before its attempt may begin a lease can be given, in milliseconds. Workers of an earlier release do
        /// not wait.
        #[serde(default)]
        ahead_ms: u64,
        /// The revision of the keys by which the caller was let in; none if no key was judged by a copy.
        #[serde(default)]
        keys_revision: Option<u64>,
    },
    /// Waits until a delivery that `Accepted` named has been attempted, a second at most.
    WaitForAttempt {
        /// Its id.
        id: DeliveryId,
    },
    /// Asks for the deliveries that the webhook has for events; accepts nothing.
    Recall {
        /// The events' ids.
        event_ids: Vec<EventId>,
    },
    /// Makes a ping or a test and leases it.
    Probe {
        /// The kind.
        kind: Kind,
        /// The delivery.
        delivery: NewDelivery<P>,
        /// Whether to make none if there is one of the kind.
        #[serde(default)]
        once: bool,
    },
    /// Reports attempts; asks for at most `leases` further leases.
    Report {
        /// The reports.
        reports: Vec<AttemptReport>,
        /// Leases whose attempts were not begun; for objects of an earlier release they end by themselves.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unused: Vec<UnusedLease>,
        /// How many leases are asked for at most.
        leases: usize,
        /// As in `Accept`.
        #[serde(default)]
        ahead_ms: u64,
    },
    /// Asks for one, with all that is kept of it.
    Read {
        /// Its id.
        id: DeliveryId,
    },
    /// Asks for a delivery, by its event's id or its own.
    Trace {
        /// The event's id.
        event_id: EventId,
        /// Whether the asker needs of the answers only their statuses.
        #[serde(default)]
        is_brief: bool,
    },
    /// Asks for a page of the log.
    List(DeliveryFilter),
    /// Makes a delivery due at once.
    Resend {
        /// Its id.
        id: DeliveryId,
    },
    /// Makes the next attempt of a pending delivery due at once.
    SendNow {
        /// Its id.
        id: DeliveryId,
    },
    /// Stops further attempts of a delivery.
    Cancel {
        /// Its id.
        id: DeliveryId,
    },
    /// Starts a bulk resend.
    #[serde(rename = "start_job")]
    StartResend {
        /// Its id.
        id: ResendId,
        /// Which deliveries.
        selection: Selection,
    },
    /// The same for a selection that objects of an earlier release would take for a wider one.
    #[serde(rename = "start_narrowed_job")]
    StartNarrowedResend {
        /// Its id.
        id: ResendId,
        /// Which deliveries.
        selection: Selection,
    },
    /// Asks what a bulk resend would cover.
    PreviewResend {
        /// Which deliveries.
        selection: Selection,
    },
    /// Asks how far a bulk resend is.
    #[serde(rename = "read_job")]
    ReadResend {
        /// Its id.
        id: ResendId,
    },
    /// Stops a bulk resend.
    #[serde(rename = "stop_job")]
    StopResend {
        /// Its id.
        id: ResendId,
    },
    /// Asks for the counts of the last hours.
    Stats {
        /// How many hours, the present one included.
        hours: u32,
    },
    /// Asks for what is pending and held, and for the counts of the last full hour.
    Gauges,
    /// Deletes what is too old, and sets the alarm if one is needed and missing.
    LookAtAlarm,
    /// Asks for all that a page shows.
    Show(Wanted),
    /// Measures the platform; the order is that of `measuring.js`.
    ProbePlatform(String),
    /// Asks what the object has used since it started.
    #[cfg(feature = "test-hooks")]
    Counted,
    /// Runs a part of the script of both SQL engines.
    #[cfg(feature = "test-hooks")]
    RunSql(String),
}

/// An event for one webhook.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewDelivery<P = Box<RawValue>> {
    /// Its id.
    pub id: DeliveryId,
    /// The event's id.
    pub event_id: EventId,
    /// Whether the producer gave the event's id.
    pub event_id_given: bool,
    /// The event's type.
    pub event_type: String,
    /// The bytes that are signed and sent.
    pub payload: P,
}

/// A lease whose attempt was not begun.
pub type UnusedLease = (DeliveryId, Lease);

/// The report of an attempt.
#[derive(Debug, Serialize, Deserialize)]
pub struct AttemptReport {
    /// Its id.
    pub id: DeliveryId,
    /// The lease.
    pub lease: Lease,
    /// The revision of the settings under which the attempt was made.
    pub revision: u64,
    /// The attempt.
    pub attempt: Attempt,
    /// The endpoint's `Retry-After`, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Kept for pings and tests.
    pub request: Option<SentRequest>,
}

/// A reply from the object of a webhook.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookReply {
    /// It is done.
    Done,
    /// To `Accept`: what became of each event.
    #[serde(rename = "taken")]
    Accepted {
        /// In the order of the events.
        deliveries: Vec<Acceptance>,
        /// Leases.
        grants: Vec<Grant>,
        /// Whether many attempts are under way, these leases among them.
        busy: bool,
        /// The delivery whose attempt the answer to the producer waits for, asked for with `WaitForAttempt`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waits_for: Option<DeliveryId>,
    },
    /// To `Recall`: the deliveries, in the order of the events.
    Recalled(Vec<Option<Recalled>>),
    /// To `Report` and `Probe`: leases.
    Granted(Vec<Grant>),
    /// There is a probe of the kind.
    Probed(DeliveryId),
    /// A delivery.
    Delivery(Box<DeliveryRecord>),
    /// A page of the log, newest first.
    Deliveries {
        /// The deliveries.
        records: Vec<DeliveryRecord>,
        /// Whether there may be older ones.
        more: bool,
        /// Where the next page begins; objects of an earlier release leave it out.
        #[serde(default)]
        next: Option<DeliveryId>,
    },
    /// A bulk resend.
    #[serde(rename = "job")]
    BulkResend(Box<BulkResend>),
    /// What a bulk resend would cover.
    Previewed(Preview),
    /// Hour by hour, oldest first.
    Stats(Vec<(i64, HourCounts)>),
    /// What is pending and held, how late it is, and the counts of the last full hour.
    Gauges {
        /// Whether deliveries are attempted.
        enabled: bool,
        /// Deliveries that are pending.
        pending: usize,
        /// Deliveries that are held.
        held: usize,
        /// How late its attempts are; objects of an earlier release leave it out.
        #[serde(default)]
        lateness: Lateness,
        /// How its attempts have been ending; objects of an earlier release leave it out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        health: Option<Health>,
        /// Its last attempts.
        #[serde(default)]
        last: LastAttempts,
        /// The counts of the last full hour.
        last_hour: HourCounts,
    },
    /// To `Show`: what was asked for.
    Shown(Box<Shown>),
    /// What was measured, as JSON.
    Measured(String),
    /// The command is refused.
    Refused(Refusal),
    /// Asks what the object has used since it started.
    #[cfg(feature = "test-hooks")]
    Counted(Counted),
}

/// What an object has used since it started.
#[cfg(feature = "test-hooks")]
#[derive(Debug, Serialize, Deserialize)]
pub struct Counted {
    /// Rows read.
    pub rows_read: usize,
    /// Rows written.
    pub rows_written: usize,
    /// How often the alarm was set.
    pub alarms_set: u32,
    /// How often the alarm fired.
    pub alarms_run: u32,
    /// Commands received.
    pub object_requests: u32,
    /// The Wasm memory of the object's isolate; it never shrinks.
    #[serde(default)]
    pub wasm_bytes: usize,
}

/// How a webhook answers one event; in a reply, in the order of the events in the command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// It is accepted.
    New {
        /// Its status.
        status: Status,
    },
    /// An earlier post has made it.
    Duplicate(Recalled),
    /// The webhook does not select the type.
    NotSelected,
    /// The webhook's backlog is full.
    BacklogFull,
    /// The storage of its object is full.
    StorageFull,
}

/// A delivery that an earlier post has made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recalled {
    /// Its id.
    pub id: DeliveryId,
    /// Its status.
    pub status: Status,
    /// The event's type.
    pub event_type: String,
}

/// A lease with all that its attempt needs. It contains the secrets, so it is never printed.
#[derive(Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub id: DeliveryId,
    /// The kind.
    pub kind: Kind,
    /// The event's type.
    pub event_type: String,
    /// The lease.
    pub lease: Lease,
    /// When the lease ends; objects of an earlier release leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When the attempt may begin, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The revision.
    pub revision: u64,
    /// The endpoint URL.
    pub url: String,
    /// Custom headers.
    pub headers: Vec<StoredHeader>,
    /// The secret.
    pub secret: Sealed,
    /// The secret before, while the overlap of a rotation lasts.
    pub previous_secret: Option<Sealed>,
    /// Which of the two makes the hex signature; objects of an earlier release leave it out.
    #[serde(default, skip_serializing_if = "SignHeaderWith::is_current")]
    pub sign_header_with: SignHeaderWith,
    /// None if the caller that asked for the lease has it.
    pub payload: Option<Box<RawValue>>,
}

impl Grant {
    /// Makes the grant of a lease, without its payload.
    #[must_use]
    pub fn new(
        settings: &Settings,
        record: &DeliveryRecord,
        granted: LeaseGranted,
        now: Timestamp,
    ) -> Self {
        let LeaseGranted { lease, not_before } = granted;
        let previous = settings.overlap(now);
        Self {
            id: record.id.clone(),
            kind: record.delivery.kind(),
            event_type: record.event_type.clone(),
            lease,
            until: record.delivery.next_wake(),
            not_before: (not_before > now).then_some(not_before),
            revision: settings.revision,
            url: settings.url.clone(),
            headers: settings.headers.clone(),
            secret: settings.secret.clone(),
            previous_secret: previous.map(|previous| previous.secret.clone()),
            sign_header_with: previous
                .map(|previous| previous.sign_header_with)
                .unwrap_or_default(),
            payload: None,
        }
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Grant")
            .field("id", &self.id)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
