//! The settings of a deployment: each variable, its form and its default. wrangler.toml sets some of them again.

use std::{borrow::Cow, ops::RangeInclusive, time::Duration};

use thiserror::Error;

use super::{
    brand::{Accent, Brand, HeaderPrefix, Logo, ProductName, StandardHeaders, SupportUrl},
    jurisdiction::Jurisdiction,
    outcome::Outcome,
    own_hosts::OwnHosts,
    public_origin::PublicOrigin,
    retry::{RetrySchedule, parse_duration},
};

/// How much longer than the attempt timeout a lease lasts, so that the report can arrive.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Characters of a value that its error shows.
const SHOWN_OF_A_VALUE: usize = 200;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of payload that a webhook's unsettled deliveries may have together.
pub const BACKLOG_BYTES_LIMIT: u64 = 1024 * 1024 * 1024;

/// The settings of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `RETRY_SCHEDULE`: the delays between attempts.
    pub schedule: RetrySchedule,
    /// `ATTEMPT_TIMEOUT`: how long an endpoint has to answer.
    pub attempt_timeout: Duration,
    /// `RETENTION_DAYS`: how long a delivery is kept.
    pub retention: Duration,
    /// `DISABLE_AFTER`: how long a webhook may fail before it is disabled.
    pub disable_after: Duration,
    /// `ALLOW_PRIVATE_ENDPOINTS`: allows http and loopback; for development.
    pub allow_private_endpoints: bool,
    /// `MAX_LEASES`: leases of one webhook that may be out at once.
    pub max_leases: usize,
    /// `MAX_BACKLOG`: unsettled deliveries that one webhook may hold.
    pub max_backlog: usize,
    /// `MAX_STORAGE`: bytes that the database of one object may have.
    pub max_storage: u64,
    /// `SUBREQUESTS`: POSTs that one invocation may make.
    pub subrequests: usize,
    /// `LOG_ATTEMPTS`: the attempts that get a line in the log.
    pub logged: LoggedAttempts,
    /// `OWN_HOSTS`: the operator's hosts, to which no webhook may post.
    pub own_hosts: OwnHosts,
    /// `REQUIRE_ENCRYPTION`: stored values must be encrypted; plain ones are not read.
    pub require_encryption: bool,
    /// `PUBLIC_ORIGIN`: the address with which links are made; its host is one of `own_hosts`.
    pub public_origin: Option<PublicOrigin>,
    /// `JURISDICTION`: where the objects must stay.
    pub jurisdiction: Option<Jurisdiction>,
    /// Whose product sends.
    pub brand: Brand,
}

/// Which attempts get a line in the log; each line is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedAttempts {
    /// Every attempt.
    All,
    /// Those that did not succeed.
    Failed,
}

impl LoggedAttempts {
    /// Whether an attempt with this outcome gets a line.
    #[must_use]
    pub fn includes(self, outcome: Outcome) -> bool {
        self == Self::All || outcome != Outcome::Succeeded
    }
}

/// A variable does not parse.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the setting {variable} is \"{}\"; it must be {allowed}",
    shortened(value)
)]
pub struct PolicyError {
    variable: &'static str,
    value: String,
    allowed: &'static str,
}

/// The beginning of a value: an image in base64 would hide what the error says.
fn shortened(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(SHOWN_OF_A_VALUE) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()).into(),
        None => value.into(),
    }
}

impl Policy {
    /// Reads the settings; an absent variable has its default.
    ///
    /// # Errors
    /// The first variable whose value does not parse.
    pub fn parse(variable: impl Fn(&str) -> Option<String>) -> Result<Self, PolicyError> {
        let text = |name: &'static str, default: &str| Setting {
            variable: name,
            value: variable(name).unwrap_or_else(|| default.to_string()),
        };
        let own_hosts = text("OWN_HOSTS", "").parse(OwnHosts::ALLOWED, OwnHosts::parse)?;
        let public_origin = text("PUBLIC_ORIGIN", "")
            .parse_unless_empty(PublicOrigin::ALLOWED, PublicOrigin::parse)?;
        Ok(Self {
            schedule: text("RETRY_SCHEDULE", "1m,5m,30m,2h,8h").parse(
                "1 to 20 delays such as 1m,5m,30m,2h,8h, in the units ms, s, m, h and d",
                |text| RetrySchedule::parse(text).ok(),
            )?,
            attempt_timeout: text("ATTEMPT_TIMEOUT", "10s").parse(
                "a time from 100ms to 12s",
                |text| {
                    parse_duration(text)
                        .ok()
                        .filter(|timeout| (100..=12_000).contains(&timeout.as_millis()))
                },
            )?,
            retention: text("RETENTION_DAYS", "30")
                .parse("a whole number of days, 1 to 365", |text| {
                    whole_number(text, 1..=365).map(|days| DAY.saturating_mul(days))
                })?,
            disable_after: text("DISABLE_AFTER", "5d").parse(
                "a time such as 5d, in one of the units ms, s, m, h and d",
                |text| parse_duration(text).ok(),
            )?,
            allow_private_endpoints: text("ALLOW_PRIVATE_ENDPOINTS", "false")
                .parse("true or false", |text| text.parse().ok())?,
            max_leases: text("MAX_LEASES", "50").parse("a whole number, 1 to 500", |text| {
                whole_number(text, 1..=500)?.try_into().ok()
            })?,
            max_backlog: text("MAX_BACKLOG", "100000")
                .parse("a whole number, 1 to 100000", |text| {
                    whole_number(text, 1..=100_000)?.try_into().ok()
                })?,
            max_storage: text("MAX_STORAGE", "8GB").parse(
                "a size from 1MB to 10GB, in one of the units KB, MB and GB",
                size,
            )?,
            subrequests: text("SUBREQUESTS", "50").parse("a whole number, 1 to 10000", |text| {
                whole_number(text, 1..=10_000)?.try_into().ok()
            })?,
            logged: text("LOG_ATTEMPTS", "all").parse("all or failed", |text| match text {
                "all" => Some(LoggedAttempts::All),
                "failed" => Some(LoggedAttempts::Failed),
                _ => None,
            })?,
            own_hosts: match &public_origin {
                Some(origin) => own_hosts.and(origin.host()),
                None => own_hosts,
            },
            public_origin,
            jurisdiction: text("JURISDICTION", "")
                .parse_unless_empty(Jurisdiction::ALLOWED, Jurisdiction::parse)?,
            require_encryption: text("REQUIRE_ENCRYPTION", "false")
                .parse("true or false", |text| text.parse().ok())?,
            brand: parse_brand(text)?,
        })
    }

    /// How long a lease waits for the report of its attempt.
    #[must_use]
    pub const fn lease_length(&self) -> Duration {
        self.attempt_timeout.saturating_add(LEASE_MARGIN)
    }
}

/// Reads the brand; `setting` takes a variable's name and default.
fn parse_brand(setting: impl Fn(&'static str, &str) -> Setting) -> Result<Brand, PolicyError> {
    let default = Brand::default();
    Ok(Brand {
        name: setting("PRODUCT_NAME", default.name.as_str())
            .parse(ProductName::ALLOWED, ProductName::parse)?,
        header_prefix: setting("HEADER_PREFIX", default.header_prefix.as_str())
            .parse(HeaderPrefix::ALLOWED, HeaderPrefix::parse)?,
        standard_headers: setting("STANDARD_HEADERS", default.standard_headers.as_str())
            .parse(StandardHeaders::ALLOWED, StandardHeaders::parse)?,
        accent: setting("ACCENT_COLOR", &format!("#{}", default.accent.digits()))
            .parse(Accent::ALLOWED, Accent::parse)?,
        logo: setting("LOGO", "").parse_unless_empty(Logo::ALLOWED, Logo::parse)?,
        support: setting("SUPPORT_URL", "")
            .parse_unless_empty(SupportUrl::ALLOWED, SupportUrl::parse)?,
    })
}

struct Setting {
    variable: &'static str,
    value: String,
}

impl Setting {
    fn parse<T>(
        self,
        allowed: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, PolicyError> {
        read(&self.value).ok_or(PolicyError {
            variable: self.variable,
            value: self.value,
            allowed,
        })
    }
}

impl Setting {
    fn parse_unless_empty<T>(
        self,
        allowed: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, PolicyError> {
        if self.value.is_empty() {
            return Ok(None);
        }
        self.parse(allowed, read).map(Some)
    }
}

fn whole_number(text: &str, range: RangeInclusive<u32>) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| digits && range.contains(number))
}

/// Parses a size such as `8GB`; the units are powers of 1,000.
fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let unit = match unit {
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    let size = u64::from(whole_number(number, 1..=u32::MAX)?).checked_mul(unit)?;
    (1_000_000..=10_000_000_000).contains(&size).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let policy = Policy::parse(|_| None).unwrap();
        let delays: Vec<u64> = (1..6)
            .map(|n| policy.schedule.delay_after(n).unwrap().as_secs())
            .collect();
        assert_eq!(delays, [60, 300, 1_800, 7_200, 28_800]);
        assert_eq!(policy.schedule.delay_after(6), None);
        assert_eq!(
            (policy.attempt_timeout, policy.lease_length()),
            (Duration::from_secs(10), Duration::from_secs(15))
        );
        assert_eq!(
            (policy.retention, policy.disable_after),
            (DAY * 30, DAY * 5)
        );
        assert_eq!(
            (
                policy.allow_private_endpoints,
                policy.max_leases,
                policy.max_backlog
            ),
            (false, 50, 100_000)
        );
        assert_eq!(
            (policy.max_storage, policy.subrequests),
            (8_000_000_000, 50)
        );
        assert_eq!(policy.logged, LoggedAttempts::All);
        assert_eq!(
            (policy.own_hosts, policy.require_encryption),
            (OwnHosts::default(), false)
        );
        assert_eq!((policy.public_origin, policy.jurisdiction), (None, None));
        assert_eq!(policy.brand, Brand::default());
    }

    #[test]
    fn the_host_of_the_public_origin_is_one_of_the_own_hosts() {
        let policy = Policy::parse(|name| match name {
            "PUBLIC_ORIGIN" => Some("https://hooks.example.com".into()),
            "OWN_HOSTS" => Some("api.example.com".into()),
            "JURISDICTION" => Some("eu".into()),
            _ => None,
        })
        .unwrap();
        for host in ["hooks.example.com", "api.example.com"] {
            assert!(policy.own_hosts.contain(host), "{host}");
        }
        assert_eq!(policy.jurisdiction, Some(Jurisdiction::Eu));
    }

    #[test]
    fn only_attempts_that_did_not_succeed_are_logged_if_that_is_set() {
        let failed = LoggedAttempts::Failed;
        assert!(failed.includes(Outcome::Timeout) && failed.includes(Outcome::Lost));
        assert!(!failed.includes(Outcome::Succeeded));
        assert!(LoggedAttempts::All.includes(Outcome::Succeeded));
    }

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!(size("1000KB"), Some(1_000_000));
        assert_eq!(size("10GB"), Some(10_000_000_000));
        assert_eq!(size("1GiB"), None);
    }

    #[test]
    fn a_value_that_does_not_parse_is_an_error_that_names_it() {
        for (variable, value) in [
            ("RETRY_SCHEDULE", "1m,5x"),
            ("RETRY_SCHEDULE", ""),
            ("ATTEMPT_TIMEOUT", "13s"),
            ("ATTEMPT_TIMEOUT", "99ms"),
            ("ATTEMPT_TIMEOUT", "10"),
            ("RETENTION_DAYS", "0"),
            ("RETENTION_DAYS", "+3"),
            ("DISABLE_AFTER", "soon"),
            ("ALLOW_PRIVATE_ENDPOINTS", "TRUE"),
            ("MAX_LEASES", "0"),
            ("MAX_LEASES", "501"),
            ("MAX_BACKLOG", "1e5"),
            ("MAX_BACKLOG", "100001"),
            ("MAX_STORAGE", "8"),
            ("MAX_STORAGE", "8 GB"),
            ("MAX_STORAGE", "999KB"),
            ("MAX_STORAGE", "11GB"),
            ("MAX_STORAGE", "GB"),
            ("SUBREQUESTS", "0"),
            ("SUBREQUESTS", "10001"),
            ("LOG_ATTEMPTS", "none"),
            ("OWN_HOSTS", "https://hooks.example.com"),
            ("REQUIRE_ENCRYPTION", "yes"),
            ("PUBLIC_ORIGIN", "hooks.example.com"),
            ("JURISDICTION", "EU"),
            ("PRODUCT_NAME", ""),
            ("PRODUCT_NAME", "<Acme>"),
            ("HEADER_PREFIX", "X-Forwarded"),
            ("STANDARD_HEADERS", "none"),
            ("ACCENT_COLOR", "red"),
            ("LOGO", "PHN2Zz4="),
            ("SUPPORT_URL", "javascript:alert(1)"),
        ] {
            let error =
                Policy::parse(|name| (name == variable).then(|| value.to_string())).unwrap_err();
            let message = error.to_string();
            assert!(
                message.contains(variable) && message.contains(&format!("\"{value}\"")),
                "{message}"
            );
        }
    }

    #[test]
    fn an_error_shows_the_beginning_of_a_long_value() {
        let long = "é".repeat(SHOWN_OF_A_VALUE + 1);
        let error = Policy::parse(|name| (name == "LOGO").then(|| long.clone())).unwrap_err();
        let shown = "é".repeat(SHOWN_OF_A_VALUE);
        assert!(error.to_string().contains(&format!("LOGO is \"{shown}…\"")));
    }

    #[test]
    fn the_units_of_a_size_are_powers_of_a_thousand() {
        for (text, bytes) in [
            ("1000KB", 1_000_000),
            ("2MB", 2_000_000),
            ("10GB", 10_000_000_000),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
    }
}
