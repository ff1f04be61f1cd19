//! The page for any error, in the same frame.

use super::{
    Page, assets,
    frame::{Frame, Notice},
    words,
};

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
    /// The id under which the cause is logged, if there is one.
    pub request_id: Option<String>,
}

impl ErrorPage {
    fn headline(&self) -> &'static str {
        match self.status {
            400 | 422 => "That did not work",
            401 => "Please sign in",
            403 => "You may not do this",
            404 => "Not found",
            405 => "This address does not take that",
            409 => "That is not possible at this moment",
            413 => "That is too large",
            429 => "Too many requests",
            503 => "Try again in a moment",
            _ => "Something went wrong",
        }
    }
}
