//! A libpq connection string, understood with libpq's own meaning of `sslmode`.
//!
//! tokio-postgres refuses `verify-full` and `sslrootcert`, and its default would fall back to plain text in
//! silence. So what concerns encryption is taken out here, and the rest is left to tokio-postgres. Nothing is
//! connected and no file is read here. Errors never hold any part of the string, since it holds a password.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio_postgres::config::{Host, SslMode};

/// Keys that tokio-postgres does not know, or understands otherwise than libpq does (`tcp_user_timeout`, in milliseconds there).
const OURS: [&str; 6] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "tcp_user_timeout",
    "keepalives_count",
];

/// How to connect, checked. `Debug` leaves the password out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Everything but the verification; its `ssl_mode` is either `Disable`, `Prefer` or `Require` as `encryption` wants it.
    pub postgres: tokio_postgres::Config,
    /// What is demanded of the server.
    pub encryption: Encryption,
    /// Certificate and key files to present to the server.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// What is demanded of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// Plain text: this machine only, or asked for as insecure.
    None,
    /// Encrypted, but it may be anybody: only asked for as insecure.
    Unverified,
    /// The certificate's chain leads to the authority in this file; the name is not looked at (`verify-ca`).
    Authority(PathBuf),
    /// Chain and host name are verified (`verify-full`). `None` trusts the authorities of the platform.
    Full(Option<PathBuf>),
}

/// Why a connection string cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectionError {
    /// Neither a URL nor a list of keywords.
    #[error(
        "the database URL is not valid{at}. Fix: write postgresql://user:password@host/database?sslmode=verify-full, with special characters of the password percent-encoded"
    )]
    Malformed {
        /// Which option, if that is known: ` at option …`.
        at: String,
    },
    /// There is nothing to connect to.
    #[error(
        "the database URL names no host. Fix: add the host, or host=/path/of/the/socket/folder"
    )]
    NoHost,
    /// An unknown word for `sslmode`.
    #[error(
        "sslmode in the database URL is not known. Fix: use verify-full, verify-ca, require, prefer, allow or disable"
    )]
    UnknownMode,
    /// It would not be encrypted, or not verified, and nobody said that this is wanted.
    #[error(
        "sslmode={mode} does not verify the database server, which is not on this machine. Fix: use sslmode=verify-full, with sslrootcert if it has an authority of its own; or set insecure = true under [database]"
    )]
    Insecure {
        /// The mode as given.
        mode: &'static str,
    },
    /// `verify-ca` with authorities anybody can get a certificate from.
    #[error(
        "sslmode=verify-ca needs sslrootcert: any certificate of a public authority would pass. Fix: add sslrootcert=/path, or use sslmode=verify-full"
    )]
    NoAuthority,
    /// One half of a client certificate.
    #[error("sslcert and sslkey in the database URL belong together. Fix: give both, or neither")]
    HalfCertificate,
}

impl Connection {
    /// Parses a URL or a list of keywords. `is_insecure` is the operator's word that verification is not wanted.
    pub fn parse(text: &str, is_insecure: bool) -> Result<Connection, ConnectionError> {
        let (rest, mut ours) = divide(text.trim())?;
        let mut postgres: tokio_postgres::Config =
            rest.parse().map_err(|error| malformed(&error))?;
        if postgres.get_hosts().is_empty() && postgres.get_hostaddrs().is_empty() {
            return Err(ConnectionError::NoHost);
        }
        if let Some(text) = ours.remove("tcp_user_timeout") {
            postgres.tcp_user_timeout(Duration::from_millis(
                number(&text, "tcp_user_timeout")?.into(),
            ));
        }
        if let Some(text) = ours.remove("keepalives_count") {
            postgres.keepalives_retries(number(&text, "keepalives_count")?);
        }
        let client_certificate = match (ours.remove("sslcert"), ours.remove("sslkey")) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => return Err(ConnectionError::HalfCertificate),
        };
        let authority = ours
            .remove("sslrootcert")
            .filter(|path| path != "system")
            .map(PathBuf::from);
        let encryption = encryption(
            ours.get("sslmode").map(String::as_str),
            authority,
            &postgres,
            is_insecure,
        )?;
        postgres.ssl_mode(
            match (&encryption, ours.get("sslmode").map(String::as_str)) {
                (Encryption::None, _) => SslMode::Disable,
                (Encryption::Unverified, Some("prefer" | "allow")) => SslMode::Prefer,
                _ => SslMode::Require,
            },
        );
        Ok(Connection {
            postgres,
            encryption,
            client_certificate,
        })
    }
}

/// The one place that decides how much is verified.
fn encryption(
    mode: Option<&str>,
    authority: Option<PathBuf>,
    postgres: &tokio_postgres::Config,
    is_insecure: bool,
) -> Result<Encryption, ConnectionError> {
    // As in libpq, sslmode means nothing on a socket of this machine.
    if !postgres.get_hosts().is_empty() && postgres.get_hosts().iter().all(is_socket) {
        return Ok(Encryption::None);
    }
    let is_local = is_local(postgres);
    match mode {
        None if is_local && authority.is_none() => Ok(Encryption::None),
        None | Some("verify-full") => Ok(Encryption::Full(authority)),
        Some("verify-ca") => authority
            .map(Encryption::Authority)
            .ok_or(ConnectionError::NoAuthority),
        // libpq verifies the chain where it is told an authority.
        Some("require") => match authority {
            Some(path) => Ok(Encryption::Authority(path)),
            None if is_insecure => Ok(Encryption::Unverified),
            None => Err(ConnectionError::Insecure { mode: "require" }),
        },
        Some("prefer" | "allow") if is_local => Ok(Encryption::None),
        Some("prefer" | "allow") if is_insecure => Ok(Encryption::Unverified),
        Some("prefer" | "allow") => Err(ConnectionError::Insecure { mode: "prefer" }),
        Some("disable") if is_local || is_insecure => Ok(Encryption::None),
        Some("disable") => Err(ConnectionError::Insecure { mode: "disable" }),
        Some(_) => Err(ConnectionError::UnknownMode),
    }
}

/// Whether every host is this machine, so that no network sees the connection. An address wins over a name, as in libpq.
fn is_local(postgres: &tokio_postgres::Config) -> bool {
    let addresses = postgres.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().all(IpAddr::is_loopback);
    }
    postgres.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        Host::Unix(_) => true,
    })
}

fn is_socket(host: &Host) -> bool {
    matches!(host, Host::Unix(_))
}

fn number(text: &str, key: &str) -> Result<u32, ConnectionError> {
    text.parse().map_err(|_| ConnectionError::Malformed {
        at: format!(" at option {key}"),
    })
}

/// Only a message about a value names nothing but the option; others may quote the string.
fn malformed(error: &tokio_postgres::Error) -> ConnectionError {
    let source = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    let at = match source.strip_prefix("invalid value for option ") {
        Some(option) => format!(" at option {option}"),
        None => String::new(),
    };
    ConnectionError::Malformed { at }
}

/// Takes our keys out; what is left is for tokio-postgres.
fn divide(text: &str) -> Result<(String, BTreeMap<&'static str, String>), ConnectionError> {
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if is_url {
        Ok(divide_url(text))
    } else {
        divide_keywords(text)
    }
}

fn divide_url(text: &str) -> (String, BTreeMap<&'static str, String>) {
    // A password may hold a bare question mark; parameters start after the host.
    let host = text.find('@').unwrap_or(0);
    let Some(start) = text[host..].find('?').map(|offset| host + offset) else {
        return (text.to_owned(), BTreeMap::new());
    };
    let mut ours = BTreeMap::new();
    let mut rest = Vec::new();
    for pair in text[start + 1..].split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match OURS.iter().find(|ours| **ours == key) {
            Some(key) => {
                ours.insert(*key, percent_decode(value));
            }
            None => rest.push(pair),
        }
    }
    let question = if rest.is_empty() { "" } else { "?" };
    (
        format!("{}{question}{}", &text[..start], rest.join("&")),
        ours,
    )
}

fn percent_decode(text: &str) -> String {
    // A form's plus sign is a space, a connection string's is a plus sign.
    let text = text.replace('+', "%2B");
    url::form_urlencoded::parse(text.as_bytes())
        .map(|(key, _)| key.into_owned())
        .collect()
}

fn divide_keywords(
    text: &str,
) -> Result<(String, BTreeMap<&'static str, String>), ConnectionError> {
    let mut ours = BTreeMap::new();
    let mut rest = String::new();
    let mut left = text;
    while !left.trim_start().is_empty() {
        let (key, after) = left
            .split_once('=')
            .ok_or_else(|| ConnectionError::Malformed { at: String::new() })?;
        let (value, after) = keyword_value(after.trim_start())
            .ok_or_else(|| ConnectionError::Malformed { at: String::new() })?;
        match OURS.iter().find(|ours| **ours == key.trim()) {
            Some(key) => {
                ours.insert(*key, value);
            }
            None => {
                let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
                rest.push_str(&format!("{}='{quoted}' ", key.trim()));
            }
        }
        left = after;
    }
    Ok((rest, ours))
}

/// A value, in quotes or up to the next space, a backslash before any character that stands for itself; and the rest.
fn keyword_value(text: &str) -> Option<(String, &str)> {
    let (is_quoted, body) = match text.strip_prefix('\'') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((index, char)) = chars.next() {
        match char {
            '\\' => value.push(chars.next()?.1),
            '\'' if is_quoted => return Some((value, &body[index + 1..])),
            space if !is_quoted && space.is_whitespace() => return Some((value, &body[index..])),
            other => value.push(other),
        }
    }
    (!is_quoted).then_some((value, ""))
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
