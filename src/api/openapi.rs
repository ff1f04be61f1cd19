//! The OpenAPI document of the relay: one file, which the relay serves and the tests compare with the program.
//!
//! It is written by hand and not derived from the types: its patterns and descriptions are part of the contract, and
//! the types do not have them. `tests/openapi/` checks it against the parsers, the enums and the refusals;
//! `tests/support/contract.js` checks every answer of the end-to-end tests against it.

use std::borrow::Cow;

use crate::domain::brand::{Brand, StandardHeaders};

/// The member of the document that says under which names the headers of Standard Webhooks are sent.
const STANDARD_HEADERS: &str = r#""standard_headers": "webhook""#;

/// The document, as `GET /openapi.json` returns it, with the brand's words.
#[must_use]
pub fn document(brand: &Brand) -> Cow<'static, str> {
    let document = brand.rewrite(include_str!("openapi.json"));
    if brand.standard_headers == StandardHeaders::default() {
        return document;
    }
    let sent = brand.standard_headers.as_str();
    let member = format!(r#""standard_headers": "{sent}""#);
    document.replace(STANDARD_HEADERS, &member).into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::brand::{HeaderPrefix, ProductName};

    #[test]
    fn the_document_is_openapi_3_1_of_this_version() {
        let document = read(&Brand::default());
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_document_is_written_for_the_default_brand_and_says_another_where_it_is_set() {
        assert_eq!(
            read(&Brand::default())["info"]["x-delivery"],
            json!({
                "user_agent": "Secureagentics-Webhooks",
                "header_prefix": "X-Secureagentics",
                "standard_headers": "webhook"
            })
        );
        let brand = Brand {
            name: ProductName::parse("Acme & Co").unwrap(),
            header_prefix: HeaderPrefix::parse("X-Acme").unwrap(),
            standard_headers: StandardHeaders::Both,
            ..Brand::default()
        };
        assert_eq!(
            read(&brand)["info"]["x-delivery"],
            json!({
                "user_agent": "AcmeCo-Webhooks",
                "header_prefix": "X-Acme",
                "standard_headers": "webhook,svix"
            })
        );
        let text = document(&brand).to_lowercase();
        assert!(!text.contains("secureagentics") && text.contains("acme & co"));
    }

    fn read(brand: &Brand) -> Value {
        serde_json::from_str(&document(brand)).unwrap()
    }
}
