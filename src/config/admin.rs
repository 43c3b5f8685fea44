//! `[admin]`: the listener for people and their tools. On this machine unless the section says otherwise.

use std::net::SocketAddr;

use thiserror::Error;

use super::read::Reader;
use super::secret::{SecretError, SecretRef};

/// A token that is shorter could be guessed.
const TOKEN_LENGTH_MIN: usize = 16;

/// Why nobody could log in with the token; a worker does not start then.
#[derive(Debug, Error)]
pub enum AdminTokenError {
    /// It cannot be read.
    #[error("admin.token: {0}")]
    Unreadable(#[from] SecretError),
    /// It can be guessed.
    #[error("admin.token is too short. Fix: write at least {TOKEN_LENGTH_MIN} random characters")]
    TooShort,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens. Default `127.0.0.1:9465`; anything but loopback needs a token.
    pub listen: SocketAddr,
    /// What `Authorization: Bearer` must carry. Without it, only this machine may look, and nobody may change anything.
    pub token: Option<SecretRef>,
    /// Another login for what is asked and changed here, in place of the worker's own.
    pub database_url: Option<SecretRef>,
    /// Whether there is no section at all. Then a port that is taken is no error.
    pub is_default: bool,
}

impl Default for AdminConfig {
    fn default() -> AdminConfig {
        AdminConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 9465)),
            token: None,
            database_url: None,
            is_default: true,
        }
    }
}

impl AdminConfig {
    /// Reads the section; nothing where it says `enabled = false`.
    pub fn read(reader: &mut Reader<'_>, is_default: bool) -> Option<AdminConfig> {
        let is_enabled = reader.boolean("enabled").unwrap_or(true);
        let listen = reader.text("listen").map(|text| text.parse());
        if let Some(Err(_)) = listen {
            let fix = "write an IP address and a port, such as 127.0.0.1:9465";
            reader.fault("listen", "must be an address to listen on", fix);
        }
        let listen: SocketAddr = listen
            .and_then(Result::ok)
            .unwrap_or(AdminConfig::default().listen);
        if !listen.ip().is_loopback() && !reader.has("token") {
            reader.fault(
                "listen",
                "is not of this machine, and there is no token",
                "write 127.0.0.1:9465, or add token = { file = \"/path\" } with at least 16 characters",
            );
        }
        let admin = AdminConfig {
            listen,
            token: reader.secret("token"),
            database_url: reader.secret("database_url"),
            is_default,
        };
        is_enabled.then_some(admin)
    }

    /// Whether there is a token, where it is one that can be used.
    pub fn check_token(&self) -> Result<bool, AdminTokenError> {
        let Some(token) = &self.token else {
            return Ok(false);
        };
        match token.load()?.expose().len() {
            TOKEN_LENGTH_MIN.. => Ok(true),
            _ => Err(AdminTokenError::TooShort),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parsed(admin: &str) -> Option<super::AdminConfig> {
        let text = format!("[database]\nurl = {{ env = \"X\" }}\n{admin}");
        Config::parse(&text, "c.toml", [])
            .unwrap_or_else(|faults| panic!("{faults}"))
            .admin
    }

    #[test]
    fn there_is_one_unless_it_is_turned_off() {
        let default = parsed("").expect("by default");
        assert_eq!(default, super::AdminConfig::default());
        let asked = parsed("[admin]").expect("asked for");
        assert_eq!((asked.listen, asked.is_default), (default.listen, false));
        assert_eq!(parsed("[admin]\nenabled = false"), None);
    }

    fn faults(admin: &str) -> Vec<String> {
        let text = format!("[database]\nurl = {{ env = \"X\" }}\n[admin]\n{admin}");
        let parsed = Config::parse(&text, "c.toml", []);
        let faults = parsed
            .err()
            .map(|faults| faults.list().to_vec())
            .unwrap_or_default();
        faults
            .into_iter()
            .map(|fault| format!("{} {}", fault.path, fault.message))
            .collect()
    }

    #[test]
    fn beyond_this_machine_only_with_a_token() {
        for open in ["0.0.0.0:9465", "[::]:9465", "10.0.0.1:9465", "192.0.2.1:80"] {
            let listen = format!("listen = \"{open}\"");
            assert_eq!(
                faults(&listen),
                ["admin.listen is not of this machine, and there is no token"]
            );
            assert!(faults(&format!("{listen}\ntoken = {{ env = \"TOKEN\" }}")).is_empty());
        }
        for inside in ["", "listen = \"127.0.0.1:9000\"", "listen = \"[::1]:9000\""] {
            assert!(faults(inside).is_empty(), "{inside}");
        }
        assert_eq!(
            faults("listen = \"admin.example:80\""),
            ["admin.listen must be an address to listen on"]
        );
        assert_eq!(
            faults("token = \"let-me-in-let-me-in\""),
            ["admin.token must be a reference, not a literal"]
        );
    }
}
