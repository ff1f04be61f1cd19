//! The list of webhooks, and the forms that change one: add, save, enable, disable, delete, rotate, test.

use std::rc::Rc;

use futures_util::future::join_all;

use super::{
    HOME,
    answers::{after, page, sentence},
    detail::{self, Remarks, read_webhook},
    resend_pages,
    visit::{Detour, Visit},
};
use crate::{
    api::{error::ApiError, webhooks::WebhookChange},
    dashboard::{
        add::AddPage,
        delete::DeletePage,
        forms::{RotateForm, WebhookErrors, WebhookForm, check_test, parse_test},
        frame::{Done, Notice},
        kept_form::{Kept, KeptForm},
        list::{ListPage, ListedWebhook},
        words,
    },
    domain::{
        catalogue::Catalogue,
        ids::{WebhookId, WorkspaceId},
        pace::PaceChange,
        token::Scope,
        webhook::{LastAttempts, Status, Webhook},
    },
    runtime::{
        platform::{
            entropy::now,
            http::Response,
            object_calls::{Wanted, WorkspaceCommand},
        },
        worker::{
            event_types,
            object_clients::{applied, changed_webhook, done, webhooks},
            probes,
            request::{random_bytes, url_rules},
            webhook_changes,
        },
    },
};

/// How many hours the small charts of the list show.
const HOURS: u32 = 24;

pub(super) async fn list(visit: &Visit<'_>) -> Result<Response, Detour> {
    let command = WorkspaceCommand::ListWebhooks;
    let (workspace, webhooks) = visit.ask(Scope::WebhooksRead, command, webhooks).await?;
    let listed = webhooks
        .into_iter()
        .map(|webhook| listed(visit, &workspace, webhook));
    let shown = ListPage {
        webhooks: join_all(listed).await,
        frame: visit.frame(),
    };
    Ok(page(200, &shown)?)
}

/// Reads the last hours of a webhook; if its object does not answer, it is listed without them, with the health that the
/// workspace was last told.
async fn listed(visit: &Visit<'_>, workspace: &WorkspaceId, webhook: Webhook) -> ListedWebhook {
    let wanted = Wanted {
        hours: HOURS,
        ..Wanted::default()
    };
    let shown = visit.webhook(workspace, &webhook.id).show(wanted).await;
    let health = webhook.standing.health;
    match shown {
        Ok(shown) => ListedWebhook {
            webhook,
            hours: Some(shown.hours),
            health: shown.health,
            last: shown.last,
        },
        Err(_) => ListedWebhook {
            webhook,
            hours: None,
            health,
            last: LastAttempts::default(),
        },
    }
}

pub(super) async fn ask_new(visit: &Visit<'_>) -> Result<Response, Detour> {
    visit.may_change().await?;
    let shown = AddPage {
        frame: visit.frame(),
        catalogue: event_types::catalogue(visit.env).await?,
        form: WebhookForm::default(),
        errors: WebhookErrors::default(),
        remark: None,
        usual_schedule: words::schedule(&visit.config.policy.schedule),
    };
    Ok(page(200, &shown)?)
}

pub(super) async fn create(visit: &Visit<'_>) -> Result<Response, Detour> {
    let form = WebhookForm::parse(visit.form().await?);
    let rules = url_rules(&visit.request, &visit.config.policy);
    let names = form.events.iter().map(String::as_str);
    let catalogue = event_types::knowing(visit.env, names).await?;
    let policy = &visit.config.policy;
    let checked = match form.check(&rules, policy, catalogue.selectable(&[])) {
        Ok(checked) => checked,
        Err(errors) => {
            visit.may_change().await?;
            return refuse_new(visit, 422, None, (form, *errors), catalogue);
        }
    };
    let id = WebhookId::mint(now(), random_bytes()?);
    let (command, _) = webhook_changes::creation(&visit.config.keys, id.clone(), checked, None)?;
    let workspace = match visit.change(command, changed_webhook).await {
        Ok((workspace, made)) => {
            webhook_changes::created(made)?;
            workspace
        }
        Err(Detour::Refused(error @ ApiError::TooManyWebhooks)) => {
            let problem = Notice::Problem(sentence(&error));
            let status = error.status();
            let form = (form, WebhookErrors::default());
            return refuse_new(visit, status, Some(problem), form, catalogue);
        }
        Err(detour) => return Err(detour),
    };
    let ping = probes::ping(visit.env, visit.config, &workspace, &id).await;
    let created = ping.map(|ping| format!("?created={ping}"));
    let address = format!("{HOME}/{id}{}", created.unwrap_or_default());
    Ok(after(visit, Done::Created, address)?)
}

fn refuse_new(
    visit: &Visit<'_>,
    status: u16,
    problem: Option<Notice>,
    (form, errors): (WebhookForm, WebhookErrors),
    catalogue: Rc<Catalogue>,
) -> Result<Response, Detour> {
    let mut frame = visit.frame_with(problem);
    frame.refused = true;
    let shown = AddPage {
        frame,
        catalogue,
        form,
        errors,
        remark: None,
        usual_schedule: words::schedule(&visit.config.policy.schedule),
    };
    Ok(page(status, &shown)?)
}

/// Shows a form that was kept while its author signed in again.
pub(super) async fn show_kept(visit: &Visit<'_>, kept: Kept) -> Result<Response, Detour> {
    let shown = || Remarks {
        kept: Some(kept.clone()),
        ..Remarks::refused(200)
    };
    match kept.form() {
        Some(KeptForm::New(form)) => {
            visit.may_change().await?;
            let shown = AddPage {
                frame: visit.frame_with(None),
                catalogue: event_types::catalogue(visit.env).await?,
                form,
                errors: WebhookErrors::default(),
                remark: Some(kept.remark()),
                usual_schedule: words::schedule(&visit.config.policy.schedule),
            };
            Ok(page(200, &shown)?)
        }
        Some(KeptForm::Settings(id, form)) => {
            let form = Some((form, WebhookErrors::default()));
            detail::remark(visit, id, Remarks { form, ..shown() }).await
        }
        Some(KeptForm::Resend(id, form)) => {
            resend_pages::show(visit, id, form, Some(kept.remark())).await
        }
        None => Err(Detour::SignIn),
    }
}

pub(super) async fn save(visit: &Visit<'_>, id: WebhookId) -> Result<Response, Detour> {
    let form = WebhookForm::parse(visit.form().await?);
    let names = form.events.iter().map(String::as_str);
    let catalogue = event_types::knowing(visit.env, names).await?;
    let is_known = |name: &String| catalogue.entry(name).is_some();
    let selected = if form.events.iter().all(is_known) {
        Vec::new()
    } else {
        // The webhook may have selected a type that is gone: it may keep it.
        let (_, webhook) = read_webhook(visit, Scope::WebhooksWrite, id.clone()).await?;
        webhook.settings.events
    };
    let rules = url_rules(&visit.request, &visit.config.policy);
    let policy = &visit.config.policy;
    match form.check(&rules, policy, catalogue.selectable(&selected)) {
        Ok(checked) => {
            let change = WebhookChange {
                url: Some(checked.url),
                events: Some(checked.events),
                description: Some(checked.description),
                headers: Some(checked.headers),
                status: None,
                pace: if form.pace.is_there {
                    checked.pace.into()
                } else {
                    PaceChange::default()
                },
                sign_header_with: None,
            };
            change_webhook(visit, id, change, Done::Saved).await
        }
        Err(errors) => {
            let remarks = Remarks {
                form: Some((form, *errors)),
                ..Remarks::refused(422)
            };
            detail::remark(visit, id, remarks).await
        }
    }
}

pub(super) async fn set_status(
    visit: &Visit<'_>,
    id: WebhookId,
    status: Status,
) -> Result<Response, Detour> {
    visit.form().await?;
    let change = WebhookChange {
        status: Some(status),
        ..WebhookChange::default()
    };
    let done = match status {
        Status::Enabled => Done::Enabled,
        Status::Disabled => Done::Disabled,
        Status::Paused => Done::Paused,
    };
    change_webhook(visit, id, change, done).await
}

async fn change_webhook(
    visit: &Visit<'_>,
    id: WebhookId,
    change: WebhookChange,
    done: Done,
) -> Result<Response, Detour> {
    let command = webhook_changes::change(&visit.config.keys, id.clone(), change)?;
    let (_, made) = visit.change(command, changed_webhook).await?;
    webhook_changes::changed(made)?;
    Ok(after(visit, done, format!("{HOME}/{id}"))?)
}

pub(super) async fn ask_deletion(visit: &Visit<'_>, id: WebhookId) -> Result<Response, Detour> {
    let (_, webhook) = read_webhook(visit, Scope::WebhooksWrite, id).await?;
    let shown = DeletePage {
        frame: visit.frame(),
        webhook,
    };
    Ok(page(200, &shown)?)
}

pub(super) async fn delete(visit: &Visit<'_>, id: WebhookId) -> Result<Response, Detour> {
    visit.form().await?;
    let command = WorkspaceCommand::DeleteWebhook { id };
    let (_, is_applied) = visit.change(command, done).await?;
    applied(is_applied)?;
    Ok(after(visit, Done::Deleted, HOME.to_string())?)
}

pub(super) async fn rotate(visit: &Visit<'_>, id: WebhookId) -> Result<Response, Detour> {
    let form = RotateForm::parse(visit.form().await?);
    let rotation = match form.check() {
        Ok(rotation) => rotation,
        Err(error) => {
            let remarks = Remarks {
                rotation: Some((form, error)),
                ..Remarks::refused(422)
            };
            return detail::remark(visit, id, remarks).await;
        }
    };
    let command = webhook_changes::rotation(&visit.config.keys, id.clone(), rotation)?;
    let (_, made) = visit.change(command, changed_webhook).await?;
    webhook_changes::changed(made)?;
    Ok(after(visit, Done::Rotated, format!("{HOME}/{id}#secret"))?)
}

pub(super) async fn end_overlap(visit: &Visit<'_>, id: WebhookId) -> Result<Response, Detour> {
    visit.form().await?;
    let command = WorkspaceCommand::EndOverlap { id: id.clone() };
    let (_, is_applied) = visit.change(command, done).await?;
    applied(is_applied)?;
    let address = format!("{HOME}/{id}#secret");
    Ok(after(visit, Done::OverlapEnded, address)?)
}

pub(super) async fn test(visit: &Visit<'_>, id: WebhookId) -> Result<Response, Detour> {
    let name = parse_test(visit.form().await?);
    let names = std::iter::once(name.as_str());
    let catalogue = event_types::knowing(visit.env, names).await?;
    let tested = match check_test(&name, &catalogue) {
        Ok(tested) => tested,
        Err(problem) => {
            let remarks = Remarks {
                problem: Some(problem),
                ..Remarks::refused(422)
            };
            return detail::remark(visit, id, remarks).await;
        }
    };
    let workspace = visit.may_change().await?;
    let (env, config) = (visit.env, visit.config);
    let test = probes::test(env, config, &workspace, &id, &tested.name, &tested.sample).await?;
    let address = format!("{HOME}/{id}?test={test}#test");
    Ok(after(visit, Done::Tested, address)?)
}
