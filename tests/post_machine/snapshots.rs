//! Which snapshot of a workspace an isolate trusts.

use std::{rc::Rc, time::Duration};

use webhook_relay::{
    domain::{ids::WorkspaceId, subscriptions::Snapshot},
    machines::ingest::snapshots::Snapshots,
};

use crate::post::{NOW, snapshot};

#[test]
fn an_answer_of_the_workspace_is_preferred_to_an_older_copy() {
    let workspace = WorkspaceId::parse("ws_a").unwrap();
    let (old, new) = (snapshot(1, vec![], &[]), snapshot(2, vec![], &[]));
    let mut kept = Snapshots::new();
    let at = |seconds| NOW.saturating_add(Duration::from_secs(seconds));
    let choose = |kept: &Snapshots, copy: Option<&Rc<Snapshot>>, suffices: bool, seconds| {
        let chosen = kept.choose(&workspace, copy, |_| suffices, at(seconds));
        chosen.map(|snapshot| snapshot.revision)
    };
    assert_eq!(choose(&kept, None, true, 0), None, "nothing is known");
    assert_eq!(choose(&kept, Some(&old), true, 0), Some(1));
    assert_eq!(choose(&kept, Some(&old), false, 0), None, "it is asked for");
    kept.keep_answer(&workspace, &new, NOW);
    for (copy, suffices, seconds, chosen) in [
        (Some(&old), true, 299, Some(2)),
        (Some(&old), true, 300, Some(1)),
        (Some(&old), false, 4, Some(2)),
        (Some(&old), false, 5, None),
        (None, true, 4, Some(2)),
        (None, true, 5, None),
    ] {
        assert_eq!(
            choose(&kept, copy, suffices, seconds),
            chosen,
            "{suffices} {seconds}"
        );
    }
    kept.keep_answer(&workspace, &old, NOW);
    assert_eq!(
        choose(&kept, Some(&new), false, 0),
        None,
        "the answer is older"
    );
    kept.forget(&workspace);
    assert_eq!(choose(&kept, None, true, 0), None);
}

#[test]
fn a_copy_that_was_read_while_the_isolate_made_a_change_is_not_kept() {
    let workspace = WorkspaceId::parse("ws_a").unwrap();
    let copy = snapshot(1, vec![], &[]);
    let mut kept = Snapshots::new();
    let reading = kept.begin_reading();
    kept.forget(&workspace);
    kept.keep_copy(&workspace, &copy, reading, NOW);
    assert!(kept.copy(&workspace, NOW).is_none());
    kept.keep_copy(&workspace, &copy, kept.begin_reading(), NOW);
    assert!(kept.copy(&workspace, NOW).is_some());
    let after = |millis| NOW.saturating_add(Duration::from_millis(millis));
    assert!(kept.copy(&workspace, after(4_999)).is_some());
    assert!(kept.copy(&workspace, after(5_000)).is_none());
    let before = NOW.saturating_sub(Duration::from_secs(1));
    assert!(kept.copy(&workspace, before).is_none(), "the clock jumped");
}

#[test]
fn an_isolate_with_a_thousand_workspaces_keeps_their_copies_and_makes_room_for_others() {
    let copy = snapshot(1, vec![], &[]);
    let workspace = |number| WorkspaceId::parse(&format!("ws_{number}")).unwrap();
    let at = |number| NOW.saturating_add(Duration::from_millis(number));
    let mut kept = Snapshots::new();
    let keep = |kept: &mut Snapshots, number, now| {
        let reading = kept.begin_reading();
        kept.keep_copy(&workspace(number), &copy, reading, now);
    };
    let count_kept = |kept: &Snapshots, now| {
        let is_kept = |number: &u64| kept.copy(&workspace(*number), now).is_some();
        (0..=1000).filter(is_kept).count()
    };
    for number in 0..1000 {
        keep(&mut kept, number, at(number));
    }
    keep(&mut kept, 0, at(1000));
    assert_eq!(
        count_kept(&kept, at(1000)),
        1000,
        "read again, it takes no room"
    );
    keep(&mut kept, 1000, at(1001));
    assert_eq!(count_kept(&kept, at(1001)), 500, "the older half went");
    assert!(kept.copy(&workspace(0), at(1001)).is_some());
    assert!(kept.copy(&workspace(1000), at(1001)).is_some());
}
