//! The object of one webhook: the machine in it, and its owner's last word.

use std::rc::Rc;

use webhook_relay::{
    domain::{
        ids::WebhookId, policy::Policy, sealed::EncryptionKeys, timestamp::Timestamp,
        webhook::Settings,
    },
    machines::{
        sql::{Database, text},
        webhook::{Context, Input, Outputs, WebhookMachine, wake::Reason},
    },
};

use crate::{calls::Caller, host::Host};

/// An object.
pub(crate) struct Object {
    pub(crate) workspace: usize,
    pub(crate) webhook: WebhookId,
    pub(crate) host: Host,
    pub(crate) machine: WebhookMachine,
    /// Whether its owner asked to delete it.
    pub(crate) is_deleted: bool,
    /// Whether its owner paused it at some time.
    pub(crate) was_paused: bool,
    /// Since when nothing may be attempted, but under leases granted before.
    pub(crate) closed_since: Option<Timestamp>,
    /// The highest revision of revoked keys that it has answered to know.
    pub(crate) keys_known: u64,
    /// Commands that will share a call, and who waits for the replies.
    pub(crate) sharing: Vec<(String, Caller)>,
}

impl Object {
    pub(crate) fn new(workspace: usize, webhook: WebhookId) -> Self {
        let host = Host::new();
        Self {
            workspace,
            webhook,
            machine: WebhookMachine::new(Rc::clone(&host.engine) as _),
            host,
            is_deleted: false,
            was_paused: false,
            closed_since: None,
            keys_known: 0,
            sharing: Vec::new(),
        }
    }

    /// Lets something happen to the machine.
    pub(crate) fn happens(&mut self, input: Input, now: Timestamp, policy: &Policy) -> Outputs {
        let keys = EncryptionKeys::default();
        let context = Context {
            now,
            webhook: &self.webhook,
            policy,
            keys: &keys,
            nonces: &|| None,
        };
        self.machine.handle(input, &context)
    }

    /// Why it wakes next.
    pub(crate) fn reason(&mut self, now: Timestamp, policy: &Policy) -> Option<Reason> {
        let keys = EncryptionKeys::default();
        let context = Context {
            now,
            webhook: &self.webhook,
            policy,
            keys: &keys,
            nonces: &|| None,
        };
        let next = self.machine.next_wake(&context).ok()??;
        (next.0 <= now).then_some(next.1)
    }

    /// Forgets everything but the rows.
    pub(crate) fn restart(&mut self) {
        self.machine = WebhookMachine::new(Rc::clone(&self.host.engine) as _);
    }

    /// The settings in its rows.
    pub(crate) fn settings(&self) -> Option<Settings> {
        self.stored("settings")
    }

    /// What is stored under a key of its table of values.
    pub(crate) fn stored<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        let database = Database::new(Rc::clone(&self.host.engine) as _);
        if !database.has_table("meta").expect("it is read") {
            return None;
        }
        let value = database.value("SELECT value FROM meta WHERE key = ?", vec![key.into()]);
        let value = text(value.expect("it is read"))?;
        Some(serde_json::from_str(&value).expect("it is JSON"))
    }
}
