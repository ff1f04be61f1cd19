//! What an isolate keeps of workspaces' snapshots, and which of them it trusts: a copy read from KV may be a minute old,
//! an answer of the workspace's object is the truth of its moment.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use crate::domain::{ids::WorkspaceId, subscriptions::Snapshot, timestamp::Timestamp};

/// How long the answer of a workspace's object counts as present.
const ANSWER_FRESH: Duration = Duration::from_secs(5);

/// How long an answer is kept in place of an older copy: longer than KV takes to show a change.
const ANSWER_KEPT: Duration = Duration::from_secs(300);

/// How long an isolate keeps what it read from KV: far shorter than KV's own delay, but a workspace is not read for each
/// event, also if many share an isolate and each has a few events in a second.
const COPY_KEPT: Duration = Duration::from_secs(5);

/// How many snapshots an isolate keeps, of either origin.
const KEPT_LIMIT: usize = 1000;

/// The snapshots that an isolate keeps.
#[derive(Debug, Default)]
pub struct Snapshots {
    answers: Kept,
    copies: Kept,
    /// How many changes this isolate has made.
    changes: u64,
}

/// A read of KV that has begun.
#[derive(Clone, Copy, Debug)]
pub struct Reading(u64);

/// Snapshots, each with the time since when it is kept.
#[derive(Debug, Default)]
struct Kept(BTreeMap<WorkspaceId, (Timestamp, Rc<Snapshot>)>);

impl Kept {
    /// Finds a snapshot that is at most so old.
    fn find(
        &self,
        workspace: &WorkspaceId,
        age: Duration,
        now: Timestamp,
    ) -> Option<&Rc<Snapshot>> {
        let (kept_at, snapshot) = self.0.get(workspace)?;
        // A time in the future means that the clock was put back.
        let is_fresh = *kept_at <= now && now.saturating_duration_since(*kept_at) < age;
        is_fresh.then_some(snapshot)
    }

    fn keep(&mut self, workspace: &WorkspaceId, snapshot: &Rc<Snapshot>, now: Timestamp) {
        if self.0.len() >= KEPT_LIMIT && !self.0.contains_key(workspace) {
            self.forget_older_half();
        }
        let kept = (now, Rc::clone(snapshot));
        self.0.insert(workspace.clone(), kept);
    }

    fn forget_older_half(&mut self) {
        let mut times: Vec<_> = self.0.values().map(|(kept_at, _)| *kept_at).collect();
        let half = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(half);
        self.0.retain(|_, (kept_at, _)| *kept_at > *median);
    }
}

impl Snapshots {
    /// Makes an empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            answers: Kept(BTreeMap::new()),
            copies: Kept(BTreeMap::new()),
            changes: 0,
        }
    }

    /// The copy that was read a moment ago.
    #[must_use]
    pub fn copy(&self, workspace: &WorkspaceId, now: Timestamp) -> Option<Rc<Snapshot>> {
        self.copies.find(workspace, COPY_KEPT, now).cloned()
    }

    /// Begins to read a copy from KV.
    #[must_use]
    pub const fn begin_reading(&self) -> Reading {
        Reading(self.changes)
    }

    /// Keeps a copy that was read, unless this isolate made a change meanwhile.
    pub fn keep_copy(
        &mut self,
        workspace: &WorkspaceId,
        copy: &Rc<Snapshot>,
        reading: Reading,
        now: Timestamp,
    ) {
        if self.changes == reading.0 {
            self.copies.keep(workspace, copy, now);
        }
    }

    /// Keeps an answer of the workspace's object.
    pub fn keep_answer(&mut self, workspace: &WorkspaceId, answer: &Rc<Snapshot>, now: Timestamp) {
        self.answers.keep(workspace, answer, now);
    }

    /// Chooses between the copy and an answer that is kept; none if the workspace's object has to be asked. An answer is
    /// preferred to an older copy, and a fresh one is taken although it does not suffice.
    #[must_use]
    pub fn choose(
        &self,
        workspace: &WorkspaceId,
        copy: Option<&Rc<Snapshot>>,
        suffices: impl Fn(&Snapshot) -> bool,
        now: Timestamp,
    ) -> Option<Rc<Snapshot>> {
        let is_older =
            |answer: &Rc<Snapshot>| copy.is_some_and(|copy| answer.revision < copy.revision);
        let answered = |age| {
            let answer = self.answers.find(workspace, age, now);
            answer.filter(|answer| !is_older(answer)).cloned()
        };
        let newest = copy.map(|copy| answered(ANSWER_KEPT).unwrap_or_else(|| Rc::clone(copy)));
        newest
            .filter(|newest| suffices(newest))
            .or_else(|| answered(ANSWER_FRESH))
    }

    /// Drops what is kept of a workspace, because this isolate has changed it.
    pub fn forget(&mut self, workspace: &WorkspaceId) {
        self.changes = self.changes.wrapping_add(1);
        self.answers.0.remove(workspace);
        self.copies.0.remove(workspace);
    }
}
