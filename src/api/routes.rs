//! Every operation of the API: its method, its path, and who may call it. `openapi.json` describes the same ones, in the
//! same order; a test compares them.

use super::routing::Route;
use crate::domain::token::Scope;

/// An operation, named as in the OpenAPI document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// List the workspaces.
    ListWorkspaces,
    /// Create a workspace.
    CreateWorkspace,
    /// Read a workspace.
    GetWorkspace,
    /// Rename a workspace.
    ChangeWorkspace,
    /// Delete a workspace.
    DeleteWorkspace,
    /// List the API keys.
    ListKeys,
    /// Create an API key.
    CreateKey,
    /// Revoke an API key.
    RevokeKey,
    /// List the open links and sessions.
    ListDashboardLinks,
    /// Create a link to sign in to the dashboard.
    CreateDashboardLink,
    /// End all links and sessions.
    EndDashboardAccess,
    /// End a link and its session.
    EndDashboardLink,
    /// Post one event or up to 100.
    PostEvents,
    /// Find what happened to an event.
    TraceEvent,
    /// List the webhooks.
    ListWebhooks,
    /// Create a webhook.
    CreateWebhook,
    /// Read a webhook.
    GetWebhook,
    /// Change, disable, pause or enable a webhook.
    ChangeWebhook,
    /// Delete a webhook.
    DeleteWebhook,
    /// Reveal the signing secret.
    RevealSecret,
    /// Rotate the signing secret.
    RotateSecret,
    /// End the overlap of a rotation.
    EndOverlap,
    /// Send a test event.
    TestWebhook,
    /// Read counts per hour.
    GetStats,
    /// List deliveries.
    ListDeliveries,
    /// Read a whole delivery.
    GetDelivery,
    /// Resend a delivery.
    ResendDelivery,
    /// Send the next attempt of a pending delivery at once.
    SendDeliveryNow,
    /// End a pending or held delivery.
    CancelDelivery,
    /// Resend many deliveries.
    StartResend,
    /// Count what a bulk resend would resend.
    PreviewResend,
    /// Read a bulk resend's progress.
    GetResend,
    /// Stop a bulk resend.
    StopResend,
    /// List the event types.
    ListEventTypes,
    /// Read an event type with its schema.
    GetEventType,
    /// Add or replace an event type.
    PutEventType,
    /// Delete an event type.
    DeleteEventType,
    /// Check whether the relay answers.
    GetHealth,
    /// Read metrics for Prometheus.
    GetMetrics,
    /// Read this document.
    GetOpenApiDocument,
}

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a token.
    Anybody,
    /// The operator.
    Operator,
    /// The operator, and the keys and sessions of the workspace that have the scope.
    Scoped(Scope),
}

const ANYBODY: Access = Access::Anybody;
const OPERATOR: Access = Access::Operator;
const POSTS: Access = Access::Scoped(Scope::EventsWrite);
const READS: Access = Access::Scoped(Scope::WebhooksRead);
const WRITES: Access = Access::Scoped(Scope::WebhooksWrite);

const fn route(
    method: &'static str,
    path: &'static str,
    operation: Operation,
    access: Access,
) -> Route<(Operation, Access)> {
    let name = (operation, access);
    Route { method, path, name }
}

/// The operations; those of a path stand in the order in which its answer to another method lists them.
#[rustfmt::skip]
pub const ROUTES: &[Route<(Operation, Access)>] = &[
    route("GET", "/v1/workspaces", Operation::ListWorkspaces, OPERATOR),
    route("POST", "/v1/workspaces", Operation::CreateWorkspace, OPERATOR),
    route("GET", "/v1/workspaces/{workspace_id}", Operation::GetWorkspace, OPERATOR),
    route("PATCH", "/v1/workspaces/{workspace_id}", Operation::ChangeWorkspace, OPERATOR),
    route("DELETE", "/v1/workspaces/{workspace_id}", Operation::DeleteWorkspace, OPERATOR),
    route("GET", "/v1/workspaces/{workspace_id}/keys", Operation::ListKeys, OPERATOR),
    route("POST", "/v1/workspaces/{workspace_id}/keys", Operation::CreateKey, OPERATOR),
    route("DELETE", "/v1/workspaces/{workspace_id}/keys/{key_id}", Operation::RevokeKey, OPERATOR),
    route("GET", "/v1/workspaces/{workspace_id}/dashboard-links", Operation::ListDashboardLinks, OPERATOR),
    route("POST", "/v1/workspaces/{workspace_id}/dashboard-links", Operation::CreateDashboardLink, OPERATOR),
    route("DELETE", "/v1/workspaces/{workspace_id}/dashboard-links", Operation::EndDashboardAccess, OPERATOR),
    route("DELETE", "/v1/workspaces/{workspace_id}/dashboard-links/{link_id}", Operation::EndDashboardLink, OPERATOR),
    route("POST", "/v1/workspaces/{workspace_id}/events", Operation::PostEvents, POSTS),
    route("GET", "/v1/workspaces/{workspace_id}/events/{event_id}", Operation::TraceEvent, READS),
    route("GET", "/v1/workspaces/{workspace_id}/webhooks", Operation::ListWebhooks, READS),
    route("POST", "/v1/workspaces/{workspace_id}/webhooks", Operation::CreateWebhook, WRITES),
    route("GET", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}", Operation::GetWebhook, READS),
    route("PATCH", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}", Operation::ChangeWebhook, WRITES),
    route("DELETE", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}", Operation::DeleteWebhook, WRITES),
    route("GET", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/secret", Operation::RevealSecret, WRITES),
    route("POST", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/secret/rotate", Operation::RotateSecret, WRITES),
    route("DELETE", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/secret/previous", Operation::EndOverlap, WRITES),
    route("POST", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/test", Operation::TestWebhook, WRITES),
    route("GET", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/stats", Operation::GetStats, READS),
    route("GET", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/deliveries", Operation::ListDeliveries, READS),
    route("GET", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/deliveries/{delivery_id}", Operation::GetDelivery, READS),
    route("POST", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/resend", Operation::ResendDelivery, WRITES),
    route("POST", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/send-now", Operation::SendDeliveryNow, WRITES),
    route("POST", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/cancel", Operation::CancelDelivery, WRITES),
    route("POST", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/resend", Operation::StartResend, WRITES),
    route("POST", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/resend/preview", Operation::PreviewResend, WRITES),
    route("GET", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/resend/{resend_id}", Operation::GetResend, READS),
    route("DELETE", "/v1/workspaces/{workspace_id}/webhooks/{webhook_id}/resend/{resend_id}", Operation::StopResend, WRITES),
    route("GET", "/v1/event-types", Operation::ListEventTypes, ANYBODY),
    route("GET", "/v1/event-types/{name}", Operation::GetEventType, ANYBODY),
    route("PUT", "/v1/event-types/{name}", Operation::PutEventType, OPERATOR),
    route("DELETE", "/v1/event-types/{name}", Operation::DeleteEventType, OPERATOR),
    route("GET", "/healthz", Operation::GetHealth, ANYBODY),
    route("GET", "/metrics", Operation::GetMetrics, OPERATOR),
    route("GET", "/openapi.json", Operation::GetOpenApiDocument, ANYBODY),
];
