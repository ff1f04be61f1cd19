//! The platform's parts behind calls in the relay's words: HTTP, KV, an object's SQL and alarm, calls of objects, hires,
//! the clock and random bytes.

pub(in crate::runtime) mod entropy;

pub(in crate::runtime) mod faults;

pub(in crate::runtime) mod http;

pub(in crate::runtime) mod config;

pub(in crate::runtime) mod sealing;

pub(in crate::runtime) mod kv;

pub(in crate::runtime) mod object_calls;

#[cfg(feature = "test-hooks")]
pub(in crate::runtime) mod counted_calls;

pub(in crate::runtime) mod object_sql;

#[cfg(feature = "test-hooks")]
pub(in crate::runtime) mod sql_script;

pub(in crate::runtime) mod object_alarm;

pub(in crate::runtime) mod hires;

pub(in crate::runtime) mod observer;

pub(in crate::runtime) mod measuring;
