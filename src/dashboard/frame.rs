//! What all pages have around their content: who is signed in, what they may do, what just happened.

use std::{borrow::Borrow, time::Duration};

use super::{assets, theme};
use crate::domain::{attempt::Attempt, brand::Brand, ids::WorkspaceId, timestamp::Timestamp};

/// The surroundings of a page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Whose product it is.
    pub brand: Brand,
    /// Who is signed in; none on the sign-in page.
    pub session: Option<Session>,
    /// Whether the relay sends to private addresses, of which every page then warns.
    pub allow_private_endpoints: bool,
    /// What just happened.
    pub notice: Option<Notice>,
    /// Whether the page refuses something: its title says so first.
    pub refused: bool,
    /// Whether it answers a form: then its address is not that of the page.
    pub posted: bool,
    /// When the page is rendered.
    pub now: Timestamp,
    /// How long an endpoint may take to answer.
    pub attempt_timeout: Duration,
    /// How long a webhook may fail before it is disabled.
    pub disable_after: Duration,
}

/// Who is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its name.
    pub workspace_name: String,
    /// Whether they may change webhooks and see secrets.
    pub may_write: bool,
}

impl Frame {
    /// The address of the brand's colours.
    pub(super) fn theme_address(&self) -> String {
        theme::address(&self.brand)
    }

    /// The address of the brand's logo, if it has one.
    pub(super) fn logo_address(&self) -> Option<String> {
        assets::logo_address(&self.brand)
    }

    /// The address of the icon: the brand's logo, or the dashboard's own sign.
    pub(super) fn icon_address(&self) -> String {
        self.logo_address().unwrap_or_else(assets::icon_address)
    }

    pub(super) fn is_error(&self) -> bool {
        self.refused || matches!(self.notice, Some(Notice::Problem(_)))
    }

    /// Whether the user who is signed in may change webhooks.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.may_write)
    }

    /// When a webhook that has been failing since a time may be disabled.
    #[must_use]
    pub fn disabled_on(&self, failing_since: impl Borrow<Timestamp>) -> Timestamp {
        failing_since.borrow().saturating_add(self.disable_after)
    }
}

/// What just happened, shown once on top of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something was done.
    Done(Done),
    /// Something was done, and did not end well.
    Warning(&'static str),
    /// Something was refused or did not work, in words.
    Problem(String),
}

impl Notice {
    /// What to say of something that was done, which may have had a bad end: `attempt` is that of the ping or test.
    #[must_use]
    pub fn of(done: Done, attempt: Option<&Attempt>) -> Self {
        let succeeded = attempt.map(|attempt| attempt.outcome.is_success());
        match (done, succeeded) {
            (Done::Created, Some(false)) => Self::Warning("Webhook created, but its ping failed."),
            (Done::Created, None) => Self::Warning(
                "Webhook created. The result of its ping is not known: send a test event.",
            ),
            (Done::Tested, Some(false)) => {
                Self::Warning("Test event sent, and its attempt failed.")
            }
            (Done::Tested, None) => {
                Self::Warning("Test event sent. The result of its attempt is not known yet.")
            }
            _ => Self::Done(done),
        }
    }
}

/// What was done; a cookie carries its word to the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// A webhook was created.
    Created,
    /// Settings were saved.
    Saved,
    /// A webhook was enabled.
    Enabled,
    /// A webhook was disabled.
    Disabled,
    /// A webhook was paused.
    Paused,
    /// A webhook was deleted.
    Deleted,
    /// A secret was rotated.
    Rotated,
    /// The overlap of two secrets was ended.
    OverlapEnded,
    /// A delivery is resent.
    Resent,
    /// The next attempt of a delivery is made at once.
    SentNow,
    /// A delivery was cancelled.
    Cancelled,
    /// A bulk resend has begun.
    ResendStarted,
    /// A bulk resend was stopped.
    ResendStopped,
    /// A test event was sent.
    Tested,
    /// The session was ended.
    SignedOut,
}

impl Done {
    const ALL: [Self; 15] = [
        Self::Created,
        Self::Saved,
        Self::Enabled,
        Self::Disabled,
        Self::Paused,
        Self::Deleted,
        Self::Rotated,
        Self::OverlapEnded,
        Self::Resent,
        Self::SentNow,
        Self::Cancelled,
        Self::ResendStarted,
        Self::ResendStopped,
        Self::Tested,
        Self::SignedOut,
    ];

    /// The word in the cookie.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Saved => "saved",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Paused => "paused",
            Self::Deleted => "deleted",
            Self::Rotated => "rotated",
            Self::OverlapEnded => "overlap-ended",
            Self::Resent => "resent",
            Self::SentNow => "sent-now",
            Self::Cancelled => "cancelled",
            Self::ResendStarted => "resend-started",
            Self::ResendStopped => "resend-stopped",
            Self::Tested => "tested",
            Self::SignedOut => "signed-out",
        }
    }

    /// Finds the action that a word names.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|done| done.word() == word)
    }

    /// Whether it has only begun: how it ends is not known yet.
    #[must_use]
    pub const fn is_begun(self) -> bool {
        matches!(self, Self::Resent | Self::SentNow | Self::ResendStarted)
    }

    /// The sentence that people read.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Created => "Webhook created.",
            Self::Saved => "Settings saved.",
            Self::Enabled => {
                "Webhook enabled. Its events are sent from now on; held ones wait until you resend them."
            }
            Self::Disabled => {
                "Webhook disabled. New events are held until you enable it and resend them."
            }
            Self::Paused => "Webhook paused. Events wait, and nothing is sent until you resume it.",
            Self::Deleted => "Webhook deleted.",
            Self::Rotated => "Secret rotated.",
            Self::OverlapEnded => "The previous secret has ended. Only the new one signs.",
            Self::Resent => "The event is being resent.",
            Self::SentNow => "The next attempt is due now.",
            Self::Cancelled => "Delivery cancelled. No further attempt is made.",
            Self::ResendStarted => "The resend has begun.",
            Self::ResendStopped => "The resend was stopped.",
            Self::Tested => "Test event sent.",
            Self::SignedOut => "You are signed out.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Outcome;

    #[test]
    fn a_notice_is_as_good_as_the_result() {
        let at = Timestamp::from_millis(0);
        let good = Attempt::new(1, at, 5, Outcome::Succeeded);
        let bad = Attempt::new(1, at, 5, Outcome::HttpError);
        for done in [Done::Created, Done::Tested] {
            assert_eq!(Notice::of(done, Some(&good)), Notice::Done(done));
            for attempt in [Some(&bad), None] {
                assert!(matches!(Notice::of(done, attempt), Notice::Warning(_)));
            }
        }
        assert_eq!(Notice::of(Done::Saved, None), Notice::Done(Done::Saved));
    }

    #[test]
    fn every_word_of_a_cookie_is_read_back() {
        for done in Done::ALL {
            assert_eq!(Done::of_word(done.word()), Some(done));
            assert!(done.sentence().ends_with('.'));
        }
        assert_eq!(Done::of_word("<script>"), None);
    }
}
