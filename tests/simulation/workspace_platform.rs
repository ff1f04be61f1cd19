//! The platform under a workspace's object: its turns, what leaves it, and its timer.

use std::time::Duration;

use webhook_relay::machines::{
    messages::WebhookCommand,
    webhook::group_commit::CallId,
    workspace::{Input, LookAtAlarms, Outputs},
};

use crate::{calls::Caller, happenings::Happening, host::Node, world::World};

impl World {
    pub(crate) fn workspace_turn(&mut self, number: usize, life: u64, input: Input) {
        let node = Node::Workspace(number);
        if self.host(node).life != life {
            return;
        }
        let has_failed = matches!(input, Input::Failed);
        self.before_turn(node);
        let now = self.local_now(node);
        let outputs = self.workspaces[number].happens(input, now, &self.policy);
        self.after_turn(node);
        if let Some(fault) = &outputs.fault {
            let fault = fault.to_string();
            self.tell(|| format!("workspace {number}: {fault}"));
        }
        self.set_timer(number, &outputs);
        let is_armed = outputs.arm.is_none_or(|time| self.arm(node, time));
        let after = self.gate(node);
        self.later(
            after,
            Happening::WorkspaceLeave {
                workspace: number,
                life,
                outputs: Box::new(outputs),
                is_armed,
            },
        );
        if !is_armed && !has_failed {
            self.workspace_turn(number, life, Input::Failed);
        }
    }

    /// Sets the machine's one timer, or turns it off.
    fn set_timer(&mut self, number: usize, outputs: &Outputs) {
        let now = self.local_now(Node::Workspace(number));
        let one = &mut self.workspaces[number];
        if one.timer == outputs.timer {
            return;
        }
        one.timer = outputs.timer;
        one.timers += 1;
        let (life, timer) = (one.host.life, one.timers);
        if let Some(time) = outputs.timer {
            let after = time.saturating_duration_since(now);
            self.later(
                after,
                Happening::WorkspaceTimer {
                    workspace: number,
                    life,
                    timer,
                },
            );
        }
    }

    pub(crate) fn workspace_timer(&mut self, number: usize, life: u64, timer: u64) {
        let one = &mut self.workspaces[number];
        if one.host.life == life && one.timers == timer {
            one.timer = None;
            self.workspace_turn(number, life, Input::TimerFired);
        }
    }

    pub(crate) fn workspace_alarm(&mut self, number: usize) {
        let node = Node::Workspace(number);
        let host = self.host(node);
        let (call, life) = (host.take_call(Caller::Nobody), host.life);
        host.alarm_waits_for += 1;
        self.workspaces[number].alarm_call = Some(call);
        self.workspace_turn(number, life, Input::AlarmFired(call));
    }

    pub(crate) fn workspace_leave(
        &mut self,
        number: usize,
        life: u64,
        outputs: Outputs,
        is_armed: bool,
    ) {
        let node = Node::Workspace(number);
        if self.host(node).life != life {
            return;
        }
        for (call, answer) in outputs.answers {
            if self.workspaces[number].alarm_call == Some(call) {
                self.workspaces[number].alarm_call = None;
                self.host(node).alarm_waits_for -= 1;
                self.fire_if_due(node);
            }
            let Some(caller) = self.host(node).calls.remove(&call) else {
                continue;
            };
            let reply = answer.ok().filter(|_| is_armed);
            if let Some(reply) = &reply {
                self.check_change_is_applied(number, reply);
            }
            let reply = reply.map(|reply| serde_json::to_string(&reply).expect("it is JSON"));
            self.reply(caller, reply);
        }
        for tell in outputs.tells {
            let webhook = self.object_of(number, &tell.webhook);
            let caller = Caller::Tells {
                workspace: number,
                life,
                webhook,
                revision: tell.revision,
            };
            self.call(webhook, &tell.command, caller);
        }
        if let Some(asked) = outputs.look_at_alarms {
            self.look_at_alarms(number, life, asked);
        }
        if let Some(put) = outputs.put {
            self.put_to_kv(number, put);
        }
    }

    fn look_at_alarms(&mut self, number: usize, life: u64, asked: LookAtAlarms) {
        let LookAtAlarms { call, webhooks, .. } = asked;
        self.looks.insert((number, call), webhooks.len());
        for webhook in &webhooks {
            let object = self.object_of(number, webhook);
            let caller = Caller::Looks {
                workspace: number,
                life,
                call,
            };
            self.call(object, &WebhookCommand::LookAtAlarm, caller);
        }
        if webhooks.is_empty() {
            self.later(
                Duration::ZERO,
                Happening::Looked {
                    workspace: number,
                    life,
                    call,
                },
            );
        }
    }

    /// A webhook's object has looked at its alarm, or has not answered.
    pub(crate) fn looked(&mut self, number: usize, life: u64, call: CallId) {
        let left = self.looks.entry((number, call)).or_default();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.looks.remove(&(number, call));
            self.workspace_turn(number, life, Input::AlarmsLookedAt(call));
        }
    }
}
