//! How long to wait after a failure: twice as long after each one in a row.

use std::time::Duration;

/// The failures in a row of one thing that is tried again and again.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Waits `first` after the first failure, and at most `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first,
            first,
            longest,
        }
    }

    /// Records a failure, and returns how long to wait after it.
    pub fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.longest);
        wait
    }

    /// Records a success.
    pub const fn succeeded(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_in_a_row_doubles_the_wait_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(60));
        let waits: Vec<_> = (0..5).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 60, 60]);
        backoff.succeeded();
        assert_eq!(backoff.failed(), Duration::from_secs(10));
    }
}
