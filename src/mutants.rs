//! Faults that are put in on purpose, each behind one switch: a checker that does not find one has a hole.
//!
//! Only a build with the feature `mutants` has the switch; in any other, none is ever on.

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A step of the schedule is skipped.
    StepSkipped,
    /// `Retry-After` shortens a delay.
    RetryAfterShortens,
    /// A lost lease costs a step of the schedule.
    LostLeaseCostsAStep,
    /// A late report settles the attempt that followed.
    LateReportSettles,
    /// A cancelled delivery is attempted again.
    CancelledIsAttempted,
    /// A lease that is lost never ends.
    LeaseNeverEnds,
    /// A disabled webhook goes on sending.
    DisabledSends,
    /// A 410 under older settings disables the webhook.
    OldGoneDisables,
    /// A lost lease counts against the endpoint.
    LostLeaseCountsAgainstEndpoint,
    /// More attempts are under way than may be.
    WidthIgnored,
    /// The backlog has no limit.
    BacklogUnbounded,
    /// The backlog is full at a quarter of its limit.
    BacklogTooSmall,
    /// A command does not arm the alarm.
    AlarmNotArmed,
    /// An alarm does not arm the next one.
    NextAlarmNotArmed,
    /// An alarm that has fired is taken for armed.
    AlarmBelievedArmed,
    /// The leases of a refused hire are not withdrawn.
    RefusedHireForgotten,
    /// An accept is answered before it is flushed.
    AcceptNotFlushed,
    /// A report is answered before it is flushed.
    ReportNotFlushed,
    /// A retry of an obeyed accept makes a second delivery.
    AcceptedTwice,
    /// A producer's id is forgotten after an hour.
    EventIdForgotten,
    /// What is half as old as the retention is purged.
    PurgedTooEarly,
    /// Counts are dropped instead of folded.
    CountsNotFolded,
    /// Counts that a reset would lose wait in memory.
    OlderCountsKept,
    /// The last of several reports is forgotten.
    LastReportForgotten,
    /// What belongs together is not one transaction: a row is removed before its successor is stored.
    NotAtomic,
    /// Memory outlives a rollback.
    MemoryOutlivesRollback,
    /// Older settings replace newer ones.
    RevisionIgnored,
    /// A deletion is forgotten, and late settings bring the webhook back.
    DeletionForgotten,
    /// A lease is granted twice: the first one is not recorded.
    LeaseNotRecorded,
    /// A page loses its last delivery.
    PageLosesItsLast,
    /// A sender begins an attempt that may outlast its lease.
    SenderBeginsTooLate,
    /// A sender asks for more leases than it has connections.
    SenderAsksForTooMany,
    /// An endpoint that is overloaded gets as many requests at a time as before.
    WidthNeverNarrows,
    /// A webhook takes events with a key of which it knows that it is revoked.
    StaleKeyTrusted,
    /// A post is accepted although a webhook has not answered.
    UnansweredWebhookForgotten,
    /// A post that is repeated reaches webhooks that selected its type later.
    EarlierPostNotAsked,
    /// A change that a webhook did not answer is not told again.
    UnansweredTellingForgotten,
    /// Webhooks are not told that a key is revoked.
    RevocationNotTold,
    /// A put to KV that failed is not made again.
    FailedPutForgotten,
    /// A put to KV begins while another is under way.
    PutsOvertake,
    /// An ordered webhook makes several attempts at a time.
    OrderIgnored,
    /// The attempt of a cancelled delivery is not waited for.
    StrayLeaseForgotten,
    /// The bucket of a new life is full.
    BucketBeginsFull,
    /// A sender does not wait for the time that a lease names.
    BeginsAtOnce,
    /// A paused webhook goes on sending.
    PausedSends,
    /// A 429 holds back its delivery alone.
    WaitForgotten,
    /// The schedule of a webhook's own is ignored.
    OwnScheduleIgnored,
    /// The workspace is not told that a webhook fails, or succeeds again.
    HealthNotTold,
    /// A success does not end a run of failures.
    FailuresNotReset,
}

#[cfg(feature = "mutants")]
thread_local! {
    static ON: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

impl Mutant {
    /// Every fault.
    #[cfg(feature = "mutants")]
    pub const ALL: [Self; 49] = [
        Self::StepSkipped,
        Self::RetryAfterShortens,
        Self::LostLeaseCostsAStep,
        Self::LateReportSettles,
        Self::CancelledIsAttempted,
        Self::LeaseNeverEnds,
        Self::DisabledSends,
        Self::OldGoneDisables,
        Self::LostLeaseCountsAgainstEndpoint,
        Self::WidthIgnored,
        Self::BacklogUnbounded,
        Self::BacklogTooSmall,
        Self::AlarmNotArmed,
        Self::NextAlarmNotArmed,
        Self::AlarmBelievedArmed,
        Self::RefusedHireForgotten,
        Self::AcceptNotFlushed,
        Self::ReportNotFlushed,
        Self::AcceptedTwice,
        Self::EventIdForgotten,
        Self::PurgedTooEarly,
        Self::CountsNotFolded,
        Self::OlderCountsKept,
        Self::LastReportForgotten,
        Self::NotAtomic,
        Self::MemoryOutlivesRollback,
        Self::RevisionIgnored,
        Self::DeletionForgotten,
        Self::LeaseNotRecorded,
        Self::PageLosesItsLast,
        Self::SenderBeginsTooLate,
        Self::SenderAsksForTooMany,
        Self::WidthNeverNarrows,
        Self::StaleKeyTrusted,
        Self::UnansweredWebhookForgotten,
        Self::EarlierPostNotAsked,
        Self::UnansweredTellingForgotten,
        Self::RevocationNotTold,
        Self::FailedPutForgotten,
        Self::PutsOvertake,
        Self::OrderIgnored,
        Self::StrayLeaseForgotten,
        Self::BucketBeginsFull,
        Self::BeginsAtOnce,
        Self::PausedSends,
        Self::WaitForgotten,
        Self::OwnScheduleIgnored,
        Self::HealthNotTold,
        Self::FailuresNotReset,
    ];

    /// Switches one fault on in this thread, or all off.
    #[cfg(feature = "mutants")]
    pub fn switch(mutant: Option<Self>) {
        ON.set(mutant);
    }

    /// Whether it is switched on.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn is_on(self) -> bool {
        ON.get() == Some(self)
    }

    /// Whether it is switched on: never.
    #[cfg(not(feature = "mutants"))]
    #[must_use]
    pub const fn is_on(self) -> bool {
        false
    }
}
