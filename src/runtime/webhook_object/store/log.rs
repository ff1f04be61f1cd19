//! Deliveries selected by a filter: the pages of a list, and the deliveries of a resend job.

use worker::{Result, SqlStorageValue as Value};

use super::{
    WebhookStore,
    deliveries::{COLUMNS, delivery_id, record},
    places::places,
    segment_rows::segment,
};
use crate::{
    domain::{
        delivery::Status,
        ids::DeliveryId,
        record::{DeliveryFilter, DeliveryRecord},
        resend::Selection,
        segment::{MEMBERS_LIMIT, Member, times_around},
        timestamp::Timestamp,
    },
    runtime::database::integer,
};

impl WebhookStore {
    /// Lists the deliveries that match a filter, newest first, without payloads. Each cluster of rows and of segments
    /// is read from its newest matching row on, and their pages are merged.
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
        // A segment that is not settled may have delivered members too: until its last delivery ends, or until a flush.
        let clusters: &[bool] = match filter.status {
            None | Some(Status::Delivered) => &[false, true],
            Some(Status::Pending) => &[false],
            Some(Status::Held | Status::Failed) => &[],
        };
        for settled in clusters {
            records.extend(self.list_segments(*settled, filter)?);
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

    /// Reads segments, newest first, until those that are left cannot have a delivery of the page.
    fn list_segments(&self, settled: bool, filter: &DeliveryFilter) -> Result<Vec<DeliveryRecord>> {
        let newest = [
            filter.until,
            filter.before.as_ref().map(DeliveryId::minted_at),
        ];
        let newest = newest.into_iter().flatten().min();
        let oldest = filter.since.unwrap_or_default();
        let newest = newest.unwrap_or(Timestamp::from_millis(i64::MAX));
        let (since, until) = times_around(oldest, newest);
        let (first, last) = places(settled, since, until);
        // Enough if all segments are full and all members match; if not, the loop reads on.
        let at_once = filter.limit.div_ceil(MEMBERS_LIMIT).saturating_add(1);
        let mut through = last;
        let mut records: Vec<DeliveryRecord> = Vec::new();
        loop {
            let rows = self.database.run(
                &format!(
                    "SELECT place, first, members FROM segments WHERE place BETWEEN ? AND ?
                     ORDER BY place DESC LIMIT {at_once}"
                ),
                vec![first.into(), through.into()],
            )?;
            let full = rows.len() == at_once;
            let mut last_key = None;
            for row in rows {
                let (place, segment) = segment(row)?;
                let members = segment.members().iter().map(Member::to_record);
                records.extend(members.filter(|record| filter.selects(record)));
                through = place.saturating_sub(1);
                last_key = Some(segment.key().minted_at());
            }
            records.sort_by(|a, b| b.id.cmp(&a.id));
            records.truncate(filter.limit);
            // The segments that are left have deliveries at most `SPAN` younger than the last key.
            let youngest_left = last_key.map(|time| times_around(time, time).1);
            let last = records.last().map(|last| last.id.minted_at());
            let complete = records.len() == filter.limit && last > youngest_left;
            if complete || !full {
                return Ok(records);
            }
        }
    }

    /// Counts the deliveries that a job has to resend.
    pub(crate) fn count_selected(&self, selection: &Selection) -> Result<u64> {
        let (conditions, parameters) = selected(selection, None);
        let statement = format!("SELECT COUNT(*) FROM deliveries WHERE {conditions}");
        let count = integer(self.database.value(&statement, parameters)?.as_ref());
        Ok(count
            .and_then(|count| count.try_into().ok())
            .unwrap_or_default())
    }

    /// Returns the next deliveries that a job may take, oldest first.
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
