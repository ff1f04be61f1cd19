//! The deliveries of a bulk resend: how many there are, and which are next.

use super::{
    WebhookTables,
    conditions::{Conditions, last_attempt_columns},
    deliveries::{damaged, delivery_id},
    log::ROWS_SCANNED,
};
use crate::{
    domain::{
        delivery::{Kind, Status},
        ids::DeliveryId,
        record::DeliveryRecord,
        resend::{Preview, Selection},
        timestamp::Timestamp,
    },
    machines::sql::{Result, SqlValue, integer},
};

/// How many rows a preview looks at from each end of the log.
const ROWS_PREVIEWED: usize = 5000;

/// What was found in a part of the log.
#[derive(Default)]
struct Found {
    total: u64,
    oldest: Option<DeliveryId>,
    newest: Option<DeliveryId>,
    /// The newest row that was looked at, if there may be more rows.
    through: Option<DeliveryId>,
}

impl WebhookTables {
    /// Counts the deliveries that a bulk resend has to resend.
    pub(crate) fn count_selected(&self, selection: &Selection, began_at: Timestamp) -> Result<u64> {
        if selection.is_named() {
            let named = self.find_named(selection, began_at)?;
            return Ok(u64::try_from(named.len()).unwrap_or(u64::MAX));
        }
        Ok(self.find_selected(selection, began_at, None, "")?.total)
    }

    /// Those of the named deliveries that a bulk resend takes.
    pub(crate) fn find_named(
        &self,
        selection: &Selection,
        began_at: Timestamp,
    ) -> Result<Vec<DeliveryId>> {
        let mut found = Vec::new();
        for id in &selection.ids {
            let record = self.read_summary(id)?;
            if record.is_some_and(|record| selection.takes(&record.delivery, began_at)) {
                found.push(id.clone());
            }
        }
        Ok(found)
    }

    /// Looks what a bulk resend would resend: of a long log at both its ends alone.
    pub(crate) fn preview(&self, selection: &Selection, now: Timestamp) -> Result<Preview> {
        let ascending = format!("ORDER BY id LIMIT {ROWS_PREVIEWED}");
        let descending = format!("ORDER BY id DESC LIMIT {ROWS_PREVIEWED}");
        let old = if selection.is_named() {
            let named = self.find_named(selection, now)?;
            Found {
                total: u64::try_from(named.len()).unwrap_or(u64::MAX),
                oldest: named.first().cloned(),
                newest: named.last().cloned(),
                through: None,
            }
        } else {
            self.find_selected(selection, now, None, &ascending)?
        };
        let new = match &old.through {
            Some(through) => self.find_selected(selection, now, Some(through), &descending)?,
            None => Found::default(),
        };
        let oldest = old.oldest.or(new.oldest);
        let newest = new.newest.or(old.newest);
        let is_one = oldest == newest;
        Ok(Preview {
            total: old.total.saturating_add(new.total),
            is_exact: new.through.is_none(),
            oldest_at: oldest.as_ref().map(DeliveryId::minted_at),
            newest_at: newest.as_ref().map(DeliveryId::minted_at),
            oldest: self.show_end(oldest)?,
            newest: self.show_end(newest.filter(|_| !is_one))?,
        })
    }

    fn show_end(&self, id: Option<DeliveryId>) -> Result<Option<Box<DeliveryRecord>>> {
        let record = id.map(|id| self.read_summary(&id)).transpose()?;
        Ok(record.flatten().map(Box::new))
    }

    /// Finds what a selection by status takes among the rows after one; `slice` says which of these.
    fn find_selected(
        &self,
        selection: &Selection,
        began_at: Timestamp,
        after: Option<&DeliveryId>,
        slice: &str,
    ) -> Result<Found> {
        let (range, wanted) = selected(selection, began_at, after);
        let columns = last_attempt_columns(selection.last_attempt);
        let statement = format!(
            "SELECT COUNT(*), MAX(id), COUNT(CASE WHEN is_wanted THEN 1 END), MIN(CASE WHEN is_wanted THEN id END),
                 MAX(CASE WHEN is_wanted THEN id END)
             FROM (SELECT id, {wanted} AS is_wanted
                 FROM (SELECT id, status, kind, type, delivery{columns} FROM deliveries WHERE {range} {slice}))"
        );
        let parameters = wanted.parameters.iter().chain(&range.parameters).cloned();
        let rows = self.database.run(&statement, parameters.collect())?;
        let mut row = rows.into_iter().next().ok_or_else(|| damaged("count"))?;
        let looked_at: usize = count(row.next().as_ref());
        let last = some_id(row.next())?;
        Ok(Found {
            total: count(row.next().as_ref()),
            oldest: some_id(row.next())?,
            newest: some_id(row.next())?,
            through: last.filter(|_| looked_at >= ROWS_PREVIEWED && !slice.is_empty()),
        })
    }

    /// Returns the next deliveries that a bulk resend may take, oldest first, and, if it looked at a whole slice of the log
    /// without finding as many as it may take, where that slice ended.
    pub(crate) fn next_selected(
        &self,
        selection: &Selection,
        began_at: Timestamp,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<(Vec<DeliveryId>, Option<DeliveryId>)> {
        if selection.is_named() {
            let left = selection.ids.iter();
            let left = left.filter(|id| after.is_none_or(|after| *id > after));
            return Ok((left.take(limit).cloned().collect(), None));
        }
        let (range, wanted) = selected(selection, began_at, after);
        let columns = last_attempt_columns(selection.last_attempt);
        let statement = format!(
            "SELECT id FROM (SELECT id, status, kind, type, delivery{columns} FROM deliveries WHERE {range} ORDER BY id LIMIT {ROWS_SCANNED})
             WHERE {wanted} LIMIT {limit}"
        );
        let parameters = range.parameters.iter().chain(&wanted.parameters).cloned();
        let rows = self.database.run(&statement, parameters.collect())?;
        let mut ids = rows
            .into_iter()
            .map(|mut row| delivery_id(row.next()))
            .collect::<Result<Vec<_>>>()?;
        ids.sort();
        let through = if ids.len() < limit {
            self.scanned_through(&range, "ASC")?
        } else {
            None
        };
        Ok((ids, through))
    }
}

fn count<T: TryFrom<i64> + Default>(value: Option<&SqlValue>) -> T {
    let count = integer(value).and_then(|count| count.try_into().ok());
    count.unwrap_or_default()
}

fn some_id(value: Option<SqlValue>) -> Result<Option<DeliveryId>> {
    match value {
        None | Some(SqlValue::Null) => Ok(None),
        found => delivery_id(found).map(Some),
    }
}

/// The rows among which a bulk resend looks, and what it takes of them.
fn selected(
    selection: &Selection,
    began_at: Timestamp,
    after: Option<&DeliveryId>,
) -> (Conditions, Conditions) {
    let mut range = Conditions::default();
    let settled = i64::from(selection.status == Some(Status::Failed));
    range.add("settled = ?", Some(settled.into()));
    let bound = |time| DeliveryId::first_of(time).as_ref().into();
    range.add("id >= ?", selection.since.map(bound));
    range.add("id < ?", selection.until.map(bound));
    range.add("id > ?", after.map(|after| after.as_ref().into()));
    let is_pending = selection.status == Some(Status::Pending);
    // What comes later would keep it going while an endpoint fails.
    range.add(
        "id < ?",
        is_pending.then(|| DeliveryId::after(began_at).as_ref().into()),
    );
    let mut wanted = Conditions::default();
    wanted.add("kind = ?", Some(Kind::Event.as_str().into()));
    let status = selection.status.map(|status| status.as_str().into());
    wanted.add("status = ?", status);
    wanted.add("type = ?", selection.event_type.as_deref().map(Into::into));
    wanted.add(
        "json_extract(delivery, '$.state.scheduled.due') > ?",
        is_pending.then(|| began_at.as_millis().into()),
    );
    wanted.add_last_attempt(selection.last_attempt);
    (range, wanted)
}
