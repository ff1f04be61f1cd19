//! The object of the catalogue: it drives the machine of `machines::catalogue`, in which the rules are.
//!
//! Why an object: changes must have one order, and a read after a write must show it. There is one, of a name of its own.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use futures_channel::oneshot;
use futures_util::future::{AbortHandle, abortable};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use worker::{
    Delay, DurableObject, Env, Error, Request, Response, Result, State, console_error,
    durable_object, wasm_bindgen,
};

#[cfg(feature = "test-hooks")]
use crate::machines::recording;
use crate::{
    domain::timestamp::Timestamp,
    machines::catalogue::{CallId, CatalogueMachine, Fault, Input, Outputs, Put},
    runtime::platform::{
        entropy::now,
        kv,
        object_alarm::ObjectAlarm,
        object_calls::{CatalogueReply, no_requests, read_command, reply_with},
        object_sql::ObjectSql,
    },
};

/// The object of the catalogue.
#[durable_object(alarm)]
pub struct CatalogueObject {
    driver: Rc<Driver>,
}

type Answer = std::result::Result<CatalogueReply, Fault>;

struct Driver {
    env: Env,
    machine: RefCell<CatalogueMachine>,
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

impl DurableObject for CatalogueObject {
    fn new(state: State, env: Env) -> Self {
        #[cfg(feature = "test-hooks")]
        crate::runtime::test_hooks::begin(&env);
        let storage = state.storage();
        let sql = Rc::new(ObjectSql::new(&storage));
        Self {
            driver: Rc::new(Driver {
                env,
                machine: RefCell::new(CatalogueMachine::new(sql)),
                alarm: ObjectAlarm::new(storage),
                calls: RefCell::default(),
                received: Cell::default(),
                timer: RefCell::default(),
                #[cfg(feature = "test-hooks")]
                whose: crate::runtime::test_hooks::begin_life(
                    recording::Kind::Catalogue,
                    &state.id().name().unwrap_or_default(),
                ),
            }),
        }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        no_requests()
    }

    async fn alarm(&self) -> Result<Response> {
        self.driver.alarm.fired();
        if let Err(error) = self.driver.ask(Input::AlarmFired).await {
            console_error!("alarm of the catalogue: {error}");
        }
        Response::empty()
    }
}

#[wasm_bindgen::prelude::wasm_bindgen]
impl CatalogueObject {
    /// Runs a command; called by the Worker.
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
    async fn ask(self: &Rc<Self>, input: impl FnOnce(CallId) -> Input) -> Result<CatalogueReply> {
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
        let outputs = self.tell_machine(input);
        self.set_timer(outputs.timer);
        let mut is_armed = true;
        if let Some(time) = outputs.arm
            && let Err(error) = self.alarm.arm(time).await
        {
            console_error!("arming the catalogue: {error}");
            is_armed = false;
        }
        for (call, answer) in outputs.answers {
            let answer = if is_armed {
                answer
            } else {
                Err(Fault::NotArmed)
            };
            self.answer(call, answer);
        }
        if !is_armed && !has_failed {
            Box::pin(Rc::clone(&self).happens(Input::Failed)).await;
        }
        if let Some(put) = outputs.put {
            spawn_local(Rc::clone(&self).put(put));
        }
        if let Some(fault) = outputs.fault {
            console_error!("the catalogue: {fault}");
        }
    }

    fn tell_machine(&self, input: Input) -> Outputs {
        let machine = &mut *self.machine.borrow_mut();
        #[cfg(feature = "test-hooks")]
        if crate::runtime::test_hooks::records() {
            let recorded = recording::catalogue(machine, self.whose.clone(), input, now());
            return crate::runtime::test_hooks::keep(recorded);
        }
        machine.handle(input, now())
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

    /// Puts the catalogue to KV.
    async fn put(self: Rc<Self>, Put { number, catalogue }: Put) {
        let ended = kv::publish_catalogue(&self.env, &catalogue).await;
        if let Err(error) = &ended {
            console_error!("{error}");
        }
        let is_put = ended.is_ok();
        self.happens(Input::PutEnded { number, is_put }).await;
    }
}
