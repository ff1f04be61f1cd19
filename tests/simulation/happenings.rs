//! What happens at a time, and whom it concerns.

use webhook_relay::{
    domain::{subscriptions::Snapshot, timestamp::Timestamp},
    machines::{
        messages::{Grant, WorkspaceCommand},
        sender::SenderInput,
        webhook::{Input, Outputs, group_commit::CallId},
        workspace,
    },
};

use crate::{calls::Caller, endpoint::Mood, host::Node, wishes::Wish, world::World};

/// What happens at a time.
pub(crate) enum Happening {
    Posts(usize),
    Arrives {
        node: Node,
        command: String,
        caller: Caller,
    },
    /// The commands that share a call of a webhook's object arrive.
    SharedCallArrives(usize),
    Replied {
        caller: Caller,
        reply: Option<String>,
    },
    Leave {
        object: usize,
        life: u64,
        outputs: Box<Outputs>,
        is_armed: bool,
        is_alarm: bool,
    },
    Safe {
        object: usize,
        life: u64,
    },
    Timer {
        object: usize,
        life: u64,
    },
    Alarm {
        node: Node,
        at: Timestamp,
    },
    AlarmAgain {
        node: Node,
    },
    Tells {
        object: usize,
        life: u64,
        input: Box<Input>,
    },
    Reset {
        node: Node,
        loses_turns: bool,
    },
    Sends {
        sender: u64,
        input: Box<SenderInput>,
    },
    SenderTimer {
        sender: u64,
        number: u64,
    },
    Reaches {
        sender: u64,
        grant: Box<Grant>,
    },
    SenderEnds(u64),
    EndpointChanges(usize),
    WorkspaceLeave {
        workspace: usize,
        life: u64,
        outputs: Box<workspace::Outputs>,
        is_armed: bool,
    },
    WorkspaceTimer {
        workspace: usize,
        life: u64,
        timer: u64,
    },
    Looked {
        workspace: usize,
        life: u64,
        call: CallId,
    },
    PutEnds {
        workspace: usize,
        life: u64,
        input: Box<workspace::Input>,
    },
    KvLands {
        workspace: usize,
        stored: Box<Option<Snapshot>>,
    },
    KvSeen {
        place: usize,
        workspace: usize,
        landed: u64,
        stored: Box<Option<Snapshot>>,
    },
    WorkerEnds(usize),
    Wants {
        workspace: usize,
        wish: Wish,
    },
    Acts(usize),
    PersonActs,
    Looks,
    PersonCleansUp,
    /// A person resends what failed.
    PersonResends(usize),
    DiskFills,
    DiskHasRoom(Node),
    ClockJumps,
    ClockIsRight(Node),
    Crash,
    Walk,
    Heals,
}

impl World {
    pub(crate) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::SharedCallArrives(object) => self.shared_call_arrives(object),
            Happening::Arrives {
                node,
                command,
                caller,
            } => {
                self.arrives(node, &command, caller);
            }
            Happening::Replied { caller, reply } => self.replied(caller, reply),
            Happening::Leave {
                object,
                life,
                outputs,
                is_armed,
                is_alarm,
            } => {
                if self.objects[object].host.life == life {
                    self.leave(object, *outputs, is_armed, is_alarm);
                }
            }
            Happening::Safe { object, life } => self.turn(object, life, Input::Safe),
            Happening::Timer { object, life } => self.turn(object, life, Input::TimerFired),
            Happening::Tells {
                object,
                life,
                input,
            } => {
                self.alarm_goes_on(object, life, *input);
            }
            Happening::Alarm { node, at } => {
                if self.host(node).alarm == Some(at) {
                    if self.local_now(node) < at {
                        self.schedule_alarm(node, at);
                    }
                    self.fire_if_due(node);
                }
            }
            Happening::AlarmAgain { node } => self.fire(node),
            Happening::Reset { node, loses_turns } => self.reset(node, loses_turns),
            Happening::Sends { sender, input } => self.sends(sender, *input),
            Happening::SenderTimer { sender, number } => {
                if self
                    .senders
                    .get(&sender)
                    .is_some_and(|one| one.timers == number)
                {
                    self.sends(sender, SenderInput::TimerFired);
                }
            }
            Happening::Reaches { sender, grant } => self.reaches(sender, *grant),
            Happening::SenderEnds(sender) => self.sender_ends(sender),
            other => self.happen_around(other),
        }
    }

    /// What happens to workspaces, KV, endpoints and people.
    fn happen_around(&mut self, happening: Happening) {
        match happening {
            Happening::Posts(event) => self.post(event),
            Happening::WorkspaceLeave {
                workspace,
                life,
                outputs,
                is_armed,
            } => {
                self.workspace_leave(workspace, life, *outputs, is_armed);
            }
            Happening::WorkspaceTimer {
                workspace,
                life,
                timer,
            } => self.workspace_timer(workspace, life, timer),
            Happening::Looked {
                workspace,
                life,
                call,
            } => self.looked(workspace, life, call),
            Happening::PutEnds {
                workspace,
                life,
                input,
            } => self.workspace_turn(workspace, life, *input),
            Happening::KvLands { workspace, stored } => self.kv_lands(workspace, &stored),
            Happening::KvSeen {
                place,
                workspace,
                landed,
                stored,
            } => self.kv_seen(place, workspace, landed, *stored),
            Happening::WorkerEnds(post) => self.worker_ends(post),
            Happening::Wants { workspace, wish } => self.wants(workspace, wish),
            Happening::Acts(workspace) => self.act(workspace),
            Happening::PersonActs => self.person_acts(),
            Happening::Looks => self.looks(),
            Happening::PersonCleansUp => self.person_cleans_up(),
            Happening::PersonResends(object) => self.person_resends(object),
            Happening::DiskFills => self.disk_fills(),
            Happening::DiskHasRoom(node) => self.disk_has_room(node),
            Happening::ClockJumps => self.clock_jumps(),
            Happening::ClockIsRight(node) => self.clock_is_right(node),
            Happening::Crash => self.crash(),
            Happening::Walk => {
                for workspace in 0..self.workspaces.len() {
                    let command = WorkspaceCommand::LookAtAlarms;
                    self.call_workspace(workspace, &command, Caller::Nobody);
                }
            }
            Happening::EndpointChanges(object) => self.endpoint_changes(object),
            Happening::Heals => {
                self.tell(|| "the platform and the endpoints are well".into());
                self.end_trouble();
                for endpoint in &mut self.endpoints {
                    endpoint.mood = Mood::Well;
                }
                self.resume_all();
            }
            // The rest happens to webhooks' objects and senders.
            _ => {}
        }
    }

    fn endpoint_changes(&mut self, object: usize) {
        let mood = if self.is_well() {
            Mood::Well
        } else {
            Mood::draw(&mut self.choices)
        };
        self.tell(|| format!("endpoint {object} is {mood:?}"));
        self.endpoints[object].mood = mood;
        if !self.is_well() {
            let after = self.after_ms(60_000, 14_400_000);
            self.later(after, Happening::EndpointChanges(object));
        }
    }
}
