//! Places: the integer keys of the rows with payloads.
//!
//! A text key would make the table an index, and a search of an index reads each row that it passes, payload and all. A
//! place consists of, from the highest bit: whether the row is settled, the millisecond in its id, and a number within
//! that millisecond. It stays below 2^53, beyond which JavaScript numbers are not exact.

use crate::domain::timestamp::Timestamp;

/// Bits of the number within a millisecond.
const ROW_BITS: u32 = 10;

/// Bits of the millisecond: enough until the year 2109.
const TIME_BITS: u32 = 42;

/// The first place of a settled row; those of other rows are below.
pub(super) const SETTLED: i64 = 1 << (TIME_BITS + ROW_BITS);

/// The first and last place of rows that are settled or not, from one millisecond through another.
pub(super) const fn places(settled: bool, from: Timestamp, through: Timestamp) -> (i64, i64) {
    let first = first_place(settled, from);
    let last = first_place(settled, through) | ((1 << ROW_BITS) - 1);
    (first, last)
}

/// The first place of a row with an id of that millisecond.
pub(super) const fn first_place(settled: bool, time: Timestamp) -> i64 {
    const LAST_TIME: i64 = (1 << TIME_BITS) - 1;
    let millis = time.as_millis();
    let millis = if millis < 0 {
        0
    } else if millis > LAST_TIME {
        LAST_TIME
    } else {
        millis
    };
    let cluster = if settled { SETTLED } else { 0 };
    cluster | (millis << ROW_BITS)
}

/// Whether the place is that of a settled row.
pub(super) const fn is_settled(place: i64) -> bool {
    place >= SETTLED
}

/// The SQL expression of the places of rows that had the key (`settled`, `id`), in the same order.
pub(super) fn place_of(settled: &str, id: &str) -> String {
    const DIGITS: u32 = 12;
    let digit = |number: u32| {
        let position = number.saturating_add(5);
        let bits = DIGITS
            .saturating_sub(1)
            .saturating_sub(number)
            .saturating_mul(4);
        format!("((instr('0123456789abcdef', substr({id}, {position}, 1)) - 1) << {bits})")
    };
    let millis = (0..DIGITS).map(digit).collect::<Vec<_>>().join(" | ");
    let number = format!("ROW_NUMBER() OVER (PARTITION BY {settled}, {millis} ORDER BY {id}) - 1");
    format!("{settled} * {SETTLED} + (({millis}) << {ROW_BITS}) + {number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_a_time_are_all_of_each_of_its_milliseconds_and_no_other() {
        let at = Timestamp::from_millis;
        let (first, last) = places(false, at(5), at(6));
        assert_eq!(
            (first, last),
            (first_place(false, at(5)), first_place(false, at(7)) - 1)
        );
        let (settled, _) = places(true, at(5), at(6));
        assert!(is_settled(settled) && !is_settled(last));
        assert_eq!(settled - SETTLED, first);
    }
}
