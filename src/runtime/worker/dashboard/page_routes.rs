//! Every page and form of the dashboard: its method and its path.

use crate::api::routing::Route;

/// A page, or what a form does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Home,
    Asset,
    Docs,
    SignInPage,
    SignIn,
    SignOut,
    Event,
    Find,
    List,
    AddPage,
    Add,
    Webhook,
    Save,
    Enable,
    Disable,
    Pause,
    DeletePage,
    Delete,
    Rotate,
    EndOverlap,
    Reveal,
    Test,
    ResendPage,
    StartResend,
    StopResend,
    Delivery,
    Payload,
    ResponseBody,
    ResendDelivery,
    SendDeliveryNow,
    CancelDelivery,
}

const fn route(method: &'static str, path: &'static str, name: Target) -> Route<Target> {
    Route { method, path, name }
}

/// The pages and forms.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route<Target>] = &[
    route("GET", "/", Target::Home),
    route("GET", "/assets/{file}", Target::Asset),
    route("GET", "/docs", Target::Docs),
    route("GET", "/sign-in", Target::SignInPage),
    route("POST", "/sign-in", Target::SignIn),
    route("POST", "/sign-out", Target::SignOut),
    route("GET", "/settings/events", Target::Event),
    route("GET", "/settings/find", Target::Find),
    route("GET", "/settings/webhooks", Target::List),
    route("GET", "/settings/webhooks/new", Target::AddPage),
    route("POST", "/settings/webhooks/new", Target::Add),
    route("GET", "/settings/webhooks/{webhook_id}", Target::Webhook),
    route("POST", "/settings/webhooks/{webhook_id}", Target::Save),
    route("POST", "/settings/webhooks/{webhook_id}/enable", Target::Enable),
    route("POST", "/settings/webhooks/{webhook_id}/disable", Target::Disable),
    route("POST", "/settings/webhooks/{webhook_id}/pause", Target::Pause),
    route("GET", "/settings/webhooks/{webhook_id}/delete", Target::DeletePage),
    route("POST", "/settings/webhooks/{webhook_id}/delete", Target::Delete),
    route("POST", "/settings/webhooks/{webhook_id}/rotate", Target::Rotate),
    route("POST", "/settings/webhooks/{webhook_id}/end-overlap", Target::EndOverlap),
    route("POST", "/settings/webhooks/{webhook_id}/secret", Target::Reveal),
    route("POST", "/settings/webhooks/{webhook_id}/test", Target::Test),
    route("GET", "/settings/webhooks/{webhook_id}/resend", Target::ResendPage),
    route("POST", "/settings/webhooks/{webhook_id}/resend", Target::StartResend),
    route("POST", "/settings/webhooks/{webhook_id}/resend/{resend_id}/stop", Target::StopResend),
    route("GET", "/settings/webhooks/{webhook_id}/deliveries/{delivery_id}", Target::Delivery),
    route("GET", "/settings/webhooks/{webhook_id}/deliveries/{delivery_id}/payload", Target::Payload),
    route("GET", "/settings/webhooks/{webhook_id}/deliveries/{delivery_id}/response", Target::ResponseBody),
    route("POST", "/settings/webhooks/{webhook_id}/deliveries/{delivery_id}/resend", Target::ResendDelivery),
    route("POST", "/settings/webhooks/{webhook_id}/deliveries/{delivery_id}/send-now", Target::SendDeliveryNow),
    route("POST", "/settings/webhooks/{webhook_id}/deliveries/{delivery_id}/cancel", Target::CancelDelivery),
];
