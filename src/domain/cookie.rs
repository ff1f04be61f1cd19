//! Reads one cookie out of a `Cookie` header.

/// The value of the cookie of a name (RFC 6265, 4.2.1), if exactly one has that name.
///
/// Two of the same name count as none: a neighbouring host or path can add a second one, and their order means nothing
/// (RFC 6265, 4.2.2), so neither can be trusted.
#[must_use]
pub fn read_cookie<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
    let mut values = pairs
        .filter(|(found, _)| found.trim_matches([' ', '\t']) == name)
        .map(|(_, value)| value.trim_matches([' ', '\t']));
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        for header in [
            "session=a",
            " session=a ",
            "theme=dark; session=a",
            "session=a; theme=dark",
            "theme=dark;session=a;;",
            "broken; session=a",
            "session =a",
        ] {
            assert_eq!(read_cookie(header, "session"), Some("a"), "{header:?}");
        }
        assert_eq!(read_cookie("session=", "session"), Some(""));
        assert_eq!(read_cookie("session=a=b", "session"), Some("a=b"));
        assert_eq!(read_cookie("session=\"a\"", "session"), Some("\"a\""));
    }

    #[test]
    fn only_the_very_name_counts() {
        for header in [
            "",
            ";",
            "session",
            "Session=a",
            "xsession=a",
            "__Host-session=a",
            "theme=session=a",
            "a, session=a",
        ] {
            assert_eq!(read_cookie(header, "session"), None, "{header:?}");
        }
    }

    #[test]
    fn of_two_cookies_with_one_name_neither_is_believed() {
        for header in ["session=a; session=b", "session=a; theme=dark; session=a"] {
            assert_eq!(read_cookie(header, "session"), None, "{header:?}");
        }
    }
}
