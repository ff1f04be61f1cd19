//! The object of one workspace: it drives the machine of `machines::workspace`, in which the rules are.
//!
//! Why an object: changes must have one order, and a read after a write must show it. The output gate holds an answer, and
//! what a webhook's object is told, until the rows are safe.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use futures_channel::oneshot;
use futures_util::future::{AbortHandle, abortable, join_all};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use worker::{
    Delay, DurableObject, Env, Error, Request, Response, Result, State, console_error,
    durable_object, wasm_bindgen,
};

#[cfg(feature = "test-hooks")]
use crate::machines::recording;
#[cfg(feature = "test-hooks")]
use crate::runtime::test_hooks::pass;
use crate::{
    domain::timestamp::Timestamp,
    machines::workspace::{
        CallId, Context, Fault, Input, LookAtAlarms, Outputs, Put, Tell, WorkspaceMachine,
    },
    runtime::platform::{
        config::config,
        entropy::{now, random},
        kv,
        object_alarm::ObjectAlarm,
        object_calls::{
            WebhookCommand, WorkspaceReply, ask_webhook, no_requests, read_command, reply_with,
        },
        object_sql::ObjectSql,
    },
};

/// The object of one workspace.
#[durable_object(alarm)]
pub struct WorkspaceObject {
    driver: Rc<Driver>,
}

type Answer = std::result::Result<WorkspaceReply, Fault>;

struct Driver {
    env: Env,
    state: State,
    machine: RefCell<WorkspaceMachine>,
    alarm: ObjectAlarm,
    /// The calls that are not answered.
    calls: RefCell<BTreeMap<CallId, oneshot::Sender<Answer>>>,
    /// Calls received since the object started.
    received: Cell<CallId>,
    /// When the machine's timer fires, and what turns it off.
    timer: RefCell<Option<(Timestamp, AbortHandle)>>,
    #[cfg(feature = "test-hooks")]
    whose: recording::Whose,
}

impl DurableObject for WorkspaceObject {
    fn new(state: State, env: Env) -> Self {
        #[cfg(feature = "test-hooks")]
        crate::runtime::test_hooks::begin(&env);
        let storage = state.storage();
        let sql = Rc::new(ObjectSql::new(&storage));
        #[cfg(feature = "test-hooks")]
        let name = state.id().name().unwrap_or_default();
        Self {
            driver: Rc::new(Driver {
                machine: RefCell::new(WorkspaceMachine::new(sql)),
                alarm: ObjectAlarm::new(storage),
                env,
                state,
                calls: RefCell::default(),
                received: Cell::default(),
                timer: RefCell::default(),
                #[cfg(feature = "test-hooks")]
                whose: crate::runtime::test_hooks::begin_life(recording::Kind::Workspace, &name),
            }),
        }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        no_requests()
    }

    async fn alarm(&self) -> Result<Response> {
        self.driver.alarm.fired();
        if let Err(error) = self.driver.ask(Input::AlarmFired).await {
            console_error!("alarm of {}: {error}", self.driver.name());
        }
        Response::empty()
    }
}

#[wasm_bindgen::prelude::wasm_bindgen]
impl WorkspaceObject {
    /// Runs a command; called by the Worker and by other objects.
    pub async fn obey(&self, command: String) -> std::result::Result<String, JsValue> {
        let command = read_command(&command)?;
        let reply = self
            .driver
            .ask(|call| Input::Command(call, Box::new(command)))
            .await?;
        Ok(reply_with(&reply)?)
    }
}

impl Driver {
    /// Hands a call to the machine, and waits for its answer.
    async fn ask(self: &Rc<Self>, input: impl FnOnce(CallId) -> Input) -> Result<WorkspaceReply> {
        let call = self.received.get().saturating_add(1);
        self.received.set(call);
        let (answer, answered) = oneshot::channel();
        self.calls.borrow_mut().insert(call, answer);
        Rc::clone(self).happens(input(call)).await;
        let answer = answered.await;
        let answer = answer.map_err(|_| Error::RustError("a call was not answered".into()))?;
        answer.map_err(|fault| Error::RustError(fault.to_string()))
    }

    /// Tells the machine what happens, and does what it asks for.
    async fn happens(self: Rc<Self>, input: Input) {
        let has_failed = matches!(input, Input::Failed);
        #[cfg(feature = "test-hooks")]
        let gates = Gates::of(&input);
        let Some(outputs) = self.handle(input).await else {
            return;
        };
        let mut is_armed = true;
        if let Some(time) = outputs.arm
            && let Err(error) = self.alarm.arm(time).await
        {
            console_error!("arming {}: {error}", self.name());
            is_armed = false;
        }
        #[cfg(feature = "test-hooks")]
        gates.pass(&outputs).await;
        for (call, answer) in outputs.answers {
            self.answer(
                call,
                if is_armed {
                    answer
                } else {
                    Err(Fault::NotArmed)
                },
            );
        }
        if !is_armed && !has_failed {
            Box::pin(Rc::clone(&self).happens(Input::Failed)).await;
        }
        for tell in outputs.tells {
            spawn_local(Rc::clone(&self).tell(tell));
        }
        if let Some(asked) = outputs.look_at_alarms {
            spawn_local(Rc::clone(&self).look_at_alarms(asked));
        }
        if let Some(put) = outputs.put {
            spawn_local(Rc::clone(&self).put(put));
        }
        if let Some(fault) = outputs.fault {
            console_error!("{}: {fault}", self.name());
        }
    }

    /// Calls the machine, and sets its timer; none if the deployment's settings do not parse.
    async fn handle(self: &Rc<Self>, input: Input) -> Option<Outputs> {
        let Ok(config) = config(&self.env) else {
            self.cannot_work(input).await;
            return None;
        };
        let outputs = self.tell_machine(
            input,
            &Context {
                now: now(),
                policy: &config.policy,
                keys: &config.keys,
                nonces: &|| random().ok(),
            },
        );
        self.set_timer(outputs.timer);
        Some(outputs)
    }

    fn tell_machine(&self, input: Input, context: &Context<'_>) -> Outputs {
        let machine = &mut *self.machine.borrow_mut();
        #[cfg(feature = "test-hooks")]
        if crate::runtime::test_hooks::records() {
            let recorded = recording::workspace(machine, self.whose.clone(), input, context);
            return crate::runtime::test_hooks::keep(recorded);
        }
        machine.handle(input, context)
    }

    /// Refuses a command, or puts off an alarm, because the deployment's settings do not parse.
    async fn cannot_work(&self, input: Input) {
        console_error!("{}: the deployment's settings do not parse", self.name());
        match input {
            Input::Command(call, _) => self.answer(call, Err(Fault::Misconfigured)),
            Input::AlarmFired(call) => {
                let again = self.machine.borrow_mut().put_off(now());
                if let Err(error) = self.alarm.arm(again).await {
                    console_error!("arming {}: {error}", self.name());
                }
                self.answer(call, Err(Fault::Misconfigured));
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

    /// Sets the machine's one timer, or turns it off.
    fn set_timer(self: &Rc<Self>, time: Option<Timestamp>) {
        let mut timer = self.timer.borrow_mut();
        if timer.as_ref().map(|(set, _)| *set) == time {
            return;
        }
        if let Some((_, earlier)) = timer.take() {
            earlier.abort();
        }
        if let Some(time) = time {
            let wait = Delay::from(time.saturating_duration_since(now()));
            let (wait, off) = abortable(wait);
            *timer = Some((time, off));
            let driver = Rc::clone(self);
            spawn_local(async move {
                if wait.await.is_ok() {
                    driver.timer.take();
                    driver.happens(Input::TimerFired).await;
                }
            });
        }
    }

    /// Tells a webhook's object something.
    async fn tell(self: Rc<Self>, tell: Tell) {
        let answered = ask_webhook(&self.env, &tell.workspace, &tell.webhook, &tell.command).await;
        if let Err(error) = &answered {
            console_error!("{error}");
        }
        #[cfg(feature = "test-hooks")]
        pass("applied").await;
        let told = Input::Told {
            webhook: tell.webhook,
            revision: tell.revision,
            is_applied: answered.is_ok(),
        };
        self.happens(told).await;
    }

    /// Asks webhooks' objects to look at their alarms.
    async fn look_at_alarms(self: Rc<Self>, asked: LookAtAlarms) {
        let LookAtAlarms {
            call,
            workspace,
            webhooks,
        } = asked;
        let command = WebhookCommand::LookAtAlarm;
        let answers = webhooks
            .iter()
            .map(|webhook| ask_webhook(&self.env, &workspace, webhook, &command));
        for answer in join_all(answers).await {
            if let Err(error) = answer {
                console_error!("{error}");
            }
        }
        self.happens(Input::AlarmsLookedAt(call)).await;
    }

    /// Puts the snapshot to KV.
    async fn put(self: Rc<Self>, put: Put) {
        let Put {
            number,
            workspace,
            snapshot,
        } = put;
        let ended = kv::publish(&self.env, &workspace, snapshot.as_ref()).await;
        if let Err(error) = &ended {
            console_error!("{error}");
        }
        #[cfg(feature = "test-hooks")]
        if ended.is_ok() {
            pass("put").await;
        }
        let is_put = ended.is_ok();
        self.happens(Input::PutEnded { number, is_put }).await;
    }

    fn name(&self) -> String {
        self.state.id().name().unwrap_or_default()
    }
}

/// The steps at which a test may let the relay wait, between what happens and what it leads to.
#[cfg(feature = "test-hooks")]
struct Gates {
    is_command: bool,
    is_told: bool,
}

#[cfg(feature = "test-hooks")]
impl Gates {
    const fn of(input: &Input) -> Self {
        Self {
            is_command: matches!(input, Input::Command(..)),
            is_told: matches!(input, Input::Told { .. }),
        }
    }

    async fn pass(&self, outputs: &Outputs) {
        if self.is_command && (!outputs.tells.is_empty() || outputs.put.is_some()) {
            pass("stored").await;
        }
        if self.is_told {
            pass("told").await;
        }
        if !self.is_command && !outputs.answers.is_empty() {
            pass("published").await;
        }
    }
}
