//! What holds until a time, for a limited number of keys.

use std::{borrow::Borrow, collections::BTreeMap};

use super::timestamp::Timestamp;

/// Keys, each with the time until which it holds. If there are too many, those that end first make room.
#[derive(Debug)]
pub struct Until<Key> {
    limit: usize,
    ends: BTreeMap<Key, Timestamp>,
}

impl<Key: Ord + Clone> Until<Key> {
    /// Makes an empty one for so many keys.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            ends: BTreeMap::new(),
        }
    }

    /// Lets a key hold until a time, whatever it did before.
    pub fn put(&mut self, key: Key, until: Timestamp, now: Timestamp) {
        self.ends.insert(key, until);
        if self.ends.len() > self.limit {
            self.ends.retain(|_, end| now < *end);
        }
        while self.ends.len() > self.limit {
            let first = self.ends.iter().min_by_key(|(_, end)| **end);
            let Some(first) = first.map(|(key, _)| key.clone()) else {
                break;
            };
            self.ends.remove(&first);
        }
    }

    /// Until when a key holds; `None` if it does not.
    #[must_use]
    pub fn end<Query: Ord + ?Sized>(&self, key: &Query, now: Timestamp) -> Option<Timestamp>
    where
        Key: Borrow<Query>,
    {
        self.ends.get(key).copied().filter(|end| now < *end)
    }

    /// Ends a key.
    pub fn remove<Query: Ord + ?Sized>(&mut self, key: &Query)
    where
        Key: Borrow<Query>,
    {
        self.ends.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_holds_until_its_time_or_until_it_is_removed() {
        let mut until = Until::new(2);
        until.put("a", at(5), at(0));
        assert_eq!(until.end("a", at(4)), Some(at(5)));
        assert_eq!(until.end("a", at(5)), None);
        assert_eq!(until.end("b", at(0)), None);
        until.remove("a");
        assert_eq!(until.end("a", at(4)), None);
    }

    #[test]
    fn what_has_ended_makes_room_and_then_what_ends_first() {
        let mut until = Until::new(2);
        until.put("ended", at(1), at(0));
        until.put("late", at(9), at(2));
        until.put("early", at(5), at(2));
        assert_eq!(until.end("early", at(2)), Some(at(5)));
        until.put("new", at(7), at(2));
        let held = ["late", "early", "new"].map(|key| until.end(key, at(2)).is_some());
        assert_eq!(held, [true, false, true]);
        assert_eq!(until.ends.len(), 2);
    }

    #[test]
    fn what_has_not_ended_stays_while_there_is_room() {
        let mut until = Until::new(2);
        until.put("first", at(5), at(0));
        until.put("second", at(9), at(6));
        assert_eq!(until.ends.len(), 2, "not even what has ended goes");
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }
}
