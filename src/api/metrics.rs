//! The gauges of a workspace's webhooks as Prometheus text (exposition format 0.0.4).

use std::{collections::BTreeMap, fmt::Write as _};

use crate::domain::{
    dispatch::Lateness,
    ids::WebhookId,
    sealed::{EncryptionKeys, Sealed},
    stats::HourCounts,
    webhook::{Health, LastAttempts},
};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a webhook reports about itself.
#[derive(Debug)]
pub struct WebhookGauges {
    /// The webhook.
    pub webhook: WebhookId,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Deliveries with attempts to come.
    pub pending: usize,
    /// Deliveries that wait for a resend.
    pub held: usize,
    /// How late its attempts are.
    pub lateness: Lateness,
    /// How its attempts have been ending.
    pub health: Option<Health>,
    /// Its last attempts.
    pub last: LastAttempts,
    /// The last full hour.
    pub last_hour: HourCounts,
}

/// The gauge that is in every answer.
#[must_use]
pub fn render_info(version: &str, encrypted: bool) -> String {
    format!(
        "# HELP relay_info The relay's version, and whether stored secrets are encrypted.\n\
         # TYPE relay_info gauge\n\
         relay_info{{version=\"{version}\",secrets_encrypted=\"{encrypted}\"}} 1\n"
    )
}

/// How many stored values each key encrypts; an old key at zero can be removed from `ENCRYPTION_KEYS`.
#[must_use]
pub fn render_sealed<'a>(
    keys: &'a EncryptionKeys,
    sealed: impl Iterator<Item = &'a Sealed>,
) -> String {
    let mut counts: BTreeMap<&str, u64> = keys.ids().map(|id| (id, 0)).collect();
    for value in sealed {
        let count = counts
            .entry(value.key_id.as_deref().unwrap_or_default())
            .or_default();
        *count = count.saturating_add(1);
    }
    let mut text = String::from(
        "# HELP relay_stored_values Stored secrets and header values, by the key that encrypts them; no key: plain.\n\
         # TYPE relay_stored_values gauge\n",
    );
    for (id, count) in counts {
        let _ = writeln!(text, "relay_stored_values{{key_id=\"{id}\"}} {count}");
    }
    text
}

/// The gauges of a workspace's webhooks, one sample a webhook.
#[must_use]
pub fn render_webhooks(webhooks: &[WebhookGauges]) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&WebhookGauges) -> Option<u64>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for gauges in webhooks {
            if let Some(value) = value(gauges) {
                let _ = writeln!(text, "{name}{{webhook_id=\"{}\"}} {value}", gauges.webhook);
            }
        }
    };
    gauge(
        "relay_webhook_enabled",
        "Whether the webhook takes deliveries.",
        &|gauges| Some(u64::from(gauges.enabled)),
    );
    gauge(
        "relay_deliveries_pending",
        "Deliveries with attempts to come, at this moment.",
        &|gauges| u64::try_from(gauges.pending).ok(),
    );
    gauge(
        "relay_deliveries_held",
        "Deliveries that wait for a resend, at this moment.",
        &|gauges| u64::try_from(gauges.held).ok(),
    );
    gauge(
        "relay_oldest_due_timestamp_seconds",
        "Since when a delivery has been due that waits, at this moment; absent if none waits.",
        &|gauges| {
            let oldest = gauges.lateness.oldest_due_at?.as_millis();
            u64::try_from(oldest.div_euclid(1000)).ok()
        },
    );
    gauge(
        "relay_width",
        "Attempts that may be under way, at this moment.",
        &|gauges| u64::try_from(gauges.lateness.width).ok(),
    );
    gauge(
        "relay_attempts_under_way",
        "Attempts that are under way, at this moment.",
        &|gauges| u64::try_from(gauges.lateness.under_way).ok(),
    );
    gauge(
        "relay_deliveries_delivered_last_hour",
        "Deliveries that ended delivered in the last full hour, and have not ended again since.",
        &|gauges| Some(gauges.last_hour.delivered),
    );
    gauge(
        "relay_deliveries_failed_last_hour",
        "Deliveries that ended failed in the last full hour, and have not ended again since.",
        &|gauges| Some(gauges.last_hour.failed),
    );
    gauge(
        "relay_attempts_last_hour",
        "Attempts that ended in the last full hour.",
        &|gauges| Some(gauges.last_hour.attempts),
    );
    gauge(
        "relay_failed_attempts_last_hour",
        "Attempts that failed in the last full hour.",
        &|gauges| Some(gauges.last_hour.failed_attempts),
    );
    gauge(
        "relay_attempt_p50_milliseconds_last_hour",
        "Median duration of an attempt, last full hour.",
        &|gauges| gauges.last_hour.percentile(50),
    );
    gauge(
        "relay_attempt_p95_milliseconds_last_hour",
        "95th percentile of the same.",
        &|gauges| gauges.last_hour.percentile(95),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sealed::Field;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn each_webhook_has_a_sample_of_each_gauge_that_it_has_a_value_for() {
        let webhook = WebhookId::mint(Timestamp::from_millis(0), [0; 10]);
        let last_hour = HourCounts::default();
        let text = render_webhooks(&[WebhookGauges {
            webhook,
            enabled: true,
            pending: 3,
            held: 0,
            lateness: Lateness {
                oldest_due_at: Some(Timestamp::from_millis(1_999)),
                width: 50,
                under_way: 0,
            },
            health: None,
            last: LastAttempts::default(),
            last_hour,
        }]);
        assert!(text.contains(
            "\nrelay_deliveries_pending{webhook_id=\"wh_00000000000070008000000000000000\"} 3\n"
        ));
        assert!(text.contains("\nrelay_oldest_due_timestamp_seconds{webhook_id=\"wh_00000000000070008000000000000000\"} 1\n"));
        assert!(!text.contains("relay_attempt_p50_milliseconds_last_hour{"));
        assert_eq!(
            render_info("0.1.0", false).lines().last(),
            Some("relay_info{version=\"0.1.0\",secrets_encrypted=\"false\"} 1")
        );
    }

    #[test]
    fn stored_values_are_counted_by_key_and_an_unused_key_has_zero() {
        let webhook = WebhookId::mint(Timestamp::from_millis(0), [0; 10]);
        let of = |id: &str| format!("{id}:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        let old = EncryptionKeys::parse(&of("k1")).unwrap();
        let sealed = [
            old.seal("a", &webhook, Field::Secret, [0; 12]).unwrap(),
            old.seal("b", &webhook, Field::Secret, [1; 12]).unwrap(),
            EncryptionKeys::default()
                .seal("c", &webhook, Field::Secret, [2; 12])
                .unwrap(),
        ];
        let keys = EncryptionKeys::parse(&format!("{},{}", of("k2"), of("k1"))).unwrap();
        let text = render_sealed(&keys, sealed.iter());
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "relay_stored_values{key_id=\"\"} 1",
                "relay_stored_values{key_id=\"k1\"} 2",
                "relay_stored_values{key_id=\"k2\"} 0",
            ]
        );
    }
}
