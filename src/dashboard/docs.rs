//! The documentation for customers' developers: what arrives, how to verify it, when it is retried.
//!
//! Settings come from the deployment and types from the catalogue; the rest is the same for everybody.

use std::{borrow::Cow, rc::Rc};

use super::{
    Page, assets,
    frame::{Frame, Notice},
    json,
    type_choices::TypeChoice,
    verify, words,
};
use crate::domain::{attempt::RESPONSE_BODY_LIMIT, catalogue::Catalogue, policy::Policy};

/// The endpoint in Python that the page shows for the headers of Standard Webhooks.
const STANDARD: &str = include_str!("samples/standard.py");

/// The same for deployments that send these headers under the names of Svix alone.
const SVIX: &str = include_str!("samples/svix.py");

/// The page that an operator gives to customers.
#[derive(Page)]
#[template(path = "docs.html", config = "src/dashboard/askama.toml")]
pub struct DocsPage {
    /// What is around it.
    pub frame: Frame,
    /// The deployment's settings.
    pub policy: Policy,
    /// The types.
    pub catalogue: Rc<Catalogue>,
}

impl DocsPage {
    fn standard_sample(&self) -> Cow<'static, str> {
        let brand = &self.frame.brand;
        let has_standard_names = brand.standard_headers.has_standard_names();
        brand.rewrite(if has_standard_names { STANDARD } else { SVIX })
    }

    fn types(&self) -> Vec<TypeChoice<'_>> {
        self.catalogue.types.iter().map(TypeChoice::of).collect()
    }

    /// Each retry and the delay before it.
    fn retries(&self) -> Vec<(String, String)> {
        let delays = self.policy.schedule.delays().iter();
        let numbered = delays.enumerate().map(|(index, delay)| {
            let number = index.saturating_add(1);
            (ordinal(number), words::length(*delay))
        });
        numbered.collect()
    }

    fn retry_count(&self) -> usize {
        self.policy.schedule.delays().len()
    }

    fn timeout(&self) -> String {
        words::length(self.policy.attempt_timeout)
    }

    fn retention(&self) -> String {
        words::length(self.policy.retention)
    }

    fn disable_after(&self) -> String {
        words::length(self.policy.disable_after)
    }

    const fn response_kibibytes() -> usize {
        RESPONSE_BODY_LIMIT / 1024
    }
}

/// `1st`, `2nd`, `3rd`, `4th`; a schedule has at most 20 delays, so there is no 21st.
fn ordinal(number: usize) -> String {
    let ending = match number {
        1 => "st",
        2 => "nd",
        3 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_counted_in_words() {
        let ordinals: Vec<_> = [1, 2, 3, 4, 11, 20].map(ordinal).into();
        assert_eq!(ordinals, ["1st", "2nd", "3rd", "4th", "11th", "20th"]);
    }
}
