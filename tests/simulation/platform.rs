//! The platform under an object: its turns, its alarm, its resets, and what leaves it.

use std::time::Duration;

use webhook_relay::{
    domain::timestamp::Timestamp,
    machines::{
        alarm_clock::ArmStep,
        shift::Shift,
        webhook::{Input, Outputs, hire::Group},
    },
};

use crate::{
    faults::Fault,
    world::{HOUR, Happening, World},
};

impl World {
    pub(crate) fn turn(&mut self, object: usize, life: u64, input: Input) {
        if self.objects[object].life != life {
            return;
        }
        let has_failed = matches!(input, Input::Failed);
        let is_alarm = matches!(input, Input::AlarmFired);
        if self.faults.occurs(Fault::Statement, &mut self.choices) {
            let after = u32::try_from(self.choices.below(12)).expect("it is small");
            self.tell(|| format!("object {object}: statement {after} fails"));
            self.objects[object].engine.fail("", after, 1);
        }
        if !self.objects[object].loses_turns
            && self.faults.occurs(Fault::TurnsLost, &mut self.choices)
        {
            let alarm = self.objects[object].alarm;
            self.objects[object].loses_turns = true;
            self.objects[object].alarm_before = alarm;
            self.objects[object].engine.begin_turns();
            let after = self.after_ms(0, 40);
            self.later(
                after,
                Happening::Reset {
                    object,
                    loses_turns: true,
                },
            );
        }
        let now = self.now;
        let outputs = self.objects[object].happens(input, now, &self.policy);
        self.objects[object].engine.fail("", 0, 0);
        if let Some(fault) = &outputs.fault {
            let fault = fault.to_string();
            self.tell(|| format!("object {object}: {fault}"));
        }
        if let Some((call, revision)) = outputs.delete_all {
            if self.objects[object].loses_turns {
                self.reset(object, true);
                return;
            }
            self.objects[object].engine.delete_all();
            self.objects[object].alarm = None;
            self.objects[object].clock.fired();
            let life = self.objects[object].life;
            self.turn(object, life, Input::AllDeleted { call, revision });
            return;
        }
        let is_armed = outputs.arm.is_none_or(|time| self.arm(object, time));
        let life = self.objects[object].life;
        if outputs.sync {
            let after = self.after_ms(0, 8);
            self.later(after, Happening::Safe { object, life });
        }
        if let Some(time) = outputs.timer {
            let after = time.saturating_duration_since(now);
            self.later(after, Happening::Timer { object, life });
        }
        // What leaves waits until the turns are safe; those that will be lost never are.
        let after = self.after_ms(0, 5)
            + if self.objects[object].loses_turns {
                HOUR
            } else {
                Duration::ZERO
            };
        let outputs = Box::new(outputs);
        if is_alarm {
            self.objects[object].alarm_waits_for += 1;
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

    pub(crate) fn arm(&mut self, object: usize, time: Timestamp) -> bool {
        loop {
            let now = self.now;
            let step = self.objects[object].clock.arm(time, now);
            match step {
                ArmStep::Done => return true,
                ArmStep::Read => {
                    let alarm = self.objects[object].alarm;
                    self.objects[object].clock.found(alarm);
                }
                ArmStep::Set(at) => {
                    if self.faults.occurs(Fault::AlarmNotSet, &mut self.choices) {
                        self.tell(|| format!("object {object}: the alarm is not set"));
                        self.objects[object].clock.failed();
                        return false;
                    }
                    self.objects[object].alarm = Some(at);
                    self.schedule_alarm(object, at);
                    return true;
                }
            }
        }
    }

    pub(crate) fn schedule_alarm(&mut self, object: usize, at: Timestamp) {
        let mut after = at.saturating_duration_since(self.now) + self.after_ms(0, 3);
        if self.faults.occurs(Fault::AlarmLate, &mut self.choices) {
            after += self.after_ms(1_000, 60_000);
        }
        self.later(after, Happening::Alarm { object, at });
    }

    pub(crate) fn fire_if_due(&mut self, object: usize) {
        let one = &self.objects[object];
        let is_due = one.alarm.is_some_and(|at| at <= self.now);
        if !is_due || one.alarm_waits_for > 0 {
            return;
        }
        self.objects[object].alarm = None;
        if self.faults.occurs(Fault::AlarmLost, &mut self.choices) {
            self.tell(|| format!("object {object}: its alarm is lost"));
            // The object's memory of it is lost too.
            self.reset(object, false);
            return;
        }
        if self.faults.occurs(Fault::AlarmTwice, &mut self.choices) {
            let after = self.after_ms(1, 2_000);
            self.later(after, Happening::AlarmAgain { object });
        }
        self.fire(object);
    }

    pub(crate) fn fire(&mut self, object: usize) {
        if self.objects[object].alarm_waits_for > 0 {
            return;
        }
        let now = self.now;
        let one = &mut self.objects[object];
        one.alarms_run += 1;
        if let Some(reason) = one.reason(now, &self.policy) {
            *one.woken.entry(format!("{reason:?}")).or_default() += 1;
        }
        one.clock.fired();
        let life = one.life;
        self.tell(|| format!("object {object}: alarm"));
        self.turn(object, life, Input::AlarmFired);
    }

    pub(crate) fn leave(
        &mut self,
        object: usize,
        outputs: Outputs,
        is_armed: bool,
        is_alarm: bool,
    ) {
        for (call, answer) in outputs.answers {
            let Some(caller) = self.objects[object].calls.remove(&call) else {
                continue;
            };
            let reply = answer.ok().filter(|_| is_armed);
            let reply = reply.map(|reply| serde_json::to_string(&reply).expect("it is JSON"));
            self.reply(caller, reply);
        }
        let mut waits = 0;
        if !outputs.hires.is_empty() {
            waits += 1;
            self.hire(object, outputs.hires);
        }
        if let Some((group, until)) = outputs.attempts {
            waits += 1;
            let shift = Shift::until(until).going_on(group.goes_on);
            let sender = self.new_sender(object, shift, group.grants);
            if let Some(one) = self.senders.get_mut(&sender) {
                one.is_alarm_of = Some(self.objects[object].life);
            }
        }
        if let Some(standing) = outputs.tell {
            waits += 1;
            let is_answered = !self
                .faults
                .occurs(Fault::WorkspaceSilent, &mut self.choices);
            let life = self.objects[object].life;
            let after = self.after_ms(5, 6_000);
            let input = Box::new(Input::Told {
                standing,
                is_answered,
            });
            self.later(
                after,
                Happening::Tells {
                    object,
                    life,
                    input,
                },
            );
        }
        self.objects[object].alarm_waits_for += waits;
        if is_alarm {
            self.objects[object].alarm_waits_for -= 1;
            self.fire_if_due(object);
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
                self.excused.extend(leases.into_iter().map(|(id, _)| id));
                continue;
            }
            let shift = Shift::of_invocation(self.now, &self.policy).going_on(group.goes_on);
            self.new_sender(object, shift, group.grants);
        }
        let life = self.objects[object].life;
        let input = Box::new(Input::HiresAnswered {
            hired,
            failed,
            unused,
        });
        let after = self.after_ms(1, 20);
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
    pub(crate) fn reset(&mut self, object: usize, loses_turns: bool) {
        self.tell(|| format!("object {object} is reset; loses turns: {loses_turns}"));
        let one = &mut self.objects[object];
        let was_in_alarm = one.alarm_waits_for > 0;
        if std::mem::take(&mut one.loses_turns) {
            one.engine.end_turns(!loses_turns);
            if loses_turns {
                one.alarm = one.alarm_before;
            }
        }
        let waiting = one.reset();
        self.excuse_all(object);
        for caller in waiting {
            self.reply(caller, None);
        }
        if was_in_alarm {
            // The platform runs an alarm again that did not end.
            self.later(Duration::from_secs(2), Happening::AlarmAgain { object });
        }
        if let Some(at) = self.objects[object].alarm {
            self.schedule_alarm(object, at);
        }
    }

    /// The leases of an object may be lost: those whose outputs did not leave.
    pub(crate) fn excuse_all(&mut self, object: usize) {
        let ids = self.promised.iter().filter(|(_, one)| **one == object);
        let ids: Vec<_> = ids.map(|(id, _)| id.clone()).collect();
        self.excused.extend(ids);
        let tried = self
            .events
            .iter()
            .filter_map(|event| event.ids.get(&object));
        self.excused.extend(tried.cloned().collect::<Vec<_>>());
    }
}
