//! The brand's logo: a small PNG or WebP. Never an SVG, which could have a script in it.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// Bytes of a logo.
const LOGO_LIMIT: usize = 4 * 1024;

/// A logo: an image whose first bytes were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    bytes: Arc<[u8]>,
    format: LogoFormat,
}

/// What an image is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoFormat {
    /// PNG.
    Png,
    /// WebP.
    WebP,
}

impl LogoFormat {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::WebP),
            _ => None,
        }
    }

    /// The content type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}

impl Logo {
    /// The required form.
    pub const ALLOWED: &'static str =
        "empty, or the base64 of a PNG or WebP image (not SVG) of at most 4 KiB";

    /// Reads an image in base64; none if it has not the form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let format = LogoFormat::of(&bytes)?;
        (bytes.len() <= LOGO_LIMIT).then(|| Self {
            bytes: bytes.into(),
            format,
        })
    }

    /// The image.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it is.
    #[must_use]
    pub const fn format(&self) -> LogoFormat {
        self.format
    }

    /// Names the image by its content: 16 hex digits.
    #[must_use]
    pub fn hash(&self) -> String {
        let digest = Sha256::digest(&self.bytes);
        hex::encode(digest.first_chunk::<8>().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

    #[test]
    fn a_png_or_webp_of_four_kibibytes_is_taken() {
        let logo = parse(&padded(PNG, LOGO_LIMIT)).unwrap();
        assert_eq!(
            (logo.format(), logo.bytes().len()),
            (LogoFormat::Png, LOGO_LIMIT)
        );
        assert_eq!(logo.format().content_type(), "image/png");
        let logo = parse(b"RIFF\x00\x00\x00\x00WEBPVP8 ").unwrap();
        assert_eq!(logo.format().content_type(), "image/webp");
    }

    #[test]
    fn nothing_else_is_taken() {
        for bytes in [
            &b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"[..],
            b"GIF89a",
            b"\xff\xd8\xff",
            b"\x89PNG",
            b"RIFF\x00\x00\x00\x00WAVE",
            b"",
            &padded(PNG, LOGO_LIMIT + 1),
        ] {
            assert_eq!(parse(bytes), None);
        }
        for text in [
            "data:image/png;base64,iVBORw0KGgo=",
            "iVBORw0KGgo",
            "iVBORw0KGgo= ",
        ] {
            assert_eq!(Logo::parse(text), None, "{text}");
        }
    }

    #[test]
    fn another_image_has_another_hash() {
        let hash = |length| parse(&padded(PNG, length)).unwrap().hash();
        assert_ne!(hash(20), hash(21));
        assert_eq!(hash(20).len(), 16);
    }

    fn padded(bytes: &[u8], length: usize) -> Vec<u8> {
        let mut padded = bytes.to_vec();
        padded.resize(length, 0);
        padded
    }

    fn parse(bytes: &[u8]) -> Option<Logo> {
        Logo::parse(&STANDARD.encode(bytes))
    }
}
