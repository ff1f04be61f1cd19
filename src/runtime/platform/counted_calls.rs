//! Counts the calls to objects, so that a test can check that a page makes one to each object that it shows.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static CALLS: RefCell<BTreeMap<String, u32>> = RefCell::default();
}

/// Counts a call.
pub(in crate::runtime) fn count(object: &str) {
    CALLS.with_borrow_mut(|calls| {
        let count = calls.entry(object.to_string()).or_default();
        *count = count.saturating_add(1);
    });
}

/// Returns the calls since it last did, as JSON: how often each object was called, by name. Does not tell apart
/// requests that run at the same time.
pub(in crate::runtime) fn take() -> String {
    let calls = CALLS.take();
    serde_json::to_string(&calls).unwrap_or_default()
}
