//! Counts the calls to objects, so that a test can hold a page to one to each object that it shows.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static CALLS: RefCell<BTreeMap<String, u32>> = RefCell::default();
}

/// Counts a call.
pub(super) fn count(object: &str) {
    CALLS.with_borrow_mut(|calls| {
        let count = calls.entry(object.to_string()).or_default();
        *count = count.saturating_add(1);
    });
}

/// The calls since this was last asked, as JSON: each object's name and how often it was called. Two requests at a
/// time would be counted as one.
pub(super) fn take() -> String {
    let calls = CALLS.take();
    serde_json::to_string(&calls).unwrap_or_default()
}
