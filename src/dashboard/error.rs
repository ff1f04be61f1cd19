//! Whatever went wrong, in the same frame.

use super::{Page, assets, frame::Frame};

/// The page of an error.
#[derive(Page)]
#[template(path = "error.html", config = "src/dashboard/askama.toml")]
pub struct ErrorPage {
    /// What is around it.
    pub frame: Frame,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, as a sentence.
    pub message: String,
    /// The id under which the cause is logged, where there is one.
    pub request_id: Option<String>,
}
