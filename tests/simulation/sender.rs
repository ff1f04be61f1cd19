//! An invocation that sends: the Worker after its answer, a hired Sender, or the alarm.

use webhook_relay::{
    domain::{budget::Budget, policy::Policy, timestamp::Timestamp},
    machines::{
        sender::{SenderContext, SenderInput, SenderMachine, SenderOutputs},
        shift::Shift,
    },
};

/// A sender.
pub(crate) struct Sender {
    pub(crate) object: usize,
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
            machine: SenderMachine::new(shift),
            budget,
            under_way: 0,
            posts: 0,
            is_alarm_of: None,
            timers: 0,
        }
    }

    pub(crate) fn happens(
        &mut self,
        input: SenderInput,
        now: Timestamp,
        policy: &Policy,
    ) -> SenderOutputs {
        let mut context = SenderContext {
            now,
            policy,
            budget: &mut self.budget,
        };
        let outputs = self.machine.handle(input, &mut context);
        self.under_way += outputs.attempts.len();
        self.posts += outputs.attempts.len();
        assert!(self.under_way <= 6, "seven connections wait");
        assert!(self.posts <= policy.subrequests, "too many subrequests");
        outputs
    }
}
