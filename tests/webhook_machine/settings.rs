//! What changes with the settings of a webhook, and with the form of its tables.

use std::{collections::BTreeMap, rc::Rc};

use webhook_relay::{
    domain::{
        delivery::{Kind, Status},
        record::SentRequest,
        sealed::{EncryptionKeys, Field, Sealed},
        webhook::{Settings, StoredHeader},
    },
    machines::{
        messages::{AttemptReport, Refusal, WebhookCommand, WebhookReply},
        sql::Database,
    },
};

use crate::world::{World, accept, event, id, report, settings, webhook};

const KEY: &str = "new:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn an_event_that_older_keys_let_in_is_refused_until_its_key_is_judged_again() {
    let mut world = World::start();
    let revoked = Settings {
        keys_revision: 5,
        ..settings(world.now)
    };
    world.ask(WebhookCommand::Apply(Box::new(revoked))).unwrap();
    for (number, is_stale) in [(3, true), (4, true), (5, false)] {
        let reply = world.ask(WebhookCommand::Accept {
            events: vec![event(number, 100)],
            leases: 0,
            ahead_ms: 0,
            keys_revision: Some(number),
        });
        let refused = matches!(reply, Ok(WebhookReply::Refused(Refusal::StaleKey)));
        assert_eq!(refused, is_stale, "{number}");
        assert_eq!(world.find(number).is_none(), is_stale);
    }
}

#[test]
fn settings_that_are_known_already_write_nothing() {
    let mut world = World::start();
    world.engine.fail("meta", 0, 1);
    world
        .ask(WebhookCommand::Apply(Box::new(settings(world.now))))
        .unwrap();
}

#[test]
fn the_custom_headers_that_a_test_was_sent_with_are_sealed_again_under_a_new_key() {
    let mut world = World::start();
    let value = seal(&EncryptionKeys::default());
    let with_header = Settings {
        revision: 2,
        headers: vec![header(value)],
        ..settings(world.now)
    };
    world
        .ask(WebhookCommand::Apply(Box::new(with_header)))
        .unwrap();
    let probe = WebhookCommand::Probe {
        kind: Kind::Test,
        delivery: event(1, 100),
        once: false,
    };
    let WebhookReply::Granted(grants) = world.ask(probe).unwrap() else {
        panic!("it is leased");
    };
    let sent = SentRequest {
        url: grants[0].url.clone(),
        headers: BTreeMap::new(),
        custom_headers: grants[0].headers.clone(),
    };
    let reports = vec![AttemptReport {
        request: Some(sent),
        ..report(&grants[0], 200, world.now)
    }];
    world
        .ask(WebhookCommand::Report {
            unused: Vec::new(),
            reports,
            leases: 0,
            ahead_ms: 0,
        })
        .unwrap();

    world.keys = EncryptionKeys::parse(KEY).unwrap();
    world.nonce = Some([1; 12]);
    let under_new_key = Settings {
        revision: 3,
        headers: vec![header(seal(&world.keys))],
        ..settings(world.now)
    };
    world
        .ask(WebhookCommand::Apply(Box::new(under_new_key)))
        .unwrap();
    let kept = world.read(1).request.unwrap();
    let kept = &kept.custom_headers[0].value;
    assert!(world.keys.is_current(kept));
    let opened = world.keys.open(kept, &webhook(), Field::Header("X-Token"));
    assert_eq!(opened.unwrap(), "a token");
}

#[test]
fn segments_that_an_earlier_release_stored_by_their_ids_keep_their_order_and_their_deliveries() {
    let mut world = World::start();
    let numbers = [3, 1, 2];
    for number in numbers {
        world.ask(accept(vec![event(number, 100)], 0)).unwrap();
        // Each in a segment of its own.
        world.restart();
    }
    let grants = world.lease(4);
    let reports = vec![report(&grants[0], 200, world.now)];
    world
        .ask(WebhookCommand::Report {
            unused: Vec::new(),
            reports,
            leases: 0,
            ahead_ms: 0,
        })
        .unwrap();
    let delivered = world.read(4);
    world.restart();

    let database = Database::new(Rc::clone(&world.engine) as _);
    for statement in [
        "ALTER TABLE segments RENAME TO present",
        "CREATE TABLE segments (settled INTEGER NOT NULL, first TEXT NOT NULL, members TEXT NOT NULL,
            payloads TEXT NOT NULL, PRIMARY KEY (settled, first)) WITHOUT ROWID",
        "INSERT INTO segments (settled, first, members, payloads)
            SELECT place >= (1 << 52), first, members, payloads FROM present",
        "DROP TABLE present",
        "UPDATE meta SET value = '2' WHERE key = 'schema'",
    ] {
        database.run(statement, vec![]).unwrap();
    }

    for number in numbers {
        let record = world.read(number);
        assert_eq!(record.delivery.status(), Status::Pending);
        assert_eq!(
            record.payload.unwrap().get(),
            event(number, 100).payload.get()
        );
    }
    assert_eq!(world.read(4).delivery, delivered.delivery);
    world.ask(WebhookCommand::Cancel { id: id(2) }).unwrap();
    assert_eq!(world.read(2).delivery.status(), Status::Failed);
}

fn seal(keys: &EncryptionKeys) -> Sealed {
    let sealed = keys.seal("a token", &webhook(), Field::Header("X-Token"), [2; 12]);
    sealed.unwrap()
}

fn header(value: Sealed) -> StoredHeader {
    StoredHeader {
        name: "X-Token".into(),
        value,
    }
}
