//! Secrets by reference: where one lies, reading it, and noticing that it changed.
//!
//! A secret's value never stands in the configuration and never leaves [`Secret::expose`] in any other way:
//! `Debug` is redacted and there is no `Display`.

use std::fmt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use thiserror::Error;

use super::read::Reader;

/// Key of the fingerprint. It is no secret: it only keeps fingerprints of this program apart from other hashes.
const FINGERPRINT_LABEL: &[u8] = b"conversion-outbox credential fingerprint v1";

/// Where a secret lies. Safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef {
    place: SecretPlace,
    trim: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SecretPlace {
    File(PathBuf),
    Variable(String),
}

/// A secret's value. Its memory is cleared when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

/// Why a secret could not be read. Names the place, never the value.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error(
        "secret file {path} cannot be read: {source}. Fix: mount the secret there, readable for this user, or correct the path"
    )]
    Unreadable {
        /// The file as configured.
        path: PathBuf,
        /// What the operating system said. Content that is not UTF-8 is told here too.
        source: std::io::Error,
    },
    /// The environment variable is not set, or is not UTF-8.
    #[error("secret variable {name} is not set. Fix: set it, or refer to a file instead")]
    Unset {
        /// The variable as configured.
        name: String,
    },
    /// There is nothing in it.
    #[error("secret {place} is empty. Fix: write the secret there")]
    Empty {
        /// The file or variable.
        place: String,
    },
    /// A line feed or the like inside: no header or address can carry it, so it is two secrets or a damaged one.
    #[error(
        "secret {place} holds a line feed or another control character. Fix: write the secret alone, on one line"
    )]
    Control {
        /// The file or variable.
        place: String,
    },
}

impl SecretRef {
    /// A secret in a file; space around it is dropped, as editors and `echo` end a file with a line feed.
    pub fn file(path: impl Into<PathBuf>) -> SecretRef {
        SecretRef {
            place: SecretPlace::File(path.into()),
            trim: true,
        }
    }

    /// A secret in an environment variable.
    pub fn variable(name: impl Into<String>) -> SecretRef {
        SecretRef {
            place: SecretPlace::Variable(name.into()),
            trim: true,
        }
    }

    /// Reads `{ file = "…" }` or `{ env = "…" }` with an optional `trim`, which is on by default.
    pub fn read(reader: &mut Reader<'_>) -> Option<SecretRef> {
        let file = reader.text_where(
            "file",
            |path| !path.is_empty(),
            "must not be empty",
            "write a path",
        );
        let name = reader.text_where(
            "env",
            |name| !name.is_empty(),
            "must not be empty",
            "write a name",
        );
        let trim = reader.boolean("trim").unwrap_or(true);
        let place = match (file, name) {
            (Some(path), None) => SecretPlace::File(path.into()),
            (None, Some(name)) => SecretPlace::Variable(name),
            (None, None) if reader.has("file") || reader.has("env") => return None,
            _ => {
                reader.fault(
                    "file",
                    "or env: exactly one of them must be given",
                    "keep one of the two",
                );
                return None;
            }
        };
        Some(SecretRef { place, trim })
    }

    /// When it was last written, where it lies in a file whose system tells.
    pub fn changed_at(&self) -> Option<DateTime<Utc>> {
        match &self.place {
            SecretPlace::File(path) => Some(std::fs::metadata(path).ok()?.modified().ok()?.into()),
            SecretPlace::Variable(_) => None,
        }
    }

    /// Reads the secret now.
    pub fn load(&self) -> Result<Secret, SecretError> {
        let secret = self.load_document()?;
        if secret.expose().chars().any(char::is_control) {
            return Err(SecretError::Control {
                place: self.to_string(),
            });
        }
        Ok(secret)
    }

    /// Reads a secret of several lines now: a key file.
    #[expect(clippy::disallowed_methods, reason = "a secret may lie in a variable")]
    pub fn load_document(&self) -> Result<Secret, SecretError> {
        let text = match &self.place {
            SecretPlace::File(path) => read_file(path)?,
            SecretPlace::Variable(name) => {
                std::env::var(name).map_err(|_| SecretError::Unset { name: name.clone() })?
            }
        };
        let text = if self.trim {
            text.trim()
        } else {
            text.as_str()
        };
        if text.is_empty() {
            return Err(SecretError::Empty {
                place: self.to_string(),
            });
        }
        Ok(Secret::new(text))
    }
}

impl fmt::Display for SecretRef {
    /// `file /run/secrets/token` or `variable TOKEN`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            SecretPlace::File(path) => write!(out, "file {}", path.display()),
            SecretPlace::Variable(name) => write!(out, "variable {name}"),
        }
    }
}

impl Secret {
    /// Takes over a value.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(SecretString::from(value.into()))
    }

    /// The value itself, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Eight hexadecimal digits that change with the value and do not reveal it: the start of an HMAC-SHA-256.
    /// Replicas compare it to see that a credential was replaced.
    pub fn fingerprint(&self) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(FINGERPRINT_LABEL)
            .expect("HMAC takes a key of any length");
        mac.update(self.expose().as_bytes());
        mac.finalize().into_bytes()[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(***)")
    }
}

/// A credential in use, that can be read again.
///
/// A mounted Kubernetes secret changes in place by a swapped symbolic link, so a file is read by content each
/// time; a variable cannot change while the process lives.
#[derive(Debug, Clone)]
pub struct CredentialSource {
    reference: SecretRef,
    current: Secret,
}

impl CredentialSource {
    /// Reads the credential for the first time.
    pub fn open(reference: SecretRef) -> Result<CredentialSource, SecretError> {
        let current = reference.load()?;
        Ok(CredentialSource { reference, current })
    }

    /// The credential as last read.
    pub fn current(&self) -> &Secret {
        &self.current
    }

    /// Reads it again and tells whether it changed. After an error the former value stays in use.
    pub fn reload(&mut self) -> Result<bool, SecretError> {
        let fresh = self.reference.load()?;
        let changed = fresh.expose() != self.current.expose();
        self.current = fresh;
        Ok(changed)
    }
}

fn read_file(path: &Path) -> Result<String, SecretError> {
    std::fs::read_to_string(path).map_err(|source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_trimmed_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, " canary\n").expect("written");
        let secret = SecretRef::file(&path).load().expect("readable");
        assert_eq!(secret.expose(), "canary");
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.fingerprint().len(), 8);
        assert_ne!(secret.fingerprint(), Secret::new("other").fingerprint());
        let source = CredentialSource::open(SecretRef::file(&path)).expect("readable");
        assert!(!format!("{source:?}").contains("canary"));
    }

    #[test]
    fn a_swapped_link_is_noticed_and_an_empty_file_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("token");
        let swap_to = |content: &str| {
            let file = folder.path().join(format!("version-{}", content.len()));
            std::fs::write(&file, content).expect("written");
            let fresh = folder.path().join("fresh");
            std::os::unix::fs::symlink(&file, &fresh).expect("linked");
            std::fs::rename(&fresh, &link).expect("swapped");
        };
        swap_to("one");
        let mut source = CredentialSource::open(SecretRef::file(&link)).expect("readable");
        assert!(!source.reload().expect("readable"));
        swap_to("second");
        assert!(source.reload().expect("readable"));
        swap_to("");
        assert!(matches!(source.reload(), Err(SecretError::Empty { .. })));
        assert_eq!(source.current().expose(), "second");
    }

    #[test]
    fn errors_name_the_place_and_the_fix() {
        let error = SecretRef::file("/nowhere/token")
            .load()
            .expect_err("no file")
            .to_string();
        assert!(
            error.contains("/nowhere/token") && error.contains("Fix:"),
            "{error}"
        );
        let error = SecretRef::variable("NO_SUCH_VARIABLE")
            .load()
            .expect_err("not set")
            .to_string();
        assert!(
            error.contains("NO_SUCH_VARIABLE") && error.contains("Fix:"),
            "{error}"
        );
        assert!(SecretRef::variable("PATH").load().is_ok());
    }
}
