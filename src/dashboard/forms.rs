//! What people type into the dashboard's forms: read as text, checked by the rules of the domain, kept if refused.

use super::{
    pace_form::{PaceErrors, PaceForm},
    words::refusal,
};
use crate::domain::{
    brand::HeaderPrefix,
    catalogue::{Catalogue, CatalogueEntry, Selectable},
    custom_headers::check_headers,
    endpoint_url::{EndpointUrl, UrlRules},
    event_type::EventType,
    policy::Policy,
    secret::{Secret, SignHeaderWith},
    webhook::{DESCRIPTION_LIMIT, OVERLAP_LIMIT, Rotation, Webhook, WebhookDraft},
};

/// How long an old secret continues to sign by default, in seconds: a day.
const OVERLAP: u64 = 86_400;

/// Reads the fields of a form's body (`application/x-www-form-urlencoded`), in their order.
#[must_use]
pub fn parse_fields(body: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn text(fields: &[(String, String)], name: &str) -> String {
    let found = fields.iter().find(|(field, _)| field == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// The sign-in form: a key or a link.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SignInForm {
    /// An API key.
    pub key: String,
    /// A link's token.
    pub link: String,
}

impl SignInForm {
    /// Reads the form.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        let fields = parse_fields(body);
        Self {
            key: text(&fields, "key").trim().into(),
            link: text(&fields, "link").trim().into(),
        }
    }
}

/// A webhook's settings as typed: to create it, or to change it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WebhookForm {
    /// The endpoint URL.
    pub url: String,
    /// The chosen event types.
    pub events: Vec<String>,
    /// A note for people.
    pub description: String,
    /// Custom headers, one `Name: value` per line.
    pub headers: String,
    /// The customer's own secret; empty to have one generated. Only in the form that creates a webhook.
    pub secret: String,
    /// Its pace.
    pub pace: PaceForm,
}

/// What is wrong with a webhook's settings, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookErrors {
    /// With the endpoint URL.
    pub url: Option<String>,
    /// With the event types.
    pub events: Option<String>,
    /// With the note.
    pub description: Option<String>,
    /// With the custom headers.
    pub headers: Option<String>,
    /// With the secret.
    pub secret: Option<String>,
    /// With its pace.
    pub pace: PaceErrors,
}

impl WebhookErrors {
    /// Whether anything is wrong.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// Each of them with the id of its field, in the order of the form.
    #[must_use]
    pub fn list(&self) -> Vec<FieldError<'_>> {
        let Self {
            url,
            events,
            description,
            headers,
            secret,
            pace,
        } = self;
        listed([
            ("url", url),
            ("events", events),
            ("secret", secret),
            ("description", description),
            ("headers", headers),
            ("rate_limit", &pace.rate_limit),
            ("retry_schedule", &pace.retry_schedule),
        ])
    }
}

/// The id of a field, and what is wrong with it.
pub type FieldError<'a> = (&'static str, &'a str);

pub(super) fn listed<'a, const N: usize>(
    errors: [(&'static str, &'a Option<String>); N],
) -> Vec<FieldError<'a>> {
    let errors = errors.into_iter();
    let found = errors.filter_map(|(field, error)| Some((field, error.as_deref()?)));
    found.collect()
}

impl WebhookForm {
    /// Reads the form.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        let fields = parse_fields(body);
        let events = fields.iter().filter(|(name, _)| name == "events");
        Self {
            url: text(&fields, "url").trim().into(),
            events: events.map(|(_, value)| value.clone()).collect(),
            description: text(&fields, "description").replace("\r\n", "\n"),
            headers: text(&fields, "headers").replace("\r\n", "\n"),
            secret: text(&fields, "secret").trim().into(),
            pace: PaceForm::parse(&fields),
        }
    }

    /// The form with a webhook's present settings; `headers` are its custom headers as they may be shown.
    #[must_use]
    pub fn of(webhook: &Webhook, headers: &[(String, String)]) -> Self {
        let lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        Self {
            url: webhook.settings.url.clone(),
            events: webhook.settings.events.clone(),
            description: webhook.description.clone(),
            headers: lines.join("\n"),
            secret: String::new(),
            pace: PaceForm::of(&webhook.settings.pace),
        }
    }

    /// Whether an event type is chosen.
    #[must_use]
    pub fn selects(&self, event_type: &str) -> bool {
        self.events.iter().any(|chosen| chosen == event_type)
    }

    /// Checks what was typed; `types` may be selected.
    ///
    /// # Errors
    /// All that is wrong, by field.
    pub fn check(
        &self,
        rules: &UrlRules,
        policy: &Policy,
        types: Selectable<'_>,
    ) -> Result<WebhookDraft, Box<WebhookErrors>> {
        let url = self.check_url(rules);
        let events = self.check_events(types);
        let headers = self.check_headers(&policy.brand.header_prefix);
        let pace = self.pace.check(policy);
        let secret = check_secret(&self.secret);
        let description = if self.description.chars().count() > DESCRIPTION_LIMIT {
            Err(format!("Use at most {DESCRIPTION_LIMIT} characters."))
        } else {
            Ok(self.description.clone())
        };
        match (url, events, description, headers, secret, pace) {
            (Ok(url), Ok(events), Ok(description), Ok(headers), Ok(secret), Ok(pace)) => {
                Ok(WebhookDraft {
                    url,
                    events,
                    secret,
                    description,
                    headers,
                    pace,
                })
            }
            (url, events, description, headers, secret, pace) => Err(Box::new(WebhookErrors {
                url: url.err(),
                events: events.err(),
                description: description.err(),
                headers: headers.err(),
                secret: secret.err(),
                pace: pace.err().unwrap_or_default(),
            })),
        }
    }

    fn check_url(&self, rules: &UrlRules) -> Result<EndpointUrl, String> {
        if self.url.is_empty() {
            return Err("Enter the URL of your endpoint.".into());
        }
        EndpointUrl::parse(&self.url, rules).map_err(|error| refusal(&error))
    }

    fn check_events(&self, selectable: Selectable<'_>) -> Result<Vec<EventType>, String> {
        let mut types = Vec::new();
        for name in &self.events {
            let event_type = selectable.find(name).map_err(|error| refusal(&error))?;
            if !types.contains(&event_type) {
                types.push(event_type);
            }
        }
        if types.is_empty() {
            return Err("Choose at least one event type.".into());
        }
        Ok(types)
    }

    fn check_headers(&self, own: &HeaderPrefix) -> Result<Vec<(String, String)>, String> {
        let mut headers = Vec::new();
        let lines = self.headers.lines().enumerate();
        for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let Some((name, value)) = line.split_once(':') else {
                let number = index.saturating_add(1);
                return Err(format!(
                    "Line {number} has no colon: write each header as Name: value."
                ));
            };
            headers.push((name.trim().to_string(), value.trim().to_string()));
        }
        check_headers(&headers, own).map_err(|error| refusal(&error))?;
        Ok(headers)
    }
}

fn check_secret(typed: &str) -> Result<Option<Secret>, String> {
    if typed.is_empty() {
        return Ok(None);
    }
    let secret = Secret::parse(typed).map_err(|error| refusal(&error))?;
    Ok(Some(secret))
}

/// A rotation of the secret as typed.
#[derive(Clone, PartialEq, Eq)]
pub struct RotateForm {
    /// The customer's own new secret; empty to have one generated.
    pub secret: String,
    /// How long the old one continues to sign, in seconds.
    pub overlap_seconds: String,
    /// Which one makes the header that carries one signature: `previous` or `current`.
    pub sign_header_with: String,
}

impl Default for RotateForm {
    fn default() -> Self {
        Self {
            secret: String::new(),
            overlap_seconds: OVERLAP.to_string(),
            // An endpoint that knows this header alone keeps working.
            sign_header_with: "previous".into(),
        }
    }
}

impl RotateForm {
    /// The choices of the overlap: seconds and label.
    pub const OVERLAPS: [(&'static str, &'static str); 5] = [
        ("0", "at once"),
        ("3600", "in 1 hour"),
        ("86400", "in 24 hours"),
        ("259200", "in 3 days"),
        ("604800", "in 7 days"),
    ];

    /// Reads the form.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        let fields = parse_fields(body);
        Self {
            secret: text(&fields, "secret").trim().into(),
            overlap_seconds: text(&fields, "overlap_seconds"),
            sign_header_with: text(&fields, "sign_header_with"),
        }
    }

    /// Checks what was typed. Without an overlap, only the new secret signs.
    ///
    /// # Errors
    /// What is wrong with the secret, the overlap or the header, as a sentence.
    pub fn check(&self) -> Result<Rotation, String> {
        let overlap = self.overlap_seconds.parse().ok();
        let overlap_seconds = overlap
            .filter(|seconds| *seconds <= OVERLAP_LIMIT)
            .ok_or("Choose how long the old secret stays valid: at most 7 days.")?;
        let sign_header_with = match self.sign_header_with.as_str() {
            "previous" if overlap_seconds > 0 => SignHeaderWith::Previous,
            "previous" | "current" | "" => SignHeaderWith::Current,
            _ => {
                return Err("Choose which secret makes the header: the old or the new one.".into());
            }
        };
        Ok(Rotation {
            secret: check_secret(&self.secret)?,
            overlap_seconds,
            sign_header_with,
        })
    }
}

/// Reads the name of the event type of a test.
#[must_use]
pub fn parse_test(body: &[u8]) -> String {
    text(&parse_fields(body), "type")
}

/// Finds the event type of a test.
///
/// # Errors
/// What is wrong, as a sentence.
pub fn check_test<'c>(name: &str, catalogue: &'c Catalogue) -> Result<&'c CatalogueEntry, String> {
    let found = catalogue.find_entry(name);
    found.map_err(|error| refusal(&error))
}
