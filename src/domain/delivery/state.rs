//! The kinds and the states of a delivery.

use serde::{Deserialize, Serialize};

use crate::domain::timestamp::Timestamp;

/// What a delivery was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A posted event.
    Event,
    /// The ping of a new webhook; one attempt.
    Ping,
    /// A test that a person asked for; one attempt.
    Test,
}

impl Kind {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Ping => "ping",
            Self::Test => "test",
        }
    }
}

/// Why a delivery failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedReason {
    /// Each attempt of the schedule failed.
    ScheduleSpent,
    /// The endpoint answered 410.
    Gone,
    /// A person cancelled it.
    Cancelled,
    /// A ping or a test, whose only attempt failed.
    SingleAttempt,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// An attempt is due at a time.
    Scheduled {
        /// When.
        due: Timestamp,
    },
    /// A lease is held: its holder may make the attempt.
    Leased {
        /// When the lease ends.
        until: Timestamp,
    },
    /// Kept, not attempted, because the webhook is disabled.
    Held,
    /// An attempt succeeded.
    Delivered {
        /// When its report came.
        at: Timestamp,
    },
    /// No further attempt is made.
    Failed {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: FailedReason,
    },
}

/// How the attempts of a delivery ended, the last time that they did: a resend or a cancel in between ends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// The attempt that ended it.
    pub attempt: u32,
    /// Whether it ended delivered, and not failed.
    pub is_delivered: bool,
}

/// The four statuses of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Scheduled or leased.
    Pending,
    /// An attempt succeeded.
    Delivered,
    /// No further attempt is made.
    Failed,
    /// Waits for a resend.
    Held,
}

impl Status {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}
