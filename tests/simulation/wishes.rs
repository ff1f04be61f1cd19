//! What people want, and how often.

use std::time::Duration;

use webhook_relay::domain::{
    pace::{Pace, RateLimit},
    retry::RetrySchedule,
};

use crate::{
    happenings::Happening,
    world::{TYPES, World},
};

/// What people want.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    MakeWorkspace,
    MakeWebhook,
    MakeKey,
    RevokeKey,
    Enable(bool),
    Pause,
    Resume(usize),
    Pace,
    Select,
    Move,
    Rotate,
    Delete,
}

impl World {
    /// What the people of a workspace want in a day.
    pub(crate) fn draw_wishes(&mut self, workspace: usize) {
        for _ in 0..self.choices.between(4, 10) {
            let wish = match self.choices.below(15) {
                12 => Wish::Pause,
                13 | 14 => Wish::Pace,
                0 | 1 => Wish::Enable(false),
                2 | 3 => Wish::Enable(true),
                4 | 5 => Wish::Select,
                6 => Wish::Move,
                7 => Wish::Rotate,
                8 => Wish::Delete,
                9 => Wish::MakeWebhook,
                10 => Wish::MakeKey,
                _ => Wish::RevokeKey,
            };
            let at = Duration::from_millis(self.choices.between(1_000_000, 86_000_000));
            self.later(at, Happening::Wants { workspace, wish });
        }
    }

    /// A pace: one of three is the usual one.
    pub(crate) fn any_pace(&mut self) -> Pace {
        let rates = ["0.1", "0.2", "1", "2.5", "5"];
        let schedules = ["10s", "1s,1m", "30s,1h,7h", "1m,5m,30m,2h,8h"];
        let mut any = |texts: &[&'static str]| {
            let chosen = self.choices.below(3 * texts.len() as u64);
            texts
                .get(usize::try_from(chosen).expect("it is small"))
                .copied()
        };
        let (rate, schedule) = (any(&rates), any(&schedules));
        Pace {
            ordered: self.choices.happens(300),
            rate_limit: rate.and_then(RateLimit::parse),
            retry_schedule: schedule.and_then(|text| RetrySchedule::parse(text).ok()),
        }
    }

    /// Paused webhooks go on, so that all is attempted in the end.
    pub(crate) fn resume_all(&mut self) {
        for object in 0..self.objects.len() {
            if self.objects[object].was_paused {
                let workspace = self.objects[object].workspace;
                self.wants(workspace, Wish::Resume(object));
            }
        }
    }

    pub(crate) fn any_types(&mut self) -> Vec<String> {
        let first = usize::try_from(self.choices.below(TYPES.len() as u64)).expect("it is small");
        let length = if self.choices.happens(400) { 2 } else { 1 };
        let chosen = (0..length).map(|next| TYPES[(first + next) % TYPES.len()].to_string());
        chosen.collect()
    }
}
