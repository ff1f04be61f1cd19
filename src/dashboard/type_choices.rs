//! Which event types forms offer: the catalogue's that are not deprecated, and what a webhook has selected besides.

use crate::domain::{
    catalogue::{Catalogue, CatalogueEntry},
    event_type::{EventType, NameError},
};

/// A type in a form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TypeChoice<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// What is known of it; none if it is no longer in the catalogue.
    pub(super) entry: Option<&'a CatalogueEntry>,
}

impl<'a> TypeChoice<'a> {
    /// One of the catalogue.
    pub(super) const fn of(entry: &'a CatalogueEntry) -> Self {
        Self {
            name: entry.name.as_str(),
            entry: Some(entry),
        }
    }

    /// What is to be said of it besides its description.
    pub(super) const fn remark(&self) -> Option<&'static str> {
        match self.entry {
            None => Some("This type is gone: no new events of it come."),
            Some(entry) if entry.deprecated => Some("Deprecated."),
            Some(_) => None,
        }
    }
}

/// The types that a webhook may select; `selected` are those that it has.
pub(super) fn selectable<'a>(
    catalogue: &'a Catalogue,
    selected: &'a [String],
) -> Vec<TypeChoice<'a>> {
    let mut choices = testable(catalogue, selected);
    let gone = selected
        .iter()
        .filter(|name| catalogue.entry(name).is_none());
    choices.extend(gone.map(|name| TypeChoice { name, entry: None }));
    choices
}

/// The types that may be tested with a webhook that has selected some.
pub(super) fn testable<'a>(catalogue: &'a Catalogue, selected: &[String]) -> Vec<TypeChoice<'a>> {
    let types = catalogue.types.iter();
    let offered = types.filter(|entry| {
        !entry.deprecated || selected.iter().any(|name| name == entry.name.as_str())
    });
    offered.map(TypeChoice::of).collect()
}

/// The types by which a log is filtered: all, since deliveries of deprecated ones and of those that are gone are kept.
/// `more` are some that may be gone, or what somebody typed, of which only names are taken.
pub(super) fn known<'a>(
    catalogue: &'a Catalogue,
    more: impl Iterator<Item = &'a str>,
) -> Vec<&'a str> {
    let types = catalogue.types.iter();
    let mut names: Vec<_> = types.map(|entry| entry.name.as_str()).collect();
    for name in more {
        let is_name = EventType::parse(name) != Err(NameError::Malformed);
        if is_name && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalogue::first_types;

    #[test]
    fn a_deprecated_type_is_offered_only_to_those_who_have_it() {
        let catalogue = catalogue();
        let none: [String; 0] = [];
        assert_eq!(names(&selectable(&catalogue, &none)).len(), 3);
        let selected = ["alert.triggered".to_string()];
        let offered = selectable(&catalogue, &selected);
        assert_eq!(names(&offered).len(), 4);
        assert_eq!(offered[0].remark(), Some("Deprecated."));
        assert_eq!(offered[1].remark(), None);
    }

    #[test]
    fn a_type_that_is_gone_may_be_kept_and_not_tested() {
        let catalogue = catalogue();
        let selected = ["gone".to_string()];
        let offered = selectable(&catalogue, &selected);
        assert_eq!(names(&offered).last(), Some(&"gone"));
        assert!(offered[3].remark().is_some());
        assert!(!names(&testable(&catalogue, &selected)).contains(&"gone"));
    }

    #[test]
    fn a_log_is_filtered_by_every_type_once() {
        let catalogue = catalogue();
        let more = ["agent.error", "", "a b", "ping", "gone", "gone"];
        let names = known(&catalogue, more.into_iter());
        assert_eq!((names.len(), names.last()), (6, Some(&"gone")));
    }

    fn names<'a>(choices: &[TypeChoice<'a>]) -> Vec<&'a str> {
        choices.iter().map(|choice| choice.name).collect()
    }

    fn catalogue() -> Catalogue {
        let mut types = first_types();
        types[0].deprecated = true;
        Catalogue::new(1, types)
    }
}
