//! The rows of the hours' counts.
//!
//! Counts wait in memory until they are folded into these rows; what was not folded when the object stopped is counted
//! again from its deliveries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    WebhookTables,
    deliveries::{damaged, record, summary},
};
use crate::{
    domain::{
        ids::DeliveryId,
        stats::{Counts, HourCounts},
        timestamp::Timestamp,
        webhook::LastAttempts,
    },
    machines::sql::{Result, integer, json, text},
};

/// One hour's row.
#[derive(Serialize, Deserialize)]
struct HourRow {
    /// All attempts up to this time are folded, into this row and those of earlier hours.
    through: Timestamp,
    /// The last attempts of all up to this time.
    #[serde(default, skip_serializing_if = "LastAttempts::is_empty")]
    last: LastAttempts,
    #[serde(rename = "tally")]
    counts: HourCounts,
}

impl WebhookTables {
    /// Starts counting again what was counted since the last fold.
    pub(super) fn counts(&self) -> Result<Counts> {
        // Not the last row alone: a clock that was set back folds into an earlier one.
        let last = self
            .database
            .run("SELECT value FROM stats ORDER BY hour DESC LIMIT 2", vec![])?;
        let (mut through, mut attempts) = (Timestamp::default(), LastAttempts::default());
        for mut row in last {
            let row = json::<HourRow>(row.next())?;
            through = through.max(row.through);
            attempts = attempts.or_later(row.last);
        }
        Ok(Counts::since(through, attempts))
    }

    /// A time before which an attempt has succeeded, if one has.
    pub(super) fn succeeded_before(&self, counts: &Counts) -> Result<Option<Timestamp>> {
        let delivered =
            "SELECT 1 FROM stats WHERE json_extract(value, '$.tally.delivered') > 0 LIMIT 1";
        let is_folded = self.database.value(delivered, vec![])?.is_some();
        let folded = is_folded.then(|| counts.folded_through());
        Ok(folded.or(counts.last().success))
    }

    /// Counts again the settled deliveries made since the last fold.
    pub(super) fn recount_settled(&self, counts: &mut Counts) -> Result<()> {
        let since = DeliveryId::first_of(counts.folded_through());
        let columns = summary();
        let statement = format!("SELECT {columns} FROM deliveries WHERE settled = 1 AND id >= ?");
        self.database
            .each(&statement, vec![since.as_ref().into()], |row| {
                let record = record(row)?;
                counts.recount(&record.id, &record.delivery, &record.attempts);
                Ok(())
            })?;
        self.settled_segments_since(counts.folded_through(), |segment| {
            let members = segment.members().iter();
            for member in members.filter(|member| *member.id() >= since) {
                counts.recount(member.id(), member.delivery(), member.attempts());
            }
        })
    }

    /// Adds counts to the rows of their hours.
    pub(crate) fn fold(&self, counts: &Counts, through: Timestamp) -> Result<()> {
        for hour in counts.hours() {
            let folded = self.hour_row(hour)?.map(|row| row.counts);
            let row = serde_json::to_string(&HourRow {
                through,
                last: counts.last(),
                counts: counts.hour(hour, folded),
            })?;
            let statement = "INSERT OR REPLACE INTO stats (hour, value) VALUES (?, ?)";
            self.database
                .run(statement, vec![hour.into(), row.into()])?;
        }
        Ok(())
    }

    fn hour_row(&self, hour: i64) -> Result<Option<HourRow>> {
        let value = self
            .database
            .value("SELECT value FROM stats WHERE hour = ?", vec![hour.into()])?;
        Ok(text(value)
            .map(|row| serde_json::from_str(&row))
            .transpose()?)
    }

    /// Returns the folded counts of an hour and all later ones.
    pub(crate) fn hours(&self, first: i64) -> Result<BTreeMap<i64, HourCounts>> {
        let rows = self.database.run(
            "SELECT hour, value FROM stats WHERE hour >= ?",
            vec![first.into()],
        )?;
        let hours = rows.into_iter().map(|mut row| {
            let hour = integer(row.next().as_ref()).ok_or_else(|| damaged("hour"))?;
            Ok((hour, json::<HourRow>(row.next())?.counts))
        });
        hours.collect()
    }

    /// Deletes the counts of the hours before `hour`.
    pub(super) fn purge_hours(&self, first: i64) -> Result<()> {
        self.database
            .run("DELETE FROM stats WHERE hour < ?", vec![first.into()])?;
        Ok(())
    }
}
