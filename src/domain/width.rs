//! A webhook's width: how many of its attempts may be under way, between `NARROWEST` and `MAX_LEASES`.
//!
//! An endpoint that is overloaded gets fewer requests at a time, and more again as it recovers. One sign of overload may
//! be chance; each one that follows another without a success between halves the width, and each success adds one.

use super::outcome::Outcome;
use crate::mutants::Mutant;

/// The width is not halved below this: what one sender makes at a time.
pub const NARROWEST: usize = 6;

/// Statuses with which an endpoint, or a proxy before it, says that it cannot keep up.
const OVERLOADED: [u16; 4] = [429, 502, 503, 504];

/// How many attempts of a webhook may be under way. It is kept in memory only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// May be more than `MAX_LEASES`, which counts then.
    slots: usize,
    /// Whether an attempt has shown overload since the last success.
    is_strained: bool,
}

impl Width {
    /// The width with which a life of the object begins.
    #[must_use]
    pub const fn begin(is_failing: bool) -> Self {
        Self {
            slots: if is_failing { NARROWEST } else { usize::MAX },
            is_strained: false,
        }
    }

    /// How many attempts may be under way.
    #[must_use]
    pub fn slots(&self, max_leases: usize) -> usize {
        self.slots.min(max_leases)
    }

    /// Takes note of what an attempt says about the endpoint.
    pub fn attempt_ended(&mut self, outcome: Outcome, status: Option<u16>, max_leases: usize) {
        if outcome.is_success() {
            self.is_strained = false;
            self.slots = self.slots(max_leases).saturating_add(1);
        } else if shows_overload(outcome, status)
            && std::mem::replace(&mut self.is_strained, true)
            && !Mutant::WidthNeverNarrows.is_on()
        {
            self.slots = (self.slots(max_leases) / 2).max(NARROWEST);
        }
    }
}

/// Whether a failed attempt says that the endpoint has too much to do. An error of its own code (500) does not, nor does
/// what the relay did not send.
fn shows_overload(outcome: Outcome, status: Option<u16>) -> bool {
    match outcome {
        Outcome::Timeout | Outcome::Unreachable => true,
        Outcome::HttpError => status.is_some_and(|status| OVERLOADED.contains(&status)),
        Outcome::Succeeded | Outcome::Blocked | Outcome::Lost => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_LEASES: usize = 50;

    #[test]
    fn each_sign_of_overload_after_the_first_halves_the_width_down_to_six() {
        let mut width = Width::begin(false);
        let widths = [(); 6].map(|()| {
            width.attempt_ended(Outcome::Timeout, None, MAX_LEASES);
            width.slots(MAX_LEASES)
        });
        assert_eq!(widths, [50, 25, 12, 6, 6, 6]);
    }

    #[test]
    fn each_success_adds_one_up_to_max_leases() {
        let mut width = Width::begin(true);
        assert_eq!(width.slots(MAX_LEASES), NARROWEST);
        for slots in (7..=50).chain([50, 50]) {
            width.attempt_ended(Outcome::Succeeded, Some(200), MAX_LEASES);
            assert_eq!(width.slots(MAX_LEASES), slots);
        }
        fail(&mut width, 2);
        assert_eq!(width.slots(MAX_LEASES), 25, "successes were not saved up");
    }

    #[test]
    fn a_success_between_two_signs_of_overload_keeps_them_apart() {
        let mut width = Width::begin(false);
        for _ in 0..10 {
            fail(&mut width, 1);
            width.attempt_ended(Outcome::Succeeded, Some(204), MAX_LEASES);
        }
        assert_eq!(width.slots(MAX_LEASES), 50);
    }

    #[test]
    fn only_timeouts_unreachable_429_502_503_and_504_show_overload() {
        let errors = |status| (Outcome::HttpError, Some(status));
        let shown = [
            (Outcome::Timeout, None),
            (Outcome::Unreachable, None),
            (Outcome::Unreachable, Some(522)),
            errors(429),
            errors(502),
            errors(503),
            errors(504),
        ];
        let not_shown = [
            (Outcome::Blocked, None),
            (Outcome::Lost, None),
            errors(301),
            errors(400),
            errors(404),
            errors(410),
            errors(500),
            errors(501),
        ];
        let after = |ends: &[(Outcome, Option<u16>)]| {
            let mut width = Width::begin(false);
            for (outcome, status) in ends {
                width.attempt_ended(*outcome, *status, MAX_LEASES);
            }
            width.slots(MAX_LEASES)
        };
        for end in shown {
            assert_eq!(after(&[end, end]), 25, "{end:?}");
        }
        for end in not_shown {
            assert_eq!(after(&[end; 8]), 50, "{end:?}");
            let between = [(Outcome::Timeout, None), end, (Outcome::Timeout, None)];
            assert_eq!(after(&between), 25, "{end:?} is no success");
        }
    }

    #[test]
    fn a_smaller_max_leases_is_never_exceeded_nor_halved() {
        let mut width = Width::begin(true);
        assert_eq!(width.slots(2), 2);
        fail(&mut width, 8);
        assert_eq!(width.slots(2), 2);
        width.attempt_ended(Outcome::Succeeded, Some(200), 2);
        assert_eq!(width.slots(2), 2);
    }

    fn fail(width: &mut Width, times: usize) {
        for _ in 0..times {
            width.attempt_ended(Outcome::HttpError, Some(503), MAX_LEASES);
        }
    }
}
