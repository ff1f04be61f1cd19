//! KV: a copy of each workspace's snapshot in several places, of which each shows a change at a time of its own.

use std::{collections::BTreeMap, time::Duration};

use webhook_relay::{
    domain::{subscriptions::Snapshot, timestamp::Timestamp},
    machines::workspace::{Input, Put},
};

use crate::{faults::Fault, happenings::Happening, world::World};

/// How many places read KV.
pub(crate) const PLACES: usize = 3;

/// KV accepts one put a second for a key.
const BETWEEN_PUTS: Duration = Duration::from_secs(1);

/// The puts that the account may make in the day of trouble, in a world in which that is few.
const FEW_PUTS: u64 = 25;

/// What is stored; nothing of a workspace that is deleted.
type Stored = Option<Snapshot>;

/// KV.
#[derive(Default)]
pub(crate) struct Kv {
    /// By place and workspace: what is seen, and the number of its put in the order of landing.
    seen: BTreeMap<(usize, usize), (u64, Stored)>,
    landed: u64,
    /// When each workspace's key was last put.
    put_at: BTreeMap<usize, Timestamp>,
    puts: u64,
}

impl Kv {
    /// What a place shows of a workspace.
    pub(crate) fn shows(&self, place: usize, workspace: usize) -> Option<&Snapshot> {
        self.seen.get(&(place, workspace))?.1.as_ref()
    }
}

impl World {
    /// A put leaves a workspace's object.
    pub(crate) fn put_to_kv(&mut self, workspace: usize, put: Put) {
        let life = self.workspaces[workspace].host.life;
        let Put {
            number, snapshot, ..
        } = put;
        let now = self.now;
        let ends = |is_put| Happening::PutEnds {
            workspace,
            life,
            input: Box::new(Input::PutEnded { number, is_put }),
        };
        let last = self.kv.put_at.get(&workspace);
        let is_too_soon =
            last.is_some_and(|last| now.saturating_duration_since(*last) < BETWEEN_PUTS);
        self.kv.puts += 1;
        let is_over = self.faults.has(Fault::KvQuota) && self.kv.puts > FEW_PUTS;
        if is_too_soon || is_over {
            if is_over {
                self.faults.note(Fault::KvQuota);
            }
            self.tell(|| format!("KV refuses a put of workspace {workspace}"));
            let after = self.after_ms(5, 50);
            self.later(after, ends(false));
            return;
        }
        self.kv.put_at.insert(workspace, now);
        let revision = snapshot.as_ref().map(|snapshot| snapshot.revision);
        self.tell(|| format!("workspace {workspace} puts {revision:?}"));
        let lands = Happening::KvLands {
            workspace,
            stored: Box::new(snapshot),
        };
        if self.faults.occurs(Fault::KvLate, &mut self.choices) {
            self.tell(|| format!("a put of workspace {workspace} hangs"));
            let after = self.after_ms(30_000, 60_000);
            self.later(after, lands);
            let end = after + self.after_ms(0, 5_000);
            self.later(end, ends(true));
            return;
        }
        let slowest = if self.faults.occurs(Fault::KvSlow, &mut self.choices) {
            5_000
        } else {
            100
        };
        let takes = self.choices.between(5, slowest);
        let takes_until = Duration::from_millis(self.choices.between(1, takes));
        let takes = Duration::from_millis(takes);
        let fails = self.faults.occurs(Fault::KvFails, &mut self.choices);
        if fails {
            self.tell(|| format!("a put of workspace {workspace} fails"));
        }
        if !fails || self.choices.happens(500) {
            let is_late = fails && self.choices.happens(300);
            let late = if is_late {
                self.after_ms(1_000, 40_000)
            } else {
                Duration::ZERO
            };
            self.later(takes_until + late, lands);
        }
        self.later(takes, ends(!fails));
    }

    /// A put has landed: the place where it was made shows it at once, others within a minute.
    pub(crate) fn kv_lands(&mut self, workspace: usize, stored: &Stored) {
        self.kv.landed += 1;
        let landed = self.kv.landed;
        let nearest = workspace % PLACES;
        for place in 0..PLACES {
            let after = if place == nearest || !self.faults.has(Fault::KvSeenLate) {
                Duration::ZERO
            } else {
                self.faults.note(Fault::KvSeenLate);
                self.after_ms(0, 60_000)
            };
            self.later(
                after,
                Happening::KvSeen {
                    place,
                    workspace,
                    landed,
                    stored: Box::new(stored.clone()),
                },
            );
        }
    }

    pub(crate) fn kv_seen(&mut self, place: usize, workspace: usize, landed: u64, stored: Stored) {
        let known = self.kv.seen.entry((place, workspace)).or_default();
        if landed > known.0 {
            *known = (landed, stored);
        }
    }

    /// A place reads KV; none also if that fails.
    pub(crate) fn read_kv(&mut self, place: usize, workspace: usize) -> Option<Snapshot> {
        if self.faults.occurs(Fault::KvNotRead, &mut self.choices) {
            return None;
        }
        self.kv.shows(place, workspace).cloned()
    }
}
