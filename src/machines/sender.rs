//! The machine of one sender: it makes the attempts of its leases, reports those that end together, and goes on with the
//! leases that a report is answered with, while time and requests are left.
//!
//! A driver hands it [`SenderInput`]s and does what [`SenderOutputs`] ask for, in the order of their fields, until there is
//! nothing more to wait for ([`SenderOutputs::is_done`]); what it still waits for then can be dropped.
//!
//! Invariants: it never has more attempts under way than it got leases at first, as a report asks for at most as many as
//! have ended; no attempt begins before its lease allows it; one report is under way at a time; what is not reported is a
//! lost lease, and nothing else is lost.

use std::{rc::Rc, time::Duration};

use super::{
    messages::{AttemptReport, Grant, UnusedLease, WebhookCommand},
    shift::Shift,
};
use crate::{
    domain::{
        budget::Budget, delivery::Lease, ids::DeliveryId, policy::Policy, timestamp::Timestamp,
    },
    mutants::Mutant,
};

/// How long an ended attempt waits to be reported together with others.
const REPORTED_WITHIN: Duration = Duration::from_millis(10);

/// The same while more is due than is leased: what ends makes room for it.
const REPORTED_WITHIN_IF_BEHIND: Duration = Duration::from_millis(3);

/// How often a report is tried; if all tries fail, the leases are lost and the attempts are made again.
const TRIES: u32 = 3;

/// How long after a try that failed the next one is made, for each try before it.
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// What may happen to a sender.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize, serde::Deserialize))]
pub enum SenderInput {
    /// It is given leases; the POSTs are taken from the budget already.
    Leased(Vec<Grant>),
    /// An attempt ended; none if there is nothing to report, by a fault of the relay's own: the lease is lost, and so would
    /// the next ones be.
    Ended(Option<Box<AttemptReport>>),
    /// No connection became free in time for the attempt of this lease.
    NotBegun(DeliveryId, Lease),
    /// The timer that was asked for fired.
    TimerFired,
    /// The report was answered, with further leases; none if it was not answered.
    Answered(Option<Vec<Grant>>),
}

/// What a sender asks its driver for.
#[derive(Debug, Default)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct SenderOutputs {
    /// Begins these attempts.
    pub attempts: Vec<Grant>,
    /// Leases whose attempt would begin too late to be reported; they are lost.
    pub too_late: Vec<DeliveryId>,
    /// Sends this report to the webhook's object, then says [`SenderInput::Answered`].
    pub report: Option<Rc<WebhookCommand>>,
    /// Says [`SenderInput::TimerFired`] after this time, instead of an earlier request.
    pub timer: Option<Duration>,
    /// Whether all is reported and no attempt is under way.
    pub is_done: bool,
}

/// What a sender cannot know by itself.
pub struct SenderContext<'a> {
    /// The present time.
    pub now: Timestamp,
    /// The deployment's settings.
    pub policy: &'a Policy,
    /// What the invocation may still ask of the platform; other senders may share it.
    pub budget: &'a mut Budget,
}

/// The machine of one sender.
#[derive(Debug)]
pub struct SenderMachine {
    shift: Shift,
    /// Leases whose attempt may not begin yet.
    waiting: Vec<Grant>,
    /// Attempts that have begun and not ended.
    under_way: usize,
    /// What has ended and is not reported.
    ended: Vec<AttemptReport>,
    /// Leases whose attempts were not begun, not given back yet.
    unused: Vec<UnusedLease>,
    report: Report,
    /// Whether the last report was answered with leases.
    is_behind: bool,
    /// When the timer fires that was asked for last.
    timer: Option<Timestamp>,
}

/// The report of what has ended.
#[derive(Debug)]
enum Report {
    /// None is due.
    None,
    /// It waits a moment for more to end.
    Gathers {
        /// Until when.
        until: Timestamp,
    },
    /// It is under way, for the `tries`th time.
    Sent {
        report: Rc<WebhookCommand>,
        leases: usize,
        tries: u32,
    },
    /// It was not answered, and is sent again in a moment.
    Unanswered {
        report: Rc<WebhookCommand>,
        leases: usize,
        tries: u32,
        /// When.
        again_at: Timestamp,
    },
}

impl Report {
    /// When it is sent, if it waits for a time.
    const fn due(&self) -> Option<Timestamp> {
        match self {
            Self::None | Self::Sent { .. } => None,
            Self::Gathers { until } => Some(*until),
            Self::Unanswered { again_at, .. } => Some(*again_at),
        }
    }
}

impl SenderMachine {
    /// A sender that has no leases.
    #[must_use]
    pub const fn new(shift: Shift) -> Self {
        Self {
            shift,
            waiting: Vec::new(),
            under_way: 0,
            ended: Vec::new(),
            unused: Vec::new(),
            report: Report::None,
            is_behind: false,
            timer: None,
        }
    }

    /// Lets something happen to the sender, and returns what has to be done then.
    pub fn handle(&mut self, input: SenderInput, context: &mut SenderContext<'_>) -> SenderOutputs {
        let mut outputs = SenderOutputs::default();
        match input {
            SenderInput::Leased(grants) => self.begin(grants, context, &mut outputs),
            SenderInput::Ended(report) => {
                self.under_way = self.under_way.saturating_sub(1);
                match report {
                    Some(report) => self.ended.push(*report),
                    None => context.budget.exhaust(),
                }
            }
            SenderInput::NotBegun(id, lease) => {
                self.under_way = self.under_way.saturating_sub(1);
                self.unused.push((id, lease));
                context.budget.give_back(1);
            }
            SenderInput::TimerFired => self.timer_fired(context, &mut outputs),
            SenderInput::Answered(answer) => self.answered(answer, context, &mut outputs),
        }
        self.report_ended(context, &mut outputs);
        self.ask_for_timer(context.now, &mut outputs);
        outputs.is_done =
            self.under_way == 0 && self.waiting.is_empty() && matches!(self.report, Report::None);
        outputs
    }

    fn begin(
        &mut self,
        grants: Vec<Grant>,
        context: &SenderContext<'_>,
        outputs: &mut SenderOutputs,
    ) {
        let SenderContext { now, policy, .. } = *context;
        for grant in grants {
            let begins = begins_at(&grant).max(now);
            if !self.shift.may_begin(begins, grant.until, policy) {
                outputs.too_late.push(grant.id);
            } else if begins > now {
                self.waiting.push(grant);
            } else {
                self.under_way = self.under_way.saturating_add(1);
                outputs.attempts.push(grant);
            }
        }
    }

    /// Reports what has ended: at once if nothing else is under way, else in a moment, together with what ends until then.
    fn report_ended(&mut self, context: &mut SenderContext<'_>, outputs: &mut SenderOutputs) {
        let is_free = matches!(self.report, Report::None | Report::Gathers { .. });
        if self.ended.is_empty() && self.unused.is_empty() || !is_free {
            return;
        }
        if self.under_way == 0 {
            self.send(context, outputs);
        } else if matches!(self.report, Report::None) {
            let within = if self.is_behind {
                REPORTED_WITHIN_IF_BEHIND
            } else {
                REPORTED_WITHIN
            };
            let until = context.now.saturating_add(within);
            self.report = Report::Gathers { until };
        }
    }

    /// Does what is due: begins attempts, and sends the report. A timer may fire early, by the clock of the invocation.
    fn timer_fired(&mut self, context: &mut SenderContext<'_>, outputs: &mut SenderOutputs) {
        self.timer = None;
        let due = std::mem::take(&mut self.waiting);
        self.begin(due, context, outputs);
        if self.report.due().is_none_or(|due| due > context.now) {
            return;
        }
        match std::mem::replace(&mut self.report, Report::None) {
            Report::Gathers { .. } => self.send(context, outputs),
            Report::Unanswered {
                report,
                leases,
                tries,
                ..
            } => {
                context.budget.count_call();
                outputs.report = Some(Rc::clone(&report));
                self.report = Report::Sent {
                    report,
                    leases,
                    tries: tries.saturating_add(1),
                };
            }
            other => self.report = other,
        }
    }

    /// Asks for the timer of what is due next.
    fn ask_for_timer(&mut self, now: Timestamp, outputs: &mut SenderOutputs) {
        let begins = self.waiting.iter().map(begins_at);
        let next = begins.chain(self.report.due()).min();
        if let Some(next) = next
            && self.timer.is_none_or(|timer| next < timer)
        {
            self.timer = Some(next);
            outputs.timer = Some(next.saturating_duration_since(now));
        }
    }

    fn send(&mut self, context: &mut SenderContext<'_>, outputs: &mut SenderOutputs) {
        let reports = std::mem::take(&mut self.ended);
        let wanted = if Mutant::SenderAsksForTooMany.is_on() {
            6
        } else {
            self.shift.leases_wanted(context.now, reports.len())
        };
        let leases = context.budget.take_posts(wanted);
        context.budget.count_call();
        let ahead = self.shift.ahead(context.now);
        let report = Rc::new(WebhookCommand::Report {
            reports,
            unused: std::mem::take(&mut self.unused),
            leases,
            ahead_ms: u64::try_from(ahead.as_millis()).unwrap_or_default(),
        });
        outputs.report = Some(Rc::clone(&report));
        self.report = Report::Sent {
            report,
            leases,
            tries: 1,
        };
    }

    fn answered(
        &mut self,
        answer: Option<Vec<Grant>>,
        context: &mut SenderContext<'_>,
        outputs: &mut SenderOutputs,
    ) {
        let Report::Sent {
            report,
            leases,
            tries,
        } = std::mem::replace(&mut self.report, Report::None)
        else {
            return;
        };
        match answer {
            Some(grants) => {
                self.is_behind = !grants.is_empty();
                let unused = leases.saturating_sub(grants.len());
                context.budget.give_back(unused);
                self.begin(grants, context, outputs);
            }
            None if tries < TRIES => {
                let again_at = context
                    .now
                    .saturating_add(BETWEEN_TRIES.saturating_mul(tries));
                self.report = Report::Unanswered {
                    report,
                    leases,
                    tries,
                    again_at,
                };
            }
            None => context.budget.give_back(leases),
        }
    }
}

/// When the attempt of a lease may begin.
fn begins_at(grant: &Grant) -> Timestamp {
    let not_before = grant.not_before;
    not_before
        .filter(|_| !Mutant::BeginsAtOnce.is_on())
        .unwrap_or_default()
}
