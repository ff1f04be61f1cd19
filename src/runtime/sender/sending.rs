//! The loop of a sender: it makes attempts, reports those that end together, and goes on with the leases that the report
//! is answered with, while time and requests are left.
//!
//! It never has more attempts under way than it got leases at first: a report asks for at most as many as have ended.

use std::{cell::RefCell, pin::pin, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use worker::{Delay, console_error};

use super::{Reports, attempt::attempt};
use crate::{
    domain::{budget::Budget, ids::WebhookId},
    machines::shift::Shift,
    runtime::{
        commands::{AttemptReport, Grant},
        config::Config,
        entropy::now,
        observer::Observer,
    },
};

/// How long an ended attempt waits to be reported together with others.
const REPORTED_WITHIN: Duration = Duration::from_millis(3);

/// A sender of one webhook.
pub(in crate::runtime) struct Sending<'a, R, E> {
    pub(in crate::runtime) webhook: &'a WebhookId,
    pub(in crate::runtime) config: &'a Config,
    pub(in crate::runtime) observer: Observer<'a>,
    pub(in crate::runtime) shift: Shift,
    /// What the invocation may still send, with the leases that the sender begins with already taken from it.
    pub(in crate::runtime) budget: &'a RefCell<Budget>,
    pub(in crate::runtime) reports: R,
    /// Is called whenever an attempt has ended.
    pub(in crate::runtime) ended: E,
    #[cfg(feature = "test-hooks")]
    pub(in crate::runtime) counted: crate::runtime::test_hooks::Counted,
}

impl<R: Reports, E: Fn()> Sending<'_, R, E> {
    /// Makes the attempts of leases, and of those that follow.
    pub(in crate::runtime) async fn run(&self, grants: Vec<Grant>) {
        let mut sends: FuturesUnordered<_> = grants
            .into_iter()
            .map(|grant| self.make_attempt(grant))
            .collect();
        while let Some(ended) = sends.next().await {
            let mut all_ended = vec![ended];
            if !sends.is_empty() {
                // Stops early when all have ended: a timer that fires costs a turn of the event loop.
                let mut moment = pin!(Delay::from(REPORTED_WITHIN));
                while let Either::Left((Some(ended), _)) = select(sends.next(), &mut moment).await {
                    all_ended.push(ended);
                }
            }
            let reports: Vec<_> = all_ended.into_iter().flatten().collect();
            if !reports.is_empty() {
                let grants = self.report(reports).await;
                sends.extend(grants.into_iter().map(|grant| self.make_attempt(grant)));
            }
        }
    }

    /// Makes one attempt; returns none if there is nothing to report: the lease is lost.
    async fn make_attempt(&self, grant: Grant) -> Option<AttemptReport> {
        if !self
            .shift
            .may_begin(now(), grant.until, &self.config.policy)
        {
            console_error!("{}: too late for {}", self.webhook, grant.id);
            return None;
        }
        #[cfg(feature = "test-hooks")]
        self.counted.begins();
        let attempted = attempt(grant, self.webhook, self.config, &self.observer).await;
        #[cfg(feature = "test-hooks")]
        self.counted.ends();
        (self.ended)();
        attempted
            .map_err(|fault| {
                // It would lose the next leases too.
                self.budget.borrow_mut().exhaust();
                console_error!("{}: {fault}", self.webhook);
            })
            .ok()
    }

    /// Reports attempts; returns leases for at most as many further ones.
    async fn report(&self, reports: Vec<AttemptReport>) -> Vec<Grant> {
        let wanted = self.shift.leases_wanted(now(), reports.len());
        let leases = self.budget.borrow_mut().take_posts(wanted);
        let grants = self.reports.report(reports, leases).await;
        let unused = leases.saturating_sub(grants.len());
        self.budget.borrow_mut().give_back(unused);
        grants
    }
}
