//! Deliveries selected by a filter: the pages of a list.

use super::{
    WebhookTables,
    conditions::{Conditions, last_attempt_columns},
    deliveries::{COLUMNS, delivery_id, record, summary},
    places::places,
    segment_rows::{MEMBERS, SUMMARIES, segment},
};
use crate::{
    domain::{
        delivery::{Kind, Status},
        ids::DeliveryId,
        record::{DeliveryFilter, DeliveryRecord},
        segment::{MEMBERS_LIMIT, Member, times_around},
        timestamp::Timestamp,
    },
    machines::sql::Result,
};

/// How many rows a page, or a slice of a bulk resend, looks at in each cluster.
pub(super) const ROWS_SCANNED: usize = 1000;

/// How many segments a page looks at in each cluster, unless all of them are of the same moment.
const SEGMENTS_SCANNED: usize = 128;

/// A page of the log.
pub(crate) struct Listed {
    /// Newest first.
    pub(crate) records: Vec<DeliveryRecord>,
    /// The next page is before this one; none if there is no next page.
    pub(crate) next: Option<DeliveryId>,
}

/// What was found in a part of the log.
struct Scan {
    records: Vec<DeliveryRecord>,
    /// All that matches was found down to this id, which need not be a delivery's; none if it was found to the end.
    through: Option<DeliveryId>,
}

impl Scan {
    /// A scan to the end, or until more was found than fits.
    fn of(records: Vec<DeliveryRecord>, limit: usize) -> Self {
        let last = records.last().filter(|_| records.len() > limit);
        let through = last.map(|last| last.id.clone());
        Self { records, through }
    }
}

impl WebhookTables {
    /// Lists the deliveries that match a filter, newest first, without payloads. It reads a bounded number of rows: a
    /// page that finds little ends before it is full.
    ///
    /// Each cluster of rows and of segments is read from its newest row on, and what was found is merged down to where
    /// all of them were read.
    pub(crate) fn list(&self, filter: &DeliveryFilter) -> Result<Listed> {
        let settled: &[bool] = match filter.status {
            None => &[false, true],
            Some(Status::Pending | Status::Held) => &[false],
            Some(Status::Delivered | Status::Failed) => &[true],
        };
        let mut scans = Vec::new();
        for settled in settled {
            scans.push(self.scan_rows(*settled, filter)?);
        }
        // A segment that is not settled may have delivered members too: until its last delivery ends, or until a flush.
        let clusters: &[bool] = match (filter.status, filter.kind) {
            // Whose first attempt failed has a row of its own.
            _ if filter.is_retrying || !filter.last_attempt.may_be_success() => &[],
            (_, Some(Kind::Ping | Kind::Test)) | (Some(Status::Held | Status::Failed), _) => &[],
            (None | Some(Status::Delivered), _) => &[false, true],
            (Some(Status::Pending), _) => &[false],
        };
        for settled in clusters {
            scans.push(self.scan_segments(*settled, filter)?);
        }
        let through = scans.iter().filter_map(|scan| scan.through.clone()).max();
        let found = scans.into_iter().flat_map(|scan| scan.records);
        let mut records: Vec<_> = found
            .filter(|record| through.as_ref().is_none_or(|through| record.id >= *through))
            .collect();
        newest_first(&mut records);
        let is_full = records.len() > filter.limit;
        records.truncate(filter.limit);
        let last = records.last().map(|last| last.id.clone());
        let next = if is_full { last } else { through };
        Ok(Listed { records, next })
    }

    fn scan_rows(&self, settled: bool, filter: &DeliveryFilter) -> Result<Scan> {
        let mut range = Conditions::default();
        range.add("settled = ?", Some(i64::from(settled).into()));
        range.add(
            "id >= ?",
            filter
                .since
                .map(|since| DeliveryId::first_of(since).as_ref().into()),
        );
        range.add(
            "id < ?",
            filter
                .until
                .map(|until| DeliveryId::first_of(until).as_ref().into()),
        );
        range.add(
            "id < ?",
            filter.before.as_ref().map(|before| before.as_ref().into()),
        );
        let mut wanted = Conditions::default();
        wanted.add(
            "status = ?",
            filter.status.map(|status| status.as_str().into()),
        );
        wanted.add("kind = ?", filter.kind.map(|kind| kind.as_str().into()));
        wanted.add("type = ?", filter.event_type.as_deref().map(Into::into));
        wanted.add(
            "event_id = ?",
            filter.event_id.as_ref().map(|id| id.as_ref().into()),
        );
        wanted.add("made > ?", filter.is_retrying.then_some(0.into()));
        wanted.add_last_attempt(filter.last_attempt);
        // The parts of JSON that are wanted, so that it is read for these alone.
        let mut parts = String::new();
        if filter.is_retrying {
            parts.push_str(", json_extract(delivery, '$.attempts') AS made");
        }
        parts.push_str(&last_attempt_columns(filter.last_attempt));
        let columns = if filter.is_brief {
            summary()
        } else {
            COLUMNS.into()
        };
        let one_more = filter.limit.saturating_add(1);
        // The inner statement reads the beginnings of rows only: what endpoints answered is behind them.
        let statement = format!(
            "SELECT {columns} FROM deliveries WHERE settled = ? AND id IN (SELECT id FROM
             (SELECT id, status, kind, type, event_id{parts} FROM deliveries
              WHERE {range} ORDER BY id DESC LIMIT {ROWS_SCANNED})
             WHERE {wanted} LIMIT {one_more}) ORDER BY id DESC"
        );
        let settled = [i64::from(settled).into()].into_iter();
        let parameters = settled
            .chain(range.parameters.clone())
            .chain(wanted.parameters.clone());
        let rows = self.database.run(&statement, parameters.collect())?;
        let records = rows.into_iter().map(record).collect::<Result<Vec<_>>>()?;
        let mut scan = Scan::of(records, filter.limit);
        if scan.through.is_none() {
            scan.through = self.scanned_through(&range, "DESC")?;
        }
        Ok(scan)
    }

    /// The last of the rows that a scan looks at, if there may be more.
    pub(super) fn scanned_through(
        &self,
        range: &Conditions,
        order: &str,
    ) -> Result<Option<DeliveryId>> {
        let skipped = ROWS_SCANNED.saturating_sub(1);
        let statement = format!(
            "SELECT id FROM deliveries WHERE {range} ORDER BY id {order} LIMIT 1 OFFSET {skipped}"
        );
        let last = self.database.value(&statement, range.parameters.clone())?;
        last.map(|last| delivery_id(Some(last))).transpose()
    }

    /// Reads segments, newest first, until those that are left cannot have a delivery of the page.
    fn scan_segments(&self, settled: bool, filter: &DeliveryFilter) -> Result<Scan> {
        let newest = [
            filter.until,
            filter.before.as_ref().map(DeliveryId::minted_at),
        ];
        let newest = newest.into_iter().flatten().min();
        let oldest = filter.since.unwrap_or_default();
        let newest = newest.unwrap_or(Timestamp::from_millis(i64::MAX));
        let (since, until) = times_around(oldest, newest);
        let (first, mut through) = places(settled, since, until);
        let members = if filter.is_brief { SUMMARIES } else { MEMBERS };
        let one_more = filter.limit.saturating_add(1);
        // Enough if all segments are full and all members match; if not, the loop reads on.
        let at_once = one_more.div_ceil(MEMBERS_LIMIT).saturating_add(1);
        let mut scanned: usize = 0;
        let mut records: Vec<DeliveryRecord> = Vec::new();
        loop {
            let rows = self.database.run(
                &format!(
                    "SELECT place, first, {members} FROM segments WHERE place BETWEEN ? AND ?
                     ORDER BY place DESC LIMIT {at_once}"
                ),
                vec![first.into(), through.into()],
            )?;
            let full = rows.len() == at_once;
            scanned = scanned.saturating_add(rows.len());
            let mut last_key = None;
            for row in rows {
                let (place, segment) = segment(row)?;
                let members = segment.members().iter().map(Member::to_record);
                records.extend(members.filter(|record| filter.selects(record)));
                through = place.saturating_sub(1);
                last_key = Some(segment.key().minted_at());
            }
            newest_first(&mut records);
            records.truncate(one_more);
            // The segments that are left have deliveries at most `SPAN` younger than the last key.
            let youngest_left = last_key.map(|time| times_around(time, time).1);
            let last = records.last().map(|last| last.id.minted_at());
            let complete = records.len() == one_more && last > youngest_left;
            let Some(youngest_left) = youngest_left.filter(|_| full && !complete) else {
                return Ok(Scan::of(records, filter.limit));
            };
            let through = DeliveryId::after(youngest_left);
            let leads_on = filter
                .before
                .as_ref()
                .is_none_or(|before| through < *before);
            if scanned >= SEGMENTS_SCANNED && leads_on {
                let through = Some(through);
                return Ok(Scan { records, through });
            }
        }
    }

    /// Finds a ping or a test among the oldest rows, where a new webhook's ping is.
    pub(crate) fn find_probe(&self, kind: Kind) -> Result<Option<DeliveryId>> {
        let statement = format!(
            "SELECT id FROM (SELECT id, kind FROM deliveries WHERE settled = ? ORDER BY id LIMIT {ROWS_SCANNED})
             WHERE kind = ? LIMIT 1"
        );
        for settled in [0_i64, 1] {
            let parameters = vec![settled.into(), kind.as_str().into()];
            if let Some(id) = self.database.value(&statement, parameters)? {
                return delivery_id(Some(id)).map(Some);
            }
        }
        Ok(None)
    }
}

fn newest_first(records: &mut [DeliveryRecord]) {
    records.sort_by(|a, b| b.id.cmp(&a.id));
}
