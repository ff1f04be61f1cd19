//! The pace of a webhook: order, rate limit and retry schedule, as they are posted and answered.

use serde::{Serialize, Serializer};

use super::{error::ApiError, members::Members};
use crate::domain::{
    pace::{Pace, PaceChange, RateLimit, Replacement, allowed_schedule, parse_schedule},
    policy::Policy,
    retry::RetrySchedule,
};

/// The members that say of the pace.
pub(super) const MEMBERS: [&str; 3] = ["ordered", "rate_limit", "retry_schedule"];

/// What a retry schedule is.
const SCHEDULE: &str = "an array of 1 to 20 delays such as \"5m\", or null";

/// Reads the members of the pace: `ordered`, `rate_limit` and `retry_schedule`; null removes the last two.
///
/// # Errors
/// The first refusal.
pub(super) fn parse_pace(members: &Members, policy: &Policy) -> Result<PaceChange, ApiError> {
    Ok(PaceChange {
        ordered: members.optional("ordered", "true or false")?,
        rate_limit: parse_rate_limit(members)?,
        retry_schedule: parse_retry_schedule(members, policy)?,
    })
}

fn is_null(members: &Members, name: &str) -> bool {
    members.raw(name).is_some_and(|value| value.get() == "null")
}

fn parse_rate_limit(members: &Members) -> Result<Replacement<RateLimit>, ApiError> {
    if is_null(members, "rate_limit") {
        return Ok(Replacement::Removed);
    }
    let Some(value) = members.raw("rate_limit") else {
        return Ok(Replacement::Kept);
    };
    let limit = Members::parse(value, "rate_limit.", &["per_second"])?;
    let number: serde_json::Number = limit.required("per_second", "a number")?;
    let written = limit.raw("per_second").map_or("", |value| value.get());
    // With an exponent it is read by its value.
    let rate =
        RateLimit::parse(written).or_else(|| RateLimit::parse(&number.as_f64()?.to_string()));
    let refused = || ApiError::InvalidValue {
        code: "invalid_rate_limit",
        field: limit.field("per_second"),
        allowed: RateLimit::ALLOWED.into(),
    };
    rate.ok_or_else(refused).map(Replacement::Set)
}

fn parse_retry_schedule(
    members: &Members,
    policy: &Policy,
) -> Result<Replacement<RetrySchedule>, ApiError> {
    if is_null(members, "retry_schedule") {
        return Ok(Replacement::Removed);
    }
    let Some(delays) = members.optional::<Vec<String>>("retry_schedule", SCHEDULE)? else {
        return Ok(Replacement::Kept);
    };
    let delays = delays.iter().map(String::as_str);
    let refused = |error| ApiError::InvalidValue {
        code: "invalid_retry_schedule",
        field: members.field("retry_schedule"),
        allowed: format!("{}: {error}", allowed_schedule(policy)),
    };
    let schedule = parse_schedule(delays, policy).map_err(refused)?;
    Ok(Replacement::Set(schedule))
}

/// The pace of a webhook as an answer shows it.
#[derive(Debug, Serialize)]
pub(super) struct PaceView {
    ordered: bool,
    rate_limit: Option<RateLimitView>,
    #[serde(serialize_with = "as_delays")]
    retry_schedule: Option<RetrySchedule>,
}

#[derive(Debug, Serialize)]
struct RateLimitView {
    #[serde(serialize_with = "as_number")]
    per_second: RateLimit,
}

impl From<Pace> for PaceView {
    fn from(pace: Pace) -> Self {
        Self {
            ordered: pace.ordered,
            rate_limit: pace
                .rate_limit
                .map(|per_second| RateLimitView { per_second }),
            retry_schedule: pace.retry_schedule,
        }
    }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn as_delays<S: Serializer>(
    schedule: &Option<RetrySchedule>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match schedule {
        Some(schedule) => serializer.collect_seq(schedule.texts()),
        None => serializer.serialize_none(),
    }
}

/// A whole number without a decimal point, as it was posted.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_number<S: Serializer>(rate: &RateLimit, serializer: S) -> Result<S::Ok, S::Error> {
    match rate.to_string().parse::<u32>() {
        Ok(whole) => serializer.serialize_u32(whole),
        Err(_) => serializer.serialize_f64(rate.per_second()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::members::parse_json;

    #[test]
    fn what_is_left_out_stays_and_null_removes() {
        assert_eq!(parse("{}").unwrap(), PaceChange::default());
        let removed = parse(r#"{"rate_limit":null,"retry_schedule":null}"#).unwrap();
        assert_eq!(
            (removed.rate_limit, removed.retry_schedule),
            (Replacement::Removed, Replacement::Removed)
        );
    }

    #[test]
    fn a_pace_is_answered_as_it_was_posted() {
        for posted in [
            r#"{"ordered":true,"rate_limit":{"per_second":0.25},"retry_schedule":["60s","1h"]}"#,
            r#"{"ordered":false,"rate_limit":{"per_second":1000},"retry_schedule":null}"#,
            r#"{"ordered":false,"rate_limit":null,"retry_schedule":["24h"]}"#,
        ] {
            let mut pace = Pace::default();
            parse(posted).unwrap().apply(&mut pace);
            assert_eq!(
                serde_json::to_string(&PaceView::from(pace)).unwrap(),
                posted
            );
        }
        let whole = parse(r#"{"rate_limit":{"per_second":5e0}}"#).unwrap();
        assert_eq!(whole.rate_limit, RateLimit::parse("5").into());
    }

    #[test]
    fn a_refusal_names_the_member_and_what_is_allowed() {
        for (body, code, field) in [
            (r#"{"ordered":1}"#, "invalid_type", "ordered"),
            (r#"{"ordered":null}"#, "invalid_type", "ordered"),
            (r#"{"rate_limit":5}"#, "invalid_type", "rate_limit"),
            (
                r#"{"rate_limit":{}}"#,
                "missing_field",
                "rate_limit.per_second",
            ),
            (
                r#"{"rate_limit":{"per_second":"5"}}"#,
                "invalid_type",
                "rate_limit.per_second",
            ),
            (
                r#"{"rate_limit":{"per_second":0}}"#,
                "invalid_rate_limit",
                "rate_limit.per_second",
            ),
            (
                r#"{"rate_limit":{"per_second":1e9}}"#,
                "invalid_rate_limit",
                "rate_limit.per_second",
            ),
            (
                r#"{"rate_limit":{"per_minute":5}}"#,
                "unknown_field",
                "rate_limit.per_minute",
            ),
            (
                r#"{"retry_schedule":"1m,5m"}"#,
                "invalid_type",
                "retry_schedule",
            ),
            (
                r#"{"retry_schedule":[]}"#,
                "invalid_retry_schedule",
                "retry_schedule",
            ),
            (
                r#"{"retry_schedule":["1ms"]}"#,
                "invalid_retry_schedule",
                "retry_schedule",
            ),
            (
                r#"{"retry_schedule":[60]}"#,
                "invalid_type",
                "retry_schedule",
            ),
        ] {
            let error = parse(body).unwrap_err();
            assert_eq!((error.code(), error.field()), (code, Some(field)), "{body}");
        }
    }

    fn parse(body: &str) -> Result<PaceChange, ApiError> {
        let members = Members::parse(parse_json(body.as_bytes())?, "", &MEMBERS)?;
        parse_pace(&members, &Policy::parse(|_| None).unwrap())
    }
}
