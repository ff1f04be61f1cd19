//! Settings → Webhooks, the dashboard that customers use: pages, their style sheet and their script; pure.
//!
//! A page is a struct that a handler fills and renders ([`Page::render`]); what was typed comes back as a form that
//! checks itself. The templates escape every text. No page has an inline style or script or loads anything from another
//! origin, so the strictest Content-Security-Policy applies; the script improves what works without it.

/// What renders a page to HTML.
pub use askama::Template as Page;

pub mod words;

pub mod when;

pub mod time_field;

pub mod frame;

pub mod assets;

pub mod theme;

pub mod pace_form;

pub mod forms;

pub mod resend_form;

pub mod kept_form;

pub mod spans;

pub mod detail_query;

mod axis;

pub mod chart;

pub mod health;
mod plot;

pub mod sign_in;

pub mod list;

pub mod add;

pub mod detail;

mod detail_resend;

pub mod resend;

pub mod delivery;

pub mod delivery_query;

pub mod advice;

pub mod curl;

pub mod probe;

pub mod verify;

mod json;

mod type_choices;

mod response;

mod markup;

mod visible_text;

mod result_words;

mod quantities;

pub mod event;

pub mod find;

pub mod delete;

pub mod docs;

pub mod error;
