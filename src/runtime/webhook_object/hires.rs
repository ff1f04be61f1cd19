//! Who makes the attempts of what is due: Senders that the alarm hires or, while none can be hired, the alarm itself.

use std::cell::RefCell;

use futures_util::future::join_all;
use worker::{Result, console_error};

use super::WebhookObject;
use crate::{
    domain::{budget::Budget, policy::Policy, queue::Company, timestamp::Timestamp},
    machines::{hiring::Crew, shift::Shift},
    runtime::{
        commands::{AttemptReport, Grant, Hire, Hired, WebhookReply, parse_webhook_object_name},
        config::{Config, config},
        entropy::now,
        observer::Observer,
        sender::{Reports, Sending},
    },
};

/// The leases of one sender.
#[derive(Default)]
struct Group {
    grants: Vec<Grant>,
    /// Whether it may go on with further leases: the others are sent only with their like.
    goes_on: bool,
}

impl WebhookObject {
    /// Hires Senders for what is due; returns how many requests that took. The leases of a hire that was refused are due
    /// again.
    pub(super) async fn hire(&self, at_most: usize, policy: &Policy) -> Result<usize> {
        let Some((workspace, webhook)) = parse_webhook_object_name(&self.name()) else {
            return Ok(0);
        };
        let groups = self.lease_groups(Crew::new(at_most, policy.subrequests), policy)?;
        if groups.is_empty() {
            return Ok(0);
        }
        let hires = groups.into_iter().map(|group| Hire {
            workspace: workspace.clone(),
            webhook: webhook.clone(),
            grants: group.grants,
            goes_on: group.goes_on,
        });
        let hires: Vec<_> = hires.collect();
        let answers = join_all(hires.iter().map(|hire| hire.send(&self.state))).await;
        let now = now();
        let refused = hires.iter().zip(&answers);
        let refused = refused.filter(|(_, answer)| **answer == Hired::Refused);
        self.change_desk(|open| {
            for grant in refused.flat_map(|(hire, _)| &hire.grants) {
                let Some(mut record) = self.store.read(&grant.id)? else {
                    continue;
                };
                if record.delivery.withdraw(grant.lease, now) {
                    self.put(&mut open.dispatch, &record, false)?;
                }
            }
            Ok(())
        })?;
        self.flush()?;
        let taken = answers
            .iter()
            .filter(|answer| **answer == Hired::Taken)
            .count();
        let failed = answers.len().saturating_sub(taken);
        if failed > 0 {
            console_error!("{webhook}: {failed} of {} hires failed", answers.len());
        }
        self.hiring.borrow_mut().answered(taken, failed, now);
        Ok(answers.len())
    }

    /// Makes attempts of what is due from the object, and begins none after a time.
    pub(super) async fn send_by_itself(
        &self,
        until: Timestamp,
        budget: &RefCell<Budget>,
        config: &Config,
    ) -> Result<()> {
        let requests = budget.borrow().posts();
        if requests == 0 {
            // The hire took the only one; the next alarm sends.
            return Ok(());
        }
        let groups = self.lease_groups(Crew::new(1, requests), &config.policy)?;
        let name = self.name();
        let webhook = self.webhook_id()?;
        for Group { grants, goes_on } in groups {
            budget.borrow_mut().take_posts(grants.len());
            let sending = Sending {
                webhook: &webhook,
                config,
                observer: Observer::of_object(&self.env, &name),
                shift: Shift::until(until).going_on(goes_on),
                budget,
                reports: self,
                ended: || {},
                #[cfg(feature = "test-hooks")]
                counted: crate::runtime::test_hooks::Counted::new("alarm"),
            };
            sending.run(grants).await;
        }
        Ok(())
    }

    /// Leases what is due, for the senders of a crew.
    fn lease_groups(&self, mut crew: Crew, policy: &Policy) -> Result<Vec<Group>> {
        let now = now();
        let groups = self.change_desk(|open| {
            let dispatch = &mut open.dispatch;
            let mut groups = Vec::<Group>::new();
            while dispatch.has_free_lease(policy) {
                let Some((id, company)) = dispatch.queue.next(now) else {
                    break;
                };
                let bytes = dispatch.queue.bytes_of(&id);
                let Some(number) = crew.seat(company, bytes) else {
                    break;
                };
                if groups.len() <= number {
                    groups.resize_with(number.saturating_add(1), Group::default);
                }
                if let Some(group) = groups.get_mut(number) {
                    group.goes_on = company == Company::Unsuspected;
                    group.grants.extend(self.lease(dispatch, &id, now, policy)?);
                }
            }
            groups.retain(|group| !group.grants.is_empty());
            Ok(groups)
        })?;
        // A lease is used only after it is flushed.
        self.flush()?;
        Ok(groups.unwrap_or_default())
    }
}

/// For the attempts that the alarm makes itself.
impl Reports for &WebhookObject {
    async fn report(&self, reports: Vec<AttemptReport>, leases: usize) -> Vec<Grant> {
        let reported = match config(&self.env) {
            Ok(config) => self.take_reports(reports, leases, &config.policy).await,
            Err(error) => Err(worker::Error::RustError(error.to_string())),
        };
        match reported {
            Ok(WebhookReply::Granted(grants)) => grants,
            Ok(_) => Vec::new(),
            Err(error) => {
                // Memory and rows may differ, so the next command reads the rows again.
                self.forget();
                console_error!("report to {}: {error}", self.name());
                Vec::new()
            }
        }
    }
}
