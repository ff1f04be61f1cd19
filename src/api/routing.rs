//! Finding the route of a request in a table, in which each path and method stands once.

use super::error::ApiError;

/// A route.
#[derive(Clone, Copy, Debug)]
pub struct Route<N: 'static> {
    /// The method; `GET` stands for `HEAD` too.
    pub method: &'static str,
    /// The path, with places for ids: `/settings/webhooks/{webhook_id}`.
    pub path: &'static str,
    /// Its name.
    pub name: N,
}

/// The ids in a path, by the names of their places.
#[derive(Clone, Debug)]
pub struct PathIds<'p>(Vec<(&'static str, &'p str)>);

impl<'p> PathIds<'p> {
    /// Whether the route has a place.
    #[must_use]
    pub fn has(&self, place: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == place)
    }

    /// What stands at a place; nothing if the route has no such place.
    #[must_use]
    pub fn at(&self, place: &str) -> &'p str {
        let found = self.0.iter().find(|(name, _)| *name == place);
        found.map_or("", |(_, id)| id)
    }
}

/// Finds the route of a request. Of two paths that match, the one that stands first counts.
///
/// # Errors
/// `NotFound`; `MethodNotAllowed` with the methods of the path, in the order of the table.
pub fn find<'p, N: Copy>(
    routes: &[Route<N>],
    method: &str,
    path: &'p str,
) -> Result<(N, PathIds<'p>), ApiError> {
    let matching = routes
        .iter()
        .find_map(|route| Some((route.path, ids(route.path, path)?)));
    let (known, ids) = matching.ok_or(ApiError::NotFound("page"))?;
    let of_path = || routes.iter().filter(|route| route.path == known);
    let asked = if method == "HEAD" { "GET" } else { method };
    if let Some(route) = of_path().find(|route| route.method == asked) {
        Ok((route.name, ids))
    } else {
        let allowed = of_path().map(|route| match route.method {
            "GET" => "GET, HEAD",
            method => method,
        });
        let allowed: Vec<_> = allowed.collect();
        let allow = allowed.join(", ");
        Err(ApiError::MethodNotAllowed { allow })
    }
}

/// Reads the ids of a path, if it has the form of a route's.
fn ids<'p>(form: &'static str, path: &'p str) -> Option<PathIds<'p>> {
    let mut ids = Vec::new();
    let mut segments = path.split('/');
    for part in form.split('/') {
        let segment = segments.next()?;
        let place = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        match place {
            Some(place) => ids.push((place, segment)),
            None if part == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(PathIds(ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: [Route<u8>; 4] = [
        route("GET", "/a/new", 1),
        route("GET", "/a/{id}", 2),
        route("POST", "/a/{id}", 3),
        route("DELETE", "/a/{id}/b/{other}", 4),
    ];

    const fn route(method: &'static str, path: &'static str, name: u8) -> Route<u8> {
        Route { method, path, name }
    }

    fn not_allowed(allow: &str) -> ApiError {
        let allow = allow.into();
        ApiError::MethodNotAllowed { allow }
    }

    #[test]
    fn a_route_is_found_by_path_and_method_with_the_ids_at_its_places() {
        let (name, ids) = find(&ROUTES, "DELETE", "/a/x%2F/b/").unwrap();
        assert_eq!((name, ids.at("id"), ids.at("other")), (4, "x%2F", ""));
        assert_eq!(ids.at("third"), "");
    }

    #[test]
    fn the_path_that_stands_first_counts_for_all_methods() {
        assert_eq!(find(&ROUTES, "HEAD", "/a/new").unwrap().0, 1);
        assert_eq!(find(&ROUTES, "POST", "/a/old").unwrap().0, 3);
        let refused = find(&ROUTES, "POST", "/a/new").unwrap_err();
        assert_eq!(refused, not_allowed("GET, HEAD"));
    }

    #[test]
    fn what_is_not_allowed_is_answered_with_what_is() {
        let refused = find(&ROUTES, "PUT", "/a/x").unwrap_err();
        assert_eq!(refused, not_allowed("GET, HEAD, POST"));
        for path in ["", "/", "/a", "/a/x/", "/a/x/b", "/a/x/b/y/z", "a/x"] {
            let refused = find(&ROUTES, "GET", path).unwrap_err();
            assert_eq!(refused, ApiError::NotFound("page"), "{path}");
        }
    }
}
