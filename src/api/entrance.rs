//! What every request passes before its route, and what every answer carries.

use super::error::ApiError;
use crate::domain::brand::Brand;

/// What every answer carries, unless it has its own.
pub const ANSWER_HEADERS: [(&str, &str); 4] = [
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
];

/// What an answer over https carries too where plain http is not answered: browsers use https for a year.
pub const HTTPS_ONLY: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");

/// What is known of a request before its route.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts that do not depend on each other"
)]
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Whether it only reads: GET or HEAD.
    pub only_reads: bool,
    /// Whether it came over https.
    pub is_https: bool,
    /// Whether it has the header of every attempt ([`Brand::attempt_header`]).
    pub is_attempt: bool,
    /// Whether it has a body with a `Content-Encoding`.
    pub has_encoded_body: bool,
}

/// Where a request goes that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// To its route.
    Route,
    /// To the same address with https.
    ToHttps,
}

/// Judges a request before its route; `https_only` outside development.
///
/// # Errors
/// `LoopDetected`, `HttpsRequired`, `EncodedBody`.
pub fn enter(arrival: Arrival, https_only: bool, brand: &Brand) -> Result<Entrance, ApiError> {
    if arrival.is_attempt {
        return Err(ApiError::LoopDetected {
            header: brand.attempt_header(),
        });
    }
    if https_only && !arrival.is_https {
        return if arrival.only_reads {
            Ok(Entrance::ToHttps)
        } else {
            Err(ApiError::HttpsRequired)
        };
    }
    if arrival.has_encoded_body && !arrival.only_reads {
        return Err(ApiError::EncodedBody);
    }
    Ok(Entrance::Route)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Arrival = Arrival {
        only_reads: true,
        is_https: true,
        is_attempt: false,
        has_encoded_body: false,
    };
    const WRITE: Arrival = Arrival {
        only_reads: false,
        ..READ
    };

    #[test]
    fn over_https_a_request_gets_to_its_route() {
        for arrival in [READ, WRITE] {
            assert_eq!(judge(arrival, true), Ok(Entrance::Route));
        }
    }

    #[test]
    fn over_http_a_read_is_redirected_and_a_write_refused_except_in_development() {
        let plain = |arrival| Arrival {
            is_https: false,
            ..arrival
        };
        assert_eq!(judge(plain(READ), true), Ok(Entrance::ToHttps));
        assert_eq!(judge(plain(WRITE), true), Err(ApiError::HttpsRequired));
        for arrival in [READ, WRITE] {
            assert_eq!(judge(plain(arrival), false), Ok(Entrance::Route));
        }
    }

    #[test]
    fn an_attempt_and_an_encoded_body_are_refused() {
        let looped = ApiError::LoopDetected {
            header: "X-Secureagentics-Attempt".into(),
        };
        for arrival in [READ, WRITE] {
            let attempt = Arrival {
                is_attempt: true,
                is_https: false,
                ..arrival
            };
            assert_eq!(judge(attempt, true), Err(looped.clone()));
        }
        let encoded = Arrival {
            has_encoded_body: true,
            ..WRITE
        };
        assert_eq!(judge(encoded, false), Err(ApiError::EncodedBody));
    }

    fn judge(arrival: Arrival, https_only: bool) -> Result<Entrance, ApiError> {
        enter(arrival, https_only, &Brand::default())
    }
}
