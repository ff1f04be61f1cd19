//! The deployment's settings and secrets, read once per isolate, as they cannot change while it lives.

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

/// The settings of a deployment.
pub(in crate::runtime) struct Config {
    pub(in crate::runtime) policy: Policy,
    /// The keys that stored secrets are encrypted with.
    pub(in crate::runtime) keys: EncryptionKeys,
    /// The operator's token, as a hash.
    pub(in crate::runtime) operator: TokenHash,
}

thread_local! {
    static CONFIG: OnceCell<Result<Rc<Config>, ApiError>> = const { OnceCell::new() };
}

/// Returns the settings; the error names the one that does not parse.
pub(in crate::runtime) fn config(env: &Env) -> Result<Rc<Config>, ApiError> {
    CONFIG.with(|cell| cell.get_or_init(|| read(env).map(Rc::new)).clone())
}

/// The settings that are set, as they are written, with the keys of stored secrets.
#[cfg(feature = "test-hooks")]
pub(in crate::runtime) fn vars(env: &Env) -> std::collections::BTreeMap<String, String> {
    let vars = std::cell::RefCell::new(std::collections::BTreeMap::new());
    let read = |name: &str| {
        let value = env.var(name).ok().map(|value| value.to_string())?;
        vars.borrow_mut().insert(name.to_string(), value.clone());
        Some(value)
    };
    // It asks for each of them.
    let _ = Policy::parse(read);
    if let Ok(keys) = env.secret("ENCRYPTION_KEYS") {
        vars.borrow_mut()
            .insert("ENCRYPTION_KEYS".into(), keys.to_string());
    }
    vars.take()
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
    let keys = read_encryption_keys(env)?;
    if policy.require_encryption && !keys.encrypt() {
        return Err(ApiError::MisconfiguredSecret {
            variable: "ENCRYPTION_KEYS",
            allowed: "set, because REQUIRE_ENCRYPTION is true: wrangler secret put ENCRYPTION_KEYS",
        });
    }
    Ok(Config {
        keys: keys.refusing_plain(policy.require_encryption),
        policy,
        operator: TokenHash::of(&token),
    })
}

/// Reads the keys; none if the secret is not set. Any other value that does not parse is an error, so that a typing
/// mistake does not lead to secrets stored in plain.
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
