//! Drives the machine of a sender (`machines::sender`): makes its attempts, keeps its time, and carries its reports.

use std::{cell::RefCell, rc::Rc};

use futures_util::{
    StreamExt,
    future::{FutureExt, LocalBoxFuture},
    stream::FuturesUnordered,
};
use worker::console_error;

use super::{Connections, Reports, attempt::attempt};
use crate::{
    domain::{budget::Budget, ids::WebhookId},
    machines::{
        messages::Grant,
        sender::{SenderContext, SenderInput, SenderMachine, SenderOutputs},
        shift::Shift,
    },
    runtime::platform::{
        config::Config,
        entropy::{self, now},
        observer::Observer,
    },
};
#[cfg(feature = "test-hooks")]
use crate::{machines::recording, runtime::test_hooks};

/// A sender of one webhook.
pub(in crate::runtime) struct Sending<'a, R, E> {
    pub(in crate::runtime) webhook: &'a WebhookId,
    pub(in crate::runtime) config: &'a Config,
    pub(in crate::runtime) observer: Observer<'a>,
    pub(in crate::runtime) shift: Shift,
    /// What the invocation may still send, with the leases that the sender begins with already taken from it.
    pub(in crate::runtime) budget: &'a RefCell<Budget>,
    /// The connections of the invocation.
    pub(in crate::runtime) connections: &'a Connections,
    pub(in crate::runtime) reports: R,
    /// Is called whenever an attempt has ended.
    pub(in crate::runtime) ended: E,
    #[cfg(feature = "test-hooks")]
    pub(in crate::runtime) counted: crate::runtime::test_hooks::Counted,
}

impl<R: Reports, E: Fn()> Sending<'_, R, E> {
    /// Makes the attempts of leases, and of those that follow.
    pub(in crate::runtime) async fn run(&self, grants: Vec<Grant>) {
        let mut machine = SenderMachine::new(self.shift);
        #[cfg(feature = "test-hooks")]
        let whose = test_hooks::begin_life(recording::Kind::Sender, "");
        let mut awaited: FuturesUnordered<LocalBoxFuture<'_, SenderInput>> =
            FuturesUnordered::new();
        let mut input = SenderInput::Leased(grants);
        loop {
            let outputs = self.handle(
                &mut machine,
                input,
                #[cfg(feature = "test-hooks")]
                &whose,
            );
            for id in outputs.too_late {
                console_error!("{}: too late for {id}", self.webhook);
            }
            for grant in outputs.attempts {
                awaited.push(self.make_attempt(grant).boxed_local());
            }
            if let Some(report) = outputs.report {
                let answered = async move {
                    SenderInput::Answered(self.reports.report(Rc::clone(&report)).await)
                };
                awaited.push(answered.boxed_local());
            }
            if let Some(wait) = outputs.timer {
                let fired = entropy::wait(wait).map(|()| SenderInput::TimerFired);
                awaited.push(fired.boxed_local());
            }
            if outputs.is_done {
                return;
            }
            match awaited.next().await {
                Some(next) => input = next,
                None => return,
            }
        }
    }

    fn handle(
        &self,
        machine: &mut SenderMachine,
        input: SenderInput,
        #[cfg(feature = "test-hooks")] whose: &recording::Whose,
    ) -> SenderOutputs {
        let mut context = SenderContext {
            now: now(),
            policy: &self.config.policy,
            budget: &mut self.budget.borrow_mut(),
        };
        #[cfg(feature = "test-hooks")]
        if test_hooks::records() {
            let whose = whose.clone();
            let recorded = recording::sender(machine, whose, self.shift, input, &mut context);
            return test_hooks::keep(recorded);
        }
        machine.handle(input, &mut context)
    }

    /// Makes one attempt as soon as a connection is free.
    async fn make_attempt(&self, grant: Grant) -> SenderInput {
        let Some(_connection) = self.connections.take().await else {
            return SenderInput::NotBegun(grant.id, grant.lease);
        };
        #[cfg(feature = "test-hooks")]
        self.counted.begins();
        let attempted = attempt(grant, self.webhook, self.config, &self.observer).await;
        #[cfg(feature = "test-hooks")]
        self.counted.ends();
        (self.ended)();
        let reported = attempted.map_err(|fault| console_error!("{}: {fault}", self.webhook));
        SenderInput::Ended(reported.ok().map(Box::new))
    }
}
