//! The deliveries whose last attempt failed, grouped by how it did.

use std::cmp::Reverse;

use super::{
    WebhookTables,
    deliveries::{LAST_OUTCOME, LAST_STATUS, damaged, delivery_id},
    log::ROWS_SCANNED,
};
use crate::{
    domain::{last_attempt::FailureGroup, outcome::Outcome},
    machines::sql::{Result, Row, integer, text},
};

impl WebhookTables {
    /// Groups the newest of the deliveries that have a failed attempt behind them and nothing after it, the largest group
    /// first. It looks at a bounded number of rows of each cluster; what was delivered at once has none.
    pub(crate) fn group_failures(&self) -> Result<Vec<FailureGroup>> {
        let newest = |settled: u8| {
            format!(
                "SELECT * FROM (SELECT id, {LAST_OUTCOME} AS outcome, {LAST_STATUS} AS status FROM deliveries
                 WHERE settled = {settled} ORDER BY id DESC LIMIT {ROWS_SCANNED})"
            )
        };
        let rows = self.database.run(
            &format!(
                "SELECT outcome, status, COUNT(*), MIN(id) FROM ({} UNION ALL {})
                 WHERE outcome <> ? GROUP BY outcome, status",
                newest(0),
                newest(1)
            ),
            vec![Outcome::Succeeded.as_str().into()],
        )?;
        let mut groups = rows.into_iter().map(group).collect::<Result<Vec<_>>>()?;
        groups.sort_by_key(|group| (Reverse(group.deliveries), group.outcome, group.status));
        Ok(groups)
    }
}

fn group(mut row: Row) -> Result<FailureGroup> {
    let outcome = text(row.next()).ok_or_else(|| damaged("outcome"))?;
    let outcome = Outcome::of_word(&outcome).ok_or_else(|| damaged("outcome"))?;
    let status = integer(row.next().as_ref()).and_then(|status| status.try_into().ok());
    let deliveries = integer(row.next().as_ref()).and_then(|count| count.try_into().ok());
    Ok(FailureGroup {
        outcome,
        status,
        deliveries: deliveries.unwrap_or_default(),
        since: delivery_id(row.next())?.minted_at(),
    })
}
