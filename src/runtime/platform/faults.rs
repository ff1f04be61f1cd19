//! Faults of the relay itself: the cause is logged, and the caller learns only that there was one.

use worker::console_error;

use crate::{api::error::ApiError, runtime::platform::object_calls::CallError};

/// Logs the cause of a fault, which the caller does not learn.
pub(in crate::runtime) fn internal(doing: &str, cause: &dyn std::fmt::Display) -> ApiError {
    console_error!("{doing}: {cause}");
    ApiError::Internal
}

/// Logs that an object did not answer.
pub(in crate::runtime) fn unavailable(error: &CallError) -> ApiError {
    console_error!("{error}");
    ApiError::Unavailable
}

/// Logs that a reply does not belong to its command.
pub(in crate::runtime) fn unexpected_reply() -> ApiError {
    internal(
        "asking an object",
        &"the reply does not belong to the command",
    )
}
