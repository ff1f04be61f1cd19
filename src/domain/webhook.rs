//! A webhook: what its owner set, and how it stands with its endpoint.
//!
//! Two objects share it. The WorkspaceObject owns the settings and the person's enabled or disabled; the WebhookObject
//! owns the standing (auto-disable and `failing_since`). Settings carry a revision that grows by one, so that neither
//! acts on an older word of the other: a person's `enabled` ends an auto-disable that happened under an older revision,
//! and no other change does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ids::WebhookId, sealed::Sealed, timestamp::Timestamp};

/// Webhooks of one workspace.
pub const WEBHOOKS_LIMIT: usize = 50;

/// Characters of a description.
pub const DESCRIPTION_LIMIT: usize = 1000;

/// How long an old secret may go on signing after a rotation, in seconds: seven days.
pub const OVERLAP_LIMIT: u64 = 604_800;

/// A webhook that made no attempt for so long has no failures in a row to count.
const QUIET_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How old the stored time of the last failed attempt may grow, so that not each failure writes a row.
const LAST_FAILURE_STEP: Duration = Duration::from_secs(60 * 60);

/// How long a webhook fails before its workspace is told.
const FAILING_TOLD_AFTER: Duration = Duration::from_secs(60 * 60);

/// What the owner of a webhook set; the WebhookObject keeps a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Grows by one with each change.
    pub revision: u64,
    /// The revision in which a person last set the status.
    pub status_revision: u64,
    /// When a person last set the status.
    pub status_changed_at: Timestamp,
    /// The person's word: enabled or disabled.
    pub enabled: bool,
    /// The endpoint URL.
    pub url: String,
    /// The selected event types.
    pub events: Vec<String>,
    /// Custom headers of each request.
    pub headers: Vec<StoredHeader>,
    /// Signs each payload.
    pub secret: Sealed,
    /// Signs beside it until a rotation's overlap ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret: Option<PreviousSecret>,
}

/// A custom header as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHeader {
    /// As its owner wrote it.
    pub name: String,
    /// Stored as a secret is: it often is one.
    pub value: Sealed,
}

/// The secret before the last rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Sealed,
    /// When it stops signing.
    pub expires_at: Timestamp,
}

impl Settings {
    /// Whether the owner selected an event type.
    #[must_use]
    pub fn selects(&self, event_type: &str) -> bool {
        self.events.iter().any(|selected| selected == event_type)
    }

    /// Everything in it that is stored sealed.
    pub fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        let previous = self.previous_secret.iter();
        let headers = self.headers.iter().map(|header| &header.value);
        std::iter::once(&self.secret)
            .chain(previous.map(|previous| &previous.secret))
            .chain(headers)
    }

    /// The same, to be sealed anew.
    pub fn sealed_mut(&mut self) -> impl Iterator<Item = &mut Sealed> {
        let previous = self.previous_secret.iter_mut();
        let headers = self.headers.iter_mut().map(|header| &mut header.value);
        std::iter::once(&mut self.secret)
            .chain(previous.map(|previous| &mut previous.secret))
            .chain(headers)
    }
}

/// Why a webhook was disabled by the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoDisableReason {
    /// The endpoint answered 410.
    Gone,
    /// A delivery ended failed after the webhook had failed for long.
    Failing,
}

/// An automatic disable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoDisable {
    /// Why.
    pub reason: AutoDisableReason,
    /// When.
    pub at: Timestamp,
    /// The revision of the settings under which it happened.
    pub revision: u64,
}

/// How a webhook stands with its endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Set when the relay disabled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<AutoDisable>,
    /// The first failed attempt since the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// A recent failed attempt, at most an hour older than the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Timestamp>,
}

impl Standing {
    /// Whether the webhook takes deliveries: the person's word, unless the relay disabled it later.
    #[must_use]
    pub fn is_enabled(&self, settings: &Settings) -> bool {
        settings.enabled
            && self
                .disabled
                .is_none_or(|disable| disable.revision < settings.status_revision)
    }

    /// Takes the success of an attempt.
    pub const fn attempt_succeeded(&mut self) {
        self.failing_since = None;
        self.last_failure = None;
    }

    /// Takes the failure of an attempt.
    pub fn attempt_failed(&mut self, now: Timestamp) {
        let quiet = self
            .last_failure
            .is_none_or(|last| now.saturating_duration_since(last) >= QUIET_DAY);
        if quiet || self.failing_since.is_none() {
            self.failing_since = Some(now);
        }
        if self
            .last_failure
            .is_none_or(|last| now.saturating_duration_since(last) >= LAST_FAILURE_STEP)
        {
            self.last_failure = Some(now);
        }
    }

    /// Takes a delivery's end as failed: the webhook is disabled where it has failed for too long.
    pub fn delivery_failed(&mut self, now: Timestamp, disable_after: Duration, revision: u64) {
        let for_too_long = |since: Timestamp| now.saturating_duration_since(since) >= disable_after;
        if self.failing_since.is_some_and(for_too_long) {
            self.disable(AutoDisableReason::Failing, now, revision);
        }
    }

    /// Disables the webhook; an earlier reason stays.
    pub fn disable(&mut self, reason: AutoDisableReason, now: Timestamp, revision: u64) {
        self.disabled.get_or_insert(AutoDisable {
            reason,
            at: now,
            revision,
        });
    }

    /// Takes new settings: a person's word on the status that is newer than an automatic disable ends it.
    pub fn settings_changed(&mut self, settings: &Settings) {
        if self
            .disabled
            .is_some_and(|disable| disable.revision < settings.status_revision)
        {
            *self = Self::default();
        }
    }

    /// The part of the standing that the workspace has to know: a disable at once, failing once it has lasted.
    #[must_use]
    pub fn reportable(&self, now: Timestamp) -> ReportedStanding {
        let lasting =
            |since: &Timestamp| now.saturating_duration_since(*since) >= FAILING_TOLD_AFTER;
        ReportedStanding {
            disabled: self.disabled,
            failing_since: self.failing_since.filter(lasting),
        }
    }

    /// When the workspace has to be told that the webhook fails.
    #[must_use]
    pub fn failing_reportable_at(&self) -> Option<Timestamp> {
        self.failing_since
            .map(|since| since.saturating_add(FAILING_TOLD_AFTER))
    }
}

/// What the WorkspaceObject knows of a standing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedStanding {
    /// Set when the relay disabled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<AutoDisable>,
    /// The first failed attempt since the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
}

/// A webhook as its workspace keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its id, never given again.
    pub id: WebhookId,
    /// What its owner set.
    pub settings: Settings,
    /// The owner's note.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its owner last changed it.
    pub updated_at: Timestamp,
    /// What its object last told.
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
    /// Takes a person's word on the status, in the settings' present revision. Disabling what is disabled keeps the
    /// reason and the time; enabling always counts, because an auto-disable may be on its way here.
    pub fn set_enabled(&mut self, enabled: bool) {
        if !enabled && self.disabled().is_some() {
            return;
        }
        self.settings.enabled = enabled;
        self.settings.status_revision = self.settings.revision;
        self.settings.status_changed_at = self.updated_at;
    }

    /// Why and since when it is disabled, where it is.
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
    use crate::domain::sealed::EncryptionKeys;

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
    fn a_webhook_is_disabled_when_a_delivery_fails_five_days_after_the_first_failure_and_not_by_the_clock()
     {
        let mut standing = Standing::default();
        for day in 0..5 {
            for hour in [0, 12, 23] {
                standing.attempt_failed(at(day * 86_400 + hour * 3_600));
            }
            standing.delivery_failed(at(day * 86_400), FIVE_DAYS, 1);
        }
        assert_eq!(standing.disabled, None);
        assert_eq!(standing.failing_since, Some(at(0)));
        standing.delivery_failed(at(5 * 86_400), FIVE_DAYS, 1);
        assert_eq!(
            standing.disabled.unwrap().reason,
            AutoDisableReason::Failing
        );
    }

    #[test]
    fn a_success_or_a_quiet_day_starts_failing_since_anew() {
        let mut standing = Standing::default();
        standing.attempt_failed(at(0));
        standing.attempt_succeeded();
        assert_eq!(standing.failing_since, None);
        standing.attempt_failed(at(100));
        standing.attempt_failed(at(100 + 86_400));
        assert_eq!(standing.failing_since, Some(at(100 + 86_400)));
    }

    #[test]
    fn failures_within_an_hour_change_nothing_that_is_stored() {
        let mut standing = Standing::default();
        standing.attempt_failed(at(0));
        let stored = standing.clone();
        standing.attempt_failed(at(3_599));
        assert_eq!(standing, stored);
        standing.attempt_failed(at(3_600));
        assert_eq!(standing.last_failure, Some(at(3_600)));
    }

    #[test]
    fn only_a_newer_word_on_the_status_ends_an_automatic_disable() {
        let mut standing = Standing::default();
        standing.disable(AutoDisableReason::Gone, at(1), 3);
        let mut settings = webhook().settings;
        standing.settings_changed(&settings);
        assert!(
            !standing.is_enabled(&settings),
            "a change of the description does not enable"
        );
        settings.revision = 4;
        settings.status_revision = 4;
        assert!(standing.is_enabled(&settings));
        standing.settings_changed(&settings);
        assert_eq!(standing, Standing::default());
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

    #[test]
    fn a_workspace_is_told_of_a_disable_at_once_and_of_failing_after_an_hour() {
        let mut standing = Standing::default();
        standing.attempt_failed(at(0));
        assert_eq!(standing.reportable(at(3_599)), ReportedStanding::default());
        assert_eq!(standing.reportable(at(3_600)).failing_since, Some(at(0)));
        standing.disable(AutoDisableReason::Gone, at(1), 1);
        assert!(standing.reportable(at(1)).disabled.is_some());
    }

    const FIVE_DAYS: Duration = Duration::from_secs(5 * 86_400);

    fn webhook() -> Webhook {
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

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
