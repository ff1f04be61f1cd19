//! A filled form whose session has ended: kept in the page on which its author signs in again, without what is secret.

use super::{
    forms::{WebhookForm, parse_fields},
    resend_form::ResendForm,
};
use crate::domain::ids::WebhookId;

/// Where the pages of webhooks are.
const WEBHOOKS: &str = "/settings/webhooks/";

/// Bytes of a kept form; a larger one is not kept.
const KEPT_LIMIT: usize = 32 * 1024;

/// Says that a secret was typed, which is not kept.
const SECRET_TYPED: &str = "secret_was_typed";

/// A form that is worth keeping.
#[derive(Clone, PartialEq, Eq)]
pub enum KeptForm {
    /// A new webhook.
    New(WebhookForm),
    /// A webhook's settings.
    Settings(WebhookId, WebhookForm),
    /// A bulk resend.
    Resend(WebhookId, ResendForm),
}

/// A form as it is kept in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The path that the form was posted to.
    pub path: String,
    /// Its fields, without what is secret, as `application/x-www-form-urlencoded`.
    pub fields: String,
}

impl Kept {
    /// Keeps a form that was posted to a path; none if it is of another kind or too large.
    #[must_use]
    pub fn of(path: &str, body: &[u8]) -> Option<Self> {
        place(path)?;
        let mut kept = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in parse_fields(body) {
            match name.as_str() {
                "secret" if value.trim().is_empty() => {}
                "secret" => {
                    kept.append_pair(SECRET_TYPED, "true");
                }
                "headers" => {
                    kept.append_pair(&name, &names_of(&value));
                }
                _ => {
                    kept.append_pair(&name, &value);
                }
            }
        }
        let fields = kept.finish();
        (fields.len() <= KEPT_LIMIT).then(|| Self {
            path: path.into(),
            fields,
        })
    }

    /// Reads what a sign-in page kept, by the same rules: who posts it may have changed it.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let fields = parse_fields(body);
        let value = |name: &str| fields.iter().find(|(field, _)| field == name);
        let (_, path) = value("kept_for")?;
        let (_, kept) = value("kept")?;
        Self::of(path, kept.as_bytes())
    }

    /// The form.
    #[must_use]
    pub fn form(&self) -> Option<KeptForm> {
        let body = self.fields.as_bytes();
        let webhook = |id: &str| WebhookId::parse(id).ok();
        Some(match place(&self.path)? {
            ("new", "") => KeptForm::New(WebhookForm::parse(body)),
            (id, "") => KeptForm::Settings(webhook(id)?, WebhookForm::parse(body)),
            (id, _) => KeptForm::Resend(webhook(id)?, ResendForm::parse(body)),
        })
    }

    /// The page that the form is on.
    #[must_use]
    pub fn page(&self) -> &str {
        &self.path
    }

    /// What its author has to enter again, in words: `the signing secret and the values of custom headers`.
    #[must_use]
    pub fn left_out(&self) -> Option<&'static str> {
        let fields = parse_fields(self.fields.as_bytes());
        let has = |name: &str| {
            let found = fields.iter().find(|(field, _)| field == name);
            found.is_some_and(|(_, value)| !value.trim().is_empty())
        };
        match (has(SECRET_TYPED), has("headers")) {
            (true, true) => Some("the signing secret and the values of custom headers"),
            (true, false) => Some("the signing secret"),
            (false, true) => Some("the values of custom headers"),
            (false, false) => None,
        }
    }

    /// What the form's page says above it.
    #[must_use]
    pub fn remark(&self) -> String {
        let except = self.left_out();
        let except = except.map_or_else(String::new, |left_out| {
            format!(", except {left_out}: enter them again")
        });
        format!(
            "You are signed in again. What you typed is still here{except}. It is not saved yet."
        )
    }
}

/// The webhook, or `new`, and the form of a path.
fn place(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(WEBHOOKS)?;
    let (id, form) = rest.split_once('/').unwrap_or((rest, ""));
    let is_known = match form {
        "" => id == "new" || WebhookId::parse(id).is_ok(),
        "resend" => WebhookId::parse(id).is_ok(),
        _ => false,
    };
    is_known.then_some((id, form))
}

/// The names of headers typed as `Name: value`, a line each. A line without a colon may be a value, and is left out.
fn names_of(headers: &str) -> String {
    let names = headers.lines().filter_map(|line| line.split_once(':'));
    let lines: Vec<_> = names
        .map(|(name, _)| format!("{}: ", name.trim()))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "wh_00000000000070008000000000000000";

    #[test]
    fn what_is_secret_is_left_out_and_named() {
        let body = b"url=https%3A%2F%2Fa.example.com&secret=my-secret&headers=X-Team%3A+value%0D%0Aanother-value&description=a+b";
        let kept = Kept::of("/settings/webhooks/new", body).unwrap();
        for secret in ["my-secret", "value"] {
            assert!(!kept.fields.contains(secret), "{}", kept.fields);
        }
        let Some(KeptForm::New(form)) = kept.form() else {
            panic!("a new webhook");
        };
        assert_eq!(
            (
                form.url.as_str(),
                form.headers.as_str(),
                form.description.as_str()
            ),
            ("https://a.example.com", "X-Team: ", "a b")
        );
        assert!(
            kept.remark()
                .contains("except the signing secret and the values")
        );
        let plain = Kept::of("/settings/webhooks/new", b"url=x&secret=&headers=").unwrap();
        assert_eq!(plain.left_out(), None);
    }

    #[test]
    fn a_sign_in_page_gives_back_what_it_kept_and_nothing_else() {
        let kept = Kept::of(
            &format!("/settings/webhooks/{ID}"),
            b"url=a&events=b&events=c",
        )
        .unwrap();
        let mut posted = url::form_urlencoded::Serializer::new(String::new());
        posted.append_pair("kept_for", &kept.path);
        posted.append_pair("kept", &kept.fields);
        assert_eq!(Kept::parse(posted.finish().as_bytes()), Some(kept.clone()));
        assert!(matches!(kept.form(), Some(KeptForm::Settings(_, form)) if form.events.len() == 2));
    }

    #[test]
    fn only_forms_that_hold_work_are_kept() {
        for path in [
            format!("/settings/webhooks/{ID}/delete"),
            format!("/settings/webhooks/{ID}/rotate"),
            "/settings/webhooks/new/resend".into(),
            "/settings/webhooks/nonsense".into(),
            "//evil.example.com".into(),
            "/sign-out".into(),
        ] {
            assert_eq!(Kept::of(&path, b"a=b"), None, "{path}");
        }
        let resend =
            Kept::of(&format!("/settings/webhooks/{ID}/resend"), b"status=failed").unwrap();
        assert!(matches!(resend.form(), Some(KeptForm::Resend(..))));
        assert_eq!(resend.page(), format!("/settings/webhooks/{ID}/resend"));
        let large = "a".repeat(KEPT_LIMIT + 1);
        assert_eq!(Kept::of("/settings/webhooks/new", large.as_bytes()), None);
    }
}
