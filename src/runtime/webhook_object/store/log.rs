//! The deliveries that a person selected: the pages of a list, and the work of a resend job.

use worker::{Result, SqlStorageValue as Value};

use super::{
    WebhookStore,
    deliveries::{COLUMNS, delivery_id, record},
};
use crate::{
    domain::{
        delivery::Status,
        ids::DeliveryId,
        record::{DeliveryFilter, DeliveryRecord},
        resend::Selection,
    },
    runtime::database::integer,
};

impl WebhookStore {
    /// The deliveries of a filter, newest first, without payloads. Each of the two clusters is read from its newest
    /// matching row on; the pages of both are merged.
    pub(crate) fn list(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryRecord>> {
        let settled: &[i64] = match filter.status {
            None => &[0, 1],
            Some(Status::Pending | Status::Held) => &[0],
            Some(Status::Delivered | Status::Failed) => &[1],
        };
        let mut records = Vec::new();
        for settled in settled {
            records.extend(self.list_cluster(*settled, filter)?);
        }
        records.sort_by(|a, b| b.id.cmp(&a.id));
        records.truncate(filter.limit);
        Ok(records)
    }

    fn list_cluster(&self, settled: i64, filter: &DeliveryFilter) -> Result<Vec<DeliveryRecord>> {
        let mut conditions = vec!["settled = ?"];
        let mut parameters: Vec<Value> = vec![settled.into()];
        let mut condition = |text, value: Option<Value>| {
            if let Some(value) = value {
                conditions.push(text);
                parameters.push(value);
            }
        };
        condition(
            "id >= ?",
            filter
                .since
                .map(|since| DeliveryId::first_of(since).as_ref().into()),
        );
        condition(
            "id < ?",
            filter
                .until
                .map(|until| DeliveryId::first_of(until).as_ref().into()),
        );
        condition(
            "id < ?",
            filter.before.as_ref().map(|before| before.as_ref().into()),
        );
        condition(
            "status = ?",
            filter.status.map(|status| status.as_str().into()),
        );
        condition("kind = ?", filter.kind.map(|kind| kind.as_str().into()));
        condition("type = ?", filter.event_type.as_deref().map(Into::into));
        let conditions = conditions.join(" AND ");
        let limit = filter.limit;
        let statement = format!(
            "SELECT {COLUMNS} FROM deliveries WHERE {conditions} ORDER BY id DESC LIMIT {limit}"
        );
        self.database
            .run(&statement, parameters)?
            .into_iter()
            .map(record)
            .collect()
    }

    /// How many deliveries a job has to resend, at this moment.
    pub(crate) fn count_selected(&self, selection: &Selection) -> Result<u64> {
        let (conditions, parameters) = selected(selection, None);
        let statement = format!("SELECT COUNT(*) FROM deliveries WHERE {conditions}");
        let count = integer(self.database.value(&statement, parameters)?.as_ref());
        Ok(count
            .and_then(|count| count.try_into().ok())
            .unwrap_or_default())
    }

    /// The next deliveries that a job may take, oldest first.
    pub(crate) fn next_selected(
        &self,
        selection: &Selection,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<DeliveryId>> {
        let (conditions, parameters) = selected(selection, after);
        let statement =
            format!("SELECT id FROM deliveries WHERE {conditions} ORDER BY id LIMIT {limit}");
        self.database
            .run(&statement, parameters)?
            .into_iter()
            .map(|mut row| delivery_id(row.next()))
            .collect()
    }
}

/// The conditions of a job's selection.
fn selected(selection: &Selection, after: Option<&DeliveryId>) -> (String, Vec<Value>) {
    let settled = i64::from(selection.status == Status::Failed);
    let mut conditions = String::from("settled = ? AND kind = 'event' AND status = ?");
    let mut parameters: Vec<Value> = vec![settled.into(), selection.status.as_str().into()];
    let since = selection
        .since
        .map(|since| ("id >= ?", DeliveryId::first_of(since)));
    let until = selection
        .until
        .map(|until| ("id < ?", DeliveryId::first_of(until)));
    let after = after.map(|after| ("id > ?", after.clone()));
    for (condition, id) in [since, until, after].into_iter().flatten() {
        conditions.push_str(" AND ");
        conditions.push_str(condition);
        parameters.push(id.as_ref().into());
    }
    (conditions, parameters)
}
