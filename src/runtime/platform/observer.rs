//! What operators see of each attempt: a line in the log, and a data point if the deployment binds a dataset.

use worker::{AnalyticsEngineDataPointBuilder, Env, console_error, console_log};

use crate::{
    api::attempt_line::AttemptLine,
    domain::{attempt::Attempt, delivery::Kind, ids::DeliveryId},
    runtime::platform::config::config,
};

/// The binding of the Analytics Engine dataset in wrangler.toml; optional.
const DATASET: &str = "ATTEMPTS";

/// Logs the attempts of one webhook.
pub(in crate::runtime) struct Observer<'a> {
    env: &'a Env,
    workspace: &'a str,
    webhook: &'a str,
}

impl<'a> Observer<'a> {
    pub(in crate::runtime) const fn new(
        env: &'a Env,
        workspace: &'a str,
        webhook: &'a str,
    ) -> Self {
        Self {
            env,
            workspace,
            webhook,
        }
    }

    /// Makes an observer from the name of the webhook's object.
    pub(in crate::runtime) fn of_object(env: &'a Env, name: &'a str) -> Self {
        let (workspace, webhook) = name.split_once('/').unwrap_or_default();
        Self::new(env, workspace, webhook)
    }

    /// Logs an attempt that has ended, if attempts of its outcome are logged.
    pub(in crate::runtime) fn attempt_ended(
        &self,
        delivery: (&DeliveryId, &str, Kind),
        attempt: &Attempt,
    ) {
        if config(self.env).is_ok_and(|config| config.policy.logged.includes(attempt.outcome)) {
            let line = AttemptLine::new((self.workspace, self.webhook), delivery, attempt);
            match serde_json::to_string(&line) {
                Ok(line) => console_log!("{line}"),
                Err(error) => console_error!("writing the line of an attempt: {error}"),
            }
        }
        let Ok(dataset) = self.env.analytics_engine(DATASET) else {
            return;
        };
        let (_, event_type, kind) = delivery;
        // docs/operations.md names these columns; changing their order would mix up old and new points.
        let point = AnalyticsEngineDataPointBuilder::new()
            .indexes([self.webhook])
            .add_blob(self.workspace)
            .add_blob(self.webhook)
            .add_blob(event_type)
            .add_blob(kind.as_str())
            .add_blob(attempt.outcome.as_str())
            .add_double(f64::from(attempt.attempt))
            .add_double(f64::from(attempt.response_status.unwrap_or_default()))
            .add_double(f64::from(
                u32::try_from(attempt.duration_ms).unwrap_or(u32::MAX),
            ));
        if let Err(error) = point.write_to(&dataset) {
            console_error!("writing a data point: {error}");
        }
    }
}
