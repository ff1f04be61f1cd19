//! Pages filled as handlers fill them, with texts of the caller's choice wherever a stranger may write one.

mod stored;

use std::rc::Rc;

use serde_json::value::to_raw_value;
use webhook_relay::{
    dashboard::{
        add::AddPage,
        delete::DeletePage,
        delivery::{AttemptRequest, DeliveryPage, Source},
        delivery_query::DeliveryQuery,
        detail::DetailPage,
        detail_query::DetailQuery,
        docs::DocsPage,
        error::ErrorPage,
        event::{EventPage, EventQuery, Trace, TracedWebhook},
        forms::{RotateForm, WebhookErrors, WebhookForm},
        frame::Notice,
        kept_form::Kept,
        list::{ListPage, ListedWebhook},
        pace_form::{PaceErrors, PaceForm},
        resend::ResendPage,
        resend_form::{ResendErrors, ResendForm},
        sign_in::SignInPage,
        time_field::TimeField,
    },
    domain::{
        catalogue::{Catalogue, CatalogueEntry, first_types},
        delivery::Kind,
        dispatch::Lateness,
        history::Absence,
        ids::{EventId, WorkspaceId},
        last_attempt::FailureGroup,
        outcome::Outcome,
        pace::{Pace, RateLimit},
        policy::Policy,
        resend::Preview,
        retry::RetrySchedule,
        webhook::{Health, LastAttempts, LastFailure},
    },
};

pub(crate) use self::stored::{
    NOW, ago, attempt, bulk_resend, deliveries, frame, hours, payload, probe, record, sent, webhook,
};

/// The page before a resend of 110 events, the oldest and the newest of which have a stranger's text.
pub(crate) fn resend(text: &str) -> ResendPage {
    let mut ends = deliveries(2, text).into_iter().map(Box::new);
    let (oldest, newest) = (ends.next(), ends.next());
    ResendPage {
        frame: frame(true),
        webhook: webhook(1, text),
        catalogue: catalogue(text),
        form: ResendForm {
            event_type: text.into(),
            ..resend_form("status=failed")
        },
        errors: ResendErrors::default(),
        preview: Some(Preview {
            total: 110,
            is_exact: true,
            oldest_at: oldest.as_ref().map(|record| record.id.minted_at()),
            newest_at: newest.as_ref().map(|record| record.id.minted_at()),
            oldest,
            newest,
        }),
        remark: None,
    }
}

/// The same where nothing that was typed can be read.
pub(crate) fn refused_resend(text: &str) -> ResendPage {
    let form = ResendForm {
        status: text.into(),
        event_type: text.into(),
        since: TimeField::parse(text),
        until: TimeField::parse(text),
        response_status: text.into(),
        outcome: text.into(),
        ..ResendForm::default()
    };
    ResendPage {
        errors: *form.check().unwrap_err(),
        form,
        preview: None,
        remark: Some(Kept::of("/settings/webhooks/new", b"").unwrap().remark()),
        ..resend(text)
    }
}

pub(crate) fn resend_form(query: &str) -> ResendForm {
    let pairs = url_pairs(query);
    ResendForm::parse_query(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
}

pub(crate) fn query(text: &str) -> DetailQuery {
    DetailQuery::parse(
        url_pairs(text)
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str())),
    )
}

fn url_pairs(text: &str) -> Vec<(String, String)> {
    webhook_relay::dashboard::forms::parse_fields(text.as_bytes())
}

pub(crate) fn list(may_write: bool, text: &str) -> ListPage {
    let listed = |number| ListedWebhook {
        webhook: webhook(number, text),
        hours: Some(hours()),
        health: None,
        last: LastAttempts::default(),
    };
    ListPage {
        frame: frame(may_write),
        webhooks: (1..=3).map(listed).collect(),
    }
}

/// The first types, described with a text, with a sample and a schema in which it stands, one of them deprecated.
pub(crate) fn catalogue(text: &str) -> Rc<Catalogue> {
    let json = |text: &str| to_raw_value(&serde_json::json!({ text: text })).unwrap();
    let types = first_types().into_iter().map(|entry| CatalogueEntry {
        deprecated: entry.name.as_str() == "policy.violated",
        description: text.into(),
        sample: json(text),
        schema: Some(json(text)),
        ..entry
    });
    Rc::new(Catalogue::new(1, types.collect()))
}

pub(crate) fn docs(text: &str) -> DocsPage {
    DocsPage {
        frame: frame(false),
        policy: Policy::parse(|_| None).unwrap(),
        catalogue: catalogue(text),
    }
}

pub(crate) fn add(text: &str) -> AddPage {
    AddPage {
        frame: frame(true),
        catalogue: catalogue(text),
        form: WebhookForm {
            url: text.into(),
            events: vec!["alert.triggered".into()],
            description: text.into(),
            headers: text.into(),
            secret: text.into(),
            pace: PaceForm {
                is_there: true,
                ordered: false,
                rate_limit: text.into(),
                retry_schedule: text.into(),
            },
        },
        errors: WebhookErrors {
            url: Some(text.into()),
            events: Some(text.into()),
            description: Some(text.into()),
            headers: Some(text.into()),
            secret: Some(text.into()),
            pace: PaceErrors {
                rate_limit: Some(text.into()),
                retry_schedule: Some(text.into()),
            },
        },
        remark: Some(
            Kept::of("/settings/webhooks/new", b"secret=x")
                .unwrap()
                .remark(),
        ),
        usual_schedule: "1m, 5m".into(),
    }
}

pub(crate) fn detail(may_write: bool, text: &str) -> DetailPage {
    let webhook = webhook(1, text);
    DetailPage {
        frame: frame(may_write),
        catalogue: catalogue(text),
        query: DetailQuery::default(),
        form: WebhookForm::of(&webhook, &[("X-Team".into(), text.into())]),
        webhook,
        errors: WebhookErrors::default(),
        rotation: RotateForm::default(),
        rotation_error: None,
        secret: None,
        probe: None,
        hours: Some(hours()),
        bulk_resend: None,
        kept: None,
        older: deliveries(1, text).pop().map(|record| record.id),
        deliveries: deliveries(20, text),
        id_error: None,
        usual_schedule: "1m, 5m".into(),
        head: None,
        lateness: Lateness::default(),
        health: Some(Health {
            since: ago(3_000),
            consecutive_failures: 4,
        }),
        last: LastAttempts {
            success: None,
            failure: Some(LastFailure {
                at: ago(120),
                outcome: Outcome::HttpError,
                status: Some(500),
            }),
        },
        failures: vec![FailureGroup {
            outcome: Outcome::HttpError,
            status: Some(500),
            deliveries: 110,
            since: ago(3_000),
        }],
    }
}

pub(crate) fn delivery(may_write: bool, text: &str) -> DeliveryPage {
    let attempts = vec![
        attempt(1, Outcome::HttpError, Some(500), text),
        attempt(2, Outcome::Timeout, None, text),
        attempt(3, Outcome::Unreachable, None, text),
        attempt(4, Outcome::HttpError, Some(302), text),
    ];
    DeliveryPage {
        frame: frame(may_write),
        webhook: webhook(1, text),
        query: DeliveryQuery::default(),
        log: DetailQuery::default(),
        record: record(9, Kind::Event, attempts, text),
        request: Some(AttemptRequest {
            parts: sent(text),
            source: Source::Recomputed,
        }),
    }
}

/// The page of an ordered webhook: the last two deliveries wait for the one before.
pub(crate) fn ordered(may_write: bool, text: &str) -> DetailPage {
    let mut page = detail(may_write, text);
    page.webhook.settings.pace = Pace {
        ordered: true,
        rate_limit: RateLimit::parse("2.5"),
        retry_schedule: RetrySchedule::parse("1m,10m").ok(),
    };
    let mut waiting: Vec<_> = (0..3)
        .map(|number| record(number, Kind::Event, vec![], text))
        .collect();
    let head = waiting[2].id.clone();
    for record in &mut waiting[..2] {
        record.waiting_for = Some(head.clone());
    }
    page.deliveries = waiting;
    page.head = Some(head);
    page.lateness = Lateness {
        oldest_due_at: Some(ago(60)),
        width: 1,
        under_way: 0,
    };
    page
}

pub(crate) fn event(text: &str) -> EventPage {
    let traced = |number, found| TracedWebhook {
        id: webhook(number, text).id,
        url: Some(format!("https://hooks.example.com/{text}")),
        found,
    };
    EventPage {
        frame: frame(false),
        catalogue: catalogue(text),
        query: EventQuery {
            id: text.into(),
            event_type: text.into(),
            at: TimeField::parse(text),
        },
        error: Some(text.into()),
        type_error: Some(text.into()),
        trace: Some(Trace {
            event_id: EventId::parse("order-4711").unwrap(),
            event_type: text.into(),
            at: ago(600),
            recorded_since: Some(ago(60)),
            webhooks: vec![
                traced(1, Ok(Box::new(deliveries(2, text).remove(1)))),
                traced(2, Err(Absence::TypeNotSelected)),
                traced(3, Err(Absence::NotStored)),
                traced(4, Err(Absence::NotRecorded)),
            ],
        }),
    }
}

pub(crate) fn sign_in(text: &str) -> SignInPage {
    let mut frame = frame(false);
    frame.session = None;
    SignInPage {
        frame,
        link: None,
        open: Some(WorkspaceId::parse("ws_acme").unwrap()),
        action: "/sign-in".into(),
        kept: Kept::of(
            "/settings/webhooks/new",
            format!("description={text}&secret={text}").as_bytes(),
        ),
        key_error: Some(text.into()),
        link_error: Some(text.into()),
    }
}

pub(crate) fn delete(text: &str) -> DeletePage {
    DeletePage {
        frame: frame(true),
        webhook: webhook(1, text),
    }
}

pub(crate) fn error(text: &str) -> ErrorPage {
    let mut frame = frame(true);
    frame.notice = Some(Notice::Problem(text.into()));
    ErrorPage {
        frame,
        status: 404,
        message: text.into(),
        request_id: Some(text.into()),
    }
}
