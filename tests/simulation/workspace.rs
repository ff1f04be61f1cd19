//! The object of one workspace: the machine in it, and the people who use it.

use std::{collections::VecDeque, rc::Rc};

use webhook_relay::{
    domain::{
        ids::WorkspaceId, policy::Policy, sealed::EncryptionKeys, subscriptions::Snapshot,
        timestamp::Timestamp, webhook::Webhook,
    },
    machines::{
        messages::{WorkspaceCommand, WorkspaceReply},
        workspace::{CallId, Context, Input, Outputs, WorkspaceMachine, wake::Reason},
    },
};

use crate::{
    host::Host,
    people::{Action, KnownKey},
};

/// A workspace.
pub(crate) struct Workspace {
    pub(crate) id: WorkspaceId,
    pub(crate) host: Host,
    pub(crate) machine: WorkspaceMachine,
    /// When the machine's timer fires, and its number.
    pub(crate) timer: Option<Timestamp>,
    pub(crate) timers: u64,
    /// The call that its alarm is.
    pub(crate) alarm_call: Option<CallId>,
    /// What its people want to do, one after the other; the first is under way.
    pub(crate) actions: VecDeque<Action>,
    pub(crate) keys: Vec<KnownKey>,
}

impl Workspace {
    pub(crate) fn new(id: WorkspaceId) -> Self {
        let host = Host::new();
        Self {
            id,
            machine: WorkspaceMachine::new(Rc::clone(&host.engine) as _),
            host,
            timer: None,
            timers: 0,
            alarm_call: None,
            actions: VecDeque::new(),
            keys: Vec::new(),
        }
    }

    /// Lets something happen to the machine.
    pub(crate) fn happens(&mut self, input: Input, now: Timestamp, policy: &Policy) -> Outputs {
        let keys = EncryptionKeys::default();
        self.machine.handle(
            input,
            &Context {
                now,
                policy,
                keys: &keys,
                nonces: &|| None,
            },
        )
    }

    /// Why it wakes next.
    pub(crate) fn reason(&self, now: Timestamp) -> Option<Reason> {
        let next = self.machine.next_wake(now).ok()??;
        // What could not be told waits for the next round.
        (next.0 <= now || matches!(next.1, Reason::Untold)).then_some(next.1)
    }

    /// Forgets everything but the rows.
    pub(crate) fn restart(&mut self) {
        self.machine = WorkspaceMachine::new(Rc::clone(&self.host.engine) as _);
        self.timer = None;
        self.alarm_call = None;
    }

    /// What KV should hold.
    pub(crate) fn snapshot(&self, now: Timestamp, policy: &Policy) -> Option<Snapshot> {
        match self.read(WorkspaceCommand::Snapshot, now, policy) {
            WorkspaceReply::Snapshot(snapshot) => Some(snapshot),
            _ => None,
        }
    }

    pub(crate) fn webhooks(&self, now: Timestamp, policy: &Policy) -> Vec<Webhook> {
        match self.read(WorkspaceCommand::ListWebhooks, now, policy) {
            WorkspaceReply::Webhooks(webhooks) => webhooks,
            _ => Vec::new(),
        }
    }

    /// Reads what is stored, as another machine sees it.
    fn read(&self, command: WorkspaceCommand, now: Timestamp, policy: &Policy) -> WorkspaceReply {
        let keys = EncryptionKeys::default();
        let context = Context {
            now,
            policy,
            keys: &keys,
            nonces: &|| None,
        };
        let mut reader = WorkspaceMachine::new(Rc::clone(&self.host.engine) as _);
        let outputs = reader.handle(Input::Command(0, Box::new(command)), &context);
        let answer = outputs.answers.into_iter().find(|(call, _)| *call == 0);
        answer.expect("it is answered").1.expect("it is read")
    }
}
