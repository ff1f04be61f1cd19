//! The object of one webhook, as the platform sees it: its class, its alarm, and what is called on it.
//!
//! Why an object: accepting, leasing and reporting must see each other's changes, so that an attempt is leased once and
//! a duplicate is found while the first post is still in flight. One object per webhook, so that a slow endpoint delays
//! no other webhook. The output gate holds an answer, and a hire, until the rows are safe.

use std::rc::Rc;

use js_sys::Array;
use wasm_bindgen::JsValue;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object, wasm_bindgen};

use super::webhook_driver::Driver;
use crate::runtime::platform::{
    measuring,
    object_calls::{WebhookCommand, WebhookReply, no_requests, read_command, reply_with},
};

/// The object of one webhook.
#[durable_object(alarm)]
pub struct WebhookObject {
    driver: Rc<Driver>,
}

impl DurableObject for WebhookObject {
    fn new(state: State, env: Env) -> Self {
        #[cfg(feature = "test-hooks")]
        crate::runtime::test_hooks::begin(&env);
        Self {
            driver: Rc::new(Driver::new(state, env)),
        }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        no_requests()
    }

    async fn alarm(&self) -> Result<Response> {
        self.driver.alarm_fired().await;
        Response::empty()
    }
}

#[wasm_bindgen::prelude::wasm_bindgen]
impl WebhookObject {
    /// Runs a command; called by the Worker and by other objects.
    pub async fn obey(&self, command: String) -> std::result::Result<String, JsValue> {
        let command = read_command(&command)?;
        #[cfg(feature = "test-hooks")]
        if matches!(command, WebhookCommand::Counted) {
            return Ok(reply_with(&self.driver.counted().await)?);
        }
        #[cfg(feature = "test-hooks")]
        if let WebhookCommand::RunSql(part) = &command {
            let told = crate::runtime::platform::sql_script::run_part(&self.driver.sql, part)?;
            return Ok(reply_with(&WebhookReply::Measured(told))?);
        }
        if let WebhookCommand::ProbePlatform(order) = &command {
            let measured = measuring::in_object(&self.driver.state, order).await?;
            return Ok(reply_with(&WebhookReply::Measured(measured))?);
        }
        #[cfg(feature = "test-hooks")]
        self.driver.count_request();
        let reply = self.driver.ask(command).await?;
        Ok(reply_with(&reply)?)
    }

    /// Runs commands that share a call; called by the Worker. Returns the reply to each, or an error: one that this
    /// release does not know is no fault of the others.
    pub async fn obey_all(&self, commands: Vec<String>) -> Array {
        #[cfg(feature = "test-hooks")]
        self.driver.count_request();
        let commands = commands.iter().map(|command| read_command(command));
        let answers = self.driver.ask_together(commands.collect()).await;
        let answers = answers.into_iter().map(|answer| {
            let reply = answer.and_then(|reply| reply_with(&reply));
            reply.map_or_else(JsValue::from, JsValue::from)
        });
        answers.collect()
    }
}
