//! How a webhook's endpoint does, in a word and a sentence.

use super::{
    when::{TimeElement, from_now},
    words,
};
use crate::domain::{
    stats::{HourCounts, hour_of},
    timestamp::Timestamp,
    webhook::{Health, HealthState, LastAttempts, Status, Webhook},
};

/// The hours that the sentence counts.
const HOURS: i64 = 24;

/// The word for how a webhook does, and the look of its chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The class of the chip.
    pub class: &'static str,
    /// Its words.
    pub words: String,
}

impl Standing {
    /// What a person or the relay has set, or else how its attempts have been ending: failing with the last code.
    #[must_use]
    pub fn new(webhook: &Webhook, health: Option<Health>, last: LastAttempts) -> Self {
        let failing = |word: &str| {
            let code = last.failure.map(words::failure_briefly);
            code.map_or_else(|| word.to_string(), |code| format!("{word} · {code}"))
        };
        let (class, words) = match (webhook.status(), HealthState::of(health)) {
            (Status::Disabled, _) => ("off", "Disabled".into()),
            (Status::Paused, _) => ("paused", "Paused".into()),
            (Status::Enabled, HealthState::NoEvents) => ("none", "No events yet".into()),
            (Status::Enabled, HealthState::Healthy) => ("on", "Healthy".into()),
            (Status::Enabled, HealthState::Retrying) => ("retrying", failing("Retrying")),
            (Status::Enabled, HealthState::Failing) => ("failing", failing("Failing")),
        };
        Self { class, words }
    }
}

/// How the attempts of the last day have ended.
#[derive(Clone, Debug)]
pub struct Day {
    /// `38 of 40 attempts succeeded`.
    pub succeeded: String,
    /// The last failure in words, `last 500`, or the last success if none failed; and when it was.
    pub last: Option<(String, TimeElement)>,
}

impl Day {
    /// Sums up the hours of the last day; none without an attempt.
    #[must_use]
    pub fn new(hours: &[(i64, HourCounts)], last: LastAttempts, now: Timestamp) -> Option<Self> {
        let first = hour_of(now).saturating_sub(HOURS);
        let counts = hours.iter().filter(|(hour, _)| *hour > first);
        let (mut attempts, mut failed) = (0_u64, 0_u64);
        for (_, counts) in counts {
            attempts = attempts.saturating_add(counts.attempts);
            failed = failed.saturating_add(counts.failed_attempts);
        }
        let failure = last.failure.filter(|_| failed > 0);
        let failure = failure.map(|failure| (words::failure_briefly(failure), failure.at));
        let success = last.success.map(|at| ("success".to_string(), at));
        let last = failure.or(success);
        (attempts > 0).then(|| Self {
            succeeded: format!(
                "{} of {} succeeded",
                attempts.saturating_sub(failed),
                words::count(attempts, "attempt")
            ),
            last: last.map(|(words, at)| (format!("last {words}"), from_now(at, now))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{outcome::Outcome, webhook::LastFailure};

    const NOW: Timestamp = Timestamp::from_millis(1_768_473_000_000);

    fn last(outcome: Outcome, status: Option<u16>) -> LastAttempts {
        LastAttempts {
            success: Some(NOW),
            failure: Some(LastFailure {
                at: NOW,
                outcome,
                status,
            }),
        }
    }

    fn counts(attempts: u64, failed_attempts: u64) -> HourCounts {
        HourCounts {
            attempts,
            failed_attempts,
            ..HourCounts::default()
        }
    }

    #[test]
    fn a_day_is_told_by_its_attempts_and_the_last_failure() {
        let hours = [
            (hour_of(NOW) - 24, counts(500, 500)),
            (hour_of(NOW) - 23, counts(30, 30)),
            (hour_of(NOW), counts(10, 10)),
        ];
        let day = Day::new(&hours, last(Outcome::HttpError, Some(500)), NOW).unwrap();
        assert_eq!(day.succeeded, "0 of 40 attempts succeeded");
        assert_eq!(day.last.unwrap().0, "last 500");
        let healthy = [(hour_of(NOW), counts(1, 0))];
        let day = Day::new(&healthy, last(Outcome::HttpError, Some(500)), NOW).unwrap();
        assert_eq!(day.succeeded, "1 of 1 attempt succeeded");
        assert_eq!(day.last.unwrap().0, "last success");
        assert!(Day::new(&hours[..1], last(Outcome::Lost, None), NOW).is_none());
    }
}
