//! `Retry-After`, durations and times.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use webhook_relay::domain::{
    retry::{RetrySchedule, delay_honouring, parse_duration, parse_retry_after},
    timestamp::Timestamp,
};

use super::{config, damaged};

const YEAR_10000: i64 = 253_402_300_800_000;

fn http_date() -> impl Strategy<Value = String> {
    (0..253_402_300_799_u64)
        .prop_map(|seconds| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
}

fn retry_after() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,30}",
        "[-+]?[0-9]{0,6}(\\.[0-9])?(e[0-9])?",
        http_date(),
        damaged(http_date()),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_retry_after_only_ever_lengthens_a_delay_and_never_past_the_longest_step(
        value in retry_after(),
        now in any::<i64>(),
        delays in prop::collection::vec(0..=31_536_000_000_u64, 1..20),
        failures in 1..20_usize,
    ) {
        let text: Vec<_> = delays.iter().map(|millis| format!("{millis}ms")).collect();
        let schedule = RetrySchedule::parse(&text.join(",")).unwrap();
        let Some(base) = schedule.delay_after(failures) else {
            prop_assert!(failures > delays.len());
            return Ok(());
        };
        prop_assert_eq!(base, Duration::from_millis(delays[failures - 1]));
        let asked = parse_retry_after(&value, Timestamp::from_millis(now));
        let delay = delay_honouring(base, asked, schedule.longest());
        prop_assert!(base <= delay && delay <= schedule.longest());
        if let Some(asked) = asked {
            prop_assert!(delay >= asked.min(schedule.longest()));
        } else {
            prop_assert_eq!(delay, base);
        }
    }

    #[test]
    fn a_date_asks_for_the_time_until_it_and_a_number_for_its_seconds(seconds in 0..253_402_300_799_u64, now in 0..YEAR_10000) {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        let until = i64::try_from(seconds).unwrap() * 1000 - now;
        let asked = parse_retry_after(&date, Timestamp::from_millis(now));
        prop_assert_eq!(asked, u64::try_from(until).ok().map(Duration::from_millis));
        let asked = parse_retry_after(&seconds.to_string(), Timestamp::from_millis(now));
        prop_assert_eq!(asked, Some(Duration::from_secs(seconds)));
    }

    #[test]
    fn a_duration_is_read_as_it_was_written(number: u32, unit in 0..5_usize, text in any::<String>()) {
        let (name, millis) = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)][unit];
        let length = Duration::from_millis(u64::from(number) * millis);
        let year = Duration::from_secs(365 * 86_400);
        prop_assert_eq!(parse_duration(&format!("{number}{name}")).ok(), Some(length).filter(|length| *length <= year));
        if let Ok(length) = parse_duration(&text) {
            prop_assert!(length <= year && text.as_bytes()[0].is_ascii_digit());
        }
    }

    #[test]
    fn a_time_is_read_as_it_was_written(millis in -62_167_219_200_000..YEAR_10000, text in prop_oneof![
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,12})?([Zz]|[+-][0-9]{2}:[0-9]{2})",
        any::<String>(),
    ]) {
        let time = Timestamp::from_millis(millis);
        prop_assert_eq!(Timestamp::parse_rfc3339(&time.to_string()), Ok(time));
        if let Ok(time) = Timestamp::parse_rfc3339(&text) {
            prop_assert!(text.is_ascii() && !text.contains(['"', '\\']), "it can stand in a payload");
            let again = Timestamp::parse_rfc3339(&time.to_string()).unwrap();
            prop_assert!(again == time || text.starts_with("0000") || text.starts_with("9999"));
        }
    }
}
