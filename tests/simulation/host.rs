//! What the platform keeps for any object: its rows, its alarm, its life, and what waits for it.

use std::{collections::BTreeMap, rc::Rc};

use webhook_relay::{domain::timestamp::Timestamp, machines::alarm_clock::AlarmClock};

use crate::{calls::Caller, engine::Engine};

/// An object, by its kind and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Webhook(usize),
    Workspace(usize),
}

/// The platform's side of an object.
pub(crate) struct Host {
    pub(crate) engine: Rc<Engine>,
    pub(crate) clock: AlarmClock,
    /// The alarm that the platform has.
    pub(crate) alarm: Option<Timestamp>,
    /// What the handler of an alarm waits for; no other one runs meanwhile.
    pub(crate) alarm_waits_for: u32,
    /// How far its clock is ahead of the world's.
    pub(crate) ahead_ms: i64,
    /// Whether its clock has ever jumped.
    pub(crate) has_jumped: bool,
    /// Counts its resets.
    pub(crate) life: u64,
    /// Who waits for the answers to its calls.
    pub(crate) calls: BTreeMap<u64, Caller>,
    pub(crate) called: u64,
    /// Whether its turns will be lost, and the alarm before them.
    pub(crate) loses_turns: bool,
    pub(crate) alarm_before: Option<Timestamp>,
    pub(crate) alarms_run: u64,
    /// Why it woke.
    pub(crate) woken: BTreeMap<String, u64>,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self {
            engine: Rc::new(Engine::new()),
            clock: AlarmClock::default(),
            alarm: None,
            alarm_waits_for: 0,
            ahead_ms: 0,
            has_jumped: false,
            life: 0,
            calls: BTreeMap::new(),
            called: 0,
            loses_turns: false,
            alarm_before: None,
            alarms_run: 0,
            woken: BTreeMap::new(),
        }
    }

    /// Takes a call; returns its number.
    pub(crate) fn take_call(&mut self, caller: Caller) -> u64 {
        self.called += 1;
        self.calls.insert(self.called, caller);
        self.called
    }

    /// Forgets everything but the rows and the alarm. Returns who waited for answers.
    pub(crate) fn reset(&mut self) -> Vec<Caller> {
        self.life += 1;
        self.clock = AlarmClock::default();
        self.alarm_waits_for = 0;
        std::mem::take(&mut self.calls).into_values().collect()
    }
}
