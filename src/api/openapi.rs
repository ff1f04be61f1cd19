//! The OpenAPI document of the relay: one file, which the relay serves and the tests compare with the program.
//!
//! It is written by hand and not derived from the types: its patterns and descriptions are part of the contract, and
//! the types do not have them. `tests/openapi/` checks it against the parsers, the enums and the refusals;
//! `tests/support/contract.js` checks every answer of the end-to-end tests against it.

/// The document, as `GET /openapi.json` returns it.
#[must_use]
pub const fn document() -> &'static str {
    include_str!("openapi.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_openapi_3_1_of_this_version() {
        let document: serde_json::Value = serde_json::from_str(document()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
