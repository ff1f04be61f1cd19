//! An endpoint in Rust, with the crates `hmac`, `sha2`, `hex`, `base64` and `subtle`.
//!
//! `WEBHOOK_SECRET=whsec_... PORT=8790 cargo run --example receiver`
//!
//! The HTTP server at the end is minimal; use your framework's, and give the two functions above it the body's bytes
//! before anything parses them.
#![allow(clippy::print_stdout, reason = "tells its port")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

const TOLERANCE_S: u64 = 300;
const MISMATCH: &str = "the signature does not match";
const UNTIMELY: &str = "the timestamp is missing, too old or in the future";

/// The header X-Secureagentics-Signature: proves who sent the body, not when.
fn verify_hex(secret: &str, body: &[u8], signature: &str) -> Result<(), &'static str> {
    let expected = hex::encode(digest(secret.as_bytes(), &[body])?);
    // Compares in constant time; `==` does not.
    if bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        Ok(())
    } else {
        Err(MISMATCH)
    }
}

/// The headers of Standard Webhooks: prove also that the request was made a short time ago.
fn verify_standard(
    secret: &str,
    body: &[u8],
    headers: &BTreeMap<String, String>,
    now: u64,
) -> Result<String, &'static str> {
    let header = |name| headers.get(name).map_or("", String::as_str);
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let sent: u64 = timestamp.parse().map_err(|_| UNTIMELY)?;
    if now.abs_diff(sent) > TOLERANCE_S {
        return Err(UNTIMELY);
    }
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|_| "the secret is damaged")?,
        None => secret.as_bytes().to_vec(),
    };
    let signed = digest(&key, &[format!("{id}.{timestamp}.").as_bytes(), body])?;
    let expected = format!("v1,{}", STANDARD.encode(signed));
    // While a secret is being rotated there are two signatures: one that matches is enough.
    let matches = |given: &str| bool::from(expected.as_bytes().ct_eq(given.as_bytes()));
    if header("webhook-signature").split(' ').any(matches) {
        Ok(id.to_string())
    } else {
        Err(MISMATCH)
    }
}

fn digest(key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, &'static str> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| "the secret is damaged")?;
    for part in parts {
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().to_vec())
}

struct Request {
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// `seen` belongs in a database, together with what the event changes, so that both are kept or neither.
fn receive(
    secret: &str,
    request: &Request,
    seen: &mut BTreeSet<String>,
) -> Result<&'static str, &'static str> {
    if request.path == "/hex" {
        let signature = request.headers.get("x-secureagentics-signature");
        verify_hex(secret, &request.body, signature.map_or("", String::as_str))?;
        return Ok("verified");
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the relay is wasm32, this is not"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |elapsed| elapsed.as_secs());
    let id = verify_standard(secret, &request.body, &request.headers, now)?;
    Ok(if seen.insert(id) {
        "verified"
    } else {
        "already seen"
    })
}

fn read_request(stream: &TcpStream) -> Result<Request, Box<dyn Error>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or("/").to_string();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_string());
    }
    let length = headers.get("content-length");
    let mut body = vec![0; length.map_or(Ok(0), |text| text.parse())?];
    reader.read_exact(&mut body)?;
    Ok(Request {
        path,
        headers,
        body,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let secret = env::var("WEBHOOK_SECRET")?;
    let port = env::var("PORT").unwrap_or_default().parse().unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on port {}", listener.local_addr()?.port());
    let mut seen = BTreeSet::new();
    for stream in listener.incoming() {
        let mut stream = stream?;
        let Ok(request) = read_request(&stream) else {
            continue;
        };
        let (status, text) = match receive(&secret, &request, &mut seen) {
            Ok(text) => ("200 OK", text),
            Err(text) => ("400 Bad Request", text),
        };
        let length = text.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
        )?;
    }
    Ok(())
}
