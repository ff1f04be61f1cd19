//! Drives the machine of a webhook (`machines::webhook`), in which the rules are: hands it what happens to the object, and
//! does what it asks for.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use futures_channel::oneshot;
use futures_util::future::join_all;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::{Env, Error, Result, State, console_error};

#[cfg(feature = "test-hooks")]
use crate::machines::recording;
#[cfg(feature = "test-hooks")]
use crate::runtime::platform::object_calls::Counted;
use crate::{
    domain::{
        budget::Budget,
        ids::{WebhookId, WorkspaceId},
        timestamp::Timestamp,
        webhook::ReportedStanding,
    },
    machines::{
        messages::{Grant, Hire},
        shift::Shift,
        webhook::{
            Context, Fault, Input, Outputs, WebhookMachine, group_commit::CallId, hire::Group,
        },
    },
    runtime::{
        platform::{
            config::config,
            entropy::{now, random, wait},
            hires::{Hired, hire_sender},
            object_alarm::ObjectAlarm,
            object_calls::{
                WebhookCommand, WebhookReply, WorkspaceCommand, ask_workspace,
                parse_webhook_object_name, read_command, reply_with,
            },
            object_sql::ObjectSql,
            observer::Observer,
        },
        sender::{Connections, Reports, Sending, granted},
    },
};

type Answer = std::result::Result<WebhookReply, Fault>;

/// Drives the machine of one webhook's object.
pub(super) struct Driver {
    env: Env,
    pub(super) state: State,
    /// The ids in the object's name; none if it was made under a name that no webhook has.
    ids: Option<(WorkspaceId, WebhookId)>,
    machine: RefCell<WebhookMachine>,
    alarm: ObjectAlarm,
    /// The commands that are not answered.
    calls: RefCell<BTreeMap<CallId, oneshot::Sender<Answer>>>,
    /// Commands received since the object started.
    received: Cell<CallId>,
    #[cfg(feature = "test-hooks")]
    requests: Cell<u32>,
    #[cfg(feature = "test-hooks")]
    pub(super) sql: Rc<ObjectSql>,
    #[cfg(feature = "test-hooks")]
    whose: recording::Whose,
}

impl Driver {
    /// The driver of an object that has just started.
    pub(super) fn new(state: State, env: Env) -> Self {
        let storage = state.storage();
        let sql = Rc::new(ObjectSql::new(&storage));
        let name = state.id().name().unwrap_or_default();
        Self {
            ids: parse_webhook_object_name(&name),
            machine: RefCell::new(WebhookMachine::new(Rc::clone(&sql) as _)),
            alarm: ObjectAlarm::new(storage),
            env,
            state,
            calls: RefCell::default(),
            received: Cell::default(),
            #[cfg(feature = "test-hooks")]
            requests: Cell::default(),
            #[cfg(feature = "test-hooks")]
            sql,
            #[cfg(feature = "test-hooks")]
            whose: crate::runtime::test_hooks::begin_life(recording::Kind::Webhook, &name),
        }
    }

    pub(super) async fn alarm_fired(self: &Rc<Self>) {
        self.alarm.fired();
        self.happens(Input::AlarmFired).await;
    }

    /// Hands a command to the machine, and waits for its answer.
    pub(super) async fn ask(self: &Rc<Self>, command: WebhookCommand) -> Result<WebhookReply> {
        let (call, answered) = self.begin_call();
        self.happens(Input::Command(call, command)).await;
        read_answer(answered).await
    }

    /// The same for commands that share a call, as far as they could be read.
    pub(super) async fn ask_together(
        self: &Rc<Self>,
        commands: Vec<Result<WebhookCommand>>,
    ) -> Vec<Result<WebhookReply>> {
        let mut begun = Vec::new();
        let answered = commands.into_iter().map(|command| {
            let command = command?;
            let (call, answered) = self.begin_call();
            begun.push((call, command));
            Ok(answered)
        });
        let answered: Vec<Result<_>> = answered.collect();
        self.happens(Input::SharedCall(begun)).await;
        let answers = answered
            .into_iter()
            .map(async |answered| read_answer(answered?).await);
        join_all(answers).await
    }

    /// Names a command, and says where its answer will be.
    fn begin_call(&self) -> (CallId, oneshot::Receiver<Answer>) {
        let call = self.received.get().saturating_add(1);
        self.received.set(call);
        let (answer, answered) = oneshot::channel();
        self.calls.borrow_mut().insert(call, answer);
        (call, answered)
    }

    /// Tells the machine what happens, and does what it asks for.
    async fn happens(self: &Rc<Self>, input: Input) {
        let has_failed = matches!(input, Input::Failed);
        let Some(outputs) = self.handle(input).await else {
            return;
        };
        let mut is_armed = true;
        if let Some((call, revision)) = outputs.delete_all {
            match self.state.storage().delete_all().await {
                Ok(()) => {
                    self.alarm.fired();
                    Box::pin(self.happens(Input::AllDeleted { call, revision })).await;
                }
                Err(error) => {
                    console_error!("deleting the rows of {}: {error}", self.name());
                    self.answer(call, Err(Fault::Lost));
                }
            }
        } else if let Some(time) = outputs.arm
            && let Err(error) = self.alarm.arm(time).await
        {
            console_error!("arming {}: {error}", self.name());
            is_armed = false;
        }
        for (call, reply) in outputs.answers {
            self.answer(
                call,
                if is_armed {
                    reply
                } else {
                    Err(Fault::NotArmed)
                },
            );
        }
        if !is_armed && !has_failed {
            Box::pin(self.happens(Input::Failed)).await;
        }
        if let Some(fault) = outputs.fault {
            console_error!("{}: {fault}", self.name());
        }
        for lost in &outputs.lost {
            let delivery = (&lost.id, lost.event_type.as_str(), lost.kind);
            Observer::of_object(&self.env, &self.name()).attempt_ended(delivery, &lost.attempt);
        }
        if outputs.sync {
            spawn_local(Rc::clone(self).say_when_safe());
        }
        if let Some(time) = outputs.timer {
            spawn_local(Rc::clone(self).say_at(time));
        }
        if !outputs.hires.is_empty() {
            self.hire(outputs.hires).await;
        }
        if let Some((group, until)) = outputs.attempts {
            self.make_attempts(group, until).await;
        }
        if let Some(standing) = outputs.tell {
            self.tell(standing).await;
        }
    }

    /// Calls the machine; none if the deployment's settings do not parse.
    async fn handle(self: &Rc<Self>, input: Input) -> Option<Outputs> {
        let Some((config, (_, webhook))) = config(&self.env).ok().zip(self.ids.as_ref()) else {
            self.cannot_work(input).await;
            return None;
        };
        let context = Context {
            now: now(),
            webhook,
            policy: &config.policy,
            keys: &config.keys,
            nonces: &|| random().ok(),
        };
        let machine = &mut *self.machine.borrow_mut();
        #[cfg(feature = "test-hooks")]
        if crate::runtime::test_hooks::records() {
            let recorded = recording::webhook(machine, self.whose.clone(), input, &context);
            return Some(crate::runtime::test_hooks::keep(recorded));
        }
        Some(machine.handle(input, &context))
    }

    /// Refuses a command, or puts off an alarm, because the deployment's settings do not parse.
    async fn cannot_work(&self, input: Input) {
        console_error!("{}: the deployment's settings do not parse", self.name());
        match input {
            Input::Command(call, _) => self.answer(call, Err(Fault::Misconfigured)),
            Input::SharedCall(commands) => {
                for (call, _) in commands {
                    self.answer(call, Err(Fault::Misconfigured));
                }
            }
            Input::AlarmFired => {
                let again = self.machine.borrow_mut().put_off(now());
                if let Err(error) = self.alarm.arm(again).await {
                    console_error!("arming {}: {error}", self.name());
                }
            }
            _ => {}
        }
    }

    fn answer(&self, call: CallId, answer: Answer) {
        if let Some(waiting) = self.calls.borrow_mut().remove(&call) {
            // A receiver that is gone need not know.
            let _ = waiting.send(answer);
        }
    }

    async fn say_when_safe(self: Rc<Self>) {
        // What has arrived, but is not read yet, comes first.
        wait(Duration::ZERO).await;
        let safe = async {
            let synced = self.state.as_raw().storage()?.sync()?;
            JsFuture::from(synced).await
        };
        let input = match safe.await {
            Ok(_) => Input::Safe,
            Err(error) => {
                console_error!("writes of {}: {error:?}", self.name());
                Input::Failed
            }
        };
        self.happens(input).await;
    }

    async fn say_at(self: Rc<Self>, time: Timestamp) {
        wait(time.saturating_duration_since(now())).await;
        self.happens(Input::TimerFired).await;
    }

    async fn hire(self: &Rc<Self>, groups: Vec<Group>) {
        let Some((workspace, webhook)) = &self.ids else {
            return;
        };
        let hires = groups.into_iter().map(|group| Hire {
            workspace: workspace.clone(),
            webhook: webhook.clone(),
            grants: group.grants,
            goes_on: group.goes_on,
        });
        let hires: Vec<_> = hires.collect();
        let answers = join_all(hires.iter().map(|hire| hire_sender(hire, &self.state))).await;
        let taken = answers
            .iter()
            .filter(|answer| **answer == Hired::Acceptance);
        let taken = taken.count();
        let failed = answers.len().saturating_sub(taken);
        if failed > 0 {
            console_error!("{webhook}: {failed} of {} hires failed", answers.len());
        }
        let refused = hires.iter().zip(answers);
        let refused = refused.filter(|(_, answer)| *answer == Hired::Refused);
        let unused = refused.flat_map(|(hire, _)| &hire.grants);
        let unused = unused.map(|grant| (grant.id.clone(), grant.lease));
        let unused = unused.collect();
        let answered = Input::HiresAnswered {
            hired: taken,
            failed,
            unused,
        };
        Box::pin(self.happens(answered)).await;
    }

    async fn make_attempts(self: &Rc<Self>, group: Group, until: Timestamp) {
        let Some(((workspace, webhook), config)) = self.ids.as_ref().zip(config(&self.env).ok())
        else {
            return;
        };
        let budget = RefCell::new(Budget::new(config.policy.subrequests));
        budget.borrow_mut().take_posts(group.grants.len());
        let sending = Sending {
            webhook,
            config: &config,
            observer: Observer::new(&self.env, workspace.as_ref(), webhook.as_ref()),
            shift: Shift::until(until).going_on(group.goes_on),
            budget: &budget,
            connections: &Connections::new(),
            reports: self,
            ended: || {},
            #[cfg(feature = "test-hooks")]
            counted: crate::runtime::test_hooks::Counted::new("alarm"),
        };
        Box::pin(sending.run(group.grants)).await;
    }

    async fn tell(self: &Rc<Self>, standing: ReportedStanding) {
        let Some((workspace, webhook)) = &self.ids else {
            return;
        };
        let command = WorkspaceCommand::ReportStanding {
            id: webhook.clone(),
            standing: standing.clone(),
        };
        let answered = ask_workspace(&self.env, workspace, &command).await;
        if let Err(error) = &answered {
            console_error!("standing of {}: {error}", self.name());
        }
        let told = Input::Told {
            standing,
            is_answered: answered.is_ok(),
        };
        Box::pin(self.happens(told)).await;
    }

    fn name(&self) -> String {
        self.state.id().name().unwrap_or_default()
    }

    #[cfg(feature = "test-hooks")]
    pub(super) fn count_request(&self) {
        self.requests.set(self.requests.get().saturating_add(1));
    }

    /// What the object has used, the commands for this answer left out.
    #[cfg(feature = "test-hooks")]
    pub(super) async fn counted(self: &Rc<Self>) -> WebhookReply {
        // Flushes what is in memory, which is counted too.
        let _ = self.ask(WebhookCommand::Gauges).await;
        let (rows_read, rows_written) = self.sql.counted();
        let (alarms_set, alarms_run) = self.alarm.counted();
        WebhookReply::Counted(Counted {
            rows_read,
            rows_written,
            alarms_set,
            alarms_run,
            object_requests: self.requests.get(),
            wasm_bytes: crate::runtime::test_hooks::wasm_bytes(),
        })
    }
}

async fn read_answer(answered: oneshot::Receiver<Answer>) -> Result<WebhookReply> {
    let reply = answered.await.unwrap_or(Err(Fault::Lost));
    reply.map_err(|fault| Error::RustError(fault.to_string()))
}

/// For the attempts that the alarm makes itself.
impl Reports for &Rc<Driver> {
    async fn report(&self, report: Rc<WebhookCommand>) -> Option<Vec<Grant>> {
        // As a call of the object brings it.
        let report = reply_with(&*report).and_then(|report| read_command(&report));
        let answered = match report {
            Ok(report) => Box::pin(self.ask(report)).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(reply) => Some(granted(reply)),
            Err(error) => {
                console_error!("report to {}: {error}", self.name());
                None
            }
        }
    }
}
