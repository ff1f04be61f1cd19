//! An object's one alarm: it is set only when the new time is earlier than the armed one, because each set is a row
//! written.

use std::time::Duration;

use crate::{domain::timestamp::Timestamp, mutants::Mutant};

/// An alarm that is this late has been lost by the platform.
const OVERDUE: Duration = Duration::from_secs(60);

/// The alarm of an object, as far as it is known.
#[derive(Debug, Default)]
pub struct AlarmClock {
    armed: Armed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Armed {
    /// Not read since the object started, or since a failed set.
    #[default]
    Unknown,
    No,
    At(Timestamp),
}

/// What the driver does next to have the alarm armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArmStep {
    /// Nothing.
    Done,
    /// It reads when the alarm is set, says so with [`AlarmClock::found`], and asks again.
    Read,
    /// It sets the alarm; if that fails, it says so with [`AlarmClock::failed`].
    Set(Timestamp),
}

impl AlarmClock {
    /// The alarm has fired, so none is set.
    pub fn fired(&mut self) {
        if !Mutant::AlarmBelievedArmed.is_on() {
            self.armed = Armed::No;
        }
    }

    /// The alarm was found to be set for a time, or for none.
    pub fn found(&mut self, time: Option<Timestamp>) {
        if self.armed == Armed::Unknown {
            self.armed = time.map_or(Armed::No, Armed::At);
        }
    }

    /// The alarm could not be set.
    pub const fn failed(&mut self) {
        self.armed = Armed::Unknown;
    }

    /// What has to be done so that the alarm fires at `time` or earlier. An overdue alarm is set again.
    pub fn arm(&mut self, time: Timestamp, now: Timestamp) -> ArmStep {
        match self.armed {
            Armed::Unknown => return ArmStep::Read,
            Armed::At(armed) if armed <= time && now.saturating_duration_since(armed) < OVERDUE => {
                return ArmStep::Done;
            }
            Armed::At(_) | Armed::No => {}
        }
        // The present or a past time would be lost if set from within the alarm (workerd #6866).
        let time = time.max(now.saturating_add(Duration::from_millis(1)));
        self.armed = Armed::At(time);
        ArmStep::Set(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_set_only_if_none_fires_as_early() {
        let mut clock = AlarmClock::default();
        assert_eq!(clock.arm(at(10), at(0)), ArmStep::Read);
        clock.found(None);
        assert_eq!(clock.arm(at(10), at(0)), ArmStep::Set(at(10)));
        assert_eq!(clock.arm(at(20), at(0)), ArmStep::Done);
        assert_eq!(clock.arm(at(5), at(0)), ArmStep::Set(at(5)));
        clock.fired();
        assert_eq!(clock.arm(at(20), at(5)), ArmStep::Set(at(20)));
    }

    #[test]
    fn an_alarm_that_is_found_is_not_set_again_unless_it_is_overdue() {
        let mut clock = AlarmClock::default();
        clock.found(Some(at(10)));
        assert_eq!(clock.arm(at(10), at(69)), ArmStep::Done);
        let soon = at(70).saturating_add(Duration::from_millis(1));
        assert_eq!(clock.arm(at(10), at(70)), ArmStep::Set(soon));
    }

    #[test]
    fn what_is_due_already_is_set_a_moment_ahead() {
        let mut clock = AlarmClock::default();
        clock.found(None);
        let soon = at(7).saturating_add(Duration::from_millis(1));
        assert_eq!(clock.arm(at(0), at(7)), ArmStep::Set(soon));
    }

    #[test]
    fn after_a_set_that_failed_the_alarm_is_read_again() {
        let mut clock = AlarmClock::default();
        clock.found(None);
        assert_eq!(clock.arm(at(1), at(0)), ArmStep::Set(at(1)));
        clock.failed();
        assert_eq!(clock.arm(at(1), at(0)), ArmStep::Read);
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
