//! Reading the OpenAPI document.

use std::collections::BTreeMap;

use serde_json::Value;
use webhook_relay::{api::openapi::document, domain::brand::Brand};

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// The values of an enumeration in an answer that this version knows; a later one may send others.
pub(crate) const KNOWN_VALUES: &str = "x-extensible-enum";

pub(crate) fn read() -> Value {
    serde_json::from_str(&document(&Brand::default())).unwrap()
}

/// Every operation, with its method and path.
pub(crate) fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (path, item) in entries(&document["paths"]) {
        let methods = entries(item).filter(|(key, _)| METHODS.contains(&key.as_str()));
        found.extend(methods.map(|(method, operation)| (format!("{method} {path}"), operation)));
    }
    assert!(!found.is_empty());
    found
}

pub(crate) fn operation<'a>(document: &'a Value, name: &str) -> &'a Value {
    let found = operations(document)
        .into_iter()
        .find(|(_, operation)| operation["operationId"] == name);
    found.unwrap().1
}

pub(crate) fn query_parameters<'a>(document: &'a Value, name: &str) -> BTreeMap<String, &'a Value> {
    let parameters = operation(document, name)["parameters"].as_array().unwrap();
    let resolved = parameters
        .iter()
        .map(|parameter| resolve(document, parameter));
    resolved
        .map(|parameter| (text(&parameter["name"]).into(), parameter))
        .collect()
}

pub(crate) fn schema<'a>(document: &'a Value, name: &str) -> &'a Value {
    let schema = &document["components"]["schemas"][name];
    assert!(schema.is_object(), "no schema {name}");
    schema
}

pub(crate) fn resolve<'a>(document: &'a Value, node: &'a Value) -> &'a Value {
    let Some(reference) = node["$ref"].as_str() else {
        return node;
    };
    document.pointer(reference.trim_start_matches('#')).unwrap()
}

pub(crate) fn entries(object: &Value) -> impl Iterator<Item = (String, &Value)> {
    object
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.clone(), value))
}

pub(crate) fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|item| text(item).to_string())
        .collect()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}
