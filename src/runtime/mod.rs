//! Everything that touches Cloudflare. It drives the machines and holds no rule: an `if` on business data belongs in
//! `domain` or `machines`.

mod platform;

mod worker;

mod sender;

mod objects;

#[cfg(feature = "test-hooks")]
mod test_hooks;
