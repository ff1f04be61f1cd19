//! The catalogue of event types as this isolate knows it: the copy in KV, or an answer of the catalogue's object if that
//! does not suffice.

use std::{cell::RefCell, rc::Rc, time::Duration};

use worker::{Env, console_error};

use crate::{
    api::error::ApiError,
    domain::catalogue::Catalogue,
    machines::catalogue::isolate_copy::{BeforeRefusal, IsolateCopy},
    runtime::platform::{
        entropy::{now, wait},
        faults::{unavailable, unexpected_reply},
        kv,
        object_calls::{CatalogueCommand, CatalogueReply, ask_catalogue},
    },
};

/// How long to wait for another request's question: none waits for what belongs to another request.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

thread_local! {
    static COPY: RefCell<IsolateCopy> = const { RefCell::new(IsolateCopy::new()) };
}

/// The catalogue, at most a minute older than the copy in KV.
///
/// # Errors
/// `Unavailable` if this isolate has none, and neither KV nor the catalogue's object answers.
pub(super) async fn catalogue(env: &Env) -> Result<Rc<Catalogue>, ApiError> {
    if let Some(fresh) = COPY.with_borrow(|copy| copy.fresh(now())) {
        return Ok(fresh);
    }
    let read = kv::read_catalogue(env).await.unwrap_or_else(|error| {
        console_error!("reading the catalogue: {error}");
        None
    });
    if let Some(read) = COPY.with_borrow_mut(|copy| copy.read(read, now())) {
        return Ok(read);
    }
    let began = now();
    match ask(env).await {
        Ok(answer) => Ok(COPY.with_borrow_mut(|copy| copy.answered(answer, began, now()))),
        Err(error) => {
            let kept = COPY.with_borrow_mut(|copy| copy.not_answered(began));
            kept.ok_or(error)
        }
    }
}

/// Reads something in which types are named, and once more with a newer catalogue before a type is refused.
///
/// # Errors
/// Those of `read`; `Unavailable` if nobody knows whether there is a type.
pub(super) async fn read_with<T>(
    env: &Env,
    read: impl Fn(&Catalogue) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    match read(&*catalogue(env).await?) {
        Err(ApiError::UnknownEventType { .. }) => read(&*before_refusal(env).await?),
        read => read,
    }
}

/// The catalogue, a newer one if it lacks one of the names.
///
/// # Errors
/// `Unavailable` if nobody knows whether there is a type.
pub(super) async fn knowing<'n>(
    env: &Env,
    mut names: impl Iterator<Item = &'n str>,
) -> Result<Rc<Catalogue>, ApiError> {
    let catalogue = catalogue(env).await?;
    if names.all(|name| catalogue.entry(name).is_some()) {
        return Ok(catalogue);
    }
    before_refusal(env).await
}

/// The catalogue by which a type may be refused.
async fn before_refusal(env: &Env) -> Result<Rc<Catalogue>, ApiError> {
    loop {
        let next = COPY.with_borrow(|copy| copy.before_refusal(now()));
        match next {
            BeforeRefusal::Judge(catalogue) => return Ok(catalogue),
            BeforeRefusal::GiveUp => return Err(ApiError::Unavailable),
            BeforeRefusal::Wait => wait(BETWEEN_LOOKS).await,
            BeforeRefusal::Ask => {
                let began = now();
                COPY.with_borrow_mut(|copy| copy.asks(began));
                let answer = ask(env).await;
                return COPY.with_borrow_mut(|copy| match answer {
                    Ok(answer) => Ok(copy.answered(answer, began, now())),
                    Err(error) => {
                        copy.not_answered(began);
                        Err(error)
                    }
                });
            }
        }
    }
}

async fn ask(env: &Env) -> Result<Catalogue, ApiError> {
    match ask_catalogue(env, &CatalogueCommand::Read).await {
        Ok(CatalogueReply::Catalogue(catalogue)) => Ok(catalogue),
        Ok(_) => Err(unexpected_reply()),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Changes the catalogue; this isolate forgets what it knew, whatever the reply. Returns whether a type was added.
///
/// # Errors
/// The refusal; `Unavailable` if the catalogue's object did not answer.
pub(super) async fn change(env: &Env, command: &CatalogueCommand) -> Result<bool, ApiError> {
    let reply = ask_catalogue(env, command).await;
    let revision = match &reply {
        Ok(CatalogueReply::Changed { revision, .. }) => Some(*revision),
        _ => None,
    };
    COPY.with_borrow_mut(|copy| copy.changed(revision));
    match reply {
        Ok(CatalogueReply::Changed { created, .. }) => Ok(created),
        Ok(CatalogueReply::Refused(refusal)) => Err(refusal.into()),
        Ok(_) => Err(unexpected_reply()),
        Err(error) => Err(unavailable(&error)),
    }
}
