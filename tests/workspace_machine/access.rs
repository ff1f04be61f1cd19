//! Keys, links, sessions.

use webhook_relay::{
    domain::{
        ids::AccessId,
        session::Credential,
        token::{Scope, TokenHash},
        workspace::DashboardLink,
    },
    machines::messages::{Refusal, WorkspaceCommand, WorkspaceReply},
};

use crate::world::{
    Answer, World, create_key, describe, is_done, is_refused, key, settings, webhook,
};

fn sign_in(with: Credential) -> WorkspaceCommand {
    WorkspaceCommand::SignIn {
        with,
        session: TokenHash::of("session"),
        id: None,
    }
}

fn as_session(needs: Option<Scope>, command: WorkspaceCommand) -> WorkspaceCommand {
    WorkspaceCommand::AsSession {
        session: TokenHash::of("session"),
        needs,
        command: Box::new(command),
    }
}

fn is_signed_in(answer: &Answer) -> bool {
    matches!(answer, Ok(WorkspaceReply::Session { .. }))
}

/// A world in which the first of two keys has opened a session.
fn signed_in() -> World {
    let mut world = World::start();
    world.with_webhook(1);
    for number in [1, 2] {
        world.ask(create_key(number)).unwrap();
    }
    assert!(is_signed_in(
        &world.ask(sign_in(Credential::Key(key(1).hash)))
    ));
    world.be_quiet();
    world
}

#[test]
fn a_revoked_key_raises_keys_revision_and_every_webhook_is_told() {
    let mut world = signed_in();
    world.with_webhook(2);
    let revoked = world.ask(WorkspaceCommand::RevokeKey { id: key(1).id });
    assert!(is_done(&revoked, true));
    let workspace = world.workspace();
    assert_eq!(workspace.keys_revision, workspace.revision);
    let told: Vec<_> = world
        .told
        .iter()
        .map(|tell| (&tell.webhook, settings(tell).unwrap().keys_revision))
        .collect();
    let revision = workspace.revision;
    assert_eq!(told, [(&webhook(1), revision), (&webhook(2), revision)]);
    let put = world.puts[0].1.snapshot.as_ref().unwrap();
    assert_eq!((put.keys.len(), put.keys_revision), (1, revision));
    let known = world.ask(WorkspaceCommand::Authenticate { hash: key(1).hash });
    assert!(matches!(known, Ok(WorkspaceReply::Scopes(None))));
}

#[test]
fn a_new_key_is_told_to_kv_and_to_no_webhook() {
    let mut world = signed_in();
    let before = world.workspace().keys_revision;
    world.ask(create_key(3)).unwrap();
    assert!(world.told.is_empty());
    assert_eq!(world.puts.len(), 1);
    assert_eq!(world.workspace().keys_revision, before);
}

#[test]
fn sessions_end_with_their_key() {
    let mut world = signed_in();
    world
        .ask(WorkspaceCommand::RevokeKey { id: key(2).id })
        .unwrap();
    let read = || as_session(Some(Scope::WebhooksRead), WorkspaceCommand::ListWebhooks);
    assert!(is_signed_in(&world.ask(read())));
    world
        .ask(WorkspaceCommand::RevokeKey { id: key(1).id })
        .unwrap();
    assert!(is_refused(&world.ask(read()), Refusal::NotSignedIn));
}

#[test]
fn a_command_of_a_session_is_one_call_with_its_reply_inside() {
    let mut world = signed_in();
    let (call, outputs) = world.begin(as_session(Some(Scope::WebhooksWrite), describe(1)));
    assert!(outputs.answers.is_empty() && outputs.tells.len() == 1);
    match world.finish(call, outputs).unwrap() {
        WorkspaceReply::Session {
            workspace_name,
            reply,
            ..
        } => {
            assert_eq!(workspace_name, "Acme");
            assert!(matches!(
                *reply,
                WorkspaceReply::Webhook { applied: true, .. }
            ));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_without_the_scope_changes_nothing() {
    let mut world = signed_in();
    let (_, outputs) = world.begin(as_session(Some(Scope::EventsWrite), describe(1)));
    assert!(outputs.tells.is_empty());
    assert!(matches!(
        &outputs.answers[0].1,
        Ok(WorkspaceReply::Session { reply, .. })
            if matches!(**reply, WorkspaceReply::Refused(Refusal::MissingScope(Scope::EventsWrite)))
    ));
}

#[test]
fn a_session_lasts_twelve_hours_or_until_it_is_ended() {
    let mut world = signed_in();
    let read = || as_session(None, WorkspaceCommand::Read);
    world.pass(12 * 3600 - 600);
    assert!(is_signed_in(&world.ask(read())));
    world.pass(600);
    assert!(is_refused(&world.ask(read()), Refusal::NotSignedIn));
    world.ask(sign_in(Credential::Key(key(2).hash))).unwrap();
    let end = WorkspaceCommand::EndAccess { id: None };
    assert!(is_done(&world.ask(end), true));
    assert!(is_refused(&world.ask(read()), Refusal::NotSignedIn));
}

#[test]
fn what_is_open_is_listed_until_it_is_ended_or_expires() {
    let mut world = World::start();
    let listed = |world: &mut World| {
        let list = WorkspaceCommand::ListAccess {
            after: None,
            limit: 10,
        };
        match world.ask(list).unwrap() {
            WorkspaceReply::Access(open) => open.len(),
            other => panic!("{other:?}"),
        }
    };
    let link = |world: &World, seconds| DashboardLink {
        scopes: vec![Scope::WebhooksRead],
        expires_at: world.after(seconds),
        id: Some(AccessId::mint(
            world.after(0),
            [u8::try_from(seconds).unwrap(); 10],
        )),
        actor: None,
        created_at: Some(world.after(0)),
    };
    for seconds in [60, 120] {
        let command = WorkspaceCommand::CreateLink {
            hash: TokenHash::of(&format!("link {seconds}")),
            link: link(&world, seconds),
            idempotent: None,
        };
        assert!(is_done(&world.ask(command), true));
    }
    assert_eq!(listed(&mut world), 2);
    world.pass(60);
    assert_eq!(listed(&mut world), 1);
    world.ask(WorkspaceCommand::EndAccess { id: None }).unwrap();
    assert_eq!(listed(&mut world), 0);
}

#[test]
fn a_link_opens_one_session_and_stays_if_that_cannot_be_stored() {
    let mut world = World::start();
    let link = DashboardLink {
        scopes: vec![Scope::WebhooksRead],
        expires_at: world.after(60),
        id: None,
        actor: None,
        created_at: None,
    };
    let hash = TokenHash::of("link");
    let created = world.ask(WorkspaceCommand::CreateLink {
        hash: hash.clone(),
        link,
        idempotent: None,
    });
    assert!(is_done(&created, true));
    let open = || sign_in(Credential::Link(hash.clone()));
    world.engine.fail("INTO sessions", 0, 1);
    assert!(world.ask(open()).is_err());
    assert!(is_signed_in(&world.ask(open())));
    assert!(is_refused(&world.ask(open()), Refusal::NotSignedIn));
}
