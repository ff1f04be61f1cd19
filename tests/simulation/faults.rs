//! What the platform, the network and the endpoints do wrong in a world, and how often.

use std::collections::BTreeMap;

use crate::choices::Choices;

/// A kind of fault; each one's rate is drawn for a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A call of an object fails before it arrives.
    CallLost,
    /// The reply to a call that was obeyed is lost.
    ReplyLost,
    /// A call takes seconds.
    CallSlow,
    /// A statement of an object fails.
    Statement,
    /// An object is reset; what has not left is lost, and it may lose its last turns.
    Crash,
    /// An object is reset with the turns whose outputs have not left.
    TurnsLost,
    /// An alarm cannot be set.
    AlarmNotSet,
    /// An alarm is late by up to a minute.
    AlarmLate,
    /// An alarm fires twice.
    AlarmTwice,
    /// An alarm is lost.
    AlarmLost,
    /// A hire is refused.
    HireRefused,
    /// A hired Sender dies at once.
    HireDead,
    /// A hire is taken, and its answer lost.
    HireUnanswered,
    /// A sender ends at any wait.
    SenderEnds,
    /// A fault of the relay's own instead of an attempt.
    SendingFails,
    /// No connection becomes free for an attempt.
    NoConnection,
    /// The endpoint gets a request, and its answer is lost.
    AnswerLost,
    /// A Worker that takes a post ends at any wait.
    WorkerEnds,
    /// A put to KV takes up to 5 s.
    KvSlow,
    /// A put fails, though it may have landed.
    KvFails,
    /// A put hangs, and lands late.
    KvLate,
    /// Other places show a put up to a minute later.
    KvSeenLate,
    /// KV cannot be read.
    KvNotRead,
    /// The account has no puts left for the day.
    KvQuota,
    /// The disk of an object is full for a time.
    DiskFull,
    /// An object may have no more than a megabyte.
    SmallStorage,
    /// An invocation may make a few POSTs only.
    FewRequests,
    /// The clocks of objects differ by up to a second.
    ClocksDiffer,
    /// The clock of an object jumps back by minutes, for a time.
    ClockJumps,
}

impl Fault {
    pub(crate) const ALL: [Self; 29] = [
        Self::CallLost,
        Self::ReplyLost,
        Self::CallSlow,
        Self::Statement,
        Self::Crash,
        Self::TurnsLost,
        Self::AlarmNotSet,
        Self::AlarmLate,
        Self::AlarmTwice,
        Self::AlarmLost,
        Self::HireRefused,
        Self::HireDead,
        Self::HireUnanswered,
        Self::SenderEnds,
        Self::SendingFails,
        Self::NoConnection,
        Self::AnswerLost,
        Self::WorkerEnds,
        Self::KvSlow,
        Self::KvFails,
        Self::KvLate,
        Self::KvSeenLate,
        Self::KvNotRead,
        Self::KvQuota,
        Self::DiskFull,
        Self::SmallStorage,
        Self::FewRequests,
        Self::ClocksDiffer,
        Self::ClockJumps,
    ];
}

impl Fault {
    /// In how many of a thousand worlds it may occur. Worlds of some are slow to run, or excuse much.
    const fn per_mille(self) -> u64 {
        match self {
            Self::SmallStorage => 160,
            Self::ClockJumps => 200,
            _ => 400,
        }
    }
}

/// The reasons for which objects wake.
const REASONS: [&str; 8] = [
    "Delivery",
    "Standing",
    "Resend",
    "Storage",
    "Deletion",
    "Untold of a workspace",
    "PutAgain of a workspace",
    "Overlap of a workspace",
];

/// What must occur in some of many worlds.
pub(crate) fn all_that_must_occur() -> impl Iterator<Item = String> {
    let faults = Fault::ALL.into_iter().map(|fault| format!("{fault:?}"));
    faults.chain(REASONS.map(|reason| format!("wakes for {reason}")))
}

/// The rates of a world in a thousand, and how often each fault occurred.
#[derive(Default)]
pub(crate) struct Faults {
    rates: BTreeMap<Fault, u64>,
    pub(crate) occurred: BTreeMap<Fault, u64>,
}

impl Faults {
    /// Draws which faults a world has: in a calm world none.
    pub(crate) fn draw(choices: &mut Choices) -> Self {
        let mut faults = Self::default();
        let is_calm = choices.happens(50);
        for fault in Fault::ALL {
            let (occurs, rate) = (choices.happens(fault.per_mille()), choices.between(1, 60));
            if occurs && !is_calm {
                faults.rates.insert(fault, rate);
            }
        }
        faults
    }

    /// How many choices that takes, the first ones of a world.
    pub(crate) const CHOICES: usize = 1 + 2 * Fault::ALL.len();

    /// No fault occurs from now on.
    pub(crate) fn end(&mut self) {
        self.rates.clear();
    }

    /// Whether a fault may occur.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.rates.contains_key(&fault)
    }

    /// Records that a fault occurred.
    pub(crate) fn note(&mut self, fault: Fault) {
        *self.occurred.entry(fault).or_default() += 1;
    }

    /// Whether a fault occurs at this opportunity.
    pub(crate) fn occurs(&mut self, fault: Fault, choices: &mut Choices) -> bool {
        let rate = self.rates.get(&fault).copied().unwrap_or(0);
        let occurs = choices.happens(rate);
        if occurs {
            self.note(fault);
        }
        occurs
    }
}
