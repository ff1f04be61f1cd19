//! A webhook: what its owner set, and how its endpoint has been doing.
//!
//! Two objects share it. The WorkspaceObject owns the settings and the status that a person set; the WebhookObject owns
//! the standing (auto-disable and `failing_since`). Settings carry a revision that increases by one, so that neither
//! acts on outdated news from the other: a person's `enabled` ends an auto-disable that happened under an older
//! revision, and no other change does.

mod settings;

mod standing;

use serde::{Deserialize, Serialize};

pub use self::{
    settings::{PreviousSecret, Settings, StoredHeader},
    standing::{AutoDisable, AutoDisableReason, ReportedStanding, Standing},
};

use super::{ids::WebhookId, timestamp::Timestamp};

/// Webhooks of one workspace.
pub const WEBHOOKS_LIMIT: usize = 50;

/// Characters of a description.
pub const DESCRIPTION_LIMIT: usize = 1000;

/// How long an old secret may continue to sign after a rotation, in seconds: seven days.
pub const OVERLAP_LIMIT: u64 = 604_800;

/// A webhook as its workspace keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its id, never reused.
    pub id: WebhookId,
    /// What its owner set.
    pub settings: Settings,
    /// The owner's note.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its owner last changed it.
    pub updated_at: Timestamp,
    /// The standing that its object last reported.
    #[serde(default)]
    pub standing: ReportedStanding,
}

/// Why a webhook is disabled, in the API's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// A person disabled it.
    Manual,
    /// Its endpoint answered 410.
    Gone,
    /// It failed for too long.
    Failing,
}

impl Webhook {
    /// Sets the status as a person asked, in the settings' current revision. Disabling a disabled webhook keeps the
    /// reason and the time; enabling always counts, because an auto-disable may be on its way here.
    pub fn set_enabled(&mut self, enabled: bool) {
        if !enabled && self.disabled().is_some() {
            return;
        }
        self.settings.enabled = enabled;
        self.settings.status_revision = self.settings.revision;
        self.settings.status_changed_at = self.updated_at;
    }

    /// Why and since when it is disabled, if it is.
    #[must_use]
    pub fn disabled(&self) -> Option<(DisabledReason, Timestamp)> {
        if !self.settings.enabled {
            return Some((DisabledReason::Manual, self.settings.status_changed_at));
        }
        let disable = self
            .standing
            .disabled
            .filter(|disable| disable.revision >= self.settings.status_revision)?;
        let reason = match disable.reason {
            AutoDisableReason::Gone => DisabledReason::Gone,
            AutoDisableReason::Failing => DisabledReason::Failing,
        };
        Some((reason, disable.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sealed::{EncryptionKeys, Sealed};

    #[test]
    fn the_stored_forms_are_pinned() {
        let webhook = webhook();
        let stored = concat!(
            r#"{"id":"wh_00000000000070008000000000000000","settings":{"revision":3,"status_revision":1,"#,
            r#""status_changed_at":0,"enabled":true,"url":"https://hooks.example.com/","events":["alert.triggered"],"#,
            r#""headers":[{"name":"X-Team","value":{"key_id":null,"bytes":"YQ=="}}],"#,
            r#""secret":{"key_id":null,"bytes":"c2VjcmV0IQ=="},"#,
            r#""previous_secret":{"secret":{"key_id":null,"bytes":"b2xkZXIhIQ=="},"expires_at":9000}},"#,
            r#""description":"","created_at":0,"updated_at":0,"standing":{"failing_since":7000}}"#,
        );
        assert_eq!(serde_json::to_string(&webhook).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Webhook>(stored).unwrap(), webhook);

        let standing = Standing {
            disabled: Some(AutoDisable {
                reason: AutoDisableReason::Gone,
                at: at(1),
                revision: 2,
            }),
            failing_since: Some(at(1)),
            last_failure: None,
        };
        let stored =
            r#"{"disabled":{"reason":"gone","at":1000,"revision":2},"failing_since":1000}"#;
        assert_eq!(serde_json::to_string(&standing).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Standing>(stored).unwrap(), standing);
    }

    #[test]
    fn the_persons_disable_is_manual_and_the_relays_has_its_reason() {
        let mut webhook = webhook();
        assert_eq!(webhook.disabled(), None);
        webhook.standing.disabled = Some(AutoDisable {
            reason: AutoDisableReason::Gone,
            at: at(2),
            revision: 3,
        });
        assert_eq!(webhook.disabled(), Some((DisabledReason::Gone, at(2))));
        webhook.settings.enabled = false;
        assert_eq!(webhook.disabled(), Some((DisabledReason::Manual, at(0))));
    }

    #[test]
    fn disabling_what_is_disabled_keeps_its_reason_and_time() {
        let mut webhook = webhook();
        webhook.updated_at = at(5);
        webhook.set_enabled(false);
        webhook.updated_at = at(6);
        webhook.set_enabled(false);
        assert_eq!(webhook.disabled(), Some((DisabledReason::Manual, at(5))));
        webhook.set_enabled(true);
        assert_eq!(webhook.disabled(), None);
        webhook.standing.disabled = Some(AutoDisable {
            reason: AutoDisableReason::Gone,
            at: at(7),
            revision: 3,
        });
        webhook.set_enabled(false);
        assert_eq!(webhook.disabled(), Some((DisabledReason::Gone, at(7))));
    }

    pub(super) fn webhook() -> Webhook {
        Webhook {
            id: WebhookId::mint(at(0), [0; 10]),
            settings: Settings {
                revision: 3,
                status_revision: 1,
                status_changed_at: at(0),
                enabled: true,
                url: "https://hooks.example.com/".into(),
                events: vec!["alert.triggered".into()],
                headers: vec![StoredHeader {
                    name: "X-Team".into(),
                    value: plain("a"),
                }],
                secret: plain("secret!"),
                previous_secret: Some(PreviousSecret {
                    secret: plain("older!!"),
                    expires_at: at(9),
                }),
            },
            description: String::new(),
            created_at: at(0),
            updated_at: at(0),
            standing: ReportedStanding {
                disabled: None,
                failing_since: Some(at(7)),
            },
        }
    }

    fn plain(text: &str) -> Sealed {
        let webhook = WebhookId::mint(at(0), [0; 10]);
        EncryptionKeys::default()
            .seal(text, &webhook, [0; 12])
            .unwrap()
    }

    pub(super) fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
