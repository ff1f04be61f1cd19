//! Places: the whole numbers by which rows with payloads are found.
//!
//! Not a key of texts: its table would be an index, and a search of an index reads each row that it passes, payload and
//! all. A place has, from the highest bit: whether the row is settled, the millisecond in its id, and a number within it.
//! It stays below 2^53, beyond which JavaScript has no whole numbers.

use crate::domain::timestamp::Timestamp;

/// Rows of one millisecond at most.
const ROW_BITS: u32 = 10;

/// Enough until the year 2109.
const TIME_BITS: u32 = 42;

/// The first place of a settled row; below lie the others.
pub(super) const SETTLED: i64 = 1 << (TIME_BITS + ROW_BITS);

/// The places of rows that are settled or not, from one millisecond through another: the first and the last.
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

/// Whether a place is a settled row's.
pub(super) const fn is_settled(place: i64) -> bool {
    place >= SETTLED
}

/// In SQL, the places of rows that were found by the columns `settled` and `id`, in their order.
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
