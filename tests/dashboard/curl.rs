//! A request as a command: a POSIX shell hands `curl` the very bytes, whatever a stranger wrote in them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use webhook_relay::dashboard::curl::{BODY_LIMIT, command, needs_file};

/// Writes its arguments, each ended by a NUL, and the content of a file that one of them names.
const STUB: &str = r#"#!/bin/sh
for argument in "$@"; do
  case "$argument" in
    @*) cat "${argument#@}"; printf '\0' ;;
    *) printf '%s\0' "$argument" ;;
  esac
done
"#;

/// Texts that a shell, or curl, reads as something else if they are not quoted.
fn hostile() -> Vec<String> {
    [
        "'",
        "''",
        "'; touch broken; '",
        "'\\''",
        "\\",
        "\\'",
        "\"",
        "`touch broken`",
        "$(touch broken)",
        "${HOME}",
        "$'\\x41'",
        "!!",
        "!history",
        "a\nb",
        "a\r\nb\n",
        "\ttab",
        " spaces ",
        "*",
        "?",
        "~",
        "#",
        "&& touch broken",
        "| touch broken",
        "> broken",
        "<(echo)",
        "%s%n",
        "-o broken",
        "--output=broken",
        "@/etc/passwd",
        "[a-z]{1,2}",
        "é漢字🦀",
        "\\u0000",
        "\u{202e}reversed",
        "\u{feff}",
        "\u{7f}",
        "",
    ]
    .map(String::from)
    .into()
}

/// What `curl` is called with by a command that is run where the payload's file is.
fn arguments(folder: &Path, command: &str) -> Vec<String> {
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let output = Command::new("sh")
        .args(["-euc", command])
        .env("PATH", path)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}\n{output:?}");
    let written = String::from_utf8(output.stdout).unwrap();
    let written = written.strip_suffix('\0').unwrap();
    written.split('\0').map(ToString::to_string).collect()
}

#[test]
fn a_shell_hands_curl_the_very_bytes() {
    let folder = std::env::temp_dir().join(format!("curl-command-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let stub = folder.join("curl");
    fs::write(&stub, STUB).unwrap();
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    let mut bodies = hostile();
    bodies.push(format!("{{\"data\":\"{}\"}}", "'".repeat(BODY_LIMIT - 11)));
    bodies.push(format!("{{\"data\":\"{}\"}}", "'".repeat(BODY_LIMIT)));
    for text in &hostile() {
        let body = format!("{{\"data\":\"{text}\"}}");
        bodies.push(body);
    }
    for (index, body) in bodies.iter().enumerate() {
        let text = &hostile()[index % hostile().len()];
        let url = format!("https://hooks.example.com/{text}");
        let headers = [
            ("content-type".to_string(), "application/json".to_string()),
            (format!("x-{text}"), text.clone()),
        ];
        fs::write(folder.join("evt_1.json"), body).unwrap();
        let command = command(&url, &headers, body, "evt_1.json");
        let expected = [
            "--globoff",
            "--request",
            "POST",
            &url,
            "--header",
            "content-type: application/json",
            "--header",
            &format!("x-{text}: {text}"),
            "--data-binary",
            body,
        ];
        assert_eq!(arguments(&folder, &command), expected, "{command}");
        assert_eq!(needs_file(body), command.ends_with("'@evt_1.json'"));
        assert!(!folder.join("broken").exists(), "{command}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_body_stands_in_the_command_up_to_its_limit_and_where_it_can_be_shown() {
    assert!(!needs_file(&"a".repeat(BODY_LIMIT)));
    for body in [
        "a".repeat(BODY_LIMIT + 1),
        "a\u{202e}b".into(),
        "@file".into(),
    ] {
        assert!(needs_file(&body), "{}", body.len());
    }
}
