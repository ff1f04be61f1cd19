//! The style sheet, the scripts and the icon: served from this origin, at addresses derived from their content. Beside
//! them, at a fixed address, the program that replays deliveries on a developer's machine.

use crate::domain::brand::Brand;

/// The style sheet.
pub const STYLE: &str = include_str!("style.css");
/// The script.
pub const SCRIPT: &str = include_str!("dashboard.js");
/// The script of a webhook's log and of a delivery's page.
pub const LOG_SCRIPT: &str = include_str!("log.js");
/// The icon.
pub const ICON: &str = include_str!("icon.svg");

/// The path of the brand's logo.
pub const LOGO_PATH: &str = "/assets/logo";

/// The program of `npm run listen`, for those who have not got the source.
const LISTEN: &str = include_str!("../../scripts/listen.mjs");

/// The address of the style sheet; it changes with its content, so it may be cached for ever.
#[must_use]
pub fn style_address() -> String {
    address("style.css", STYLE)
}

/// The address of the script.
#[must_use]
pub fn script_address() -> String {
    address("dashboard.js", SCRIPT)
}

/// The address of the script of a webhook's log.
#[must_use]
pub fn log_script_address() -> String {
    address("log.js", LOG_SCRIPT)
}

/// The address of the dashboard's own icon.
#[must_use]
pub fn icon_address() -> String {
    address("icon.svg", ICON)
}

/// The address of the brand's logo, if it has one.
#[must_use]
pub fn logo_address(brand: &Brand) -> Option<String> {
    let logo = brand.logo.as_ref()?;
    Some(format!("{LOGO_PATH}?{}", logo.hash()))
}

/// The files by their path: content type and content.
#[must_use]
pub fn find(path: &str) -> Option<(&'static str, &'static str)> {
    match path {
        "/assets/style.css" => Some(("text/css; charset=utf-8", STYLE)),
        "/assets/dashboard.js" => Some(("text/javascript; charset=utf-8", SCRIPT)),
        "/assets/log.js" => Some(("text/javascript; charset=utf-8", LOG_SCRIPT)),
        "/assets/listen.mjs" => Some(("text/javascript; charset=utf-8", LISTEN)),
        "/assets/icon.svg" => Some(("image/svg+xml", ICON)),
        _ => None,
    }
}

fn address(name: &str, content: &str) -> String {
    format!("/assets/{name}?{:016x}", fingerprint(content.as_bytes()))
}

/// FNV-1a: it only has to distinguish contents; nothing depends on it being hard to forge.
const fn fingerprint(mut bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    while let [first, rest @ ..] = bytes {
        hash = (hash ^ *first as u64).wrapping_mul(0x0100_0000_01b3);
        bytes = rest;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_changes_with_the_content_and_its_path_is_served() {
        assert_ne!(address("a", "1"), address("a", "2"));
        for address in [
            style_address(),
            script_address(),
            log_script_address(),
            icon_address(),
        ] {
            let (path, _) = address.split_once('?').unwrap();
            assert!(find(path).is_some(), "{address}");
        }
        assert_eq!(find("/assets/../Cargo.toml"), None);
    }
}
