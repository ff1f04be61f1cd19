//! Signing in: with an API key, or a dashboard link whose button uses it up.

use super::{
    Page, assets,
    frame::{Frame, Notice},
    kept_form::Kept,
    words,
};
use crate::domain::ids::WorkspaceId;

/// The page on which people sign in.
#[derive(Page)]
#[template(path = "sign_in.html", config = "src/dashboard/askama.toml")]
pub struct SignInPage {
    /// What is around it; without a session.
    pub frame: Frame,
    /// A link: the page then has one button. Opening the page does not use it up.
    pub link: Option<OfferedLink>,
    /// The workspace of the session that this browser has, and that signing in ends.
    pub open: Option<WorkspaceId>,
    /// Where the form posts to.
    pub action: String,
    /// A form that its author filled while the session ended.
    pub kept: Option<Kept>,
    /// Why the key was refused, as a sentence. What was typed is a secret and is not shown again.
    pub key_error: Option<String>,
    /// Why the link was refused, as a sentence; the page then offers the key.
    pub link_error: Option<String>,
}

/// A link that signs in.
pub struct OfferedLink {
    /// Its token.
    pub token: String,
    /// The workspace that it opens: whoever sends a link chooses it.
    pub workspace: WorkspaceId,
    /// The workspace's name, if it is known.
    pub workspace_name: Option<String>,
}
