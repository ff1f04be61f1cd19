//! What to do about a failed attempt, as far as its outcome, its status and its error tell.

use std::borrow::Cow;

use super::words::one_line;
use crate::domain::{attempt::Attempt, outcome::Outcome};

/// Characters of an endpoint's header that the advice repeats.
const HEADER_LIMIT: usize = 200;

/// What the person who owns the endpoint can do; none for a success.
#[must_use]
pub fn advice(attempt: &Attempt) -> Option<Cow<'static, str>> {
    let error = attempt.error.as_deref().unwrap_or_default();
    Some(match attempt.outcome {
        Outcome::Succeeded => return None,
        Outcome::Timeout => {
            "Answer 2xx as soon as the event is stored, and work on it afterwards. If requests do not arrive at all, check that a firewall lets them through.".into()
        }
        Outcome::Blocked => {
            "Edit the webhook's URL: it is checked before each attempt, by the rules for a new one.".into()
        }
        Outcome::Lost => {
            "Nothing is wrong with the endpoint as far as is known. It may have got the event: compare the id before it is resent.".into()
        }
        Outcome::Unreachable => of_connection(attempt.response_status, error).into(),
        Outcome::HttpError => return Some(of_status(attempt)),
    })
}

const DNS: &str = "Check the host name in the webhook's URL, and that its DNS record is public: an A or AAAA record has to be found from outside your network.";
const TLS: &str = "Check the TLS certificate: it has to be valid for the host name, not expired, from a public authority, and sent with its intermediate certificates.";
const REFUSED: &str = "The host was found and took no connection: check that the server runs, and listens at the port of the webhook's URL.";
const BROKEN: &str = "The connection was made and ended before an answer: look for a crash or a restart in the server's log, and for a proxy that closes connections.";

/// A connection that failed. Where the platform says in a status what failed, that is more exact than its error.
fn of_connection(status: Option<u16>, error: &str) -> &'static str {
    match status {
        Some(520 | 527) => return BROKEN,
        Some(521) => return REFUSED,
        Some(522) => {
            return "Check that a firewall lets connections through, and that the server is not overloaded.";
        }
        Some(523) => {
            return "Check the address in the DNS record of the host name: nothing can be reached there.";
        }
        Some(524) => {
            return "Answer 2xx as soon as the event is stored, and work on it afterwards.";
        }
        Some(525) => {
            return "Check that the server speaks TLS 1.2 or later at that port, with a certificate for the host name.";
        }
        Some(526) => return TLS,
        Some(530) => return DNS,
        _ => {}
    }
    let error = error.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if says(&["resolved"]) && says(&["tls", "certificate"]) {
        return "One of two things: the host name in the webhook's URL has no public DNS record, or its TLS certificate is expired, for another name, or without its intermediate certificates. Check both from outside your network, for instance with curl.";
    }
    if says(&["resolve", "dns"]) {
        DNS
    } else if says(&["certificate", "tls", "handshake"]) {
        TLS
    } else if says(&["refused"]) {
        REFUSED
    } else if says(&["reset", "disconnected", "hang up", "closed"]) {
        BROKEN
    } else if says(&["connection lost"]) {
        "The connection was refused, reset or closed: the platform does not say which. Check that the server runs and listens at the port of the webhook's URL, then look for a crash or a restart in its log."
    } else {
        "Check the webhook's URL from outside your network, for instance with curl: host name, port, TLS certificate, firewall."
    }
}

fn of_status(attempt: &Attempt) -> Cow<'static, str> {
    let header = |name: &str| {
        let value = attempt.response_headers.get(name);
        value.map(|value| one_line(value, HEADER_LIMIT))
    };
    let status = attempt.response_status.unwrap_or_default();
    match status {
        300..=399 => match header("location") {
            Some(location) => format!(
                "If the endpoint has moved for good, set the webhook's URL to the Location that it answered: {location}"
            )
            .into(),
            None => "Set the webhook's URL to the address that the endpoint redirects to.".into(),
        },
        401 | 403 => "Check what the endpoint asks for: a credential in a custom header of the webhook, its check of the signature, or a firewall that wants an allowed client. A signature is made with the secret that the webhook has at that moment.".into(),
        404 => "Check the path of the webhook's URL, and that the endpoint is deployed there.".into(),
        405 => "The endpoint has to take POST at this path.".into(),
        410 => "The endpoint says that it wants no more events, so the webhook was disabled. Correct the endpoint, then enable the webhook.".into(),
        413 => "Let the endpoint take bodies of at least 300 kB.".into(),
        415 => "The endpoint has to take application/json.".into(),
        429 => match header("retry-after") {
            Some(after) => format!(
                "The endpoint asks to wait (Retry-After: {after}), and the webhook waits. If it happens often, set a rate limit for the webhook."
            )
            .into(),
            None => "Set a rate limit for the webhook, or let the endpoint answer with Retry-After.".into(),
        },
        503 => "The endpoint was not available: look for a deployment or an overload at that time. Retries follow by themselves.".into(),
        500..=599 => "Look in the endpoint's log at that time; the id of the delivery is in its webhook-id header and in the payload.".into(),
        400..=499 => "The endpoint refused the request: its answer may say why. Compare the request with what the endpoint expects.".into(),
        _ => "The endpoint has to answer with a status of 200 to 299.".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::domain::timestamp::Timestamp;

    fn told(outcome: Outcome, status: Option<u16>, error: &str) -> String {
        let attempt = Attempt {
            response_status: status,
            error: Some(error.into()).filter(|_| !error.is_empty()),
            ..Attempt::new(1, Timestamp::from_millis(0), 5, outcome)
        };
        advice(&attempt).unwrap().into_owned()
    }

    #[test]
    fn each_kind_of_failure_has_its_own_advice() {
        let unreachable = |status, error| told(Outcome::Unreachable, status, error);
        let status = |status| told(Outcome::HttpError, Some(status), "");
        let all = [
            unreachable(Some(530), ""),
            unreachable(Some(526), ""),
            unreachable(Some(521), ""),
            unreachable(Some(520), ""),
            unreachable(Some(522), ""),
            unreachable(None, "Network connection lost."),
            unreachable(
                None,
                "the host name could not be resolved, or its TLS certificate is not valid",
            ),
            unreachable(None, "something else"),
            told(Outcome::Timeout, None, ""),
            told(Outcome::Blocked, None, "url must use https"),
            told(Outcome::Lost, None, ""),
            status(302),
            status(400),
            status(401),
            status(404),
            status(405),
            status(410),
            status(429),
            status(500),
            status(503),
        ];
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(status(401), status(403));
        for (error, like) in [
            ("dns error: could not resolve", Some(530)),
            ("invalid certificate", Some(526)),
            ("connection refused", Some(521)),
            ("connection reset by peer", Some(520)),
        ] {
            assert_eq!(unreachable(None, error), unreachable(like, ""), "{error}");
        }
    }

    #[test]
    fn a_redirect_and_a_wait_are_told_with_what_the_endpoint_said() {
        let answered = |status, name: &str, value: &str| {
            let attempt = Attempt {
                response_status: Some(status),
                response_headers: BTreeMap::from([(name.into(), value.into())]),
                ..Attempt::new(1, Timestamp::from_millis(0), 5, Outcome::HttpError)
            };
            advice(&attempt).unwrap().into_owned()
        };
        let moved = answered(301, "location", "https://new.example.com/\u{202e}");
        assert!(
            moved.ends_with("https://new.example.com/[U+202E]"),
            "{moved}"
        );
        assert!(answered(429, "retry-after", "120").contains("Retry-After: 120"));
    }

    #[test]
    fn a_success_needs_none() {
        let attempt = Attempt::new(1, Timestamp::from_millis(0), 5, Outcome::Succeeded);
        assert_eq!(advice(&attempt), None);
    }
}
