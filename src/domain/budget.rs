//! What one invocation may still ask of the platform: POSTs to endpoints, and calls of objects.
//!
//! A request beyond the platform's limit fails at once and looks like an endpoint that cannot be reached. So every
//! invocation counts, and stops before the limit; what it did not send is still due.

/// Calls of objects and KV that the platform lets an invocation make (Workers limits, "Subrequests").
const CALLS_LIMIT: usize = 1000;

/// Calls that stay free for accepting events and for reporting the attempts under way: four for each webhook that a
/// workspace may have (recall, accept, accept again if the keys were stale, and wait for an attempt), and the tries of six
/// reports.
const CALLS_KEPT: usize = 220;

/// The requests that an invocation may still make.
#[derive(Debug)]
#[cfg_attr(
    feature = "test-hooks",
    derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)
)]
pub struct Budget {
    posts: usize,
    calls: usize,
}

impl Budget {
    /// The budget of an invocation that may make `subrequests` POSTs.
    #[must_use]
    pub const fn new(subrequests: usize) -> Self {
        Self {
            posts: subrequests,
            calls: CALLS_LIMIT - CALLS_KEPT,
        }
    }

    /// Takes at most `wanted` POSTs, and returns how many it took. Takes none if no call is left to report them.
    pub fn take_posts(&mut self, wanted: usize) -> usize {
        let taken = wanted.min(self.posts());
        self.posts = self.posts.saturating_sub(taken);
        taken
    }

    /// How many POSTs may be made.
    #[must_use]
    pub const fn posts(&self) -> usize {
        if self.calls == 0 { 0 } else { self.posts }
    }

    /// Gives back POSTs that were taken and not made.
    pub const fn give_back(&mut self, posts: usize) {
        self.posts = self.posts.saturating_add(posts);
    }

    /// Counts a call of an object. Calls that report attempts are made even if none is left: some are kept for them.
    pub const fn count_call(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }

    /// Ends the budget: the platform has refused a request, or the relay itself is at fault.
    pub const fn exhaust(&mut self) {
        self.calls = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_posts_are_made_than_the_invocation_may_make() {
        let mut budget = Budget::new(50);
        assert_eq!(budget.take_posts(6), 6);
        assert_eq!(budget.take_posts(100), 44);
        assert_eq!(budget.posts(), 0);
        assert_eq!(budget.take_posts(1), 0);
    }

    #[test]
    fn posts_that_were_not_made_can_be_taken_again() {
        let mut budget = Budget::new(6);
        budget.take_posts(6);
        budget.give_back(2);
        assert_eq!(budget.take_posts(6), 2);
    }

    #[test]
    fn no_attempt_begins_that_could_not_be_reported() {
        let mut budget = Budget::new(10_000);
        for _ in 0..CALLS_LIMIT {
            budget.count_call();
        }
        assert_eq!(budget.take_posts(1), 0);
    }

    #[test]
    fn after_a_refusal_of_the_platform_nothing_more_is_sent() {
        let mut budget = Budget::new(50);
        budget.exhaust();
        budget.give_back(1);
        assert_eq!(budget.take_posts(1), 0);
    }
}
