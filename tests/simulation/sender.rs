//! An invocation that sends: the Worker after its answer, a hired Sender, or the alarm.

use webhook_relay::{
    domain::{budget::Budget, policy::Policy, timestamp::Timestamp},
    machines::{
        messages::{Grant, WebhookCommand},
        sender::{SenderContext, SenderInput, SenderMachine, SenderOutputs},
        shift::Shift,
    },
};

use crate::ledger::LeaseName;

/// A sender.
pub(crate) struct Sender {
    pub(crate) object: usize,
    /// The leases that it was given.
    pub(crate) held: Vec<LeaseName>,
    /// Those whose report it waits for.
    pub(crate) reporting: Vec<LeaseName>,
    machine: SenderMachine,
    budget: Budget,
    pub(crate) under_way: usize,
    pub(crate) posts: usize,
    /// The life of the object whose alarm it is part of.
    pub(crate) is_alarm_of: Option<u64>,
    /// Tells its timers apart.
    pub(crate) timers: u64,
}

impl Sender {
    pub(crate) fn new(object: usize, shift: Shift, leases: usize, policy: &Policy) -> Self {
        let mut budget = Budget::new(policy.subrequests);
        budget.take_posts(leases);
        Self {
            object,
            held: Vec::new(),
            reporting: Vec::new(),
            machine: SenderMachine::new(shift),
            budget,
            under_way: 0,
            posts: 0,
            is_alarm_of: None,
            timers: 0,
        }
    }

    /// It is given leases.
    pub(crate) fn hold(&mut self, grants: &[Grant]) {
        let names = grants.iter();
        let names = names.map(|grant| (grant.id.clone(), grant.lease.lease));
        self.held.extend(names);
    }

    pub(crate) fn happens(
        &mut self,
        input: SenderInput,
        now: Timestamp,
        policy: &Policy,
    ) -> SenderOutputs {
        if matches!(input, SenderInput::NotBegun(..)) {
            self.posts -= 1;
        }
        let mut context = SenderContext {
            now,
            policy,
            budget: &mut self.budget,
        };
        let outputs = self.machine.handle(input, &mut context);
        self.under_way += outputs.attempts.len();
        self.posts += outputs.attempts.len();
        if let Some(WebhookCommand::Report {
            reports, unused, ..
        }) = outputs.report.as_deref()
        {
            let reported = reports.iter();
            let reported = reported.map(|report| (report.id.clone(), report.lease.lease));
            let unused = unused.iter().map(|(id, lease)| (id.clone(), lease.lease));
            self.reporting = reported.chain(unused).collect();
        }
        assert!(self.under_way <= 6, "seven connections wait");
        assert!(self.posts <= policy.subrequests, "too many subrequests");
        outputs
    }
}
