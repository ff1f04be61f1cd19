//! A bulk resend, and what one would cover, as answers show them.

use serde::Serialize;

use crate::domain::{
    ids::ResendId,
    resend::{BulkResend, BulkResendStatus, Preview},
    timestamp::{Timestamp, as_iso_option},
};

/// What a bulk resend would cover, as an answer shows it.
#[derive(Debug, Serialize)]
pub struct PreviewView {
    total: u64,
    is_exact: bool,
    #[serde(serialize_with = "as_iso_option")]
    oldest_at: Option<Timestamp>,
    #[serde(serialize_with = "as_iso_option")]
    newest_at: Option<Timestamp>,
}

impl From<Preview> for PreviewView {
    fn from(preview: Preview) -> Self {
        Self {
            total: preview.total,
            is_exact: preview.is_exact,
            oldest_at: preview.oldest_at,
            newest_at: preview.newest_at,
        }
    }
}

/// A bulk resend as an answer shows it.
#[derive(Debug, Serialize)]
pub struct BulkResendView {
    id: ResendId,
    status: BulkResendStatus,
    total: u64,
    done: u64,
    delivered: u64,
    failed: u64,
}

impl From<&BulkResend> for BulkResendView {
    fn from(bulk_resend: &BulkResend) -> Self {
        let done = bulk_resend.done();
        Self {
            id: bulk_resend.id.clone(),
            status: bulk_resend.status,
            total: bulk_resend.total,
            done,
            delivered: bulk_resend.delivered,
            failed: bulk_resend.failed,
        }
    }
}
