//! The edge to HTTP: a request is read in one call of JavaScript, and an answer is made in one.

use std::{borrow::Cow, collections::BTreeMap};

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::{
    ByteStream, Url,
    js_sys::Uint8Array,
    web_sys::{Request as RawRequest, Response as RawResponse},
};

use crate::{
    api::{entrance::Arrival, error::ApiError},
    runtime::platform::faults::internal,
};

#[wasm_bindgen(module = "/src/runtime/platform/http.js")]
extern "C" {
    fn describe(request: &RawRequest, headers: &str) -> String;

    #[wasm_bindgen(catch)]
    fn respond(status: u16, headers: &str, body: JsValue) -> Result<RawResponse, JsValue>;
}

/// The headers that `describe` returns, beside that of attempts; any other costs a call of its own.
const DESCRIBED: &str = "authorization cf-connecting-ip cf-ray content-encoding content-length content-type cookie origin";

/// A request; its body is read only on demand.
pub(in crate::runtime) struct Request {
    raw: RawRequest,
    /// The result of `describe`.
    lines: String,
    is_attempt: bool,
}

impl Request {
    /// Takes a request of the runtime; `attempt_header` is that of every attempt, if the settings are known.
    pub(in crate::runtime) fn new(raw: RawRequest, attempt_header: Option<&str>) -> Self {
        let wanted = attempt_header.map_or(DESCRIBED.into(), |name| format!("{DESCRIBED} {name}"));
        let lines = describe(&raw, &wanted);
        let is_attempt = attempt_header.is_some_and(|name| find(&lines, name).is_some());
        Self {
            raw,
            lines,
            is_attempt,
        }
    }

    /// Returns the method as it was sent, even if it is unknown; HEAD is GET, as the runtime leaves out the body of an
    /// answer to it.
    pub(in crate::runtime) fn method(&self) -> &str {
        match self.lines.lines().next() {
            Some("HEAD") => "GET",
            method => method.unwrap_or_default(),
        }
    }

    /// Returns what is known before the request's route.
    pub(in crate::runtime) fn arrival(&self) -> Arrival {
        Arrival {
            only_reads: self.method() == "GET",
            is_https: self.address().starts_with("https:"),
            is_attempt: self.is_attempt,
            has_encoded_body: self.header("content-encoding").is_some()
                && self.raw.body().is_some(),
        }
    }

    /// Returns a header by its name in lower case.
    pub(in crate::runtime) fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        if DESCRIBED.split(' ').any(|described| described == name) {
            return find(&self.lines, name).map(Cow::Borrowed);
        }
        let value = self.raw.headers().get(name).ok().flatten()?;
        Some(value.into())
    }

    /// Returns the path without the query.
    ///
    /// # Errors
    /// As `url`.
    pub(in crate::runtime) fn path(&self) -> Result<String, ApiError> {
        let address = self.address();
        let path = address.split_once("://").and_then(|(_, rest)| {
            let path = rest.find('/').and_then(|start| rest.get(start..))?;
            path.split('?').next()
        });
        // Parsing the URL would not change a plain path, so it is left out.
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_');
        match path.filter(|path| path.bytes().all(is_plain)) {
            Some(path) => Ok(path.to_string()),
            None => Ok(self.url()?.path().to_string()),
        }
    }

    /// Returns the whole URL.
    ///
    /// # Errors
    /// `Internal` if it does not parse: the runtime made it.
    pub(in crate::runtime) fn url(&self) -> Result<Url, ApiError> {
        let parsed = Url::parse(self.address());
        parsed.map_err(|error| internal("reading a request's address", &error))
    }

    /// Returns the parameters of the query, decoded.
    ///
    /// # Errors
    /// As `url`.
    pub(in crate::runtime) fn query(&self) -> Result<Vec<(String, String)>, ApiError> {
        let url = self.url()?;
        let pairs = url.query_pairs();
        let owned = pairs.map(|(name, value)| (name.into_owned(), value.into_owned()));
        Ok(owned.collect())
    }

    fn address(&self) -> &str {
        self.lines.lines().nth(1).unwrap_or_default()
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// If it does not arrive.
    pub(in crate::runtime) async fn bytes(&self) -> worker::Result<Vec<u8>> {
        let buffer = JsFuture::from(self.raw.array_buffer()?).await?;
        Ok(Uint8Array::new(&buffer).to_vec())
    }

    /// Reads the body chunk by chunk.
    ///
    /// # Errors
    /// If there is no body.
    pub(in crate::runtime) fn stream(&self) -> worker::Result<ByteStream> {
        // Clones the reference: the request's own `clone` would read the body twice.
        worker::Request::from(Clone::clone(&self.raw)).stream()
    }
}

/// Finds a header in the result of `describe`.
fn find<'a>(lines: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = lines.lines().skip(2);
    headers.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Borrows the parameters of a query, as the parsers expect them.
pub(in crate::runtime) fn pairs(query: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

/// An answer: a status, headers and a body.
pub(in crate::runtime) struct Response {
    status: u16,
    headers: BTreeMap<&'static str, Cow<'static, str>>,
    /// The only header of which an answer may have several.
    cookies: Vec<String>,
    body: Option<Body>,
}

enum Body {
    Text(Cow<'static, str>),
    Bytes(Vec<u8>),
}

impl Response {
    /// Makes an answer without headers and body.
    pub(in crate::runtime) const fn new(status: u16) -> Self {
        Self {
            status,
            headers: BTreeMap::new(),
            cookies: Vec::new(),
            body: None,
        }
    }

    /// Sets a header.
    pub(in crate::runtime) fn with(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    /// Sets a header that the answer does not have yet.
    pub(in crate::runtime) fn or_with(
        mut self,
        (name, value): (&'static str, &'static str),
    ) -> Self {
        self.headers.entry(name).or_insert(Cow::Borrowed(value));
        self
    }

    /// Sets a cookie, beside others that are set.
    pub(in crate::runtime) fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }

    /// Sets the body and its content type.
    pub(in crate::runtime) fn with_body(
        mut self,
        content_type: &'static str,
        body: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.body = Some(Body::Text(body.into()));
        self.with("Content-Type", content_type)
    }

    /// Sets a body that is no text, and its content type.
    pub(in crate::runtime) fn with_bytes(
        mut self,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Self {
        self.body = Some(Body::Bytes(body));
        self.with("Content-Type", content_type)
    }

    /// Converts the answer into the runtime's type.
    ///
    /// # Errors
    /// If a header is not valid.
    pub(in crate::runtime) fn into_raw(self) -> worker::Result<RawResponse> {
        let headers = if self.cookies.is_empty() {
            serde_json::to_string(&self.headers)?
        } else {
            let cookies = self
                .cookies
                .iter()
                .map(|cookie| ("Set-Cookie", cookie.as_str()));
            let headers = self
                .headers
                .iter()
                .map(|(name, value)| (*name, value.as_ref()));
            serde_json::to_string(&headers.chain(cookies).collect::<Vec<_>>())?
        };
        let body = match self.body {
            None => JsValue::UNDEFINED,
            Some(Body::Text(text)) => JsValue::from_str(&text),
            Some(Body::Bytes(bytes)) => Uint8Array::from(bytes.as_slice()).into(),
        };
        Ok(respond(self.status, &headers, body)?)
    }
}
