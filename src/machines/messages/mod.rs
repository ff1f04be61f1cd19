//! What the Worker, the objects and the senders say to each other: one command, one reply, as JSON.
//!
//! A contract between releases: a new Worker talks to objects of the release before for five minutes after a deployment.
//! New members have defaults, and nothing changes its meaning.

mod catalogue;

mod hire;

mod page_reads;

mod refusal;

mod webhook;

mod workspace;

pub use self::{
    catalogue::{CatalogueCommand, CatalogueReply},
    hire::{Hire, Order},
    page_reads::{Shown, Wanted, next_page},
    refusal::Refusal,
    webhook::{
        Acceptance, AttemptReport, Grant, NewDelivery, Recalled, UnusedLease, WebhookCommand,
        WebhookReply,
    },
    workspace::{NewWebhook, WebhookChange, WorkspaceCommand, WorkspaceReply},
};

#[cfg(feature = "test-hooks")]
pub use self::webhook::Counted;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        delivery::Status, ids::ResendId, record::DeliveryFilter, resend::Selection,
        timestamp::Timestamp,
    };

    #[test]
    fn what_has_another_name_in_the_code_has_the_name_of_the_releases_before_in_messages() {
        let id = || ResendId::mint(Timestamp::from_millis(0), [0; 10]);
        let command = |command: WebhookCommand| serde_json::to_string(&command).unwrap();
        assert!(command(WebhookCommand::ReadResend { id: id() }).starts_with(r#"{"read_job":"#));
        assert!(command(WebhookCommand::StopResend { id: id() }).starts_with(r#"{"stop_job":"#));
        let start = |selection| WebhookCommand::StartResend {
            id: id(),
            selection,
        };
        let plain = r#","selection":{"status":"failed","since":null,"until":null}}}"#;
        let started = command(start(Selection::of(Status::Failed)));
        assert!(started.starts_with(r#"{"start_job":"#) && started.ends_with(plain));
        let list = r#"{"list":{"status":null,"event_type":null,"kind":null,"since":null,"until":null,"before":null,"limit":0,"is_brief":false}}"#;
        assert_eq!(
            command(WebhookCommand::List(DeliveryFilter::default())),
            list
        );
        let accepted = WebhookReply::Accepted {
            deliveries: Vec::new(),
            grants: Vec::new(),
            busy: false,
            waits_for: None,
        };
        let accepted = serde_json::to_string(&accepted).unwrap();
        assert!(accepted.starts_with(r#"{"taken":"#));
        let refusal = serde_json::to_string(&Refusal::NoResend).unwrap();
        assert_eq!(refusal, r#""no_job""#);
        let wanted: Wanted = serde_json::from_str(r#"{"job":true}"#).unwrap_or_default();
        assert!(
            serde_json::to_string(&wanted)
                .unwrap()
                .contains(r#""job":"#)
        );
    }
}
