//! Settings from the workspace: the newest revision counts, and a deletion is final.

use super::{Context, turn::Turn};
use crate::{
    domain::webhook::{Settings, StoredHeader},
    machines::sql::Result,
    mutants::Mutant,
};

impl Turn<'_> {
    /// Stores settings, unless a newer revision is known. Pings and tests keep the values of custom headers as sealed
    /// when they were made, so these are sealed again with the settings' key.
    pub(super) fn apply(&mut self, settings: &Settings, context: &Context<'_>) -> Result<()> {
        let Context {
            webhook,
            keys,
            nonces,
            ..
        } = *context;
        let known = &mut self.open.dispatch.settings;
        if settings.keys_revision > known.keys_revision {
            known.keys_revision = settings.keys_revision;
            self.tables.put_settings(known)?;
        }
        if settings.revision <= known.revision && !Mutant::RevisionIgnored.is_on() {
            return Ok(());
        }
        self.tables.put_settings(settings)?;
        if !known.sealed().all(|value| keys.is_current(value)) {
            self.tables.change_requests(|request| {
                let values = request.custom_headers.iter_mut();
                let values = values.map(StoredHeader::sealed_mut);
                Ok(keys.renew_all(webhook, values, nonces))
            })?;
        }
        let (now, policy) = (self.now, self.policy);
        self.and_standing(|dispatch| dispatch.apply(settings, now, policy))
    }
}
