//! Where Cloudflare keeps what is stored (`JURISDICTION`).

/// Where Cloudflare keeps the objects: all that is stored, the copy in KV aside, and what runs in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jurisdiction {
    /// The European Union.
    Eu,
    /// The United States.
    Us,
    /// Data centres that comply with `FedRAMP`.
    FedRamp,
}

impl Jurisdiction {
    /// The required form.
    pub const ALLOWED: &'static str = "empty, eu, us or fedramp";

    /// Reads the setting; none if it has not the form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Eu, Self::Us, Self::FedRamp];
        all.into_iter().find(|one| one.as_str() == text)
    }

    /// The platform's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eu => "eu",
            Self::Us => "us",
            Self::FedRamp => "fedramp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jurisdiction_is_one_of_the_platforms_words() {
        for word in ["eu", "us", "fedramp"] {
            assert_eq!(Jurisdiction::parse(word).unwrap().as_str(), word);
        }
        for word in ["", "EU", "de", "fedramp-high"] {
            assert_eq!(Jurisdiction::parse(word), None, "{word}");
        }
    }
}
