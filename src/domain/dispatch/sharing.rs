//! What a Worker that posts to several webhooks gives to each: its leases, and its turn to send a command.

use super::WORKER_LEASES;

/// Bytes of events that a Worker sends to objects at a time for one post: the platform copies each command.
pub const SENT_AT_A_TIME: usize = 4 * 1024 * 1024;

/// Shares the leases of a Worker that may make `posts` POSTs among webhooks, given how many new deliveries each one has:
/// one each in turn, until it has as many as it makes at a time and each webhook has one. Spare leases go to deliveries
/// that others post at the same moment.
#[must_use]
pub fn share_leases(posts: usize, deliveries: &[usize]) -> Vec<usize> {
    let mut shares = vec![0_usize; deliveries.len()];
    let mut left = WORKER_LEASES.max(deliveries.len()).min(posts);
    let mut all_have_enough = false;
    while left > 0 && !deliveries.is_empty() {
        let before = left;
        for (share, wanted) in shares.iter_mut().zip(deliveries) {
            if left > 0 && (all_have_enough || *share < *wanted) {
                *share = share.saturating_add(1);
                left = left.saturating_sub(1);
            }
        }
        all_have_enough = left == before;
    }
    shares
}

/// How many of the next commands a Worker sends at a time, given their lengths in bytes: all that fit, and at least one.
#[must_use]
pub fn send_together(lengths: impl IntoIterator<Item = usize>) -> usize {
    let mut total = 0_usize;
    let fit = lengths.into_iter().take_while(|length| {
        total = total.saturating_add(*length);
        total <= SENT_AT_A_TIME
    });
    fit.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    const MANY: usize = 50;

    #[test]
    fn small_commands_are_sent_together_and_large_ones_one_at_a_time() {
        assert_eq!(send_together([1000; 50]), 50);
        assert_eq!(send_together([SENT_AT_A_TIME / 16; 50]), 16);
        assert_eq!(send_together([SENT_AT_A_TIME, 1]), 1);
        assert_eq!(send_together([SENT_AT_A_TIME + 1; 2]), 1);
    }

    #[test]
    fn a_workers_leases_are_shared_one_each_in_turn() {
        assert_eq!(share_leases(MANY, &[100]), [6]);
        assert_eq!(share_leases(7, &[1; 8]), [1, 1, 1, 1, 1, 1, 1, 0]);
        assert_eq!(share_leases(MANY, &[100, 1, 100]), [3, 1, 2]);
        assert!(share_leases(MANY, &[]).is_empty());
    }

    #[test]
    fn what_a_webhook_does_not_need_itself_is_shared_too() {
        assert_eq!(share_leases(MANY, &[1]), [6]);
        assert_eq!(share_leases(MANY, &[1, 1, 1, 1]), [2, 2, 1, 1]);
        assert_eq!(share_leases(MANY, &[0, 3]), [2, 4]);
    }
}
