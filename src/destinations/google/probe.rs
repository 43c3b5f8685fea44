//! A row of nobody, for requests that Google only validates: what both ways to Google Ads put into it.

use sha2::{Digest, Sha256};

/// By what the row could be matched, if it were real. A destination is tried with what it really sends, so that it hears
/// of terms it needs, and of no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A hashed address.
    Email,
    /// A click id.
    Click,
}

/// What the row's transaction is called, and its click.
pub(in super::super) const MARK: &str = "conversion-outbox-probe";

/// The hash of an address in the domain that RFC 2606 keeps for examples.
pub(in super::super) fn email() -> String {
    let digest = Sha256::digest(format!("{MARK}@example.com"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
