//! The deployment's settings and secrets, read once an isolate: they cannot change while it lives.

use std::{cell::OnceCell, rc::Rc};

use worker::Env;

use crate::{
    api::error::ApiError,
    domain::{
        policy::Policy,
        sealed::{EncryptionKeys, KEYS_ALLOWED},
        token::{OPERATOR_TOKEN_LENGTH, TokenHash},
    },
};

/// What a deployment sets.
pub(super) struct Config {
    pub(super) policy: Policy,
    /// What stored secrets are encrypted with.
    pub(super) keys: EncryptionKeys,
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
        keys: read_encryption_keys(env)?,
        operator: TokenHash::of(&token),
    })
}

/// The keys; none where the secret is not set. Whatever else stands there is an error: a typing mistake must not end in
/// secrets that are stored plain.
fn read_encryption_keys(env: &Env) -> Result<EncryptionKeys, ApiError> {
    const VARIABLE: &str = "ENCRYPTION_KEYS";
    let wrong = || ApiError::MisconfiguredSecret {
        variable: VARIABLE,
        allowed: KEYS_ALLOWED,
    };
    let value = js_sys::Reflect::get(env, &VARIABLE.into()).map_err(|_| wrong())?;
    if value.is_undefined() {
        return Ok(EncryptionKeys::default());
    }
    let text = value.as_string().ok_or_else(wrong)?;
    EncryptionKeys::parse(&text).map_err(|_| wrong())
}
