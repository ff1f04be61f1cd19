//! Signing in: with an API key, or a dashboard link whose button uses it up.

use super::{
    Page, assets,
    frame::{Frame, Notice},
    words,
};

/// The page on which people sign in.
#[derive(Page)]
#[template(path = "sign_in.html", config = "src/dashboard/askama.toml")]
pub struct SignInPage {
    /// What is around it; without a session.
    pub frame: Frame,
    /// A link's token: the page then has one button. Opening the page does not use it up.
    pub link: Option<String>,
    /// Why the key was refused, as a sentence. What was typed is a secret and is not shown again.
    pub key_error: Option<String>,
    /// Why the link was refused, as a sentence; the page then offers the key.
    pub link_error: Option<String>,
}
