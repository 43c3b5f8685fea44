//! The only forms in which anything about a person reaches a platform, and their only makers.
//!
//! Nothing outside this folder can make a [`Hashed`] or a [`Plain`], so an adapter cannot be handed a raw address.

use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::text::{self, Form};

/// SHA-256 of a normalised value, as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hashed([u8; 64]);

impl Hashed {
    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }

    /// The hash of a normalised value; `None` for the empty text, whose hash would match every gap.
    pub(super) fn of(normalised: &str) -> Option<Self> {
        (!normalised.is_empty()).then(|| Self(hex(&Sha256::digest(normalised).into())))
    }

    /// A clear value normalised and hashed, or a value the application hashed itself, never hashed twice.
    ///
    /// `None` where `normalise` refuses, and for an MD5, which no platform can match.
    pub(super) fn from_raw(
        raw: &str,
        normalise: impl FnOnce(&str) -> Option<String>,
    ) -> Option<Self> {
        match text::form(raw) {
            Form::Clear => Self::of(&normalise(raw)?),
            Form::Sha256 => Self::given(raw),
            Form::Md5 => None,
        }
    }

    /// A value that already is 64 hexadecimal digits, in lower case.
    pub(super) fn given(raw: &str) -> Option<Self> {
        let digits: [u8; 64] = text::trim(raw).as_bytes().try_into().ok()?;
        digits
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then(|| Self(digits.map(|digit| digit.to_ascii_lowercase())))
    }
}

impl fmt::Display for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Redacted: a hash of an address still tells two people apart.
impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashed(…)")
    }
}

impl Serialize for Hashed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A value that a platform documents to take unhashed: an IP address, a user agent, a click id, a city for GA4.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Plain(String);

impl Plain {
    /// The value as it is sent; never empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A value to send as it stands; `None` where it is empty or a digest of something.
    pub(super) fn of(value: String) -> Option<Self> {
        (!value.is_empty() && text::form(&value) == Form::Clear).then_some(Self(value))
    }

    /// An opaque id to send as it stands. An id may well look like a digest: many ids are 32 hexadecimal digits.
    pub(super) fn id(value: &str) -> Option<Self> {
        (!value.is_empty()).then(|| Self(value.to_owned()))
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Redacted: an IP address or a click id is personal.
impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain(…)")
    }
}

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A field that one platform takes hashed and another as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// The platform takes a hash.
    Hashed(Hashed),
    /// The platform takes the normalised text.
    Plain(Plain),
}

impl Value {
    /// The text that is sent.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Hashed(hashed) => hashed.as_str(),
            Self::Plain(plain) => plain.as_str(),
        }
    }
}

fn hex(digest: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}
