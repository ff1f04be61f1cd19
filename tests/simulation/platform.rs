//! The platform under an object: its turns, its alarm, its resets, and what leaves it.

use std::time::Duration;

use webhook_relay::{
    domain::timestamp::Timestamp,
    machines::{
        alarm_clock::ArmStep,
        messages::WorkspaceCommand,
        shift::Shift,
        webhook::{Input, Outputs, hire::Group},
    },
};

use crate::{
    calls::Caller,
    faults::Fault,
    happenings::Happening,
    host::{Host, Node},
    world::{HOUR, World},
};

impl World {
    pub(crate) fn host(&mut self, node: Node) -> &mut Host {
        match node {
            Node::Webhook(number) => &mut self.objects[number].host,
            Node::Workspace(number) => &mut self.workspaces[number].host,
        }
    }

    /// The time by an object's clock.
    pub(crate) fn local_now(&mut self, node: Node) -> Timestamp {
        let ahead = self.host(node).ahead_ms;
        Timestamp::from_millis(self.now.as_millis() + ahead)
    }

    /// Lets a statement of the next turn fail, or the turns from it on be lost.
    pub(crate) fn before_turn(&mut self, node: Node) {
        if self.faults.occurs(Fault::Statement, &mut self.choices) {
            let after = u32::try_from(self.choices.below(12)).expect("it is small");
            self.tell(|| format!("{node:?}: statement {after} fails"));
            self.host(node).engine.fail("", after, 1);
        }
        if !self.host(node).loses_turns && self.faults.occurs(Fault::TurnsLost, &mut self.choices) {
            let host = self.host(node);
            host.loses_turns = true;
            host.alarm_before = host.alarm;
            if let Node::Webhook(object) = node {
                let webhook = self.ledger.webhook(object);
                webhook.was_asleep = webhook.is_asleep;
            }
            let host = self.host(node);
            host.engine.begin_turns();
            let after = self.after_ms(0, 40);
            self.later(
                after,
                Happening::Reset {
                    node,
                    loses_turns: true,
                },
            );
        }
    }

    pub(crate) fn after_turn(&mut self, node: Node) {
        self.host(node).engine.fail("", 0, 0);
    }

    pub(crate) fn turn(&mut self, object: usize, life: u64, input: Input) {
        let node = Node::Webhook(object);
        if self.host(node).life != life {
            return;
        }
        let has_failed = matches!(input, Input::Failed);
        let is_alarm = matches!(input, Input::AlarmFired);
        self.before_turn(node);
        let now = self.local_now(node);
        let outputs = self.objects[object].happens(input, now, &self.policy);
        self.after_turn(node);
        self.note_turn(object, &outputs);
        if let Some(fault) = &outputs.fault {
            let fault = fault.to_string();
            self.tell(|| format!("object {object}: {fault}"));
        }
        if let Some((call, revision)) = outputs.delete_all {
            if self.host(node).loses_turns {
                self.reset(node, true);
                return;
            }
            let host = self.host(node);
            host.engine.delete_all();
            host.alarm = None;
            host.clock.fired();
            self.turn(object, life, Input::AllDeleted { call, revision });
            return;
        }
        self.goes_on(object, outputs, is_alarm, has_failed);
    }

    /// Does what a turn asks for.
    pub(crate) fn goes_on(
        &mut self,
        object: usize,
        outputs: Outputs,
        is_alarm: bool,
        has_failed: bool,
    ) {
        let node = Node::Webhook(object);
        let now = self.local_now(node);
        let life = self.host(node).life;
        let is_armed = outputs.arm.is_none_or(|time| self.arm(node, time));
        if outputs.sync {
            let after = self.after_ms(0, 8);
            self.later(after, Happening::Safe { object, life });
        }
        if let Some(time) = outputs.timer {
            let after = time.saturating_duration_since(now);
            self.later(after, Happening::Timer { object, life });
        }
        let after = self.gate(node);
        let outputs = Box::new(outputs);
        if is_alarm {
            self.host(node).alarm_waits_for += 1;
        }
        self.later(
            after,
            Happening::Leave {
                object,
                life,
                outputs,
                is_armed,
                is_alarm,
            },
        );
        if !is_armed && !has_failed {
            self.turn(object, life, Input::Failed);
        }
    }

    /// When what a turn leads to leaves: turns that will be lost let nothing out.
    pub(crate) fn gate(&mut self, node: Node) -> Duration {
        let closed = if self.host(node).loses_turns {
            HOUR
        } else {
            Duration::ZERO
        };
        self.after_ms(0, 5) + closed
    }

    pub(crate) fn arm(&mut self, node: Node, time: Timestamp) -> bool {
        loop {
            let now = self.local_now(node);
            let host = self.host(node);
            match host.clock.arm(time, now) {
                ArmStep::Done => {
                    self.note_awake(node);
                    return true;
                }
                ArmStep::Read => host.clock.found(host.alarm),
                ArmStep::Set(at) => {
                    if self.faults.occurs(Fault::AlarmNotSet, &mut self.choices) {
                        self.tell(|| format!("{node:?}: the alarm is not set"));
                        self.note_asleep(node);
                        self.host(node).clock.failed();
                        return false;
                    }
                    self.host(node).alarm = Some(at);
                    self.note_awake(node);
                    self.schedule_alarm(node, at);
                    return true;
                }
            }
        }
    }

    pub(crate) fn schedule_alarm(&mut self, node: Node, at: Timestamp) {
        let now = self.local_now(node);
        let mut after = at.saturating_duration_since(now) + self.after_ms(0, 3);
        if self.faults.occurs(Fault::AlarmLate, &mut self.choices) {
            after += self.after_ms(1_000, 60_000);
            self.note_late(node, after);
        }
        self.later(after, Happening::Alarm { node, at });
    }

    pub(crate) fn fire_if_due(&mut self, node: Node) {
        let now = self.local_now(node);
        let host = self.host(node);
        let is_due = host.alarm.is_some_and(|at| at <= now);
        if !is_due || host.alarm_waits_for > 0 {
            return;
        }
        host.alarm = None;
        if self.faults.occurs(Fault::AlarmLost, &mut self.choices) {
            self.tell(|| format!("{node:?}: its alarm is lost"));
            self.note_asleep(node);
            // The object's memory of it is lost too.
            self.reset(node, false);
            return;
        }
        if self.faults.occurs(Fault::AlarmTwice, &mut self.choices) {
            let after = self.after_ms(1, 2_000);
            self.later(after, Happening::AlarmAgain { node });
        }
        self.fire(node);
    }

    pub(crate) fn fire(&mut self, node: Node) {
        if self.host(node).alarm_waits_for > 0 {
            return;
        }
        let now = self.local_now(node);
        let reason = match node {
            Node::Webhook(number) => {
                let reason = self.objects[number].reason(now, &self.policy);
                reason.map(|reason| format!("{reason:?}"))
            }
            Node::Workspace(number) => {
                let reason = self.workspaces[number].reason(now);
                reason.map(|reason| format!("{reason:?} of a workspace"))
            }
        };
        if reason.as_deref() == Some("Storage") {
            self.faults.note(Fault::SmallStorage);
        }
        let host = self.host(node);
        host.alarms_run += 1;
        if let Some(reason) = reason {
            *host.woken.entry(reason).or_default() += 1;
        }
        host.clock.fired();
        let life = host.life;
        self.tell(|| format!("{node:?}: alarm"));
        match node {
            Node::Webhook(object) => {
                self.check_alarms(object);
                self.turn(object, life, Input::AlarmFired);
            }
            Node::Workspace(number) => self.workspace_alarm(number),
        }
    }

    /// What an alarm's handler waited for has come.
    pub(crate) fn alarm_goes_on(&mut self, object: usize, life: u64, input: Input) {
        let node = Node::Webhook(object);
        if self.host(node).life != life {
            return;
        }
        self.host(node).alarm_waits_for -= 1;
        self.turn(object, life, input);
        self.note_late(node, Duration::ZERO);
        self.fire_if_due(node);
    }

    pub(crate) fn leave(
        &mut self,
        object: usize,
        outputs: Outputs,
        is_armed: bool,
        is_alarm: bool,
    ) {
        let node = Node::Webhook(object);
        let life = self.host(node).life;
        self.note_leaving(object, &outputs, is_armed);
        for (call, answer) in outputs.answers {
            let Some(caller) = self.host(node).calls.remove(&call) else {
                continue;
            };
            let reply = answer.ok().filter(|_| is_armed);
            if reply.is_some() && matches!(caller, Caller::Tells { .. }) {
                let one = &mut self.objects[object];
                let known = one.settings().map_or(0, |settings| settings.keys_revision);
                one.keys_known = known.max(one.keys_known);
            }
            let reply = reply.map(|reply| serde_json::to_string(&reply).expect("it is JSON"));
            self.reply(caller, reply);
        }
        if !outputs.hires.is_empty() {
            self.host(node).alarm_waits_for += 1;
            self.hire(object, outputs.hires);
        }
        if let Some((group, until)) = outputs.attempts {
            self.host(node).alarm_waits_for += 1;
            let shift = Shift::until(until).going_on(group.goes_on);
            self.new_sender(object, shift, group.grants, Some(life));
        }
        if let Some(standing) = outputs.tell {
            self.check_standing(object, &standing);
            self.host(node).alarm_waits_for += 1;
            let workspace = self.objects[object].workspace;
            let command = WorkspaceCommand::ReportStanding {
                id: self.objects[object].webhook.clone(),
                standing: standing.clone(),
            };
            let caller = Caller::Standing {
                webhook: object,
                life,
                standing,
            };
            self.call_workspace(workspace, &command, caller);
        }
        if is_alarm {
            self.host(node).alarm_waits_for -= 1;
            self.fire_if_due(node);
        }
    }

    pub(crate) fn hire(&mut self, object: usize, groups: Vec<Group>) {
        let (mut hired, mut failed, mut unused) = (0, 0, Vec::new());
        for group in groups {
            let leases: Vec<_> = group
                .grants
                .iter()
                .map(|grant| (grant.id.clone(), grant.lease))
                .collect();
            if self.faults.occurs(Fault::HireRefused, &mut self.choices) {
                self.tell(|| format!("object {object}: a hire is refused"));
                failed += 1;
                self.ledger.refused(object, &leases, self.now);
                unused.extend(leases);
                continue;
            }
            if self.faults.occurs(Fault::HireUnanswered, &mut self.choices) {
                failed += 1;
            } else {
                hired += 1;
            }
            if self.faults.occurs(Fault::HireDead, &mut self.choices) {
                self.tell(|| format!("object {object}: a hired Sender is dead"));
                let names = leases.into_iter().map(|(id, lease)| (id, lease.lease));
                self.note_lost(&names.collect::<Vec<_>>(), "its Sender was dead");
                continue;
            }
            let shift = Shift::of_invocation(self.now, &self.policy).going_on(group.goes_on);
            self.new_sender(object, shift, group.grants, None);
        }
        let life = self.objects[object].host.life;
        let input = Box::new(Input::HiresAnswered {
            hired,
            failed,
            unused,
        });
        let after = self.after_ms(1, 20);
        let answered = self.now.saturating_add(after);
        self.ledger.hired(object, hired, failed, answered);
        self.later(
            after,
            Happening::Tells {
                object,
                life,
                input,
            },
        );
    }

    /// Resets an object: what has not left is lost, and the turns since they may be lost.
    pub(crate) fn reset(&mut self, node: Node, loses_turns: bool) {
        self.tell(|| format!("{node:?} is reset; loses turns: {loses_turns}"));
        let host = self.host(node);
        let was_in_alarm = host.alarm_waits_for > 0;
        if std::mem::take(&mut host.loses_turns) {
            host.engine.end_turns(!loses_turns);
            if loses_turns {
                host.alarm = host.alarm_before;
                // An alarm that was set in a turn that is lost.
                let has_none = host.alarm.is_none();
                if has_none || self.was_asleep(node) {
                    self.note_asleep(node);
                }
            }
        }
        if let Node::Webhook(object) = node {
            self.note_reset(object);
        }
        let waiting = self.host(node).reset();
        match node {
            Node::Webhook(object) => self.objects[object].restart(),
            Node::Workspace(number) => self.workspaces[number].restart(),
        }
        self.set_clock(node);
        for caller in waiting {
            self.reply(caller, None);
        }
        if was_in_alarm {
            // The platform runs an alarm again that did not end.
            self.later(Duration::from_secs(2), Happening::AlarmAgain { node });
        }
        if let Some(at) = self.host(node).alarm {
            self.schedule_alarm(node, at);
        }
    }
}
