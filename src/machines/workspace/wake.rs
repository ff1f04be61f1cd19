//! Why a workspace's object wakes: every reason in one list; the alarm is set for the least of them.

use crate::{
    domain::timestamp::Timestamp,
    machines::{sql::Result, workspace::tables::WorkspaceTables},
};

/// A reason to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A webhook's object or KV has not been told of a change: 5 s after the change, then after each round in vain twice
    /// as long as before, at most 60 s.
    Untold,
    /// KV must be told again what it was told last, because an earlier put may have come after it.
    PutAgain,
    /// The overlap of a rotation ends: the previous secret is deleted.
    Overlap,
}

impl Reason {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Untold, Self::PutAgain, Self::Overlap];

    /// When this reason wakes the object, if it does; what is due already waits for `round`, when the alarm tells next.
    pub(super) fn at(
        self,
        tables: &WorkspaceTables,
        now: Timestamp,
        round: Option<Timestamp>,
    ) -> Result<Option<Timestamp>> {
        let time = match self {
            Self::Untold => (!tables.untold()?.is_empty()).then_some(now),
            Self::PutAgain => tables.put_again_at()?,
            Self::Overlap => {
                let webhooks = tables.webhooks()?.into_iter();
                let previous = webhooks.filter_map(|webhook| webhook.settings.previous_secret);
                previous.map(|previous| previous.expires_at).min()
            }
        };
        Ok(match time {
            Some(time) if time <= now => round,
            time => time,
        })
    }
}
