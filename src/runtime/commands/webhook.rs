//! The commands to a webhook's object, and its replies.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Refusal;
use crate::{
    domain::{
        attempt::Attempt,
        delivery::{Kind, Lease, Status},
        ids::{DeliveryId, EventId, ResendId},
        record::{DeliveryFilter, DeliveryRecord, SentRequest},
        resend::{ResendJob, Selection},
        sealed::Sealed,
        stats::HourTally,
        timestamp::Timestamp,
        webhook::{Settings, StoredHeader},
    },
    runtime::page_reads::{Shown, Wanted},
};

/// A command to the object of a webhook; `P` is the payload of new deliveries, which a Worker writes from the posted
/// event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebhookCommand<P = Box<RawValue>> {
    /// From the workspace's object: new settings.
    Apply(Settings),
    /// From the workspace's object: the webhook is deleted.
    Delete {
        revision: u64,
    },
    /// Accepts events; asks for at most `leases` leases, of these or of what others post at the same moment.
    Accept {
        events: Vec<NewDelivery<P>>,
        leases: usize,
        /// The revision of the keys by which the caller was let in; none if no key was judged by a copy.
        #[serde(default)]
        keys_revision: Option<u64>,
    },
    /// Asks for the deliveries that the webhook has for events; accepts nothing.
    Recall {
        event_ids: Vec<EventId>,
    },
    /// Makes a ping or a test and leases it.
    Probe {
        kind: Kind,
        delivery: NewDelivery<P>,
        /// Whether to make none if there is one of the kind.
        #[serde(default)]
        once: bool,
    },
    /// Reports attempts; asks for at most `leases` further leases.
    Report {
        reports: Vec<AttemptReport>,
        leases: usize,
    },
    Read {
        id: DeliveryId,
    },
    /// Asks for a delivery, by its event's id or its own.
    Trace {
        event_id: EventId,
        /// Whether the asker needs of the answers only their statuses.
        #[serde(default)]
        is_brief: bool,
    },
    List(DeliveryFilter),
    Resend {
        id: DeliveryId,
    },
    Cancel {
        id: DeliveryId,
    },
    StartJob {
        id: ResendId,
        selection: Selection,
    },
    ReadJob {
        id: ResendId,
    },
    StopJob {
        id: ResendId,
    },
    Stats {
        hours: u32,
    },
    Gauges,
    /// Deletes what is too old, and sets the alarm if one is needed and missing.
    LookAtAlarm,
    /// Asks for all that a page shows.
    Show(Wanted),
    /// Measures the platform; the order is `platform_probe.js`'s.
    ProbePlatform(String),
    #[cfg(feature = "test-hooks")]
    Counted,
}

/// An event for one webhook.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewDelivery<P = Box<RawValue>> {
    pub(crate) id: DeliveryId,
    pub(crate) event_id: EventId,
    pub(crate) event_id_given: bool,
    pub(crate) event_type: String,
    pub(crate) payload: P,
}

/// The report of an attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AttemptReport {
    pub(crate) id: DeliveryId,
    pub(crate) lease: Lease,
    /// The revision of the settings under which the attempt was made.
    pub(crate) revision: u64,
    pub(crate) attempt: Attempt,
    pub(crate) retry_after_ms: Option<u64>,
    /// Kept for pings and tests.
    pub(crate) request: Option<SentRequest>,
}

/// A reply from the object of a webhook.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebhookReply {
    Done,
    Taken {
        deliveries: Vec<Taken>,
        grants: Vec<Grant>,
        /// Whether many attempts are under way, these leases among them.
        busy: bool,
    },
    Recalled(Vec<Option<Recalled>>),
    Granted(Vec<Grant>),
    /// There is a probe of the kind.
    Probed(DeliveryId),
    Delivery(Box<DeliveryRecord>),
    Deliveries {
        records: Vec<DeliveryRecord>,
        more: bool,
        /// Where the next page begins; objects of an earlier release leave it out.
        #[serde(default)]
        next: Option<DeliveryId>,
    },
    Job(Box<ResendJob>),
    /// Hour by hour, oldest first.
    Stats(Vec<(i64, HourTally)>),
    Gauges {
        enabled: bool,
        pending: usize,
        held: usize,
        last_hour: HourTally,
    },
    Shown(Box<Shown>),
    /// What was measured, as JSON.
    Measured(String),
    Refused(Refusal),
    #[cfg(feature = "test-hooks")]
    Counted(Counted),
}

/// What an object has used since it started.
#[cfg(feature = "test-hooks")]
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) rows_read: usize,
    pub(crate) rows_written: usize,
    pub(crate) alarms_set: u32,
    pub(crate) alarms_run: u32,
    pub(crate) object_requests: u32,
    /// The Wasm memory of the object's isolate; it never shrinks.
    #[serde(default)]
    pub(crate) wasm_bytes: usize,
}

/// How a webhook answers one event; in a reply, in the order of the events in the command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Taken {
    New {
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
pub(crate) struct Recalled {
    pub(crate) id: DeliveryId,
    pub(crate) status: Status,
    pub(crate) event_type: String,
}

/// A lease with all that its attempt needs. It contains the secrets, so it is never printed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) id: DeliveryId,
    pub(crate) kind: Kind,
    pub(crate) event_type: String,
    pub(crate) lease: Lease,
    /// When the lease ends; objects of an earlier release leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
    pub(crate) revision: u64,
    pub(crate) url: String,
    pub(crate) headers: Vec<StoredHeader>,
    pub(crate) secret: Sealed,
    pub(crate) previous_secret: Option<Sealed>,
    /// None if the caller that asked for the lease has it.
    pub(crate) payload: Option<Box<RawValue>>,
}

impl Grant {
    /// Makes the grant of a lease, without its payload.
    pub(crate) fn new(
        settings: &Settings,
        record: &DeliveryRecord,
        lease: Lease,
        now: Timestamp,
    ) -> Self {
        let previous = settings
            .previous_secret
            .as_ref()
            .filter(|previous| now < previous.expires_at);
        Self {
            id: record.id.clone(),
            kind: record.delivery.kind(),
            event_type: record.event_type.clone(),
            lease,
            until: record.delivery.next_wake(),
            revision: settings.revision,
            url: settings.url.clone(),
            headers: settings.headers.clone(),
            secret: settings.secret.clone(),
            previous_secret: previous.map(|previous| previous.secret.clone()),
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
