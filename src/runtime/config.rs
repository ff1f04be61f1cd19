//! The deployment's settings and secrets, read once an isolate: they cannot change while it lives.

use std::{cell::OnceCell, rc::Rc};

use worker::Env;

use crate::{
    api::error::ApiError,
    domain::{
        policy::Policy,
        token::{OPERATOR_TOKEN_LENGTH, TokenHash},
    },
};

/// What a deployment sets.
pub(super) struct Config {
    pub(super) policy: Policy,
    /// The operator's token, as a hash.
    pub(super) operator: TokenHash,
}

thread_local! {
    static CONFIG: OnceCell<Result<Rc<Config>, ApiError>> = const { OnceCell::new() };
}

/// The settings, or the refusal that names the one that does not parse.
pub(super) fn config(env: &Env) -> Result<Rc<Config>, ApiError> {
    CONFIG.with(|cell| cell.get_or_init(|| read(env).map(Rc::new)).clone())
}

fn read(env: &Env) -> Result<Config, ApiError> {
    let policy = Policy::parse(|name| env.var(name).ok().map(|value| value.to_string()))?;
    let token = env
        .secret("OPERATOR_TOKEN")
        .map(|secret| secret.to_string())
        .unwrap_or_default();
    if token.chars().count() < OPERATOR_TOKEN_LENGTH {
        let allowed = "set, with at least 32 characters: wrangler secret put OPERATOR_TOKEN";
        return Err(ApiError::MisconfiguredSecret {
            variable: "OPERATOR_TOKEN",
            allowed,
        });
    }
    Ok(Config {
        policy,
        operator: TokenHash::of(&token),
    })
}
